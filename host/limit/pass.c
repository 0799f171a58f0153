#include "limit/pass.h"

extern const mno_kernel mno_kernel_f64_base, mno_kernel_f32_base;
#ifdef __x86_64__
extern const mno_kernel mno_kernel_f64_avx2, mno_kernel_f32_avx2;
extern const mno_kernel mno_kernel_f64_avx512, mno_kernel_f32_avx512;
#endif

const mno_kernel *mno_kernel_find(mno_precision precision) {
  int single = precision == MNO_F32;
#ifdef __x86_64__
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("fma"))
    return single ? &mno_kernel_f32_avx512 : &mno_kernel_f64_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return single ? &mno_kernel_f32_avx2 : &mno_kernel_f64_avx2;
#endif
  return single ? &mno_kernel_f32_base : &mno_kernel_f64_base;
}
