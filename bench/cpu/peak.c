/* SPDX-License-Identifier: BSD-3-Clause */
#include "peak.h"

#include "core/memory.h"

#define PEAK(name, real, bytes, target_)                                                                                    \
  typedef real name##_vec __attribute__((vector_size(bytes)));                                                              \
  __attribute__((target(target_), optimize("O3", "fp-contract=fast"))) static double name(void) {                           \
    enum { CHAINS = 12, ROUNDS = 20000000 };                                                                                \
    name##_vec a[CHAINS], x = {0}, y = {0};                                                                                 \
    x += (real)0.999;                                                                                                       \
    y += (real)1e-9;                                                                                                        \
    double best = 0;                                                                                                        \
    for (int repeat = 0; repeat < 5; repeat++) {                                                                            \
      for (int i = 0; i < CHAINS; i++) a[i] = x * (real)i;                                                                  \
      double start = mno_now();                                                                                             \
      for (int round = 0; round < ROUNDS; round++) {                                                                        \
        _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) a[i] = a[i] * x + y;                                      \
      }                                                                                                                     \
      double seconds = mno_now() - start;                                                                                   \
      for (int i = 0; i < CHAINS; i++) __asm__ volatile("" ::"x"(a[i]));                                                    \
      double rate = 2.0 * CHAINS * ROUNDS * (bytes / sizeof(real)) / seconds / 1e9;                                         \
      if (rate > best) best = rate;                                                                                         \
    }                                                                                                                       \
    return best;                                                                                                            \
  }

PEAK(f32_512, float, 64, "avx512f,fma")
PEAK(f64_512, double, 64, "avx512f,fma")
PEAK(f32_256, float, 32, "avx2,fma")
PEAK(f64_256, double, 32, "avx2,fma")

double peak_f32(void) { return __builtin_cpu_supports("avx512f") ? f32_512() : f32_256(); }
double peak_f64(void) { return __builtin_cpu_supports("avx512f") ? f64_512() : f64_256(); }
