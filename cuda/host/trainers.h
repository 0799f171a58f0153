/* SPDX-License-Identifier: BSD-3-Clause */
/* Which kernels there are: for every unit block (host/block/block.h) and every optimiser. */
#ifndef MNO_CUDA_TRAINERS_H
#define MNO_CUDA_TRAINERS_H

#include "block/block.h"
#include "meanode/plan.h"
#include "optimizer/optimizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mno_trainer {
  const mno_block *block;
  const mno_optimizer *optimizer;
} mno_trainer;

/* A place of MNO_TRAINER_LIST. */
const mno_trainer *mno_trainer_at(int trainer);

/* The place of a problem's block and optimiser. Errors: MNO_ERR_BACKEND if there are no kernels for them. */
mno_status mno_trainer_of(const mno_problem *problem, int *trainer, mno_error *err);

#ifdef __cplusplus
}
#endif
#endif
