/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/pass.h"

#include "core/isa.h"
#include "limit/list.h"

#include <string.h>

#define DECLARE(isa, precision, block) extern const mno_kernel mno_pass_##isa##_##precision##_##block;
MNO_PASS_LIST(DECLARE)
#undef DECLARE

static const struct {
  const char *isa, *precision, *block;
  const mno_kernel *kernel;
} all[] = {
#define KERNEL(isa, precision, block) {#isa, #precision, #block, &mno_pass_##isa##_##precision##_##block},
    MNO_PASS_LIST(KERNEL)
#undef KERNEL
};

const mno_kernel *mno_kernel_find(mno_precision precision, const mno_block *block) {
  const char *isa = mno_isa();
  for (size_t i = 0; isa && i < sizeof all / sizeof *all; i++)
    if (strcmp(all[i].isa, isa) == 0 && strcmp(all[i].block, mno_block_name(block)) == 0 &&
        strcmp(all[i].precision, mno_precision_name(precision)) == 0)
      return all[i].kernel;
  return NULL;
}
