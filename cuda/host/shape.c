#include "host/shape.h"

#include "common/gemm.h"
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

int mno_candidate_forced = -1;
mno_ranks mno_ranks_forced = MNO_RANKS_FIT;

const char *mno_kernel_name(const mno_shape *s) {
  static const char *const names[] = {"W", "C", "W0", "G"};
  return s->ranks > 1 ? "X" : names[s->kernel];
}

/* What decides how sums are cut is part of the results' bits: chosen once, by counts and the model below, and not retuned.
 * `bench_gpu time ... KERNEL` times candidates on a card, bench/results/gpu-tuning.md has what was tried; where it says
 * nothing of a number here, that was not timed. */
enum {
  TILE_BYTES_WARP = 6 << 10, /* larger tiles take shared memory from other teams, smaller ones cost barriers */
  TILE_BYTES_BLOCK = 32 << 10,
  TILE_MOST = 128,
  SLICES_MOST = 64,
  CUT_DEPTH = 64,             /* layers of the network that a cut is modelled for */
  SPAN_MOST = 32,             /* W0: layers of a span */
  ROUNDS_MOST = 8,            /* W0: of an update, that bank conflicts are modelled for */
  SPAN_INSTRUCTIONS = 2000,   /* W0: so that barriers and transfers (some 400 cycles, chain_of) do not count */
  SPAN_BYTES = 14 << 10,      /* W0: shared memory of a warp that leaves room for 16 on a processor (227 KiB) */
  TEAM_BYTES = 36 << 10,      /* W0: for 6 */
  BATCH_MOST = 64,            /* G: instances of a call */
  PORTABLE_SHARED = 99 << 10, /* what a block may use on every card from compute capability 8.0 on */
  SHARED_RESERVED = 1 << 10,  /* of a block's shared memory, for the system */
  LANES_MOST = 2048           /* of a processor */
};

/* G: memory of a batch, of which two are in flight. */
static const size_t BATCH_BYTES = (size_t)8 << 30;
/* C: what each portion may add to the modelled time of a step: 10% for 8, so that few large networks can fill a card. Not
 * timed on one. */
static const double PORTION_COST = 0.0125;

/* The reference card, an H100, and the model's rates: bytes/s of memory and of the second-level cache, cycles/s, bytes,
 * instructions a cycle and processor, flop/s (128 lanes of each processor at that clock), seconds of a load that nothing
 * hides. No H100 was measured. An H200 has 4.15e12 B/s and 62e12 flop/s and reached 1.5 (W0) to 2.1 (C) instructions
 * (bench/results/gpu-tuning.md); gpu-NVIDIA-H200.md has modelled beside measured times. */
const mno_device_info mno_reference_card = {.name = "H100",
                                            .major = 9,
                                            .processors = 132,
                                            .memory_free = (size_t)75e9,
                                            .memory_total = (size_t)85e9,
                                            .shared_block = 232448,
                                            .shared_processor = 233472};
static const double bandwidth = 3.0e12, cache = 5.5e12, clock = 1.755e9, processors = 132, memory = 75e9, shared = 227e3,
                    issue_rate = 2.5, flops = 59e12, load_seconds = 1e-6;
enum { WARPS_F32 = 16, WARPS_F64 = 8 }; /* of a processor, by the registers of C: tests/cuda/budget.csv */

static size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }
static double max(double a, double b) { return a > b ? a : b; }

static mno_divisor divisor(uint32_t d) { return (mno_divisor){d, (uint32_t)(((UINT64_C(1) << 32) + d - 1) / d)}; }

/* Instructions of a lane for one row of a sum, as counted in the code for sm_90 (bench/results/gpu-loops.md): a weight,
 * MNO_CHUNK fma (in f64 of two issue slots), the loads of a row of samples, the loop. */
static double row_cost(const mno_shape *s) { return MNO_CHUNK * (s->bytes == 8 ? 2 : 1) + (s->bytes == 8 ? 6 : 3) + 3; }

/* Instructions of a lane in a phase that deals `items` x `slices` of `length` rows to the lanes. */
static double phase_cost(const mno_shape *s, size_t items, size_t slices, size_t length, double rows_each) {
  return (double)ceil_div(items * slices, (size_t)s->lanes) * (double)s->chunks *
         ((double)length * rows_each * row_cost(s) + 20);
}

