#include "limit/pass.h"

extern const mno_kernel mno_pass_portable_f64, mno_pass_portable_f32;
#ifdef MNO_ISA_AVX2
extern const mno_kernel mno_pass_avx2_f64, mno_pass_avx2_f32;
#endif
#ifdef MNO_ISA_AVX512
extern const mno_kernel mno_pass_avx512_f64, mno_pass_avx512_f32;
#endif

const mno_kernel *mno_kernel_find(mno_precision precision) {
  int single = precision == MNO_F32;
#ifdef MNO_ISA_AVX512
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
    return single ? &mno_pass_avx512_f32 : &mno_pass_avx512_f64;
#endif
#ifdef MNO_ISA_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return single ? &mno_pass_avx2_f32 : &mno_pass_avx2_f64;
#endif
  return single ? &mno_pass_portable_f32 : &mno_pass_portable_f64;
}
