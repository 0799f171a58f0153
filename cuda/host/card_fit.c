/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/cost.h"
#include "host/shape.h"

enum {
  SHARED_RESERVED = 1 << 10, /* of a block's shared memory, for the system */
  LANES_MOST = 2048,         /* of a processor */
  WARPS_F32 = 16,            /* of a processor, by the registers of C: tests/cuda/budget.csv */
  WARPS_F64 = 8
};

/* Teams of a shape that a card holds, but for registers. */
static size_t held(const mno_shape *s, const mno_device_info *info, size_t shared_bytes) {
  size_t blocks = info->shared_processor / (shared_bytes + SHARED_RESERVED);
  if (blocks * (size_t)s->lanes > LANES_MOST) blocks = LANES_MOST / (size_t)s->lanes;
  size_t teams = blocks * (size_t)info->processors / (size_t)s->blocks_per_team;
  if (info->memory_free && teams > info->memory_free / mno_slot(s).bytes) teams = info->memory_free / mno_slot(s).bytes;
  return blocks && teams == 0 ? 1 : teams;
}

/* Seconds of a gradient step of `count` instances when the card holds `teams`: teams that are alike end together, so they
 * run in waves, each as long as one team alone takes or as what the wave needs of the card's bandwidth or instructions. A
 * team alone waits for its loads, of which stages - 1 are in flight on the way up and stages - 2 on the way down. */
static double fit_seconds(const mno_shape *s, int stages, size_t teams, size_t count, const mno_device_info *info) {
  const mno_step_model m = mno_shape_model(s);
  const double of_card = mno_max(m.memory, m.issue) * s->group * mno_rates.processors / info->processors;
  const double loads = s->kernel == MNO_KERNEL_LANES ? mno_transfers(s) : (double)s->L * s->tiles;
  const double alone =
      mno_chain_cycles(s) / mno_rates.clock + mno_rates.load_seconds * loads * (1.0 / (stages - 1) + 1.0 / (stages - 2));
  const size_t batches = mno_ceil_div(count, (size_t)s->group), waves = mno_ceil_div(batches, teams);
  const size_t last = batches - (waves - 1) * teams;
  return (double)(waves - 1) * mno_max(alone, (double)teams * of_card) + mno_max(alone, (double)last * of_card);
}

mno_most_teams mno_reference_teams(const mno_shape *s) {
  const size_t blocks = (s->bytes == 4 ? WARPS_F32 : WARPS_F64) * 32 / (size_t)s->lanes * (size_t)mno_rates.processors;
  return (mno_most_teams){blocks, blocks / (size_t)s->portions};
}

int mno_state_in_memory(const mno_shape *s, const mno_device_info *info) {
  return s->lanes > 32 && mno_shared_bytes(s, MNO_STAGES_LEAST, 0) > info->shared_block;
}

/* A way to run a shape; fit.seconds is 0 while there is none. */
typedef struct trial {
  mno_shape shape;
  mno_fit_on_card fit;
} trial;

/* The best number of stages, if any fits. */
static trial fit_stages(const mno_shape *s, const mno_device_info *info, size_t most, size_t count) {
  trial best = {.shape = *s};
  const int in_memory = mno_state_in_memory(s, info);
  for (int stages = MNO_STAGES_LEAST; stages <= MNO_STAGES_MOST; stages++) {
    const size_t bytes = mno_shared_bytes(s, stages, in_memory);
    if (bytes > info->shared_block) break;
    size_t teams = held(s, info, bytes);
    if (teams > most) teams = most;
    if (teams == 0) break;
    const double seconds = fit_seconds(s, stages, teams, count, info);
    if (best.fit.seconds == 0 || seconds < 0.995 * best.fit.seconds)
      best.fit = (mno_fit_on_card){stages, in_memory, bytes, teams, seconds};
  }
  return best;
}

/* A change that may pay on paper only is not made. */
static void take_if_it_pays(trial *best, const trial *other) {
  const double seconds = other->fit.seconds;
  if (seconds > 0 && (best->fit.seconds == 0 || seconds < 0.9 * best->fit.seconds)) *best = *other;
}

mno_status mno_shape_fit(mno_shape *s, const mno_device_info *info, mno_most_teams most, size_t count, mno_fit_on_card *fit,
                         mno_error *err) {
  trial best = {0};
  if (most.one > 0) {
    mno_shape shape = mno_shape_spread(s, false);
    do {
      const trial one = fit_stages(&shape, info, most.one, count);
      take_if_it_pays(&best, &one);
    } while (shape.kernel == MNO_KERNEL_LANES && mno_shape_shrink(&shape));
  }
  if (s->portions > 1 && most.all > 0) {
    const mno_shape shape = mno_shape_spread(s, true);
    const trial all = fit_stages(&shape, info, most.all, count);
    take_if_it_pays(&best, &all);
  }
  if (best.fit.seconds > 0) {
    *s = best.shape;
    *fit = best.fit;
    return MNO_OK;
  }
  return mno_fail(
      err, MNO_ERR_BACKEND,
      "%s: D = %d, M = %d, N = %d needs %.0f KiB of shared memory in a block, the card has %.0f KiB; use --backend "
      "cpu",
      info->name, s->D, s->M, s->N, (double)mno_shared_bytes(s, MNO_STAGES_LEAST, mno_state_in_memory(s, info)) / 1024,
      (double)info->shared_block / 1024);
}