static size_t best_slices(const mno_shape *s, size_t items, size_t length) {
  size_t best = 1;
  double least = 0;
  for (size_t n = 1; n <= SLICES_MOST && n <= length; n++) {
    /* the slices are summed by items x MNO_CHUNK lanes */
    double cost = phase_cost(s, items, n, ceil_div(length, n), 1) +
                  3 * (double)n * (double)ceil_div(items * MNO_CHUNK * (size_t)s->chunks, (size_t)s->lanes);
    if (n == 1 || cost < least) least = cost, best = n;
  }
  return best;
}

/* Instructions of a lane in one layer, forward and backward. Projections: of the inputs twice, of the output once; sums: of
 * v, of the inputs, and as much for the update of each row, be it of weights or of the optimiser's states. */
static double layer_instructions(const mno_shape *s) {
  const double activation = s->bytes == 8 ? 108 : 40;
  const double entries = (double)ceil_div((size_t)(s->chunks * s->tile * MNO_CHUNK), (size_t)s->lanes);
  const double states = (double)ceil_div((size_t)(s->chunks * s->D * MNO_CHUNK), (size_t)s->lanes);
  const double project = phase_cost(s, (size_t)s->tile, (size_t)s->d_slices, (size_t)s->d_length, 1);
  const double combine = phase_cost(s, (size_t)s->D, (size_t)s->m_slices, (size_t)s->m_length, 1);
  const int projections = 2 * s->tensors - 1, sums = s->tensors + s->rows;
  const double per_tile =
      projections * project + sums * combine + entries * (2 * activation + 2 * projections * s->d_slices + 120) + 120;
  const int portions = mno_portions_of_rank(s);
  return mno_tiles_of_rank(s) * per_tile + 2 * states * (4 * s->m_slices * s->portions + 12 + 10 * (portions - 1)) + 40;
}

/* The regions are counted in 32 bits: false when they would not fit. */
static bool place_state(mno_shape *s) {
  const size_t a_row = (size_t)s->chunks * (size_t)(s->pitch * s->bytes);
  const int buffers = s->ranks > 1 ? 2 : 1, sums = mno_portions_of_rank(s) > 1;
  if (a_row * (size_t)s->D * (size_t)(2 + buffers * s->m_slices + sums) +
          a_row * (size_t)(s->tensors * s->d_slices) * (size_t)s->tile >
      INT32_MAX)
    return false;
  const uint32_t state = (uint32_t)(s->chunks * s->D * s->pitch * s->bytes);
  s->p_bytes = (uint32_t)(s->chunks * s->d_slices * s->tile * s->pitch * s->bytes);
  s->h_bytes = s->span_states = state;
  s->height = s->D;
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
  s->tile = (int32_t)ceil_div((size_t)s->portion, tiles);
  s->tiles = (int32_t)ceil_div((size_t)s->portion, (size_t)s->tile);
  s->tile_bytes = s->span_bytes = (uint32_t)mno_round_up((size_t)(s->rows * s->tile * s->row * s->bytes), 16);
  s->weights_bytes = (uint32_t)mno_round_up((size_t)(s->tensors * s->tile * s->row * s->bytes), 16);
  s->d_slices = (int32_t)best_slices(s, (size_t)s->tile, (size_t)s->D);
  s->d_length = (int32_t)ceil_div((size_t)s->D, (size_t)s->d_slices);
  s->m_slices = (int32_t)best_slices(s, (size_t)s->D, (size_t)s->tile);
  s->m_length = (int32_t)ceil_div((size_t)s->tile, (size_t)s->m_slices);
  s->by_tile = divisor((uint32_t)s->tile);
  s->by_D = divisor((uint32_t)s->D);
  return place_state(s);
}

/* What a cut costs: what bounds a step, and a little of the rest, which tells cuts apart where memory bounds. The depth is
 * not the network's own: the cut fixes the order of sums, and instances of all depths share it. */
static double cut_cost(const mno_shape *s) {
  mno_shape one = *s;
  one.L = CUT_DEPTH;
  const mno_step_model m = mno_shape_model(&one);
  return max(m.memory, max(m.issue, m.latency)) + 0.1 * (m.memory + m.issue + m.latency);
}

/* W0: the heights that the kernel is compiled for; 0: D is too large. */
static int height_of(size_t D) {
  static const int heights[] = {MNO_HEIGHTS};
  for (size_t i = 0; i < sizeof heights / sizeof *heights; i++)
    if (D <= (size_t)heights[i]) return heights[i];
  return 0;
}

