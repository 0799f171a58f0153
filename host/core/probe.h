/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading a file of unknown origin: HDF5 may crash or hang on damaged metadata, so a child process tries it first. */
#ifndef MNO_CORE_PROBE_H
#define MNO_CORE_PROBE_H

#include "meanode/status.h"

#include <stddef.h>

typedef mno_status mno_attempt(const void *context, mno_error *err);

/* Runs attempt(context), which reads the file of this path, in a child process and returns its status and message; a child
 * that dies or takes too long gives MNO_ERR_INPUT. */
mno_status mno_probe(mno_attempt *attempt, const void *context, const char *path, mno_error *err);

/* Inside an attempt: so many bytes of numbers are going to be read, which takes its time. Elsewhere: nothing. */
void mno_probe_expect(size_t bytes);

#endif
