/* SPDX-License-Identifier: BSD-3-Clause */
/* E[f_{L,M}] - f_limit = A/L + C/(L M). */
#include "stats/estimators.h"

#include "stats/interval.h"
#include "stats/means.h"

#include <math.h>
#include <stdio.h>

/* [order - 1][in L, in M]: leading order only, and with the next. The law itself, with an exponent in L or in M on the depth
 * bias; the next order F/L^2 follows where the depths determine it: at L = 8 it is several per cent of A/L. */
static const mno_design law[2][2] = {{{2, {MNO_X_DEPTH, MNO_X_LM}}, {2, {MNO_X_WIDTH, MNO_X_LM}}},
                                     {{3, {MNO_X_DEPTH, MNO_X_LM, MNO_X_LL}}, {3, {MNO_X_WIDTH, MNO_X_LM, MNO_X_LL}}}};
/* The depth bias alone, which is what regrouped pairs see: A/L + F/L^2 + G/(L^2 M) at (L, M) minus the same at (L/2, 2 M) is
 * -A/L - 3 F/L^2 - G/(L^2 M). */
static const mno_design depth[2][2] = {{{1, {MNO_X_DEPTH}}, {1, {MNO_X_WIDTH}}},
                                       {{3, {MNO_X_DEPTH, MNO_X_LL, MNO_X_LLM}}, {3, {MNO_X_WIDTH, MNO_X_LL, MNO_X_LLM}}}};
/* The width bias alone, and with the next orders. */
static const mno_design width_1 = {1, {MNO_X_LM}}, width_3 = {3, {MNO_X_LM, MNO_X_LMLM, MNO_X_LML}};

static const char *const too_noisy = "the depth bias is on the noise floor: take more seeds";

static double largest(const double *v, size_t count) {
  double most = 0;
  for (size_t i = 0; i < count; i++) most = fmax(most, v[i]);
  return most;
}

static void set_method(mno_estimate *estimate, const char *method) {
  snprintf(estimate->method, sizeof estimate->method, "%s", method);
}

static void note_floor(mno_estimate *estimate) {
  if (estimate->low == 0 && estimate->high > 0) mno_estimate_warn(estimate, "on the noise floor");
}

/* Exponents of the depth bias in L and M, where the leading order alone shows that there is one. */
static void fit_exponents(mno_means *means, const mno_design designs[2][2], const char *method, mno_fit *fit) {
  const mno_cells *cells = means->cells;
  mno_estimate *slope[] = {&fit->slope_bias, &fit->slope_bias_M};
  size_t depths = mno_distinct(cells->L, cells->count), widths = mno_distinct(cells->M, cells->count);
  const mno_design *design[] = {&designs[depths >= 4 && widths >= 2][0], &designs[depths >= 3][1]};
  size_t have[] = {depths, widths}, need[] = {2, 3};
  const double low[] = {-3, -0.8}, high[] = {1, 0.8};
  mno_estimate leading = {0}; /* stays so where the shapes do not determine it */
  if (mno_means_solve(means, &designs[0][0], -1)) mno_means_norm(means, means->map, &leading);
  for (int i = 0; i < 2; i++) {
    if (have[i] < need[i])
      mno_estimate_none(slope[i], "needs at least %zu values of %s", need[i], i == 0 ? "L" : "M");
    else if (isnan(leading.value))
      mno_estimate_none(slope[i], "the depth bias is not finite");
    else if (!(leading.low > 0))
      mno_estimate_none(slope[i], "%s", too_noisy);
    else {
      slope[i]->warning[0] = 0;
      mno_means_power(means, design[i], low[i], high[i], slope[i]);
      set_method(slope[i], method);
    }
  }
}

static void all_none(mno_fit *fit, const char *why) {
  mno_estimate *all[] = {&fit->a, &fit->c, &fit->slope_bias, &fit->slope_bias_M};
  for (int i = 0; i < 4; i++) mno_estimate_none(all[i], "%s", why);
}

/* Why nothing can be said against the limit; NULL: it is known. */
static const char *unknown(const mno_runs *runs) {
  static const char *const why = "the limit is not known at this step";
  double norm = 0;
  for (size_t x = 0; x < runs->size; x++) norm = hypot(norm, runs->limit[x]);
  if (!isfinite(norm) || isinf(runs->limit_deviation)) return why;
  /* That far off, it is no reference for anything that is near it. */
  return norm > 0 && runs->limit_deviation >= norm / sqrt((double)runs->size)
             ? "the limit is not known at this step: its own error is as large as the limit"
             : NULL;
}

