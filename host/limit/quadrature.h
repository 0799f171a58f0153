/* SPDX-License-Identifier: BSD-3-Clause */
/* The Mean ODE by tensor quadrature over the 2 r coordinates of a unit: the trapezoid rule on the normal density, whose
 * error falls exponentially in 1/spacing for analytic activations (and faster than Gauss-Hermite, whose outer nodes are
 * wasted), cut off at a radius. Worth it for r <= 2. */
#ifndef MNO_LIMIT_QUADRATURE_H
#define MNO_LIMIT_QUADRATURE_H

#include "limit/average.h"

enum { MNO_QUADRATURE_LARGEST_R = 2 };

/* For r <= MNO_QUADRATURE_LARGEST_R. *limit stays NULL if the tolerance is out of reach of memory or of a quarter of the
 * time budget. */
mno_status mno_quadrature_solve(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                                mno_limit **limit, mno_error *err);

#endif
