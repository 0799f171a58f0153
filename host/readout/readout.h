/* SPDX-License-Identifier: BSD-3-Clause */
/* The two ends of a network, in double whatever the precision: h^0 = W_E x, and at the other end f = W_U^T h/D, the loss and
 * b^L = D dloss/dh^L = W_U dloss/df. */
#ifndef MNO_READOUT_READOUT_H
#define MNO_READOUT_READOUT_H

#include "meanode/plan.h"

/* h [N][D]. Inline, because kernels with fused multiply-adds round it in their own way. */
static inline void mno_readout_embed(const mno_problem *problem, double *h) {
  size_t D = problem->D, d_in = problem->d_in;
  for (size_t i = 0; i < problem->N; i++)
    for (size_t d = 0; d < D; d++) {
      double sum = 0;
      for (size_t c = 0; c < d_in; c++) sum += problem->w_embed[d * d_in + c] * problem->x[i * d_in + c];
      h[i * D + d] = sum;
    }
}

/* f [N][d_out] of states h [N][r] in r coordinates, in which W_U is w_unembed [r][d_out]; returns the loss. gradient
 * [N][d_out] receives dloss/df unless NULL. */
double mno_readout_loss(const mno_problem *problem, size_t r, const double *w_unembed, const double *h, double *f,
                        double *gradient);

/* b [N][r] of the last layer. */
void mno_readout_adjoint(const mno_problem *problem, size_t r, const double *w_unembed, const double *gradient, double *b);

#endif
