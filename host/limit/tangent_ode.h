/* SPDX-License-Identifier: BSD-3-Clause */
/* The Neural Tangent ODE: alpha -> infinity after L -> infinity. Units move by O(1/alpha), the drift is linear in their
 * motion: dh/ds = - sum_{k' < k, i} [eta_v k0(h, h') + eta_u sigma_v^2 k1(h, h') <h, h'>/D] b',   h' = h^{k'}_{s,i}, b' =
 * b^{k'}_{s,i}, with kernels at the covariances sigma_u^2 <h, h'>/D, and db/ds = - (derivative of the drift in h)^T b. No
 * sampling. */
#ifndef MNO_LIMIT_TANGENT_ODE_H
#define MNO_LIMIT_TANGENT_ODE_H

#include "meanode/limit.h"

mno_status mno_tangent_ode_solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit,
                                 mno_error *err);

#endif
