/* SPDX-License-Identifier: BSD-3-Clause */
/* The literature's habit as a limit: the average of the sweep's own largest networks. */
#ifndef MNO_RUN_LARGEST_H
#define MNO_RUN_LARGEST_H

#include "meanode/result.h"
#include "meanode/run.h"

/* The largest plain networks of a problem: L M decides, then L. */
typedef struct mno_largest {
  int64_t L, M;
} mno_largest;

mno_largest mno_largest_of_plan(const mno_plan *plan, size_t problem);
mno_largest mno_largest_of_result(const mno_result *result, size_t problem);

/* Trains the largest plain networks of a problem over all seeds of the plan at every step, on this process's
 * own backend, and averages them. Networks that diverged are left out; if all did, the limit is not finite from the first
 * step at which one of them is not. Their rows are trained again in the run itself, so that neither depends on the other. */
mno_status mno_run_largest(const mno_plan *plan, size_t problem, const mno_run_options *options, mno_limit **limit,
                           mno_error *err);

#endif
