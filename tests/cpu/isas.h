/* The instruction sets that the tests of the kernels go through. */
#ifndef MNO_TEST_CPU_ISAS_H
#define MNO_TEST_CPU_ISAS_H

#include "cpu/cpu.h"

#include <stdio.h>

static const char *const isas[] = {"avx512", "avx2", "portable"};
enum { ISAS = sizeof isas / sizeof *isas };

/* Says which of them the tests leave out. */
static inline void isas_say_skipped(void) {
  for (int i = 0; i < ISAS; i++)
    if (!mno_cpu_numbers_named(MNO_F64, isas[i]))
      printf("%s: skipped, this processor or build has no such kernels\n", isas[i]);
}

#endif
