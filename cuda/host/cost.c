/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/cost.h"

/* The reference card, an H100. No H100 was measured. An H200 has 4.15e12 B/s and 62e12 flop/s and reached 1.5 (W0) to 2.1
 * (C) instructions (bench/results/gpu-tuning.md); gpu-NVIDIA-H200.md has modelled beside measured times. */
const mno_device_info mno_reference_card = {.name = "H100",
                                            .major = 9,
                                            .processors = 132,
                                            .memory_free = (size_t)75e9,
                                            .memory_total = (size_t)85e9,
                                            .shared_block = 232448,
                                            .shared_processor = 233472};
const mno_card_rates mno_rates = {.bandwidth = 3.0e12,
                                  .cache = 5.5e12,
                                  .clock = 1.755e9,
                                  .processors = 132,
                                  .memory = 75e9,
                                  .shared = 227e3,
                                  .issue_rate = 2.5,
                                  .flops = 59e12,
                                  .load_seconds = 1e-6};

/* Instructions of a lane for one row of a sum, as counted in the code for sm_90 (bench/results/gpu-loops.md): a weight,
 * MNO_CHUNK fma (in f64 of two issue slots), the loads of a row of samples, the loop. */
static double row_cost(const mno_shape *s) { return MNO_CHUNK * (s->bytes == 8 ? 2 : 1) + (s->bytes == 8 ? 6 : 3) + 3; }

double mno_phase_instructions(const mno_shape *s, size_t items, size_t slices, size_t length) {
  return (double)mno_ceil_div(items * slices, (size_t)s->lanes) * (double)s->chunks * ((double)length * row_cost(s) + 20);
}

/* Instructions of a lane in one layer, forward and backward. Projections: of the inputs twice, of the output once; sums: of
 * v, of the inputs, and as much for the update of each row, be it of weights or of the optimiser's states. */
static double layer_instructions(const mno_shape *s) {
  const double activation = s->bytes == 8 ? 108 : 40;
  const double entries = (double)mno_ceil_div((size_t)(s->chunks * s->tile * MNO_CHUNK), (size_t)s->lanes);
  const double states = (double)mno_ceil_div((size_t)(s->chunks * s->D * MNO_CHUNK), (size_t)s->lanes);
  const double project = mno_phase_instructions(s, (size_t)s->tile, (size_t)s->d_slices, (size_t)s->d_length);
  const double combine = mno_phase_instructions(s, (size_t)s->D, (size_t)s->m_slices, (size_t)s->m_length);
  const int projections = 2 * s->tensors - 1, sums = s->tensors + s->rows;
  const double per_tile =
      projections * project + sums * combine + entries * (2 * activation + 2 * projections * s->d_slices + 120) + 120;
  const int portions = mno_portions_of_rank(s);
  return mno_tiles_of_rank(s) * per_tile + 2 * states * (4 * s->m_slices * s->portions + 12 + 10 * (portions - 1)) + 40;
}

/* Instructions of a warp of W0, as counted in the code for sm_90 (tanh; bench/results/gpu-loops.md); those in double
 * precision occupy two issue slots. In the two passes of a layer, and in all layers of a transfer. */
double mno_pass_instructions(const mno_shape *s) {
  const double sums = 3 * s->tensors - 1; /* of a unit: an fma each for every coordinate; and loads of 16 bytes */
  const double unit =
      s->bytes == 8 ? 230 + (2 * sums + 2 * s->tensors) * s->padded_D : 82 + (sums + 0.5 * s->tensors) * s->padded_D;
  return s->M * unit + 120 + 3 * s->padded_D;
}
int mno_update_rounds(const mno_shape *s) {
  return (int)mno_ceil_div((size_t)(s->layers_per_transfer * s->d_slices) * s->by_pairs.d, s->by_instance_lanes.d);
}
double mno_transfer_instructions(const mno_shape *s) {
  const double row = s->bytes == 8 ? 28.5 : 15.5;
  const double update = s->chunks * (s->d_length * row * (s->tensors + s->rows) + 60);
  return s->layers_per_transfer * mno_pass_instructions(s) + mno_update_rounds(s) * update + 450;
}

