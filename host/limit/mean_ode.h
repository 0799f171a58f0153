/* SPDX-License-Identifier: BSD-3-Clause */
/* The Neural Mean ODE: choice of method and sizes, averages over randomisations, error estimates. */
#ifndef MNO_LIMIT_MEAN_ODE_H
#define MNO_LIMIT_MEAN_ODE_H

#include "meanode/limit.h"

mno_status mno_mean_ode_solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit,
                              mno_error *err);

#endif
