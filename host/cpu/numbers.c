/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernels compute with, number by number: compiled once per instruction set and precision, under the name
 * MNO_CPU_NUMBERS. */
#include "cpu/cpu.h"
#include "cpu/vector_formula.h"
#include "cpu/vrandom.h"

#include "core/memory.h"

static void numbers_activate(mno_activation activation, size_t count, const double *p, double *value, double *slope) {
  for (size_t i = 0; i < count; i += LANES) {
    vec x = {0}, dx;
    for (size_t j = 0; j < LANES; j++) x[j] = (real)p[i + j < count ? i + j : count - 1];
    x = v_rho(activation, x, &dx);
    for (size_t j = 0; j < LANES && i + j < count; j++) {
      value[i + j] = (double)x[j];
      slope[i + j] = (double)dx[j];
    }
  }
}

static double numbers_tanh_rate(void) {
  enum { COUNT = 128, ROUNDS = 4000 };
  static _Thread_local vec x[COUNT];
  double best = 0;
  for (int repeat = 0; repeat < 5; repeat++) {
    for (int i = 0; i < COUNT; i++) x[i] = v_set1((real)(i - 60) / 20);
    double start = mno_now();
    for (int round = 0; round < ROUNDS; round++)
      for (int i = 0; i < COUNT; i++) x[i] = v_tanh(x[i]);
    double rate = (double)COUNT * LANES * ROUNDS / (mno_now() - start) / 1e9;
    if (rate > best) best = rate;
  }
  return best;
}

static void numbers_normals(uint64_t seed, uint32_t tensor, uint32_t layer, uint32_t unit, size_t count, double *out) {
  for (size_t i = 0; i < count; i += 4) {
    vec z[4];
    v_normals(v_uset1((uint32_t)seed), v_uset1((uint32_t)(seed >> 32)), tensor, v_uset1(layer), v_uset1(unit),
              (uint32_t)(i / 4), z);
    for (size_t j = 0; j < 4 && i + j < count; j++) out[i + j] = (double)z[j][(i / 4 + j) % LANES];
  }
}

static void numbers_words(uint64_t seed, uint32_t tensor, uint32_t layer, uint32_t unit, uint32_t block, uint32_t words[4]) {
  uvec c[4] = {v_uset1(block), v_uset1(unit), v_uset1(layer), v_uset1(tensor)};
  v_philox(c, v_uset1((uint32_t)seed), v_uset1((uint32_t)(seed >> 32)));
  for (int i = 0; i < 4; i++) words[i] = (uint32_t)c[i][block % LANES];
}

extern const mno_cpu_numbers MNO_CPU_NUMBERS;
const mno_cpu_numbers MNO_CPU_NUMBERS = {
    .activate = numbers_activate, .tanh_rate = numbers_tanh_rate, .normals = numbers_normals, .words = numbers_words};
