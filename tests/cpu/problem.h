/* Problems and plans made by hand, without a configuration. */
#ifndef MNO_TEST_PROBLEM_H
#define MNO_TEST_PROBLEM_H

#include "meanode/meanode.h"

#include <math.h>
#include <stdlib.h>

static double *problem_normals(size_t count, uint32_t tensor, double scale) {
  double *x = malloc(count * sizeof *x);
  mno_normals(77, tensor, 0, 0, count, x);
  for (size_t i = 0; i < count; i++) x[i] *= scale;
  return x;
}

static mno_problem problem_make(size_t D, size_t N, size_t d_in, size_t d_out, size_t K, mno_activation activation,
                                mno_loss loss) {
  mno_problem p = {.N = N,
                   .d_in = d_in,
                   .d_out = d_out,
                   .D = D,
                   .K = K,
                   .alpha = 1.3,
                   .block = mno_block_named("perceptron"),
                   .optimizer = mno_optimizer_named("gd"),
                   .sigma = {0.9, 1.1},
                   .eta = {0.7, 0.8},
                   .activation = activation,
                   .loss = loss};
  p.x = problem_normals(N * d_in, MNO_TENSOR_X, 1);
  p.y = problem_normals(N * d_out, MNO_TENSOR_Y, 1);
  p.w_embed = problem_normals(D * d_in, MNO_TENSOR_W_EMBED, 1 / sqrt((double)d_in));
  p.w_unembed = problem_normals(D * d_out, MNO_TENSOR_W_UNEMBED, sqrt((double)d_out));
  if (loss == MNO_CROSS_ENTROPY)
    for (size_t i = 0; i < N; i++)
      for (size_t o = 0; o < d_out; o++) p.y[i * d_out + o] = o == i % d_out;
  return p;
}

static void problem_free(mno_problem *p) {
  free(p->x);
  free(p->y);
  free(p->w_embed);
  free(p->w_unembed);
}

#endif
