/* SPDX-License-Identifier: BSD-3-Clause */
/* Means over seeds of cells, their noise, and what is linear in them. The cells of one seed may be correlated in any way: a
 * fixed combination of the cells' means is a mean over seeds of independent vectors. */
#ifndef MNO_STATS_MEANS_H
#define MNO_STATS_MEANS_H

#include "stats/cells.h"

#include <stdbool.h>

/* z_c = mean of cell c minus reference, e_cs = value of cell c at seed s minus mean of c. */
typedef struct mno_means {
  const mno_cells *cells;
  double deviation;      /* standard error of one number of the reference */
  double *weight;        /* [count] of the least squares; the caller may change them */
  double *zz;            /* [count][count] z_c . z_c' */
  double *ze;            /* [count][count][seeds] z_c . e_c's */
  double *ee;            /* [count][count][seeds] e_cs . e_c's */
  double *overlap;       /* [count][count] seeds in both cells */
  double *z;             /* [count][size] */
  double *residual;      /* [seeds][size] scratch */
  double *gram, *design; /* [count][count], [count][MNO_DESIGN_MAX] scratch */
  double *map, *along;   /* [MNO_DESIGN_MAX][count], [count] scratch; map is the last solution */
  double *leave_out;     /* [seeds] scratch */
} mno_means;

/* reference [size], or NULL for zero. The weights start as L M n, the inverse variance of a mean over units and seeds. */
mno_status mno_means_new(const mno_cells *cells, const double *reference, double deviation, mno_means **means,
                         mno_error *err);
void mno_means_free(mno_means *means);

/* Least squares: means->map [columns][count]. False if the cells do not determine the columns. */
bool mno_means_solve(mno_means *means, const mno_design *design, double power);

/* RMS of sum_c g_c z_c over the numbers, debiased, with its interval. g [count]. */
void mno_means_norm(mno_means *means, const double *g, mno_estimate *estimate);

/* The power that explains most of the z; the noise's share is subtracted, so that the optimum is consistent at any noise;
 * jackknife interval. No estimate if the optimum is at low or high. */
void mno_means_power(mno_means *means, const mno_design *design, double low, double high, mno_estimate *estimate);

#endif
