/* SPDX-License-Identifier: BSD-3-Clause */
#include "block/block.h"

#include "block/list.h"

#include <string.h>

#define DECLARE(name) extern const mno_block mno_block_##name;
MNO_BLOCK_LIST(DECLARE)
#undef DECLARE

static const mno_block *const blocks[] = {
#define ADDRESS(name) &mno_block_##name,
    MNO_BLOCK_LIST(ADDRESS)
#undef ADDRESS
};

const mno_block *const *mno_blocks(size_t *count) {
  *count = sizeof blocks / sizeof *blocks;
  return blocks;
}

const mno_block *mno_block_named(const char *name) {
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
    if (strcmp(blocks[i]->name, name) == 0) return blocks[i];
  return NULL;
}

const char *mno_block_name(const mno_block *block) { return block->name; }
