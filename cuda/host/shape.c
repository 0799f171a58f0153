/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/shape.h"

#include "common/gemm.h"
#include "host/cost.h"
#include "host/cut.h"
#include "host/trainers.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

const mno_candidate mno_candidates[] = {
    {MNO_KERNEL_WARP, 32, 1},   {MNO_KERNEL_BLOCK, 128, 1}, {MNO_KERNEL_BLOCK, 256, 1}, {MNO_KERNEL_BLOCK, 256, 2},
    {MNO_KERNEL_BLOCK, 256, 4}, {MNO_KERNEL_BLOCK, 256, 8}, {MNO_KERNEL_LANES, 32, 1},  {MNO_KERNEL_GEMM, 256, 1},
    {MNO_KERNEL_BLOCK, 128, 2}, {MNO_KERNEL_BLOCK, 128, 4}, {MNO_KERNEL_BLOCK, 128, 8},
};
const size_t mno_candidate_count = sizeof mno_candidates / sizeof *mno_candidates;

mno_status mno_candidate_at(int index, const mno_candidate **candidate, mno_error *err) {
  if (index < -1 || index >= (int)mno_candidate_count)
    return mno_fail(err, MNO_ERR_INPUT, "there is no kernel %d: they are 0 to %zu, -1 is the program's choice", index,
                    mno_candidate_count - 1);
  *candidate = index < 0 ? NULL : &mno_candidates[index];
  return MNO_OK;
}

const char *mno_kernel_name(const mno_shape *s) {
  static const char *const names[] = {"W", "C", "W0", "G"};
  return s->blocks_per_team > 1 ? "X" : names[s->kernel];
}

enum {
  BATCH_MOST = 64,           /* G: instances of a call */
  PORTABLE_SHARED = 99 << 10 /* what a block may use on every card from compute capability 8.0 on */
};

/* G: memory of a batch, of which two are in flight. */
static const size_t BATCH_BYTES = (size_t)8 << 30;
/* C: what each portion may add to the modelled time of a step: 10% for 8, so that few large networks can fill a card. Not
 * timed on one. */
static const double PORTION_COST = 0.0125;

mno_shape mno_shape_spread(const mno_shape *s, bool all) {
  mno_shape spread = *s;
  spread.blocks_per_team = all ? s->portions : 1;
  if (s->portions > 1) mno_place_state(&spread); /* smaller than what `cut` tried */
  return spread;
}

/* G: how many instances to a call. Products are cut into tiles of 128 x 128 or so; a call should fill a card twice. */
static void cut_batch(mno_shape *s) {
  const size_t tiles = mno_ceil_div((size_t)s->M, 128) * mno_ceil_div((size_t)s->N, 128);
  s->row = s->padded_D = s->D;
  s->tile = s->portion = s->M;
  s->tiles = 1;
  s->projections_stored = 1;
  s->tuning_count = 1;
  while (s->tuning_count < BATCH_MOST && (size_t)s->tuning_count * tiles < 264) s->tuning_count *= 2;
  const size_t each = mno_gemm_place(s).each;
  s->group = s->tuning_count;
  while (s->group > 1 && (size_t)s->group * each > BATCH_BYTES) s->group /= 2;
}

size_t mno_slot_bytes(const mno_shape *s) {
  return s->kernel == MNO_KERNEL_GEMM ? (size_t)s->group * mno_gemm_place(s).each : mno_slot(s).bytes;
}

int mno_shape_shrink(mno_shape *s) {
  if (s->kernel == MNO_KERNEL_GEMM && s->projections_stored && s->L > 1) {
    s->projections_stored = 0;
    return 1;
  }
  if (s->group == 1) return 0;
  if (s->kernel == MNO_KERNEL_LANES) return mno_cut_lanes(s, s->group - 1);
  s->group /= 2;
  return 1;
}

mno_status mno_shape_make(const mno_dimensions *n, mno_precision precision, const mno_candidate *candidate, mno_shape *shape,
                          mno_error *err) {
  mno_shape s = {.kernel = candidate->kernel,
                 .lanes = candidate->lanes,
                 .portions = candidate->portions,
                 .blocks_per_team = 1,
                 .group = 1,
                 .layers_per_transfer = 1};
  const mno_trainer *trainer = mno_trainer_at(n->trainer);
  s.trainer = n->trainer;
  s.tensors = (int32_t)trainer->block->tensors;
  s.rows = s.tensors * (int32_t)(1 + trainer->optimizer->states);
  s.fused = trainer->optimizer->fuses;
  s.bytes = mno_number_bytes(precision);
  const size_t chunks = mno_ceil_div(n->N, MNO_CHUNK), row = n->D | 1;
  const size_t state = chunks * n->D * 16 * (size_t)s.bytes; /* a bound */
  if (n->D > 16384 || n->M > (1u << 24) || n->L > (1u << 30) || n->N * n->d_out > (1u << 28) || state > (64u << 20) ||
      chunks * n->D > UINT32_MAX / n->D)
    return mno_fail(
        err, MNO_ERR_BACKEND,
        "the CUDA kernels do not take D = %zu, M = %zu, N = %zu, L = %zu: a state may have at most 64 MiB and D at "
        "most 16384; use --backend cpu",
        n->D, n->M, n->N, n->L);
  s.D = (int32_t)n->D;
  s.M = (int32_t)n->M;
  s.N = (int32_t)n->N;
  s.L = (int32_t)n->L;
  s.d_out = (int32_t)n->d_out;
  s.chunks = (int32_t)chunks;
  s.pitch = mno_pitch(s.bytes);
  if (s.kernel == MNO_KERNEL_LANES) {
    *shape = s;
    return mno_cut_lanes(shape, MNO_GROUP_MOST)
               ? MNO_OK
               : mno_fail(err, MNO_ERR_BACKEND,
                          "kernel W0 does not take D = %zu, M = %zu, N = %zu: D may be at most 16, N at most 32, "
                          "and a layer has to fit %d KiB",
                          n->D, n->M, n->N, MNO_TEAM_BYTES >> 10);
  }
  if (s.kernel == MNO_KERNEL_GEMM) {
    cut_batch(&s);
    *shape = s;
    return MNO_OK;
  }
  s.row = (int32_t)row;
  s.portion = (int32_t)mno_ceil_div(n->M, (size_t)s.portions);
  *shape = s;
  if (!mno_cut_tiles(shape))
    return mno_fail(
        err, MNO_ERR_BACKEND,
        "the CUDA kernels do not take D = %zu, M = %zu, N = %zu: states and sums of a team would take more than 2 "
        "GiB; use --backend cpu",
        n->D, n->M, n->N);
  if (mno_shared_bytes(shape, MNO_STAGES_LEAST, 1) > PORTABLE_SHARED)
    return mno_fail(err, MNO_ERR_BACKEND,
                    "the CUDA kernels do not take D = %zu: %d tiles of one unit need %.0f KiB of shared memory, a block has "
                    "%d KiB; use --backend cpu",
                    n->D, MNO_STAGES_LEAST, (double)mno_shared_bytes(shape, MNO_STAGES_LEAST, 1) / 1024,
                    PORTABLE_SHARED >> 10);
  return MNO_OK;
}

