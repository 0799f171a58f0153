/* SPDX-License-Identifier: BSD-3-Clause */
/* Which kernels run here, and in which arrangement an instance lies. */
#include "core/isa.h"
#include "cpu/cpu.h"
#include "cpu/list.h"

#include <string.h>

#define DECLARE(isa, precision, block) extern const mno_cpu_kernels mno_cpu_kernels_##isa##_##precision##_##block;
MNO_CPU_KERNELS_LIST(DECLARE)
#undef DECLARE

static const struct {
  const char *isa, *precision, *block;
  const mno_cpu_kernels *kernels;
} all[] = {
#define KERNELS(isa, precision, block) {#isa, #precision, #block, &mno_cpu_kernels_##isa##_##precision##_##block},
    MNO_CPU_KERNELS_LIST(KERNELS)
#undef KERNELS
};

const mno_cpu_kernels *mno_cpu_kernels_named(mno_precision precision, const mno_block *block, const char *isa) {
  for (size_t i = 0; mno_isa_runs(isa) && i < sizeof all / sizeof *all; i++)
    if (strcmp(all[i].isa, isa) == 0 && strcmp(all[i].block, mno_block_name(block)) == 0 &&
        strcmp(all[i].precision, mno_precision_name(precision)) == 0)
      return all[i].kernels;
  return NULL;
}

const mno_cpu_kernels *mno_cpu_kernels_choose(mno_precision precision, const mno_block *block) {
  const char *isa = mno_isa();
  return isa ? mno_cpu_kernels_named(precision, block, isa) : NULL;
}

int mno_cpu_team_choose(size_t D, size_t M, size_t N, int wanted) {
  /* Flops of a layer and step, some ten microseconds: they meet twice in them. Two threads are 1.5 times as fast at 2.0e6
   * (D = 64, M = 256, N = 10) and no faster at 0.8e6 (32, 32, 64): bench/results/cpu.md. */
  const double least = 1.5e6;
  return 12.0 * (double)D * (double)M * (double)N < least ? 1 : wanted;
}

/* bench/choices.py small-units, small-weights, many-samples and filled-lanes try other bounds (bench/results/choices.md):
 * these are within 14% of the best in f32 and 20% in f64, where units on lanes are often faster than seeds on lanes from
 * M = 8 on. Results' bits depend on the arrangement, so that they stay. */
mno_cpu_arrangement mno_cpu_arrangement_choose(size_t D, size_t M, size_t L, size_t N, mno_precision precision) {
  bool small = M < 16 || D * M <= 128;
  size_t lanes = precision == MNO_F32 ? 16 : 8, padded = (N + lanes - 1) / lanes * lanes; /* of the widest vectors */
  bool many = N >= (small ? 48 : 16) && 8 * N >= 7 * padded;
  return many && M >= 16 ? MNO_SAMPLES_ON_LANES : small ? MNO_SEEDS_ON_LANES : MNO_UNITS_ON_LANES;
}
