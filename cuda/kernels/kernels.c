/* The table of what the kernels are compiled for. */
#include "common/kernels.h"

#include "block/trainers.h"

typedef struct entry {
  const void *(*train)(const mno_shape *shape, int state_in_memory);
  const void *(*lanes)(const mno_shape *shape);
  const void *(*maps)(int bytes);
} entry;

#define DECLARE(block, optimizer)                                                                                           \
  const void *mno_train_kernel_##block##_##optimizer(const mno_shape *shape, int state_in_memory);                          \
  const void *mno_lanes_kernel_##block##_##optimizer(const mno_shape *shape);                                               \
  const void *mno_maps_kernel_##block##_##optimizer(int bytes);
MNO_TRAINER_LIST(DECLARE)
#undef DECLARE

static const entry entries[] = {
#define ENTRY(block, optimizer)                                                                                             \
  {mno_train_kernel_##block##_##optimizer, mno_lanes_kernel_##block##_##optimizer, mno_maps_kernel_##block##_##optimizer},
    MNO_TRAINER_LIST(ENTRY)
#undef ENTRY
};

const void *mno_train_kernel(const mno_shape *shape, int state_in_memory) {
  return entries[shape->trainer].train(shape, state_in_memory);
}
const void *mno_lanes_kernel(const mno_shape *shape) { return entries[shape->trainer].lanes(shape); }
const void *mno_maps_kernel(const mno_shape *shape) { return entries[shape->trainer].maps(shape->bytes); }
