/* SPDX-License-Identifier: BSD-3-Clause */
#include "readout/readout.h"

#include "math/vectors.h"

#include <string.h>

double mno_readout_loss(const mno_problem *problem, size_t r, const double *w_unembed, const double *h, double *f,
                        double *gradient) {
  size_t N = problem->N, d_out = problem->d_out;
  memset(f, 0, N * d_out * sizeof *f);
  for (size_t i = 0; i < N; i++) {
    for (size_t a = 0; a < r; a++)
      for (size_t o = 0; o < d_out; o++) f[i * d_out + o] += w_unembed[a * d_out + o] * h[i * r + a];
    for (size_t o = 0; o < d_out; o++) f[i * d_out + o] /= (double)problem->D;
  }
  return mno_loss_value(problem->loss, N, d_out, f, problem->y, gradient);
}

void mno_readout_adjoint(const mno_problem *problem, size_t r, const double *w_unembed, const double *gradient, double *b) {
  size_t d_out = problem->d_out;
  for (size_t i = 0; i < problem->N; i++)
    for (size_t a = 0; a < r; a++) b[i * r + a] = mno_dot(w_unembed + a * d_out, gradient + i * d_out, d_out);
}
