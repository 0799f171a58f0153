/* The Mean ODE by sampling where Newton's method finds no solution (picard.h): coarser, slower, and for more problems. */
#ifndef MNO_LIMIT_STEEP_H
#define MNO_LIMIT_STEEP_H

#include "limit/average.h"

/* Solutions with more and more depth nodes and particles; *limit receives the last that was computed. Its errors are the
 * standard error over randomisations and the difference to the solution before, which has fewer of both. seconds: what may
 * be used, 0: no budget, and then ensembles are of moderate size. Errors: MNO_ERR_MEMORY, MNO_INTERRUPTED. */
mno_status mno_steep_solve(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                           double seconds, mno_limit **limit, mno_error *err);

#endif
