/* SPDX-License-Identifier: BSD-3-Clause */
/* The Mean ODE by sampling where its equations are too steep to be solved. At small alpha units are of size eta/alpha, and
 * rho is a step to them: the law's drift may be as smooth as ever, that of finitely many particles is a staircase. Networks
 * with more and more layers and units get there all the same (layers.h): slower, and to fewer digits. */
#ifndef MNO_LIMIT_STEEP_H
#define MNO_LIMIT_STEEP_H

#include "limit/average.h"

/* Solutions with more and more layers and particles; *limit receives the last that was computed. Its errors are the
 * standard error over randomisations and the difference to the solution before, which has fewer of both. seconds: what may
 * be used, 0: no budget, and then ensembles are of moderate size. Errors: MNO_ERR_MEMORY, MNO_INTERRUPTED. */
mno_status mno_steep_solve(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                           double seconds, mno_limit **limit, mno_error *err);

#endif
