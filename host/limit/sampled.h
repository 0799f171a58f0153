/* SPDX-License-Identifier: BSD-3-Clause */
/* The Mean ODE by sampling: scrambled Sobol particles, independent randomisations for the error, sizes chosen to meet the
 * tolerance. */
#ifndef MNO_LIMIT_SAMPLED_H
#define MNO_LIMIT_SAMPLED_H

#include "limit/average.h"

mno_status mno_sampled_solve(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                             mno_limit **limit, mno_error *err);

#endif
