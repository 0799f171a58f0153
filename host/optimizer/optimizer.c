/* SPDX-License-Identifier: BSD-3-Clause */
#include "optimizer/optimizer.h"

#include "optimizer/list.h"

#include <string.h>

#define DECLARE(name) extern const mno_optimizer mno_optimizer_##name;
MNO_OPTIMIZER_LIST(DECLARE)
#undef DECLARE

static const mno_optimizer *const optimizers[] = {
#define ADDRESS(name) &mno_optimizer_##name,
    MNO_OPTIMIZER_LIST(ADDRESS)
#undef ADDRESS
};

const mno_optimizer *const *mno_optimizers(size_t *count) {
  *count = sizeof optimizers / sizeof *optimizers;
  return optimizers;
}

const mno_optimizer *mno_optimizer_named(const char *name) {
  for (size_t i = 0; i < sizeof optimizers / sizeof *optimizers; i++)
    if (strcmp(optimizers[i]->name, name) == 0) return optimizers[i];
  return NULL;
}

const char *mno_optimizer_name(const mno_optimizer *optimizer) { return optimizer->name; }
