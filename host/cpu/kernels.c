/* One kernel set: compiled once per instruction set (compiler flags) and precision (MNO_SIMD_F32), under the name
 * MNO_CPU_KERNELS. */
#include "cpu/train.h"

#include "cpu/ml.h"
#include "cpu/nl.h"
#include "cpu/sl.h"

#include "core/memory.h"

static const layout *const layouts[MNO_CPU_LAYOUTS] = {
    [MNO_CPU_SL] = &layout_sl, [MNO_CPU_ML] = &layout_ml, [MNO_CPU_NL] = &layout_nl};

static size_t kernels_bytes(const mno_problem *problem, size_t L, size_t M, mno_cpu_layout which, size_t state_bytes) {
  run r = {.problem = problem, .L = L, .M = M, .layout = layouts[which]};
  return measure(&r, state_bytes);
}

static size_t kernels_helper_bytes(const mno_problem *problem, size_t L, size_t M, mno_cpu_layout which) {
  run r = {.problem = problem, .L = L, .M = M, .layout = layouts[which]};
  return measure_helper(&r);
}

static mno_status kernels_train(const mno_cpu_batch *batch, mno_cpu_layout which) { return train(batch, layouts[which]); }

static void kernels_activate(mno_activation activation, size_t count, const double *p, double *value, double *slope) {
  for (size_t i = 0; i < count; i += LANES) {
    vec x = {0}, dx = {0};
    for (size_t j = 0; j < LANES; j++) x[j] = (real)p[i + j < count ? i + j : count - 1];
    activate(activation, &x, &dx, 1);
    vec s = slope_of(slope_kind(activation), x, dx);
    for (size_t j = 0; j < LANES && i + j < count; j++) {
      value[i + j] = (double)x[j];
      slope[i + j] = (double)s[j];
    }
  }
}

static double kernels_tanh_rate(void) {
  enum { COUNT = 128, ROUNDS = 4000 };
  static _Thread_local vec x[COUNT];
  double best = 0;
  for (int repeat = 0; repeat < 5; repeat++) {
    for (int i = 0; i < COUNT; i++) x[i] = v_set1((real)(i - 60) / 20);
    double start = mno_now();
    for (int round = 0; round < ROUNDS; round++) activate(MNO_TANH, x, NULL, COUNT);
    double rate = (double)COUNT * LANES * ROUNDS / (mno_now() - start) / 1e9;
    if (rate > best) best = rate;
  }
  return best;
}

static void kernels_normals(uint64_t seed, uint32_t tensor, uint32_t layer, uint32_t unit, size_t count, double *out) {
  for (size_t i = 0; i < count; i += 4) {
    vec z[4];
    v_normals(v_uset1((uint32_t)seed), v_uset1((uint32_t)(seed >> 32)), tensor, v_uset1(layer), v_uset1(unit),
              (uint32_t)(i / 4), z);
    for (size_t j = 0; j < 4 && i + j < count; j++) out[i + j] = (double)z[j][(i / 4 + j) % LANES];
  }
}

static void kernels_words(uint64_t seed, uint32_t tensor, uint32_t layer, uint32_t unit, uint32_t block, uint32_t words[4]) {
  uvec c[4] = {v_uset1(block), v_uset1(unit), v_uset1(layer), v_uset1(tensor)};
  v_philox(c, v_uset1((uint32_t)seed), v_uset1((uint32_t)(seed >> 32)));
  for (int i = 0; i < 4; i++) words[i] = (uint32_t)c[i][block % LANES];
}

extern const mno_cpu_kernels MNO_CPU_KERNELS;
const mno_cpu_kernels MNO_CPU_KERNELS = {
    .name = MNO_CPU_ISA,
    .lanes = LANES,
    .bytes = kernels_bytes,
    .helper_bytes = kernels_helper_bytes,
    .train = kernels_train,
    .activate = kernels_activate,
    .tanh_rate = kernels_tanh_rate,
    .normals = kernels_normals,
    .words = kernels_words,
};
