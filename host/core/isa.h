/* SPDX-License-Identifier: BSD-3-Clause */
/* The instruction set that every kernel takes: training, passes over particles. */
#ifndef MNO_CORE_ISA_H
#define MNO_CORE_ISA_H

#include "meanode/status.h"

#include <stdbool.h>

/* The best of this processor and build ("avx512", "avx2", "portable"), or what MEANODE_ISA in the environment asks for; NULL
 * if this processor or build lacks that. */
const char *mno_isa(void);

/* Do this processor and build have the set of that name? */
bool mno_isa_runs(const char *name);

/* Fails with MNO_ERR_BACKEND: MEANODE_ISA asks for what this processor or build lacks, and which sets there are. */
mno_status mno_isa_missing(mno_error *err);

#endif
