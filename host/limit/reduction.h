/* SPDX-License-Identifier: BSD-3-Clause */
/* The invariant subspace. Forward and backward states never leave S = span(W_E, W_U): units start Gaussian and isotropic,
 * E[v s(p)] and E[w_a (ds/dp_a) q] only see the components of the weights in S when h and b lie in S, because the components
 * orthogonal to S are centred, independent of the others, and never move (updates are combinations of h_i and b_i). This
 * holds for every formula of a unit block, which sees projections alone, and for losses of W_U^T h; for optimisers that move
 * a vector by a combination of its gradients. It fails for initial laws that are not rotation invariant and for updates that
 * act coordinate by coordinate. */
#ifndef MNO_LIMIT_REDUCTION_H
#define MNO_LIMIT_REDUCTION_H

#include "meanode/plan.h"
#include "meanode/status.h"

#include <stddef.h>

/* A problem in r orthonormal coordinates: h = basis x. The coordinates are principal axes of h at step 0 (in falling order,
 * then those of b at step 0 outside of their span), along which units u are drawn; axes[a][.] are the principal axes of
 * b at step 0, along which units v are drawn. */
typedef struct mno_reduction {
  size_t r;
  double *basis;   /* [D][r] */
  double *h0;      /* [N][r] h(0) */
  double *unembed; /* [r][d_out] */
  double *axes;    /* [r][r] */
} mno_reduction;

/* Is the reduction exact for this problem? Otherwise *why says what breaks it. */
int mno_reduction_valid(const mno_problem *problem, const char **why);

/* With full != 0 (or where the reduction is not valid) r = D: every coordinate is kept, and axes and basis are identities.
 */
mno_status mno_reduction_new(const mno_problem *problem, int full, mno_reduction *reduction, mno_error *err);
void mno_reduction_free(mno_reduction *reduction);

/* Outputs f = W_U^T h / D [N][d_out], and unless NULL b(1) = W_U dloss/df [N][r] and the loss, of states h [N][r]. */
double mno_reduction_output(const mno_problem *problem, const mno_reduction *reduction, const double *h, double *f,
                            double *b1);

/* out [N][D] = states [N][r] in the original coordinates. */
void mno_reduction_expand(const mno_reduction *reduction, size_t N, size_t D, const double *x, double *out);

#endif
