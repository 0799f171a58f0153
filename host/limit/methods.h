/* SPDX-License-Identifier: BSD-3-Clause */
/* What solves a limit: its kinds, and the methods of the Mean ODE. A budget that ends a search is no error
 * (meanode/limit.h); all have the errors MNO_ERR_MEMORY and MNO_INTERRUPTED. */
#ifndef MNO_LIMIT_METHODS_H
#define MNO_LIMIT_METHODS_H

#include "block/solvers.h"
#include "limit/reduction.h"
#include "meanode/limit.h"

#include <stdbool.h>

/* Do the problem's block and optimiser both know this way (MNO_BY_...)? */
bool mno_limit_knows(const mno_problem *problem, unsigned solver);

/* Why a limit of this kind cannot be solved by this method (of the Mean ODE, MNO_METHOD_AUTO: any), in text[size]; NULL: it
 * can. */
const char *mno_limit_objection(const mno_problem *problem, mno_limit_kind kind, mno_limit_method method, char *text,
                                size_t size);

/* ---- Kinds */

/* The Neural Mean ODE: choice of method and sizes. Errors: MNO_ERR_INPUT for a method that does not apply. */
mno_status mno_mean_ode_solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit,
                              mno_error *err);

/* L, M, D -> infinity together: the Mean ODE at infinite D, of any unit block (joint.c says why). */
mno_status mno_joint_solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit, mno_error *err);

/* The Neural Tangent ODE: alpha -> infinity after L -> infinity. Units move by O(1/alpha), the drift is linear in their
 * motion: dh/ds = - sum_{k' < k, i} [eta_v k0(h, h') + eta_u sigma_v^2 k1(h, h') <h, h'>/D] b',   h' = h^{k'}_{s,i}, b' =
 * b^{k'}_{s,i}, with kernels at the covariances sigma_u^2 <h, h'>/D, and db/ds = - (derivative of the drift in h)^T b. No
 * sampling. */
mno_status mno_tangent_ode_solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit,
                                 mno_error *err);

/* ---- Methods of the Mean ODE */

/* The identity activation: a step is linear in a unit, so (u, v)^k = A_k(s) (u, v)^0 and the drift only needs E[v u^T], the
 * lower left block of A_k diag(sigma_u^2 D, sigma_v^2 D) A_k^T. No sampling. */
mno_status mno_closure_solve(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                             mno_limit **limit, mno_error *err);

/* Tensor quadrature over the 2 r coordinates of a unit: the trapezoid rule on the normal density, whose error falls
 * exponentially in 1/spacing for analytic activations (and faster than Gauss-Hermite, whose outer nodes are wasted), cut off
 * at a radius. Worth it for r <= 2, and not there for more. *limit stays NULL if the tolerance is out of reach of memory or
 * of a quarter of the time budget. */
enum { MNO_QUADRATURE_LARGEST_R = 2 };
mno_status mno_quadrature_solve(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                                mno_limit **limit, mno_error *err);

/* Sampling: scrambled Sobol particles, independent randomisations for the error, sizes chosen to meet the tolerance. */
mno_status mno_sampled_solve(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                             mno_limit **limit, mno_error *err);

/* Sampling where the equations are too steep to be solved. At small alpha units are of size eta/alpha, and rho is a step to
 * them: the law's drift may be as smooth as ever, that of finitely many particles is a staircase. Networks with more and
 * more layers and units get there all the same (layers.h): slower, and to fewer digits. *limit receives the last that was
 * computed; its errors are the standard error over randomisations and the difference to the solution before, which has fewer
 * of both. seconds: what may be used, 0: no budget, and then ensembles are of moderate size. */
mno_status mno_steep_solve(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                           double seconds, mno_limit **limit, mno_error *err);

#endif
