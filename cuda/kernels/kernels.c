/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of what the kernels are compiled for. */
#include "common/kernels.h"

#include "block/trainers.h"

typedef struct entry {
  const void *(*train)(const mno_shape *shape, int state_in_memory);
  const void *(*lanes)(const mno_shape *shape);
  const void *(*elementwise)(int bytes);
  const void *(*field)(int bytes, int work_in_memory);
} entry;

#define DECLARE(block, optimizer)                                                                                           \
  const void *mno_train_kernel_##block##_##optimizer(const mno_shape *shape, int state_in_memory);                          \
  const void *mno_lanes_kernel_##block##_##optimizer(const mno_shape *shape);                                               \
  const void *mno_elementwise_kernel_##block##_##optimizer(int bytes);                                                      \
  const void *mno_field_kernel_##block##_##optimizer(int bytes, int work_in_memory);
MNO_TRAINER_LIST(DECLARE)
#undef DECLARE

static const entry entries[] = {
#define ENTRY(block, optimizer)                                                                                             \
  {mno_train_kernel_##block##_##optimizer, mno_lanes_kernel_##block##_##optimizer,                                          \
   mno_elementwise_kernel_##block##_##optimizer, mno_field_kernel_##block##_##optimizer},
    MNO_TRAINER_LIST(ENTRY)
#undef ENTRY
};

const void *mno_train_kernel(const mno_shape *shape, int state_in_memory) {
  return entries[shape->trainer].train(shape, state_in_memory);
}
const void *mno_lanes_kernel(const mno_shape *shape) { return entries[shape->trainer].lanes(shape); }
const void *mno_field_kernel(const mno_field_shape *shape, int work_in_memory) {
  return entries[shape->trainer].field(shape->bytes, work_in_memory);
}
const void *mno_elementwise_kernel(const mno_shape *shape) { return entries[shape->trainer].elementwise(shape->bytes); }
