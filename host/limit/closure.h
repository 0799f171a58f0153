/* SPDX-License-Identifier: BSD-3-Clause */
/* The Mean ODE with the identity activation: a step is linear in a unit, so (u, v)^k = A_k(s) (u, v)^0 and the drift only
 * needs E[v u^T], the lower left block of A_k diag(sigma_u^2 D, sigma_v^2 D) A_k^T. No sampling. */
#ifndef MNO_LIMIT_CLOSURE_H
#define MNO_LIMIT_CLOSURE_H

#include "limit/trajectory.h"

/* A mno_run_trajectory (refine.h) without context. */
mno_status mno_trajectory_closure(void *context, const mno_system *system, mno_trajectory *trajectory, double *floor,
                                  mno_error *err);

#endif
