/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/cut.h"

#include "host/cost.h"
#include "host/trainers.h"

enum {
  LAYERS_MOST = 32,           /* of a transfer */
  ROUNDS_MOST = 8,            /* of an update, that bank conflicts are modelled for */
  AMPLE_INSTRUCTIONS = 2000,  /* of the layers of a transfer: so that barriers and transfers (some 400 cycles,
                                 mno_chain_cycles) do not count */
  SMALL_TEAM_BYTES = 14 << 10 /* shared memory of a warp that leaves room for 16 on a processor */
};

int mno_padded_D(size_t D) {
  static const int sizes[] = {MNO_PADDED_D};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (D <= (size_t)sizes[i]) return sizes[i];
  return 0;
}

/* In how many parts an update deals the coordinates to the lanes, each of whole accesses of MNO_TOGETHER bytes. */
static void cut_update(mno_shape *s) {
  double least = 0;
  mno_shape best = *s;
  for (int parts = 1; parts <= s->D; parts++) {
    s->d_slices = parts;
    s->d_length = (int32_t)mno_round_up(mno_ceil_div((size_t)s->D, (size_t)parts), MNO_TOGETHER / (size_t)s->bytes);
    const double cost = mno_transfer_instructions(s);
    if (parts == 1 || cost < least) least = cost, best = *s;
  }
  *s = best;
  s->by_parts = mno_divide_by((uint32_t)s->d_slices);
}

enum { WARP = 32, BANK_BYTES = 4, WAVEFRONT_BYTES = 128, IDLE = -1 };

/* Passes through shared memory for an access of `bytes` a lane at `at`. A wavefront returns 128 bytes, so the lanes come in
 * batches, of twice as many where neighbours read the same; a batch takes as many as a bank has words to give. */
static int wavefronts(const int32_t at[WARP], int bytes) {
  int batch = WAVEFRONT_BYTES / bytes, count = 0;
  bool pairs = bytes > BANK_BYTES;
  for (int i = 0; i < WARP; i += 2) pairs = pairs && (at[i] == at[i + 1] || at[i] == IDLE || at[i + 1] == IDLE);
  if (pairs) batch *= 2;
  for (int first = 0; first < WARP; first += batch) {
    int of[WARP] = {0}, most = 0;
    for (int i = first; i < first + batch; i++) {
      int other = first;
      while (at[other] != at[i]) other++;
      if (at[i] == IDLE || other < i) continue;
      const int n = ++of[at[i] / bytes % (WAVEFRONT_BYTES / bytes)];
      if (n > most) most = n;
    }
    count += most;
  }
  return count;
}

/* Where the lanes read in the round of an update that begins with item `e`: the instances `stride` apart, layers, units
 * and coordinates as given, in bytes. */
static void update_addresses(const mno_shape *s, int e, int stride, int layer_bytes, int unit_bytes, int coordinate_bytes,
                             int32_t at[WARP]) {
  const int lanes = (int)s->by_instance_lanes.d, pairs = (int)s->by_pairs.d;
  for (int lane = 0; lane < WARP; lane++) {
    const int g = lane / lanes, item = e + lane % lanes, pair = item / s->d_slices;
    at[lane] = IDLE;
    if (g < s->group && item < s->layers_per_transfer * pairs * s->d_slices)
      at[lane] = g * stride + pair / pairs * layer_bytes + pair % pairs * unit_bytes +
                 item % s->d_slices * s->d_length * coordinate_bytes;
  }
}

/* The rounds of an update that stand for all. */
static int rounds_like(const mno_shape *s) {
  return mno_update_rounds(s) < ROUNDS_MOST ? mno_update_rounds(s) : ROUNDS_MOST;
}

/* For the weights of a transfer when instances lie `stride` apart: in the passes a unit is read by all samples of an
 * instance; in the update every lane has units of its own. */
static double weights_wavefronts(const mno_shape *s, int stride) {
  const int unit = s->rows * s->padded_D * s->bytes, read = s->tensors * s->padded_D * s->bytes;
  int32_t at[WARP];
  double update = 0;
  for (int r = 0; r < rounds_like(s); r++) {
    update_addresses(s, r * (int)s->by_instance_lanes.d, stride, (int)s->tile_bytes, unit, s->bytes, at);
    update += wavefronts(at, MNO_TOGETHER);
  }
  for (int lane = 0; lane < WARP; lane++) at[lane] = lane / s->N < s->group ? lane / s->N * stride : IDLE;
  return 2.0 * s->layers_per_transfer * s->M * read / 16 * wavefronts(at, 16) +
         update * mno_update_rounds(s) / rounds_like(s) * s->chunks * s->d_length * s->bytes / MNO_TOGETHER * 2 * s->rows *
             MNO_PAIR;
}