/* Instructions of a warp of W0, as counted in the code for sm_90 (tanh; bench/results/gpu-loops.md); those in double
 * precision occupy two issue slots. In the two passes of a layer, and in all of a span of layers. */
static double pass_instructions(const mno_shape *s) {
  const double sums = 3 * s->tensors - 1; /* of a unit: an fma each for every coordinate; and loads of 16 bytes */
  const double unit =
      s->bytes == 8 ? 230 + (2 * sums + 2 * s->tensors) * s->height : 82 + (sums + 0.5 * s->tensors) * s->height;
  return s->M * unit + 120 + 3 * s->height;
}
static int rounds_of(const mno_shape *s) { /* of an update */
  return (int)ceil_div((size_t)(s->span * s->d_slices) * s->by_pairs.d, s->by_share.d);
}
static double span_instructions(const mno_shape *s) {
  const double row = s->bytes == 8 ? 28.5 : 15.5;
  const double update = s->chunks * (s->d_length * row * (s->tensors + s->rows) + 60);
  return s->span * pass_instructions(s) + rounds_of(s) * update + 450;
}

/* W0: in how many parts an update deals the coordinates to the lanes, each of whole accesses of MNO_TOGETHER bytes. */
static void cut_update(mno_shape *s) {
  double least = 0;
  mno_shape best = *s;
  for (int parts = 1; parts <= s->D; parts++) {
    s->d_slices = parts;
    s->d_length = (int32_t)mno_round_up(ceil_div((size_t)s->D, (size_t)parts), MNO_TOGETHER / (size_t)s->bytes);
    const double cost = span_instructions(s);
    if (parts == 1 || cost < least) least = cost, best = *s;
  }
  *s = best;
  s->by_parts = divisor((uint32_t)s->d_slices);
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

/* W0: where the lanes read in the round of an update that begins with item `e`: the instances `stride` apart, layers, units
 * and coordinates as given, in bytes. */
static void update_addresses(const mno_shape *s, int e, int stride, int layer_bytes, int unit_bytes, int coordinate_bytes,
                             int32_t at[WARP]) {
  const int share = (int)s->by_share.d, pairs = (int)s->by_pairs.d;
  for (int lane = 0; lane < WARP; lane++) {
    const int g = lane / share, item = e + lane % share, pair = item / s->d_slices;
    at[lane] = IDLE;
    if (g < s->group && item < s->span * pairs * s->d_slices)
      at[lane] = g * stride + pair / pairs * layer_bytes + pair % pairs * unit_bytes +
                 item % s->d_slices * s->d_length * coordinate_bytes;
  }
}

/* W0: the rounds of an update that stand for all. */
static int rounds_like(const mno_shape *s) { return rounds_of(s) < ROUNDS_MOST ? rounds_of(s) : ROUNDS_MOST; }

/* W0: for the weights of a span when instances lie `stride` apart: in the passes a unit is read by all samples of an
 * instance; in the update every lane has units of its own. */
static double weights_wavefronts(const mno_shape *s, int stride) {
  const int unit = s->rows * s->height * s->bytes, read = s->tensors * s->height * s->bytes;
  int32_t at[WARP];
  double update = 0;
  for (int r = 0; r < rounds_like(s); r++) {
    update_addresses(s, r * (int)s->by_share.d, stride, (int)s->tile_bytes, unit, s->bytes, at);
    update += wavefronts(at, MNO_TOGETHER);
  }
  for (int lane = 0; lane < WARP; lane++) at[lane] = lane / s->N < s->group ? lane / s->N * stride : IDLE;
  return 2.0 * s->span * s->M * read / 16 * wavefronts(at, 16) +
         update * rounds_of(s) / rounds_like(s) * s->chunks * s->d_length * s->bytes / MNO_TOGETHER * 2 * s->rows * MNO_PAIR;
}

/* W0: for the states of a span: columns in the pass, rows in the update. */
static double states_wavefronts(const mno_shape *s, int stride) {
  const int row = s->pitch * s->bytes;
  int32_t at[WARP];
  double update = 0;
  for (int r = 0; r < rounds_like(s); r++) {
    update_addresses(s, r * (int)s->by_share.d, stride, (int)s->h_bytes, 0, row, at);
    update += MNO_CHUNK * s->bytes / 16 * wavefronts(at, 16) + (s->bytes == 4 ? wavefronts(at, 8) : 0);
  }
  for (int lane = 0; lane < WARP; lane++) {
    const int g = lane / s->N, n = lane % s->N;
    at[lane] = g < s->group ? g * stride + n / MNO_CHUNK * s->height * row + n % MNO_CHUNK * s->bytes : IDLE;
  }
  return s->span * s->height * wavefronts(at, s->bytes) + update * rounds_of(s) / rounds_like(s) * s->chunks * s->d_length;
}

/* W0: a stride of instances whose shares of a span have `bytes`, with the padding that saves more wavefronts than it costs
 * bandwidth in so many transfers. */
static uint32_t spaced(const mno_shape *s, uint32_t bytes, double (*cost)(const mno_shape *s, int stride), int transfers) {
  const double per_byte = transfers * (s->group - 1) * processors * clock / bandwidth;
  uint32_t best = bytes;
  double least = 0;
  for (uint32_t pad = 0; pad < WAVEFRONT_BYTES; pad += 16) {
    const double with = cost(s, (int)(bytes + pad)) + per_byte * pad;
    if (pad == 0 || with < least) least = with, best = bytes + pad;
  }
  return best;
}

/* W0: how many instances to a warp, how many layers to a transfer. False: one layer of one instance is too large. */
static bool cut_lanes(mno_shape *s, int most) {
  const size_t bytes = (size_t)s->bytes;
  s->height = height_of((size_t)s->D);
  if (s->height == 0 || s->N > s->lanes || (double)s->L * s->M * (s->height + 3) > 1e9) return false;
  s->row = s->height;
  s->tile = s->portion = s->M;
  s->tiles = 1;
  s->m_slices = s->m_length = 1;
  const size_t layer = (size_t)(s->M * s->rows) * (size_t)s->height * bytes;
  if (layer > TEAM_BYTES) return false;
  s->tile_bytes = s->weights_bytes = (uint32_t)mno_round_up(layer, 16);
  s->h_bytes = (uint32_t)(s->chunks * s->height * s->pitch * s->bytes);
  s->by_samples = divisor((uint32_t)s->N);
  s->by_tile = divisor((uint32_t)s->M);
  s->by_D = divisor((uint32_t)s->D);
  s->by_pairs = divisor((uint32_t)ceil_div((size_t)s->M, MNO_PAIR));
  int span = s->L < SPAN_MOST ? s->L : SPAN_MOST, group = s->lanes / s->N;
  if (group > most) group = most;
  for (;;) {
    s->group = group;
    s->span = span;
    s->by_share = divisor((uint32_t)(s->lanes / group));
    cut_update(s);
    s->span_bytes = spaced(s, (uint32_t)span * s->tile_bytes, weights_wavefronts, 3);
    s->span_states = spaced(s, (uint32_t)span * s->h_bytes, states_wavefronts, 1);
    s->H = (uint32_t)mno_round_up(mno_setting_bytes(s, mno_trainer_at(s->trainer)->optimizer->knobs), 32);
    s->B = s->H + s->h_bytes;
    s->p_bytes = (uint32_t)(span * s->chunks * s->M * s->pitch * s->bytes);
    s->P = s->B + s->h_bytes;
    s->A = s->P + (uint32_t)s->tensors * s->p_bytes;
    s->a_bytes = (uint32_t)span * s->h_bytes;
    /* samples of the instances of a warp in different banks, as far as sixteen bytes allow */
    s->each_bytes = s->A + s->a_bytes;
    const uint32_t want = (uint32_t)mno_round_up((size_t)s->N * bytes, 16) % 128;
    s->each_bytes += (want + 128 - s->each_bytes % 128) % 128;
    s->state_bytes = (uint32_t)group * s->each_bytes;
    const size_t shared = mno_shared_bytes(s, MNO_STAGES_LEAST, 0);
    const bool ample = (span - 1) * pass_instructions(s) >= SPAN_INSTRUCTIONS;
    if (span > 1 && (shared > TEAM_BYTES || (shared > SPAN_BYTES && ample)))
      span--;
    else if (shared <= TEAM_BYTES)
      break;
    else if (group > 1)
      group--;
    else
      return false;
  }
  return true;
}

mno_shape mno_shape_spread(const mno_shape *s, bool all) {
  mno_shape spread = *s;
  spread.ranks = all ? s->portions : 1;
  if (s->portions > 1) place_state(&spread); /* smaller than what `cut` tried */
  return spread;
}

/* G: how many instances to a call. Products are cut into tiles of 128 x 128 or so; a call should fill a card twice. */
static void cut_batch(mno_shape *s) {
  const size_t tiles = ceil_div((size_t)s->M, 128) * ceil_div((size_t)s->N, 128);
  s->row = s->height = s->D;
  s->tile = s->portion = s->M;
  s->tiles = 1;
  s->kept = 1;
  s->nominal = 1;
  while (s->nominal < BATCH_MOST && (size_t)s->nominal * tiles < 264) s->nominal *= 2;
  const size_t each = mno_gemm_place(s).each;
  s->group = s->nominal;
  while (s->group > 1 && (size_t)s->group * each > BATCH_BYTES) s->group /= 2;
}

size_t mno_slot_bytes(const mno_shape *s) {
  return s->kernel == MNO_KERNEL_GEMM ? (size_t)s->group * mno_gemm_place(s).each : mno_slot(s).bytes;
}

int mno_shape_shrink(mno_shape *s) {
  if (s->kernel == MNO_KERNEL_GEMM && s->kept && s->L > 1) {
    s->kept = 0;
    return 1;
  }
  if (s->group == 1) return 0;
  if (s->kernel == MNO_KERNEL_LANES) return cut_lanes(s, s->group - 1);
  s->group /= 2;
  return 1;
}

mno_status mno_shape_make(const mno_dimensions *n, mno_precision precision, const mno_candidate *candidate, mno_shape *shape,
                          mno_error *err) {
  mno_shape s = {.kernel = candidate->kernel,
                 .lanes = candidate->lanes,
                 .portions = candidate->portions,
                 .ranks = 1,
                 .group = 1,
                 .span = 1};
  const mno_trainer *trainer = mno_trainer_at(n->trainer);
  s.trainer = n->trainer;
  s.tensors = (int32_t)trainer->block->tensors;
  s.rows = s.tensors * (int32_t)(1 + trainer->optimizer->states);
  s.fused = trainer->optimizer->fuses;
  s.bytes = precision == MNO_F64 ? 8 : 4;
  const size_t chunks = ceil_div(n->N, MNO_CHUNK), row = n->D | 1, unit = (size_t)s.rows * row * (size_t)s.bytes;
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
  s.pitch = s.bytes == 4 ? MNO_PITCH_F32 : MNO_PITCH_F64;
  if (s.kernel == MNO_KERNEL_LANES) {
    *shape = s;
    return cut_lanes(shape, MNO_GROUP_MOST)
               ? MNO_OK
               : mno_fail(err, MNO_ERR_BACKEND,
                          "kernel W0 does not take D = %zu, M = %zu, N = %zu: D may be at most 16, N at most 32, "
                          "and a layer has to fit %d KiB",
                          n->D, n->M, n->N, TEAM_BYTES >> 10);
  }
  if (s.kernel == MNO_KERNEL_GEMM) {
    cut_batch(&s);
    *shape = s;
    return MNO_OK;
  }
  s.row = (int32_t)row;
  s.portion = (int32_t)ceil_div(n->M, (size_t)s.portions);
  const size_t cap = s.kernel == MNO_KERNEL_WARP ? TILE_BYTES_WARP : TILE_BYTES_BLOCK;
  double least = 0;
  *shape = (mno_shape){0};
  for (size_t tiles = 1; tiles <= (size_t)s.portion; tiles++) {
    size_t tile = ceil_div((size_t)s.portion, tiles);
    if (tile > TILE_MOST || (tile > 1 && tile * unit > cap)) continue;
    if (tiles > 1 && ceil_div((size_t)s.portion, tiles - 1) == tile) continue; /* the same cut */
    if (least > 0 && tiles > 8 * (size_t)shape->tiles) break;                  /* smaller tiles only cost more barriers */
    if (!cut(&s, tiles)) continue;
    double cost = cut_cost(&s);
    if (least == 0 || cost < least) least = cost, *shape = s;
  }
  if (least == 0)
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

/* G: bytes beyond the second-level cache and within it; flops at 85% of the peak, less what tiles of 128 waste at the edges;
 * calls of 2 us, 2 batches in flight. Products: one forward and two
 * backward for each tensor. */
static mno_step_model batch_model(const mno_shape *s) {
  const double D = s->D, M = s->M, N = s->N, L = s->L, e = s->bytes, tensors = s->tensors, inputs = tensors - 1;
  const double products = 3 * tensors + (s->kept ? 0 : inputs), calls = products + (s->fused ? 2 : 3);
  const double outer = (tensors + 2 * s->rows) * D * M + 2 * N * D + (s->kept ? 2 * inputs * N * M : 0);
  const double inner = (s->fused ? 4 : 6) * tensors * D * M + tensors * (4 * N * D + 6 * N * M);
  const double edge_m = M / (128.0 * (double)ceil_div((size_t)s->M, 128)),
               edge_n = N / (128.0 * (double)ceil_div((size_t)s->N, 128));
  return (mno_step_model){.memory = L * e * (outer / bandwidth + inner / cache),
                          .issue = L * 2 * products * N * D * M / (0.85 * flops * edge_m * edge_n),
                          .latency = L * calls * 2e-6 / (2 * s->group)};
}

static double warps_of(const mno_shape *s) { return s->lanes / 32.0 * s->ranks; }

/* W, C, X, W0: spans of layers, the instructions of a lane in a step, and the cycles of a team's chain of phases. */
static double spans_of(const mno_shape *s) { return (double)ceil_div((size_t)s->L, (size_t)s->span); }
static double instructions_of(const mno_shape *s) {
  return s->kernel == MNO_KERNEL_LANES ? spans_of(s) * span_instructions(s) : s->L * layer_instructions(s);
}
static double chain_of(const mno_shape *s) {
  const double barrier = warps_of(s) <= 1 ? 30 : 60, joint = s->ranks > 1 ? 700 : 0;
  return s->kernel == MNO_KERNEL_LANES
             ? 1.6 * instructions_of(s) + spans_of(s) * (3 * barrier + 300)
             : 2 * instructions_of(s) + s->L * (2 * mno_tiles_of_rank(s) * (3 * barrier + 150) + 2 * (barrier + joint));
}

/* Shared memory of a rank as cuts were first made for it, with a state in every stage: the bytes decide how sums are cut, so
 * cuts do not follow every change of a kernel. */
static size_t modelled_bytes(const mno_shape *s, int in_memory) {
  if (s->kernel == MNO_KERNEL_LANES) return mno_shared_bytes(s, MNO_STAGES_LEAST, in_memory);
  const size_t stage = s->tile_bytes + (in_memory ? 0 : s->h_bytes);
  return mno_round_up(64 + MNO_STAGES_LEAST * stage + (in_memory ? 0 : s->state_bytes), 128);
}

mno_step_model mno_shape_model(const mno_shape *s) {
  if (s->kernel == MNO_KERNEL_GEMM) return batch_model(s);
  const double L = s->L, warps = warps_of(s), group = s->group;
  const double layers = (double)s->group * s->span; /* of a transfer */
  const double weights = (double)s->portions * s->tiles * mno_stage_weights(s) / layers;
  const double states = s->kernel == MNO_KERNEL_LANES ? mno_stage_states(s) / layers : s->h_bytes;
  const int in_memory = modelled_bytes(s, 0) > (size_t)shared;
  const double of_processor = (double)modelled_bytes(s, in_memory);
  /* teams in flight: by shared memory, by registers (16 warps), by the card's memory */
  double teams = processors * shared / of_processor / s->ranks;
  if (teams > processors * 16 / warps) teams = processors * 16 / warps;
  if (teams > memory / (double)mno_slot(s).bytes) teams = memory / (double)mno_slot(s).bytes;
  if (teams < 1) teams = 1;
  const double forward = (double)s->weights_bytes / s->tile_bytes; /* what a pass forward brings of a tile */
  return (mno_step_model){.memory = L * ((forward + 2) * weights + 2 * states * (1 + (in_memory ? 4 : 0))) / bandwidth,
                          .issue = instructions_of(s) / group * warps / (processors * issue_rate * clock),
                          .latency = chain_of(s) / clock / teams / group};
}

double mno_shape_seconds(const mno_shape *shape) {
  mno_step_model model = mno_shape_model(shape);
  return max(model.memory, max(model.issue, model.latency));
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
  if (mno_candidate_forced >= 0)
    return mno_shape_make(dimensions, precision, &mno_candidates[mno_candidate_forced], shape, err);
  for (size_t i = 0; i < mno_candidate_count; i++) {
    const mno_candidate *candidate = &mno_candidates[i];
    mno_shape made;
    if (candidate->portions > 1) continue;
    if (candidate->kernel == MNO_KERNEL_GEMM && (!products || dimensions->N < MNO_PRODUCTS_LEAST)) continue;
    if (candidate->kernel == MNO_KERNEL_LANES && (height_of(dimensions->D) == 0 || dimensions->N > 32)) continue;
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
mno_status mno_shape_choose(const mno_dimensions *dimensions, mno_precision precision, bool products, mno_shape *shape,
                            mno_error *err) {
  enum { KEPT = 32 };
  static _Thread_local struct {
    mno_dimensions dimensions;
    mno_precision precision;
    bool products;
    int forced;
    mno_shape shape; /* lanes: 0 if there is none */
  } kept[KEPT];
  const mno_dimensions *n = dimensions;
  const size_t at = (n->D + 3 * n->M + 7 * n->N + 13 * n->L + 29 * n->d_out) % KEPT;
  const mno_dimensions *k = &kept[at].dimensions;
  if (!kept[at].shape.lanes || k->D != n->D || k->M != n->M || k->N != n->N || k->L != n->L || k->d_out != n->d_out ||
      k->trainer != n->trainer || kept[at].precision != precision || kept[at].products != products ||
      kept[at].forced != mno_candidate_forced) {
    kept[at].shape.lanes = 0;
    const mno_status status = choose(n, precision, products, shape, err);
    if (status != MNO_OK) return status;
    kept[at].dimensions = *n;
    kept[at].precision = precision;
    kept[at].products = products;
    kept[at].forced = mno_candidate_forced;
    kept[at].shape = *shape;
  }
  *shape = kept[at].shape;
  return MNO_OK;
}

/* Teams of a shape that a card holds, but for registers. */
static size_t held(const mno_shape *s, const mno_device_info *info, size_t shared_bytes) {
  size_t blocks = info->shared_processor / (shared_bytes + SHARED_RESERVED);
  if (blocks * (size_t)s->lanes > LANES_MOST) blocks = LANES_MOST / (size_t)s->lanes;
  size_t teams = blocks * (size_t)info->processors / (size_t)s->ranks;
  if (info->memory_free && teams > info->memory_free / mno_slot(s).bytes) teams = info->memory_free / mno_slot(s).bytes;
  return blocks && teams == 0 ? 1 : teams;
}

/* Seconds of a gradient step of `count` instances when the card holds `teams`: teams that are alike end together, so they
 * run in waves, each as long as one team alone takes or as what the wave needs of the card's bandwidth or instructions. A
 * team alone waits for its loads, of which stages - 1 are in flight on the way up and stages - 2 on the way down. */
static double fit_seconds(const mno_shape *s, int stages, size_t teams, size_t count, const mno_device_info *info) {
  const mno_step_model m = mno_shape_model(s);
  const double share = max(m.memory, m.issue) * s->group * processors / info->processors;
  const double loads = s->kernel == MNO_KERNEL_LANES ? spans_of(s) : (double)s->L * s->tiles;
  const double alone = chain_of(s) / clock + load_seconds * loads * (1.0 / (stages - 1) + 1.0 / (stages - 2));
  const size_t batches = ceil_div(count, (size_t)s->group), waves = ceil_div(batches, teams);
  const size_t last = batches - (waves - 1) * teams;
  return (double)(waves - 1) * max(alone, (double)teams * share) + max(alone, (double)last * share);
}

mno_most_teams mno_reference_teams(const mno_shape *s) {
  const size_t blocks = (s->bytes == 4 ? WARPS_F32 : WARPS_F64) * 32 / (size_t)s->lanes * (size_t)processors;
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
  if (s->portions == 1 || mno_ranks_forced != MNO_RANKS_ALL || most.all == 0) {
    mno_shape shape = mno_shape_spread(s, false);
    do {
      const trial one = fit_stages(&shape, info, most.one, count);
      take_if_it_pays(&best, &one);
    } while (shape.kernel == MNO_KERNEL_LANES && mno_shape_shrink(&shape));
  }
  if (s->portions > 1 && mno_ranks_forced != MNO_RANKS_ONE) {
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
