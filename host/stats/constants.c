/* SPDX-License-Identifier: BSD-3-Clause */
#include "meanode/fit.h"

#include "core/memory.h"
#include "stats/cells.h"
#include "stats/estimators.h"
#include "stats/interval.h"

#include <math.h>
#include <stdlib.h>

const char *mno_quantity_name(mno_quantity quantity) { return quantity == MNO_OUTPUT ? "output" : "embedding"; }

/* The largest of v [count] in absolute value; NaN if one of them is not finite. */
static double largest(const double *v, size_t count) {
  double most = 0;
  for (size_t x = 0; x < count; x++) {
    if (!isfinite(v[x])) return NAN;
    most = fmax(most, fabs(v[x]));
  }
  return most;
}

/* The estimators work with powers of the runs up to the eighth. Runs near the ends of double precision are brought to its
 * middle first: the exponent of the power of two by which, 0 for others. */
static int middle_exponent(const mno_runs *runs) {
  const double low = 1e-20, high = 1e30;
  double most = 0;
  for (size_t r = 0; r < runs->count; r++) most = fmax(most, largest(runs->value + r * runs->size, runs->size));
  if (most == 0 || (most >= low && most <= high)) return 0;
  int exponent;
  frexp(most, &exponent);
  return -exponent;
}

static double *scaled_copy(const double *v, size_t count, int exponent) {
  double *copy = mno_alloc(count + 1, sizeof *copy);
  for (size_t i = 0; copy && i < count; i++) copy[i] = ldexp(v[i], exponent);
  return copy;
}

static mno_status fit_scaled(const mno_runs *runs, mno_fit *fit, mno_error *err) {
  mno_cells *cells;
  mno_status status = mno_cells_new(runs, MNO_PAIRS_NONE, &cells, err);
  if (status != MNO_OK) return status;
  status = mno_fit_bias(runs, cells, fit, err);
  if (status == MNO_OK) status = mno_fit_fluctuation(cells, fit, err);
  if (status == MNO_OK && cells->unusable) {
    mno_estimate *all[] = {&fit->a, &fit->b, &fit->c};
    for (int i = 0; i < 3; i++)
      mno_estimate_warn(all[i], "%zu diverged run%s left out", cells->unusable, cells->unusable == 1 ? "" : "s");
  }
  mno_cells_free(cells);
  return status;
}

mno_status mno_fit_runs(const mno_runs *runs, mno_fit *fit, mno_error *err) {
  mno_fit clean = {.problem = fit->problem, .step = fit->step, .quantity = fit->quantity};
  *fit = clean;
  int exponent = middle_exponent(runs);
  mno_runs scaled = *runs;
  double *value = NULL, *limit = NULL;
  mno_status status = MNO_OK;
  if (exponent) {
    scaled.value = value = scaled_copy(runs->value, runs->count * runs->size, exponent);
    if (runs->limit) scaled.limit = limit = scaled_copy(runs->limit, runs->size, exponent);
    scaled.limit_deviation = ldexp(runs->limit_deviation, exponent);
    if (!value || (runs->limit && !limit))
      status = mno_fail_memory(err, runs->count * runs->size * sizeof *value, "the runs of the fit");
  }
  if (status == MNO_OK) status = fit_scaled(&scaled, fit, err);
  free(value);
  free(limit);
  mno_estimate *constant[] = {&fit->a, &fit->b, &fit->c};
  for (int i = 0; i < 3 && exponent; i++) {
    constant[i]->value = ldexp(constant[i]->value, -exponent);
    constant[i]->low = ldexp(constant[i]->low, -exponent);
    constant[i]->high = ldexp(constant[i]->high, -exponent);
  }
  mno_estimate *all[] = {&fit->a,
                         &fit->b,
                         &fit->c,
                         &fit->slope_fluctuation,
                         &fit->slope_fluctuation_L,
                         &fit->slope_fluctuation_M,
                         &fit->slope_bias,
                         &fit->slope_bias_M};
  for (size_t i = 0; i < sizeof all / sizeof *all && status == MNO_OK; i++) mno_estimate_settle(all[i]);
  return status;
}
