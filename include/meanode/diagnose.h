/* SPDX-License-Identifier: BSD-3-Clause */
/* Diagnostics of one finished instance against its limit: coupled units, paths in depth, features. */
#ifndef MEANODE_DIAGNOSE_H
#define MEANODE_DIAGNOSE_H

#include "meanode/limit.h"
#include "meanode/plan.h"
#include "meanode/record.h"
#include "meanode/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fills those of the arrays below that the plan asks for, at every recorded step, by training the instance again from its
 * draw in double precision (the reference implementation, one thread; safe to call from several). limit: the Mean ODE of the
 * problem, or NULL: then what compares with it stays NaN, as it does for limits without fields (largest).
 *
 * coupling: unit j of layer l starts from the same draw as in the network but moves with the fields of the limit, h at
 *   (l - 1)/L and b at l/L. RMS over units and coordinates of (u, v) - coupled (u, v). Propagation of chaos: O(1/L +
 *   sqrt(D)/sqrt(L M)).
 * decorrelation: coupled units are independent given the limit; mean over pairs of distinct units of the inner product of
 *   their deviations (u, v) - coupled (u, v), divided by 2 D. O(1/L^2 + D/(L M)).
 * path_forward, path_backward: h and b at depths g/(MNO_PATH_POINTS - 1), linear between layers. path_error_forward,
 *   path_error_backward: sup over layers of the RMS over samples and coordinates of h^l - h_{l/L} and b^l - b_{l/L}.
 * init_noise: RMS over samples and coordinates of alpha/(L M) sum_{l,j} v0 rho(<u0, h^{l-1}>/D), what the initial units
 * would add along the trained path. feature_update: RMS over units and samples of <u - u0, h^{l-1}>/D. parameter_movement:
 * RMS over units and coordinates of (u, v) - (u0, v0).
 *
 * Errors: MNO_ERR_MEMORY. */
mno_status mno_diagnose(const mno_plan *plan, const mno_limit *limit, mno_record *record, mno_error *err);

/* Bytes that it takes for an instance of the plan; 0 if the plan asks for none of these. */
size_t mno_diagnose_bytes(const mno_plan *plan, size_t row);

/* Fields of a limit at depth s in [0, 1]: h [N][D] and b [N][D] of one step, by the collocation polynomial; either may be
 * NULL. b(1) is the loss gradient at the limit's output. Errors: MNO_ERR_INPUT for a limit without fields. */
mno_status mno_limit_fields(const mno_problem *problem, const mno_limit *limit, size_t step, double s, double *h, double *b,
                            mno_error *err);

#ifdef __cplusplus
}
#endif
#endif
