/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/trainers.h"

#include "block/trainers.h"

#define DECLARE(block, optimizer)                                                                                           \
  extern const mno_block mno_block_##block;                                                                                 \
  extern const mno_optimizer mno_optimizer_##optimizer;
MNO_TRAINER_LIST(DECLARE)
#undef DECLARE

static const mno_trainer trainers[] = {
#define ENTRY(block, optimizer) {&mno_block_##block, &mno_optimizer_##optimizer},
    MNO_TRAINER_LIST(ENTRY)
#undef ENTRY
};

const mno_trainer *mno_trainer_at(int trainer) { return &trainers[trainer]; }

mno_status mno_trainer_of(const mno_problem *problem, int *trainer, mno_error *err) {
  for (size_t i = 0; i < sizeof trainers / sizeof *trainers; i++) {
    *trainer = (int)i;
    if (trainers[i].block == problem->block && trainers[i].optimizer == problem->optimizer) return MNO_OK;
  }
  return mno_fail(err, MNO_ERR_BACKEND,
                  "the CUDA backend has no kernels for model.block %s with training.optimizer %s; use --backend cpu",
                  mno_block_name(problem->block), mno_optimizer_name(problem->optimizer));
}