/* Seconds of a step of one instance on the reference card filled with them, with one rank or all to a team. */
static double least_seconds(const mno_shape *s) {
  const double one = mno_shape_seconds(s);
  const mno_shape spread = mno_shape_spread(s, true);
  const double all = mno_shape_seconds(&spread);
  return all < one ? all : one;
}

/* Of the shapes that cost little more than `shape`, which has one portion, the one with most; of these the fastest. */
static void choose_portions(const mno_dimensions *dimensions, mno_precision precision, mno_shape *shape) {
  const double one = mno_shape_seconds(shape);
  double least = 0;
  for (size_t i = 0; i < mno_candidate_count; i++) {
    const mno_candidate *candidate = &mno_candidates[i];
    mno_shape made;
    mno_error why;
    if (candidate->portions == 1 || candidate->portions < shape->portions) continue;
    if (mno_shape_make(dimensions, precision, candidate, &made, &why) != MNO_OK) continue;
    const double seconds = least_seconds(&made);
    if (seconds > (1 + PORTION_COST * made.portions) * one) continue;
    if (made.portions > shape->portions || seconds < least) least = seconds, *shape = made;
  }
}

static mno_status choose(const mno_dimensions *dimensions, mno_precision precision, bool products, mno_shape *shape,
                         mno_error *err) {
  double least = 0;
  mno_status status = MNO_OK;
  for (size_t i = 0; i < mno_candidate_count; i++) {
    const mno_candidate *candidate = &mno_candidates[i];
    mno_shape made;
    if (candidate->portions > 1) continue;
    if (candidate->kernel == MNO_KERNEL_GEMM && (!products || dimensions->N < MNO_PRODUCTS_LEAST)) continue;
    if (candidate->kernel == MNO_KERNEL_LANES && (mno_padded_D(dimensions->D) == 0 || dimensions->N > 32)) continue;
    if (mno_shape_make(dimensions, precision, candidate, &made, err) != MNO_OK) {
      status = err ? err->status : MNO_ERR_BACKEND;
      continue;
    }
    const int in_memory =
        candidate->kernel != MNO_KERNEL_GEMM && mno_shared_bytes(&made, MNO_STAGES_LEAST, 0) > PORTABLE_SHARED;
    if (in_memory && made.lanes == 32) continue; /* one warp does not hide memory */
    double seconds = mno_shape_seconds(&made);
    /* a larger team only where it clearly pays: the model errs by more than 10% (cuda/README.md) */
    if (least == 0 || seconds < 0.9 * least) least = seconds, *shape = made;
  }
  if (least > 0 && shape->kernel == MNO_KERNEL_BLOCK) choose_portions(dimensions, precision, shape);
  return least > 0 ? MNO_OK : status;
}

/* A sweep asks for each of its instances, and few of them differ: a choice takes 3 to 30 us. */
mno_status mno_shape_choose(const mno_dimensions *n, mno_precision precision, bool products, const mno_candidate *prescribed,
                            mno_shape *shape, mno_error *err) {
  if (prescribed) return mno_shape_make(n, precision, prescribed, shape, err);
  enum { KEPT = 32 };
  const size_t question[] = {n->D, n->M, n->N, n->L, n->d_out, (size_t)n->trainer, precision, products};
  static _Thread_local struct {
    size_t question[sizeof question / sizeof *question];
    mno_shape shape; /* lanes: 0 if there is none */
  } kept[KEPT];
  const size_t at = (n->D + 3 * n->M + 7 * n->N + 13 * n->L + 29 * n->d_out) % KEPT;
  if (!kept[at].shape.lanes || memcmp(kept[at].question, question, sizeof question) != 0) {
    kept[at].shape.lanes = 0;
    const mno_status status = choose(n, precision, products, shape, err);
    if (status != MNO_OK) return status;
    memcpy(kept[at].question, question, sizeof question);
    kept[at].shape = *shape;
  }
  *shape = kept[at].shape;
  return MNO_OK;
}
