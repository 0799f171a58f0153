/* SPDX-License-Identifier: BSD-3-Clause */
/* Problems made by hand, without a configuration, for tests and benchmarks; and distances between what comes of them. */
#ifndef MNO_TEST_PROBLEM_H
#define MNO_TEST_PROBLEM_H

#include "meanode/meanode.h"
#include "meanode/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <string.h>

/* How the numbers of an array are drawn. */
typedef enum problem_order {
  PROBLEM_FLAT, /* as those of one unit */
  PROBLEM_ROWS  /* row i as unit i */
} problem_order;

/* NULL if there is no memory. */
static inline double *problem_normals(uint64_t seed, problem_order order, mno_tensor tensor, size_t rows, size_t columns,
                                      double scale) {
  if (order == PROBLEM_FLAT) columns *= rows, rows = 1;
  double *x = malloc(rows * columns * sizeof *x);
  for (size_t i = 0; x && i < rows; i++) mno_normals(seed, tensor, 0, (uint32_t)i, columns, x + i * columns);
  for (size_t e = 0; x && e < rows * columns; e++) x[e] *= scale;
  return x;
}

/* Data and embeddings of the sizes that p names. */
static inline void problem_draw(mno_problem *p, uint64_t seed, problem_order order) {
  p->x = problem_normals(seed, order, MNO_TENSOR_X, p->N, p->d_in, 1);
  p->y = problem_normals(seed, order, MNO_TENSOR_Y, p->N, p->d_out, 1);
  p->w_embed = problem_normals(seed, order, MNO_TENSOR_W_EMBED, p->D, p->d_in, 1 / sqrt((double)p->d_in));
  p->w_unembed = problem_normals(seed, order, MNO_TENSOR_W_UNEMBED, p->D, p->d_out, sqrt((double)p->d_out));
}

static inline void problem_free(mno_problem *p) {
  free(p->x);
  free(p->y);
  free(p->w_embed);
  free(p->w_unembed);
}

/* Perceptrons, gradient descent, tanh, squared loss, all constants 1; without data. */
static inline mno_problem problem_plain(size_t N, size_t d_in, size_t d_out, size_t D, size_t K) {
  return (mno_problem){.N = N,
                       .d_in = d_in,
                       .d_out = d_out,
                       .D = D,
                       .K = K,
                       .alpha = 1,
                       .block = mno_block_named("perceptron"),
                       .optimizer = mno_optimizer_named("gd"),
                       .sigma = {1, 1, 1, 1},
                       .eta = {1, 1, 1, 1},
                       .activation = MNO_TANH,
                       .loss = MNO_SQUARED};
}

static inline mno_problem random_problem(size_t N, size_t d_in, size_t d_out, size_t D, size_t K) {
  mno_problem p = problem_plain(N, d_in, d_out, D, K);
  problem_draw(&p, 17, PROBLEM_ROWS);
  return p;
}

/* No two constants alike; with cross-entropy, targets are classes. */
static inline mno_problem problem_make(size_t D, size_t N, size_t d_in, size_t d_out, size_t K, mno_activation activation,
                                       mno_loss loss) {
  mno_problem p = problem_plain(N, d_in, d_out, D, K);
  p.alpha = 1.3;
  p.sigma[0] = 0.9, p.sigma[1] = 1.1, p.sigma[2] = 1.2;
  p.eta[0] = 0.7, p.eta[1] = 0.8, p.eta[2] = 0.6;
  p.activation = activation;
  p.loss = loss;
  problem_draw(&p, 77, PROBLEM_FLAT);
  if (loss == MNO_CROSS_ENTROPY)
    for (size_t i = 0; i < N; i++)
      for (size_t o = 0; o < d_out; o++) p.y[i * d_out + o] = o == i % d_out;
  return p;
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
