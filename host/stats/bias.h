/* Depth and width bias: the deterministic part of the error. */
#ifndef MNO_STATS_BIAS_H
#define MNO_STATS_BIAS_H

#include "stats/cells.h"

/* Fills a, c, slope_bias, slope_bias_M. */
mno_status mno_fit_bias(const mno_cells *cells, const double *limit, double limit_deviation, mno_fit *fit, mno_error *err);

#endif
