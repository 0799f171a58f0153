/* SPDX-License-Identifier: BSD-3-Clause */
/* Refusal of a size. */
#ifndef MNO_CONFIG_TOO_LARGE_H
#define MNO_CONFIG_TOO_LARGE_H

#include "meanode/sweep.h"

/* What a configuration asks for does not fit this machine: MNO_ERR_INPUT at its place, before any work. what: the thing with
 * its file, if it comes from one; remedy: which keys to change. */
mno_status mno_fail_too_large(const mno_sweep *sweep, mno_mark mark, size_t bytes, const char *what, const char *remedy,
                              mno_error *err);

#endif
