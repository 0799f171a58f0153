/* SPDX-License-Identifier: BSD-3-Clause */
/* Small weighted least squares, as the linear map from data to coefficients: the map depends on the design only, so that
 * one solution serves every coordinate and every resampling. */
#ifndef MNO_STATS_LEAST_SQUARES_H
#define MNO_STATS_LEAST_SQUARES_H

#include <stdbool.h>
#include <stddef.h>

enum { MNO_LEAST_SQUARES_MAX = 6 };

/* map [p][rows] with coefficients = map y minimising sum_r weight_r (y_r - sum_j x_rj coefficient_j)^2.
 *   x [rows][p], weight [rows] > 0, p <= MNO_LEAST_SQUARES_MAX.
 * False if the columns are not independent (to 1e-6 after scaling). */
bool mno_least_squares(size_t rows, size_t p, const double *x, const double *weight, double *map);

#endif
