/* SPDX-License-Identifier: BSD-3-Clause */
/* Standard deviation over seeds: variance_c = b^2/(L M) (1 + beta/(L M) + gamma/L), RMS over coordinates.
 *
 * The two corrections are the leading ones of a finite network; each is fitted when the shapes determine it, so that b is
 * the constant of large L M. Exponents come from log variance with the same corrections. Every estimate is a fixed linear
 * map of the cells' (log) variances, and its interval the jackknife over seeds. */
#include "stats/estimators.h"

#include "core/memory.h"
#include "stats/interval.h"
#include "stats/least_squares.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct spread {
  const mno_cells *cells;
  double *distance;  /* [count][seeds] |value - mean|^2 / size; 0 where missing */
  double *variance;  /* [count] */
  double *without;   /* [count] variance without one seed */
  double *design;    /* [count][MNO_LEAST_SQUARES_MAX] */
  double *weight;    /* [count] */
  double *map;       /* [MNO_LEAST_SQUARES_MAX][count] */
  double *leave_out; /* [seeds] */
} spread;

static mno_status spread_new(const mno_cells *cells, spread *p, mno_error *err) {
  size_t C = cells->count, S = cells->seeds, size = cells->size, most = MNO_LEAST_SQUARES_MAX;
  size_t count = C * S + 3 * C + 2 * C * most + S;
  *p = (spread){.cells = cells, .distance = mno_alloc(count, sizeof(double))};
  if (!p->distance) return mno_fail_memory(err, count * sizeof(double), "the fluctuation of the fit");
  p->variance = p->distance + C * S;
  p->without = p->variance + C;
  p->weight = p->without + C;
  p->design = p->weight + C;
  p->map = p->design + C * most;
  p->leave_out = p->map + C * most;
  for (size_t c = 0; c < C; c++) {
    double sum = 0;
    for (size_t s = 0; s < S; s++) {
      const double *value = cells->value[c * S + s], *mean = cells->mean + c * size;
      double square = 0;
      for (size_t x = 0; value && x < size; x++) square += (value[x] - mean[x]) * (value[x] - mean[x]);
      p->distance[c * S + s] = square / (double)size;
      sum += square / (double)size;
    }
    p->weight[c] = (double)cells->n[c] - 1;
    p->variance[c] = sum / p->weight[c];
  }
  return MNO_OK;
}

/* Variances of all cells without one seed. */
static void leave_seed(spread *p, size_t s) {
  const mno_cells *cells = p->cells;
  for (size_t c = 0; c < cells->count; c++) {
    double n = (double)cells->n[c];
    p->without[c] = p->variance[c];
    if (cells->value[c * cells->seeds + s])
      p->without[c] = (p->variance[c] * (n - 1) - p->distance[c * cells->seeds + s] * n / (n - 1)) / (n - 2);
  }
}

typedef double (*transform)(const mno_cells *cells, size_t c, double variance);

static double scaled_variance(const mno_cells *cells, size_t c, double variance) {
  return cells->L[c] * cells->M[c] * variance;
}
static double log_variance(const mno_cells *cells, size_t c, double variance) { return log(variance); }

static double apply(const spread *p, const double *row, const double *variance, transform f) {
  double sum = 0;
  for (size_t c = 0; c < p->cells->count; c++) sum += row[c] * f(p->cells, c, variance[c]);
  return sum;
}

static double identity(double x) { return x; }
static double half(double x) { return x / 2; }

/* final(row . f(variance)) with its jackknife interval. */
static void estimate_row(spread *p, const double *row, transform f, double (*final)(double), mno_estimate *estimate) {
  for (size_t s = 0; s < p->cells->seeds; s++) {
    leave_seed(p, s);
    p->leave_out[s] = final(apply(p, row, p->without, f));
  }
  mno_jackknife_interval(final(apply(p, row, p->variance, f)), p->leave_out, p->cells->seeds, 0, estimate);
}

/* Spread of v over the cells, as a ratio. */
static double range_ratio(const double *v, size_t count) {
  double low = INFINITY, high = 0;
  for (size_t i = 0; i < count; i++) low = fmin(low, v[i]), high = fmax(high, v[i]);
  return high / low;
}

static bool solve(spread *p, mno_design design) {
  mno_cells_design(p->cells, &design, 0, p->design);
  return p->cells->count >= design.columns &&
         mno_least_squares(p->cells->count, design.columns, p->design, p->weight, p->map);
}

