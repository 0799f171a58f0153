/* SPDX-License-Identifier: BSD-3-Clause */
/* What fills the estimates of a fit. */
#ifndef MNO_STATS_ESTIMATORS_H
#define MNO_STATS_ESTIMATORS_H

#include "stats/cells.h"

/* Depth and width bias, the deterministic part of the error: fills a, c, slope_bias, slope_bias_M, each by the estimator of
 * least variance that the runs allow: regrouped pairs for a and its exponents, the width jackknife for c, else averages over
 * seeds (antithetic ones where there are) against the limit. plain: the cells of the plain runs. */
mno_status mno_fit_bias(const mno_runs *runs, const mno_cells *plain, mno_fit *fit, mno_error *err);

/* Fluctuation between seeds: fills b, slope_fluctuation, slope_fluctuation_L, slope_fluctuation_M. */
mno_status mno_fit_fluctuation(const mno_cells *cells, mno_fit *fit, mno_error *err);

/* The depth bias without seeds: replaces a and slope_bias of fit [count], all of one problem, by what networks with
 * infinitely many units per layer give (mno_limit_depth_bias). Errors: MNO_ERR_MEMORY and those of the limit. */
mno_status mno_fit_deterministic(const mno_problem *problem, mno_fit *fit, size_t count, mno_error *err);

#endif
