/* SPDX-License-Identifier: BSD-3-Clause */
/* Fluctuation between seeds. */
#ifndef MNO_STATS_FLUCTUATION_H
#define MNO_STATS_FLUCTUATION_H

#include "stats/cells.h"

/* Fills b, slope_fluctuation, slope_fluctuation_L, slope_fluctuation_M. */
mno_status mno_fit_fluctuation(const mno_cells *cells, mno_fit *fit, mno_error *err);

#endif