static void fit_b(spread *p, bool has_LM, bool has_L, mno_estimate *b) {
  const mno_cells *cells = p->cells;
  mno_design design = {1, {MNO_X_ONE}};
  if (has_LM) design.column[design.columns++] = MNO_X_LM;
  if (has_L) design.column[design.columns++] = MNO_X_L;
  if (design.columns == 1 || !solve(p, design)) {
    double total = 0;
    for (size_t c = 0; c < cells->count; c++) total += p->weight[c];
    for (size_t c = 0; c < cells->count; c++) p->map[c] = p->weight[c] / total;
    mno_estimate_warn(b, "too few shapes to correct for finite L M");
  }
  estimate_row(p, p->map, scaled_variance, identity, b);
  if (!(b->low > 0) && b->value > 0) mno_estimate_warn(b, "hardly determined: take more seeds");
  b->value = b->value > 0 ? sqrt(b->value) : NAN;
  b->high = b->high > 0 ? sqrt(b->high) : NAN;
  b->low = b->low > 0 ? sqrt(b->low) : 0;
  if (isnan(b->value)) mno_estimate_none(b, "not determined: take more seeds or larger shapes");
}

/* Rounding apart: the mean of equal numbers is not always equal to them. */
static bool all_the_same(const mno_cells *cells, size_t c) {
  const double *first = NULL;
  for (size_t s = 0; s < cells->seeds; s++) {
    const double *value = cells->value[c * cells->seeds + s];
    if (!first) first = value;
    if (value && !mno_same_numbers(first, value, cells->size, 1)) return false;
  }
  return true;
}

mno_status mno_fit_fluctuation(const mno_cells *cells, mno_fit *fit, mno_error *err) {
  mno_estimate *all[] = {&fit->b, &fit->slope_fluctuation, &fit->slope_fluctuation_L, &fit->slope_fluctuation_M};
  size_t C = cells->count;
  const char *lack = mno_cells_lack(cells);
  if (lack) {
    for (int i = 0; i < 4; i++) mno_estimate_none(all[i], "%s", lack);
    return MNO_OK;
  }
  spread p;
  mno_status status = spread_new(cells, &p, err);
  if (status != MNO_OK) return status;
  const char *flat = NULL;
  for (size_t c = 0; c < C && !flat; c++) {
    if (all_the_same(cells, c))
      flat = "the seeds of a shape do not differ";
    else if (!(p.variance[c] > 0))
      flat = "the runs differ too much in size: some are about to diverge";
  }
  if (flat) {
    for (int i = 0; i < 4; i++) mno_estimate_none(all[i], "%s", flat);
    free(p.distance);
    return MNO_OK;
  }
  double *LM = p.without; /* borrowed until the first estimate overwrites it */
  for (size_t c = 0; c < C; c++) LM[c] = cells->L[c] * cells->M[c];
  size_t distinct_LM = mno_distinct(LM, C), distinct_L = mno_distinct(cells->L, C), distinct_M = mno_distinct(cells->M, C);
  bool has_LM = distinct_LM >= 3 && range_ratio(LM, C) >= 8, has_L = distinct_L >= 3 && range_ratio(cells->L, C) >= 4;
  fit_b(&p, has_LM, has_L, &fit->b);

  mno_design leading = {2, {MNO_X_ONE, MNO_X_LOG_LM}}, design = leading;
  if (distinct_LM >= 4 && has_LM) design.column[design.columns++] = MNO_X_LM;
  if (distinct_LM >= 4 && has_L) design.column[design.columns++] = MNO_X_L;
  if (distinct_LM < 2)
    mno_estimate_none(&fit->slope_fluctuation, "needs at least two values of L M");
  else if (solve(&p, design) || solve(&p, leading))
    estimate_row(&p, p.map + C, log_variance, half, &fit->slope_fluctuation);
  else
    mno_estimate_none(&fit->slope_fluctuation, "the shapes do not determine it");

  leading = design = (mno_design){3, {MNO_X_ONE, MNO_X_LOG_L, MNO_X_LOG_M}};
  if (has_LM && distinct_LM >= 4) design.column[design.columns++] = MNO_X_LM;
  if (distinct_L < 2 || distinct_M < 2 || !(solve(&p, design) || solve(&p, leading))) {
    mno_estimate_none(&fit->slope_fluctuation_L, "needs at least two values of L and of M, and four shapes");
    mno_estimate_none(&fit->slope_fluctuation_M, "needs at least two values of L and of M, and four shapes");
  } else {
    estimate_row(&p, p.map + C, log_variance, half, &fit->slope_fluctuation_L);
    estimate_row(&p, p.map + 2 * C, log_variance, half, &fit->slope_fluctuation_M);
  }
  free(p.distance);
  return MNO_OK;
}
