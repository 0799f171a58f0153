/* SPDX-License-Identifier: BSD-3-Clause */
/* Training of one block: compiled once per instruction set (compiler flags), precision (MNO_SIMD_F32) and block, under the
 * name MNO_CPU_KERNELS. MNO_BLOCK names the block; its formula is MNO_BLOCK_UNIT, what its layers do MNO_BLOCK_BODY:
 * cpu/unit_block.h, or a file of the block's own over the same arrangements. MNO_CPU_NUMBERS are those of numbers.c. */
#include "cpu/vector_formula.h"

#include MNO_BLOCK_UNIT

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define UNIT JOIN(MNO_BLOCK, _unit)
enum { TENSORS = JOIN(MNO_BLOCK, _tensors), INPUTS = TENSORS - 1 };

#include "cpu/train.h"

#include "cpu/arrangements/samples_on_lanes.h"
#include "cpu/arrangements/seeds_on_lanes.h"
#include "cpu/arrangements/units_on_lanes.h"

static const arrangement *const arrangements[MNO_CPU_ARRANGEMENTS] = {[MNO_SEEDS_ON_LANES] = &seeds_on_lanes,
                                                                      [MNO_UNITS_ON_LANES] = &units_on_lanes,
                                                                      [MNO_SAMPLES_ON_LANES] = &samples_on_lanes};

static size_t kernels_bytes(const mno_problem *problem, size_t L, size_t M, mno_cpu_arrangement which, size_t state_bytes) {
  network n = network_of(problem, L, M, arrangements[which], state_bytes);
  seat first = {.net = &n};
  arena count = {0};
  network_place(&n, &count);
  seat_place(&first, &count);
  network_place_slices(&n, &count);
  return count.used;
}

static size_t kernels_helper_bytes(const mno_problem *problem, size_t L, size_t M, mno_cpu_arrangement which) {
  network n = network_of(problem, L, M, arrangements[which], 0);
  seat one = {.net = &n};
  arena count = {0};
  seat_place(&one, &count);
  return n.slices < 2 ? 0 : count.used + 3 * n.h_size * sizeof(real);
}

static mno_status kernels_train(const mno_cpu_batch *batch, mno_cpu_arrangement which) {
  return batch->count > arrangements[which]->instances ? MNO_ERR_INTERNAL : train(batch, arrangements[which]);
}

extern const mno_cpu_numbers MNO_CPU_NUMBERS;
extern const mno_cpu_kernels MNO_CPU_KERNELS;
const mno_cpu_kernels MNO_CPU_KERNELS = {.lanes = LANES,
                                         .bytes = kernels_bytes,
                                         .helper_bytes = kernels_helper_bytes,
                                         .train = kernels_train,
                                         .numbers = &MNO_CPU_NUMBERS};
