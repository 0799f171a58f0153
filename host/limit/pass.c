#include "limit/pass.h"

#include "cpu/cpu.h"

#include <string.h>

extern const mno_kernel mno_pass_portable_f64, mno_pass_portable_f32;
#ifdef MNO_ISA_AVX2
extern const mno_kernel mno_pass_avx2_f64, mno_pass_avx2_f32;
#endif
#ifdef MNO_ISA_AVX512
extern const mno_kernel mno_pass_avx512_f64, mno_pass_avx512_f32;
#endif

static const struct {
  const char *isa;
  const mno_kernel *kernels[2]; /* by mno_precision */
} sets[] = {
#ifdef MNO_ISA_AVX512
    {"avx512", {&mno_pass_avx512_f64, &mno_pass_avx512_f32}},
#endif
#ifdef MNO_ISA_AVX2
    {"avx2", {&mno_pass_avx2_f64, &mno_pass_avx2_f32}},
#endif
    {"portable", {&mno_pass_portable_f64, &mno_pass_portable_f32}},
};

const mno_kernel *mno_kernel_find(mno_precision precision) {
  const char *isa = mno_cpu_isa();
  for (size_t i = 0; isa && i < sizeof sets / sizeof *sets; i++)
    if (strcmp(sets[i].isa, isa) == 0) return sets[i].kernels[precision];
  return NULL;
}
