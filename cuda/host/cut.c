/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/cut.h"

#include "host/cost.h"

enum {
  TILE_BYTES_WARP = 6 << 10, /* larger tiles take shared memory from other teams, smaller ones cost barriers */
  TILE_BYTES_BLOCK = 32 << 10,
  TILE_MOST = 128,
  SLICES_MOST = 64,
  CUT_DEPTH = 64 /* layers of the network that a cut is modelled for */
};

mno_divisor mno_divide_by(uint32_t d) { return (mno_divisor){d, (uint32_t)(((UINT64_C(1) << 32) + d - 1) / d)}; }

static size_t best_slices(const mno_shape *s, size_t items, size_t length) {
  size_t best = 1;
  double least = 0;
  for (size_t n = 1; n <= SLICES_MOST && n <= length; n++) {
    /* the slices are summed by items x MNO_CHUNK lanes */
    double cost = mno_phase_instructions(s, items, n, mno_ceil_div(length, n)) +
                  3 * (double)n * (double)mno_ceil_div(items * MNO_CHUNK * (size_t)s->chunks, (size_t)s->lanes);
    if (n == 1 || cost < least) least = cost, best = n;
  }
  return best;
}

bool mno_place_state(mno_shape *s) {
  const size_t a_row = (size_t)s->chunks * (size_t)(s->pitch * s->bytes);
  const int buffers = s->blocks_per_team > 1 ? 2 : 1, sums = mno_portions_of_rank(s) > 1;
  if (a_row * (size_t)s->D * (size_t)(2 + buffers * s->m_slices + sums) +
          a_row * (size_t)(s->tensors * s->d_slices) * (size_t)s->tile >
      INT32_MAX)
    return false;
  const uint32_t state = (uint32_t)(s->chunks * s->D * s->pitch * s->bytes);
  s->p_bytes = (uint32_t)(s->chunks * s->d_slices * s->tile * s->pitch * s->bytes);
  s->h_bytes = s->states_stride = state;
  s->padded_D = s->D;
  s->H = 0;
  s->B = s->H + state;
  s->P = s->B + state;
  s->A = s->P + (uint32_t)s->tensors * s->p_bytes;
  s->a_bytes = (uint32_t)s->m_slices * state;
  s->S = s->A + (uint32_t)buffers * s->a_bytes;
  s->each_bytes = s->state_bytes = s->S + (uint32_t)sums * state;
  return true;
}

/* Cuts a portion's units into `tiles` tiles of equal size. False: what a team keeps would be too large. */
static bool cut(mno_shape *s, size_t tiles) {
  s->tile = (int32_t)mno_ceil_div((size_t)s->portion, tiles);
  s->tiles = (int32_t)mno_ceil_div((size_t)s->portion, (size_t)s->tile);
  s->tile_bytes = s->weights_stride = (uint32_t)mno_round_up((size_t)(s->rows * s->tile * s->row * s->bytes), 16);
  s->weights_bytes = (uint32_t)mno_round_up((size_t)(s->tensors * s->tile * s->row * s->bytes), 16);
  s->d_slices = (int32_t)best_slices(s, (size_t)s->tile, (size_t)s->D);
  s->d_length = (int32_t)mno_ceil_div((size_t)s->D, (size_t)s->d_slices);
  s->m_slices = (int32_t)best_slices(s, (size_t)s->D, (size_t)s->tile);
  s->m_length = (int32_t)mno_ceil_div((size_t)s->tile, (size_t)s->m_slices);
  s->by_tile = mno_divide_by((uint32_t)s->tile);
  s->by_D = mno_divide_by((uint32_t)s->D);
  return mno_place_state(s);
}

/* What a cut costs: what bounds a step, and a little of the rest, which tells cuts apart where memory bounds. The depth is
 * not the network's own: the cut fixes the order of sums, and instances of all depths share it. */
static double cut_cost(const mno_shape *s) {
  mno_shape one = *s;
  one.L = CUT_DEPTH;
  const mno_step_model m = mno_shape_model(&one);
  return mno_max(m.memory, mno_max(m.issue, m.latency)) + 0.1 * (m.memory + m.issue + m.latency);
}

bool mno_cut_tiles(mno_shape *shape) {
  mno_shape s = *shape;
  const size_t unit = (size_t)(s.rows * s.row * s.bytes);
  const size_t cap = s.kernel == MNO_KERNEL_WARP ? TILE_BYTES_WARP : TILE_BYTES_BLOCK;
  double least = 0;
  for (size_t tiles = 1; tiles <= (size_t)s.portion; tiles++) {
    size_t tile = mno_ceil_div((size_t)s.portion, tiles);
    if (tile > TILE_MOST || (tile > 1 && tile * unit > cap)) continue;
    if (tiles > 1 && mno_ceil_div((size_t)s.portion, tiles - 1) == tile) continue; /* the same cut */
    if (least > 0 && tiles > 8 * (size_t)shape->tiles) break; /* smaller tiles only cost more barriers */
    if (!cut(&s, tiles)) continue;
    double cost = cut_cost(&s);
    if (least == 0 || cost < least) least = cost, *shape = s;
  }
  return least > 0;
}
