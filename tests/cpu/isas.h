/* SPDX-License-Identifier: BSD-3-Clause */
/* The instruction sets that the tests of the kernels go through. */
#ifndef MNO_TEST_CPU_ISAS_H
#define MNO_TEST_CPU_ISAS_H

#include "cpu/cpu.h"

#include <stdio.h>

static const char *const isas[] = {"avx512", "avx2", "portable"};
enum { ISAS = sizeof isas / sizeof *isas };

static inline const mno_cpu_kernels *isas_kernels(mno_precision precision, const char *isa) {
  return mno_cpu_kernels_named(precision, mno_block_named("perceptron"), isa);
}

/* Says which of them the tests leave out. */
static inline void isas_say_skipped(void) {
  for (int i = 0; i < ISAS; i++)
    if (!isas_kernels(MNO_F64, isas[i])) printf("%s: skipped, this processor or build has no such kernels\n", isas[i]);
}

#endif