/* G: bytes beyond the second-level cache and within it; flops at 85% of the peak, less what tiles of 128 waste at the edges;
 * calls of 2 us, 2 batches in flight. Products: one forward and two backward for each tensor. */
static mno_step_model batch_model(const mno_shape *s) {
  const double D = s->D, M = s->M, N = s->N, L = s->L, e = s->bytes, tensors = s->tensors, inputs = tensors - 1;
  const double products = 3 * tensors + (s->projections_stored ? 0 : inputs), calls = products + (s->fused ? 2 : 3);
  const double outer = (tensors + 2 * s->rows) * D * M + 2 * N * D + (s->projections_stored ? 2 * inputs * N * M : 0);
  const double inner = (s->fused ? 4 : 6) * tensors * D * M + tensors * (4 * N * D + 6 * N * M);
  const double edge_m = M / (128.0 * (double)mno_ceil_div((size_t)s->M, 128)),
               edge_n = N / (128.0 * (double)mno_ceil_div((size_t)s->N, 128));
  return (mno_step_model){.memory = L * e * (outer / mno_rates.bandwidth + inner / mno_rates.cache),
                          .issue = L * 2 * products * N * D * M / (0.85 * mno_rates.flops * edge_m * edge_n),
                          .latency = L * calls * 2e-6 / (2 * s->group)};
}

static double warps_of(const mno_shape *s) { return s->lanes / 32.0 * s->blocks_per_team; }

double mno_transfers(const mno_shape *s) { return (double)mno_ceil_div((size_t)s->L, (size_t)s->layers_per_transfer); }
/* W, C, X, W0: of a lane in a step. */
static double instructions_of(const mno_shape *s) {
  return s->kernel == MNO_KERNEL_LANES ? mno_transfers(s) * mno_transfer_instructions(s) : s->L * layer_instructions(s);
}
double mno_chain_cycles(const mno_shape *s) {
  const double barrier = warps_of(s) <= 1 ? 30 : 60, cluster = s->blocks_per_team > 1 ? 700 : 0;
  return s->kernel == MNO_KERNEL_LANES
             ? 1.6 * instructions_of(s) + mno_transfers(s) * (3 * barrier + 300)
             : 2 * instructions_of(s) + s->L * (2 * mno_tiles_of_rank(s) * (3 * barrier + 150) + 2 * (barrier + cluster));
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
  const double layers = (double)s->group * s->layers_per_transfer; /* of a transfer */
  const double weights = (double)s->portions * s->tiles * mno_stage_weights(s) / layers;
  const double states = s->kernel == MNO_KERNEL_LANES ? mno_stage_states(s) / layers : s->h_bytes;
  const int in_memory = modelled_bytes(s, 0) > (size_t)mno_rates.shared;
  const double of_processor = (double)modelled_bytes(s, in_memory);
  /* teams in flight: by shared memory, by registers (16 warps), by the card's memory */
  double teams = mno_rates.processors * mno_rates.shared / of_processor / s->blocks_per_team;
  if (teams > mno_rates.processors * 16 / warps) teams = mno_rates.processors * 16 / warps;
  if (teams > mno_rates.memory / (double)mno_slot(s).bytes) teams = mno_rates.memory / (double)mno_slot(s).bytes;
  if (teams < 1) teams = 1;
  const double forward = (double)s->weights_bytes / s->tile_bytes; /* what a pass forward brings of a tile */
  return (mno_step_model){
      .memory = L * ((forward + 2) * weights + 2 * states * (1 + (in_memory ? 4 : 0))) / mno_rates.bandwidth,
      .issue = instructions_of(s) / group * warps / (mno_rates.processors * mno_rates.issue_rate * mno_rates.clock),
      .latency = mno_chain_cycles(s) / mno_rates.clock / teams / group};
}

double mno_shape_seconds(const mno_shape *shape) {
  mno_step_model model = mno_shape_model(shape);
  return mno_max(model.memory, mno_max(model.issue, model.latency));
}
