/* Which kernels run here, and which layout an instance takes. */
#include "cpu/cpu.h"
#include "cpu/isa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef MNO_ISA_AVX512
extern const mno_cpu_kernels mno_cpu_kernels_avx512_f64, mno_cpu_kernels_avx512_f32;
#endif
#ifdef MNO_ISA_AVX2
extern const mno_cpu_kernels mno_cpu_kernels_avx2_f64, mno_cpu_kernels_avx2_f32;
#endif
extern const mno_cpu_kernels mno_cpu_kernels_portable_f64, mno_cpu_kernels_portable_f32;

/* Best first. */
static const struct {
  const mno_cpu_kernels *kernels[2]; /* by mno_precision */
  bool (*supported)(void);
} sets[] = {
#ifdef MNO_ISA_AVX512
    {{&mno_cpu_kernels_avx512_f64, &mno_cpu_kernels_avx512_f32}, mno_has_avx512},
#endif
#ifdef MNO_ISA_AVX2
    {{&mno_cpu_kernels_avx2_f64, &mno_cpu_kernels_avx2_f32}, mno_has_avx2},
#endif
    {{&mno_cpu_kernels_portable_f64, &mno_cpu_kernels_portable_f32}, mno_has_portable},
};
enum { SETS = sizeof sets / sizeof *sets };

const mno_cpu_kernels *mno_cpu_kernels_named(mno_precision precision, const char *isa) {
  for (size_t i = 0; i < SETS; i++)
    if ((!isa || strcmp(sets[i].kernels[0]->name, isa) == 0) && sets[i].supported()) return sets[i].kernels[precision];
  return NULL;
}

const mno_cpu_kernels *mno_cpu_kernels_choose(mno_precision precision) {
  const char *isa = getenv("MEANODE_ISA");
  return mno_cpu_kernels_named(precision, isa && *isa ? isa : NULL);
}

mno_status mno_cpu_kernels_missing(mno_error *err) {
  const char *isa = getenv("MEANODE_ISA");
  char here[64] = "";
  for (size_t i = 0, used = 0; i < SETS && used < sizeof here; i++)
    if (sets[i].supported())
      used += (size_t)snprintf(here + used, sizeof here - used, "%s%s", used ? ", " : "", sets[i].kernels[0]->name);
  return mno_fail(
      err, MNO_ERR_BACKEND,
      "MEANODE_ISA=%s: this processor or build has no such instruction set, only %s; leave it unset for the best "
      "of them, or build with -DMEANODE_ISAS=all",
      isa ? isa : "", here);
}

int mno_cpu_team_choose(size_t D, size_t M, size_t N, int wanted) {
  /* Flops of a layer and step, some ten microseconds: they meet twice in them. Two threads are 1.5 times as fast at 2.0e6
   * (D = 64, M = 256, N = 10) and no faster at 0.8e6 (32, 32, 64): bench/results/cpu.md. */
  const double least = 1.5e6;
  return 12.0 * (double)D * (double)M * (double)N < least ? 1 : wanted;
}

/* bench/choices.py small-units, small-weights, many-samples and filled-lanes try other bounds (bench/results/choices.md):
 * these are within 14% of the best in f32 and 20% in f64, where ML is often faster than SL from M = 8 on. Results' bits
 * depend on the layout, so that they stay. */
mno_cpu_layout mno_cpu_layout_choose(size_t D, size_t M, size_t L, size_t N, mno_precision precision) {
  bool small = M < 16 || D * M <= 128;
  size_t lanes = precision == MNO_F32 ? 16 : 8, padded = (N + lanes - 1) / lanes * lanes; /* of the widest vectors */
  bool many = N >= (small ? 48 : 16) && 8 * N >= 7 * padded;
  return many && M >= 16 ? MNO_CPU_NL : small ? MNO_CPU_SL : MNO_CPU_ML;
}
