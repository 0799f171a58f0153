/* Which kernels run here, and in which arrangement an instance lies. */
#include "cpu/cpu.h"
#include "cpu/isa.h"
#include "cpu/list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Best first. */
static const struct {
  const char *name;
  bool (*supported)(void);
} isas[] = {
#define ISA(isa) {#isa, mno_has_##isa},
    MNO_CPU_ISA_LIST(ISA)
#undef ISA
};
enum { ISAS = sizeof isas / sizeof *isas };

#define DECLARE(isa, precision) extern const mno_cpu_numbers mno_cpu_numbers_##isa##_##precision;
MNO_CPU_NUMBERS_LIST(DECLARE)
#undef DECLARE
#define DECLARE(isa, precision, block) extern const mno_cpu_kernels mno_cpu_kernels_##isa##_##precision##_##block;
MNO_CPU_KERNELS_LIST(DECLARE)
#undef DECLARE

static const struct {
  const char *isa, *precision;
  const mno_cpu_numbers *numbers;
} all_numbers[] = {
#define NUMBERS(isa, precision) {#isa, #precision, &mno_cpu_numbers_##isa##_##precision},
    MNO_CPU_NUMBERS_LIST(NUMBERS)
#undef NUMBERS
};

static const struct {
  const char *isa, *precision, *block;
  const mno_cpu_kernels *kernels;
} all_kernels[] = {
#define KERNELS(isa, precision, block) {#isa, #precision, #block, &mno_cpu_kernels_##isa##_##precision##_##block},
    MNO_CPU_KERNELS_LIST(KERNELS)
#undef KERNELS
};

/* The best that runs here, or that of the name; NULL if there is none. */
static const char *supported(const char *name) {
  for (size_t i = 0; i < ISAS; i++)
    if ((!name || strcmp(isas[i].name, name) == 0) && isas[i].supported()) return isas[i].name;
  return NULL;
}

const char *mno_cpu_isa(void) {
  const char *asked = getenv("MEANODE_ISA");
  return supported(asked && *asked ? asked : NULL);
}

mno_status mno_cpu_isa_missing(mno_error *err) {
  const char *isa = getenv("MEANODE_ISA");
  char here[64] = "";
  for (size_t i = 0, used = 0; i < ISAS && used < sizeof here; i++)
    if (isas[i].supported())
      used += (size_t)snprintf(here + used, sizeof here - used, "%s%s", used ? ", " : "", isas[i].name);
  return mno_fail(
      err, MNO_ERR_BACKEND,
      "MEANODE_ISA=%s: this processor or build has no such instruction set, only %s; leave it unset for the best "
      "of them, or build with -DMEANODE_ISAS=all",
      isa ? isa : "", here);
}

const mno_cpu_numbers *mno_cpu_numbers_named(mno_precision precision, const char *isa) {
  for (size_t i = 0; i < sizeof all_numbers / sizeof *all_numbers; i++)
    if (strcmp(all_numbers[i].isa, isa) == 0 && strcmp(all_numbers[i].precision, mno_precision_name(precision)) == 0)
      return supported(isa) ? all_numbers[i].numbers : NULL;
  return NULL;
}

const mno_cpu_kernels *mno_cpu_kernels_named(mno_precision precision, const mno_block *block, const char *isa) {
  for (size_t i = 0; i < sizeof all_kernels / sizeof *all_kernels; i++)
    if (strcmp(all_kernels[i].isa, isa) == 0 && strcmp(all_kernels[i].block, mno_block_name(block)) == 0 &&
        strcmp(all_kernels[i].precision, mno_precision_name(precision)) == 0)
      return supported(isa) ? all_kernels[i].kernels : NULL;
  return NULL;
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
