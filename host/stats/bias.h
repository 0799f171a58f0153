/* SPDX-License-Identifier: BSD-3-Clause */
/* Depth and width bias: the deterministic part of the error. */
#ifndef MNO_STATS_BIAS_H
#define MNO_STATS_BIAS_H

#include "stats/cells.h"

/* Fills a, c, slope_bias, slope_bias_M, each by the estimator of least variance that the runs allow: regrouped pairs for a
 * and its exponents, the width jackknife for c, else averages over seeds (antithetic ones where there are) against the
 * limit. plain: the cells of the plain runs. */
mno_status mno_fit_bias(const mno_runs *runs, const mno_cells *plain, mno_fit *fit, mno_error *err);

#endif