/* For the states of a transfer: columns in the pass, rows in the update. */
static double states_wavefronts(const mno_shape *s, int stride) {
  const int row = s->pitch * s->bytes;
  int32_t at[WARP];
  double update = 0;
  for (int r = 0; r < rounds_like(s); r++) {
    update_addresses(s, r * (int)s->by_instance_lanes.d, stride, (int)s->h_bytes, 0, row, at);
    update += MNO_CHUNK * s->bytes / 16 * wavefronts(at, 16) + (s->bytes == 4 ? wavefronts(at, 8) : 0);
  }
  for (int lane = 0; lane < WARP; lane++) {
    const int g = lane / s->N, n = lane % s->N;
    at[lane] = g < s->group ? g * stride + n / MNO_CHUNK * s->padded_D * row + n % MNO_CHUNK * s->bytes : IDLE;
  }
  return s->layers_per_transfer * s->padded_D * wavefronts(at, s->bytes) +
         update * mno_update_rounds(s) / rounds_like(s) * s->chunks * s->d_length;
}

/* A stride of instances each of which has `bytes` of a transfer, with the padding that saves more wavefronts than it costs
 * bandwidth in so many transfers. */
static uint32_t spaced(const mno_shape *s, uint32_t bytes, double (*cost)(const mno_shape *s, int stride), int transfers) {
  const double per_byte = transfers * (s->group - 1) * mno_rates.processors * mno_rates.clock / mno_rates.bandwidth;
  uint32_t best = bytes;
  double least = 0;
  for (uint32_t pad = 0; pad < WAVEFRONT_BYTES; pad += 16) {
    const double with = cost(s, (int)(bytes + pad)) + per_byte * pad;
    if (pad == 0 || with < least) least = with, best = bytes + pad;
  }
  return best;
}

bool mno_cut_lanes(mno_shape *s, int most) {
  const size_t bytes = (size_t)s->bytes;
  s->padded_D = mno_padded_D((size_t)s->D);
  if (s->padded_D == 0 || s->N > s->lanes || (double)s->L * s->M * (s->padded_D + 3) > 1e9) return false;
  s->row = s->padded_D;
  s->tile = s->portion = s->M;
  s->tiles = 1;
  s->m_slices = s->m_length = 1;
  const size_t layer = (size_t)(s->M * s->rows) * (size_t)s->padded_D * bytes;
  if (layer > MNO_TEAM_BYTES) return false;
  s->tile_bytes = s->weights_bytes = (uint32_t)mno_round_up(layer, 16);
  s->h_bytes = (uint32_t)(s->chunks * s->padded_D * s->pitch * s->bytes);
  s->by_samples = mno_divide_by((uint32_t)s->N);
  s->by_tile = mno_divide_by((uint32_t)s->M);
  s->by_D = mno_divide_by((uint32_t)s->D);
  s->by_pairs = mno_divide_by((uint32_t)mno_ceil_div((size_t)s->M, MNO_PAIR));
  int layers = s->L < LAYERS_MOST ? s->L : LAYERS_MOST, group = s->lanes / s->N;
  if (group > most) group = most;
  for (;;) {
    s->group = group;
    s->layers_per_transfer = layers;
    s->by_instance_lanes = mno_divide_by((uint32_t)(s->lanes / group));
    cut_update(s);
    s->weights_stride = spaced(s, (uint32_t)layers * s->tile_bytes, weights_wavefronts, 3);
    s->states_stride = spaced(s, (uint32_t)layers * s->h_bytes, states_wavefronts, 1);
    s->H = (uint32_t)mno_round_up(mno_setting_bytes(s, mno_trainer_at(s->trainer)->optimizer->knobs), 32);
    s->B = s->H + s->h_bytes;
    s->p_bytes = (uint32_t)(layers * s->chunks * s->M * s->pitch * s->bytes);
    s->P = s->B + s->h_bytes;
    s->A = s->P + (uint32_t)s->tensors * s->p_bytes;
    s->a_bytes = (uint32_t)layers * s->h_bytes;
    /* samples of the instances of a warp in different banks, as far as sixteen bytes allow */
    s->each_bytes = s->A + s->a_bytes;
    const uint32_t want = (uint32_t)mno_round_up((size_t)s->N * bytes, 16) % 128;
    s->each_bytes += (want + 128 - s->each_bytes % 128) % 128;
    s->state_bytes = (uint32_t)group * s->each_bytes;
    const size_t shared = mno_shared_bytes(s, MNO_STAGES_LEAST, 0);
    const bool ample = (layers - 1) * mno_pass_instructions(s) >= AMPLE_INSTRUCTIONS;
    if (layers > 1 && (shared > MNO_TEAM_BYTES || (shared > SMALL_TEAM_BYTES && ample)))
      layers--;
    else if (shared <= MNO_TEAM_BYTES)
      break;
    else if (group > 1)
      group--;
    else
      return false;
  }
  return true;
}
