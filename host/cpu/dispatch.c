/* Which kernels run here, and in which arrangement an instance lies. */
#include "cpu/cpu.h"
#include "cpu/isa.h"
#include "cpu/list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DECLARE(isa, precision, block) extern const mno_cpu_kernels mno_cpu_kernels_##isa##_##precision##_##block;
MNO_CPU_KERNELS_LIST(DECLARE)
#undef DECLARE

/* Best instruction set first. */
static const struct {
  const char *isa, *precision, *block;
  bool (*supported)(void);
  const mno_cpu_kernels *kernels;
} sets[] = {
#define SET(isa, precision, block) {#isa, #precision, #block, mno_has_##isa, &mno_cpu_kernels_##isa##_##precision##_##block},
    MNO_CPU_KERNELS_LIST(SET)
#undef SET
};
enum { SETS = sizeof sets / sizeof *sets };

/* The first that runs here and is what is asked for; NULL asks for nothing. SETS if there is none. */
static size_t find(const char *isa, const char *precision, const char *block) {
  size_t i = 0;
  while (i < SETS &&
         !(sets[i].supported() && (!isa || strcmp(sets[i].isa, isa) == 0) &&
           (!precision || strcmp(sets[i].precision, precision) == 0) && (!block || strcmp(sets[i].block, block) == 0)))
    i++;
  return i;
}

const char *mno_cpu_isa(void) {
  const char *asked = getenv("MEANODE_ISA");
  size_t i = find(asked && *asked ? asked : NULL, NULL, NULL);
  return i < SETS ? sets[i].isa : NULL;
}

mno_status mno_cpu_isa_missing(mno_error *err) {
  const char *isa = getenv("MEANODE_ISA");
  char here[64] = "";
  for (size_t i = 0, used = 0; i < SETS && used < sizeof here; i++)
    if (find(sets[i].isa, NULL, NULL) == i)
      used += (size_t)snprintf(here + used, sizeof here - used, "%s%s", used ? ", " : "", sets[i].isa);
  return mno_fail(
      err, MNO_ERR_BACKEND,
      "MEANODE_ISA=%s: this processor or build has no such instruction set, only %s; leave it unset for the best "
      "of them, or build with -DMEANODE_ISAS=all",
      isa ? isa : "", here);
}

const mno_cpu_kernels *mno_cpu_kernels_named(mno_precision precision, const mno_block *block, const char *isa) {
  size_t i = find(isa, mno_precision_name(precision), mno_block_name(block));
  return i < SETS ? sets[i].kernels : NULL;
}

const mno_cpu_kernels *mno_cpu_kernels_choose(mno_precision precision, const mno_block *block) {
  const char *isa = mno_cpu_isa();
  return isa ? mno_cpu_kernels_named(precision, block, isa) : NULL;
}

int mno_cpu_team_choose(size_t D, size_t M, size_t N, int wanted) {
  const double least = 1.5e6; /* flops of a layer and step, some ten microseconds: they meet twice in them */
  return 12.0 * (double)D * (double)M * (double)N < least ? 1 : wanted;
}

mno_cpu_arrangement mno_cpu_arrangement_choose(size_t D, size_t M, size_t L, size_t N, mno_precision precision) {
  bool small = M < 16 || D * M <= 128;
  size_t lanes = precision == MNO_F32 ? 16 : 8, padded = (N + lanes - 1) / lanes * lanes; /* of the widest vectors */
  bool many = N >= (small ? 48 : 16) && 8 * N >= 7 * padded;
  return many && M >= 16 ? MNO_SAMPLES_ON_LANES : small ? MNO_SEEDS_ON_LANES : MNO_UNITS_ON_LANES;
}
