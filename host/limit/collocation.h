/* SPDX-License-Identifier: BSD-3-Clause */
/* Gauss-Legendre collocation in depth, for fields that are coupled only through the drift of each sample.
 *
 * Forward: h_i = h(0) + alpha sum_j A_ij F_j(h_j), h(1) = h(0) + alpha sum_j w_j F_j(h_j), with F_j the drift at node j.
 * Backward: b_i = b(1) + alpha sum_j (w_j - A_ij) J_j^T b_j with J_j the Jacobian of F_j. Gauss methods satisfy
 * w_i A_ij + w_j A_ji = w_i w_j, so these b are the exact gradient of the discretised loss. Order 2 m. */
#ifndef MNO_LIMIT_COLLOCATION_H
#define MNO_LIMIT_COLLOCATION_H

#include "meanode/status.h"

#include <stdatomic.h>
#include <stddef.h>

typedef struct mno_collocation {
  size_t m;
  double *c;              /* [m] nodes in (0, 1) */
  double *w;              /* [m] weights, sum 1 */
  double *A;              /* [m][m] integral of the Lagrange polynomial of node j from 0 to c_i */
  const atomic_int *stop; /* nonzero: solving fails; NULL unless the owner sets it */
} mno_collocation;

mno_status mno_collocation_new(mno_collocation *method, size_t m, mno_error *err);
void mno_collocation_free(mno_collocation *method);

/* Weights that evaluate at s the polynomial through the values at 0 (end 0) or 1 (end 1) and at the nodes:
 * value = weight[0] x(end) + sum_j weight[1 + j] x_j. */
void mno_collocation_weights(const mno_collocation *method, int end, double s, double *weight /* [m + 1] */);

/* The same for the polynomial through the values at the nodes alone. */
void mno_collocation_extend(const mno_collocation *method, double s, double *weight /* [m] */);

/* The drift F [m][N][r] and its Jacobian J [m][N][r][r] (J[a][b] = dF_a/dh_b) at the fields h [m][N][r]. */
typedef void (*mno_drift)(void *context, const double *h, double *F, double *J);

/* The forward equation for the drift F + extra, solved to a tolerance relative to the fields. */
typedef struct mno_forward_equation {
  const mno_collocation *method;
  size_t N, r;
  double alpha;
  const double *h0; /* [N][r] */
  mno_drift drift;
  void *context;       /* of the drift */
  const double *extra; /* [m][N][r] or NULL */
  double tolerance;
} mno_forward_equation;

/* Solves it by Newton's method, from the guess in h. On return F and J belong to the solution h, and end [N][r] is h(1).
 * Returns the root mean square of the last correction divided by that of h, NaN if it failed. */
double mno_collocation_forward(const mno_forward_equation *equation, double *h, double *F, double *J, double *end);

/* Solves the backward equation b_i = b(1) + alpha sum_j (w_j - A_ij) (J_j^T b_j + extra_j). 0 if it failed. */
int mno_collocation_backward(const mno_collocation *method, size_t N, size_t r, double alpha, const double *b1, /* [N][r] */
                             const double *J, const double *extra, double *b);

#endif