/* From averages over seeds against the limit. */
static mno_status fit_averages(const mno_runs *runs, const mno_cells *cells, const char *method, mno_fit *fit,
                               mno_error *err) {
  const char *why = mno_cells_lack(cells);
  if (!runs->limit)
    why = "needs a limit: add limit: {kind: mean-ode} to the configuration";
  else if (unknown(runs))
    why = unknown(runs);
  else if (!why && mno_distinct(cells->M, cells->count) < 2)
    why = "needs at least two values of M, to tell depth bias from width bias";
  if (why) {
    all_none(fit, why);
    return MNO_OK;
  }
  mno_means *means;
  double deviation = isnan(runs->limit_deviation) ? 0 : runs->limit_deviation;
  mno_status status = mno_means_new(cells, runs->limit, deviation, &means, err);
  if (status != MNO_OK) return status;
  bool second = mno_distinct(cells->L, cells->count) >= 3;
  if (!(second && mno_means_solve(means, &law[1][0], -1)) && !mno_means_solve(means, &law[0][0], -1)) {
    all_none(fit, "the shapes do not tell depth bias from width bias");
  } else {
    mno_means_norm(means, means->map, &fit->a);
    mno_means_norm(means, means->map + cells->count, &fit->c);
    set_method(&fit->a, method);
    set_method(&fit->c, method);
    double gap = (fit->a.low > 0 ? fit->a.value : fit->a.high) / largest(cells->L, cells->count);
    if (deviation > 0.1 * gap)
      mno_estimate_warn(&fit->a, "the limit's own error is %.3g%% of the depth bias at the largest L: lower its tolerance",
                        100 * deviation / gap);
    if (isnan(runs->limit_deviation)) {
      mno_estimate_warn(&fit->a, "without the limit's own error, which is not known");
      mno_estimate_warn(&fit->c, "without the limit's own error, which is not known");
    }
    note_floor(&fit->a);
    note_floor(&fit->c);
    fit_exponents(means, law, method, fit);
  }
  mno_means_free(means);
  return MNO_OK;
}

/* Depth bias from the same units as (L, M) and as (L/2, 2 M). A unit's place moves by O(1/L), so that the difference has a
 * standard deviation of order 1/(L sqrt(L M)): weights L^3 M. */
static mno_status fit_regrouped(const mno_cells *cells, mno_fit *fit, mno_error *err) {
  mno_means *means;
  mno_status status = mno_means_new(cells, NULL, 0, &means, err);
  if (status != MNO_OK) return status;
  for (size_t c = 0; c < cells->count; c++) means->weight[c] *= cells->L[c] * cells->L[c];
  bool second = mno_distinct(cells->L, cells->count) >= 3;
  if ((second && mno_means_solve(means, &depth[1][0], -1)) || mno_means_solve(means, &depth[0][0], -1)) {
    fit->a.warning[0] = 0;
    mno_means_norm(means, means->map, &fit->a);
    set_method(&fit->a, "regrouped pairs");
    note_floor(&fit->a);
    fit_exponents(means, depth, "regrouped pairs", fit);
  }
  mno_means_free(means);
  return MNO_OK;
}

/* Width bias from a network against the two halves of its layers. The difference's standard deviation goes like its mean, as
 * 1/(L M): equal weights for L M times the difference. */
static mno_status fit_jackknife(const mno_cells *cells, mno_fit *fit, mno_error *err) {
  mno_means *means;
  mno_status status = mno_means_new(cells, NULL, 0, &means, err);
  if (status != MNO_OK) return status;
  double *LM = means->along;
  for (size_t c = 0; c < cells->count; c++) {
    LM[c] = cells->L[c] * cells->M[c];
    means->weight[c] = LM[c] * LM[c] * (double)cells->n[c];
  }
  bool third = mno_distinct(LM, cells->count) >= 3 && mno_distinct(cells->L, cells->count) >= 3 && cells->count >= 6;
  if ((third && mno_means_solve(means, &width_3, 0)) || mno_means_solve(means, &width_1, 0)) {
    fit->c.warning[0] = 0;
    mno_means_norm(means, means->map, &fit->c);
    set_method(&fit->c, "width jackknife");
    note_floor(&fit->c);
  }
  mno_means_free(means);
  return MNO_OK;
}

mno_status mno_fit_bias(const mno_runs *runs, const mno_cells *plain, mno_fit *fit, mno_error *err) {
  static const mno_pairs kinds[] = {MNO_PAIRS_ANTITHETIC, MNO_PAIRS_REGROUP, MNO_PAIRS_JACKKNIFE};
  mno_cells *pair[3] = {NULL};
  mno_status status = MNO_OK;
  for (int i = 0; i < 3 && status == MNO_OK && runs->draw; i++) {
    status = mno_cells_new(runs, kinds[i], &pair[i], err);
    if (status == MNO_OK && mno_cells_lack(pair[i])) {
      mno_cells_free(pair[i]);
      pair[i] = NULL;
    }
  }
  bool antithetic = pair[0] && pair[0]->count == plain->count;
  if (status == MNO_OK)
    status =
        fit_averages(runs, antithetic ? pair[0] : plain, antithetic ? "antithetic averages" : "seed averages", fit, err);
  if (status == MNO_OK && pair[1]) status = fit_regrouped(pair[1], fit, err);
  if (status == MNO_OK && pair[2]) status = fit_jackknife(pair[2], fit, err);
  for (int i = 0; i < 3; i++) mno_cells_free(pair[i]);
  return status;
}
