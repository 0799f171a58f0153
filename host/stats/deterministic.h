/* SPDX-License-Identifier: BSD-3-Clause */
/* The depth bias without seeds. */
#ifndef MNO_STATS_DETERMINISTIC_H
#define MNO_STATS_DETERMINISTIC_H

#include "meanode/fit.h"

/* Replaces a and slope_bias of fit [count], all of one problem, by what networks with infinitely many units per layer give
 * (mno_limit_depth_bias). Errors: MNO_ERR_MEMORY and those of the limit. */
mno_status mno_fit_deterministic(const mno_problem *problem, mno_fit *fit, size_t count, mno_error *err);

#endif
