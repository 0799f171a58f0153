/* Random problems for the tests, and distances between what comes of them. */
#ifndef MNO_TEST_RANDOM_PROBLEM_H
#define MNO_TEST_RANDOM_PROBLEM_H

#include "test.h"

#include <stdlib.h>
#include <string.h>

static inline double *gaussian(mno_tensor tensor, size_t rows, size_t columns, double scale) {
  double *x = malloc(rows * columns * sizeof *x);
  for (size_t i = 0; i < rows; i++) {
    mno_normals(17, tensor, 0, (uint32_t)i, columns, x + i * columns);
    for (size_t c = 0; c < columns; c++) x[i * columns + c] *= scale;
  }
  return x;
}

/* tanh, squared loss, all constants 1 */
static inline mno_problem random_problem(size_t N, size_t d_in, size_t d_out, size_t D, size_t K) {
  mno_problem p = {.N = N,
                   .d_in = d_in,
                   .d_out = d_out,
                   .D = D,
                   .K = K,
                   .alpha = 1,
                   .block = mno_block_named("perceptron"),
                   .optimizer = mno_optimizer_named("gd"),
                   .sigma = {1, 1}};
  p.eta[MNO_U] = p.eta[MNO_V] = 1;
  p.activation = MNO_TANH;
  p.loss = MNO_SQUARED;
  p.x = gaussian(MNO_TENSOR_X, N, d_in, 1);
  p.y = gaussian(MNO_TENSOR_Y, N, d_out, 1);
  p.w_embed = gaussian(MNO_TENSOR_W_EMBED, D, d_in, 1 / sqrt((double)d_in));
  p.w_unembed = gaussian(MNO_TENSOR_W_UNEMBED, D, d_out, sqrt((double)d_out));
  return p;
}

static inline void problem_free(mno_problem *p) {
  free(p->x);
  free(p->y);
  free(p->w_embed);
  free(p->w_unembed);
}

/* RMS of x - y and of y over n numbers. */
static inline double rms_difference(const double *x, const double *y, size_t n) {
  double sum = 0;
  for (size_t e = 0; e < n; e++) sum += (x[e] - y[e]) * (x[e] - y[e]);
  return sqrt(sum / (double)n);
}

static inline double rms(const double *x, size_t n) {
  double sum = 0;
  for (size_t e = 0; e < n; e++) sum += x[e] * x[e];
  return sqrt(sum / (double)n);
}

#endif
