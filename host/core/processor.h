/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernels' instruction sets need of a processor. CMake asks the same for MEANODE_ISAS=native: native.c. */
#ifndef MNO_CORE_PROCESSOR_H
#define MNO_CORE_PROCESSOR_H

#include <stdbool.h>

#if defined(__x86_64__)
static inline bool mno_has_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static inline bool mno_has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
static inline bool mno_has_avx512(void) { return false; }
static inline bool mno_has_avx2(void) { return false; }
#endif
static inline bool mno_has_portable(void) { return true; }

#endif
