/* SPDX-License-Identifier: BSD-3-Clause */
/* bias(L) = a/L (1 + F/L + G/L^2 + ...) of networks with infinitely many units per layer, at a few depths, on the same
 * particles as the limit: the particles' error is common to all depths and varies between randomisations. */
#include "stats/estimators.h"

#include "core/memory.h"
#include "meanode/limit.h"
#include "stats/interval.h"
#include "stats/least_squares.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARTICLES = 2048, NODES = 10, RANDOMISATIONS = 8, DEPTHS = 4 };
static const size_t depths[DEPTHS] = {16, 32, 64, 128};

/* y at L -> infinity (exponent 0), or the exponent of y in L (exponent 1), from y at all depths; order counts corrections.
 */
static double extrapolate(const double y[DEPTHS], int exponent, size_t order) {
  double design[DEPTHS * 4], map[4 * DEPTHS], sum = 0, weight[DEPTHS];
  size_t columns = 1 + (size_t)exponent + order;
  for (size_t i = 0; i < DEPTHS; i++) {
    double *x = design + i * columns, L = (double)depths[i];
    x[0] = 1;
    if (exponent) x[1] = log(L);
    for (size_t j = 0; j < order; j++) x[columns - order + j] = pow(L, -1.0 - (double)j);
    weight[i] = 1;
  }
  if (!mno_least_squares(DEPTHS, columns, design, weight, map)) return NAN;
  for (size_t i = 0; i < DEPTHS; i++) sum += map[(size_t)exponent * DEPTHS + i] * y[i];
  return sum;
}

/* Mean over randomisations with Student's interval, widened by what one order of corrections less would change. */
static void estimate(const double value[RANDOMISATIONS], const double coarser[RANDOMISATIONS], mno_estimate *out) {
  double mean = 0, square = 0, change = 0;
  for (int r = 0; r < RANDOMISATIONS; r++) mean += value[r] / RANDOMISATIONS;
  for (int r = 0; r < RANDOMISATIONS; r++) {
    square += (value[r] - mean) * (value[r] - mean);
    change += (value[r] - coarser[r]) / RANDOMISATIONS;
  }
  double error = sqrt(square / (RANDOMISATIONS - 1) / RANDOMISATIONS);
  double half = gsl_cdf_tdist_Pinv(0.975, RANDOMISATIONS - 1) * error + fabs(change);
  *out = (mno_estimate){.value = mean, .low = mean - half, .high = mean + half};
  snprintf(out->method, sizeof out->method, "infinite width, no seeds");
}

static bool is_finite(const mno_estimate *e) { return isfinite(e->value) && isfinite(e->low) && isfinite(e->high); }

mno_status mno_fit_deterministic(const mno_problem *problem, mno_fit *fit, size_t count, mno_error *err) {
  size_t K = problem->K, of_depth = MNO_QUANTITIES * (K + 1);
  double *bias = mno_alloc(RANDOMISATIONS * DEPTHS * of_depth, sizeof *bias); /* [randomisation][depth][quantity][K+1] */
  if (!bias) return mno_fail_memory(err, RANDOMISATIONS * DEPTHS * of_depth * sizeof *bias, "the depth bias");
  mno_status status = MNO_OK;
  for (size_t r = 0; r < RANDOMISATIONS; r++)
    for (size_t i = 0; i < DEPTHS && status == MNO_OK; i++) {
      mno_limit_options options = {.particles = PARTICLES, .nodes = NODES, .seed = r};
      double *at = bias + (r * DEPTHS + i) * of_depth;
      status = mno_limit_depth_bias(problem, &options, depths[i], at, at + K + 1, err);
    }
  for (size_t f = 0; f < count && status == MNO_OK; f++) {
    double a[2][RANDOMISATIONS], slope[2][RANDOMISATIONS];
    size_t k = (size_t)fit[f].step + (fit[f].quantity == MNO_EMBEDDING ? K + 1 : 0);
    for (size_t r = 0; r < RANDOMISATIONS; r++) {
      double scaled[DEPTHS], logarithm[DEPTHS];
      for (size_t i = 0; i < DEPTHS; i++) {
        scaled[i] = bias[(r * DEPTHS + i) * of_depth + k];
        logarithm[i] = log(scaled[i] / (double)depths[i]);
      }
      for (size_t less = 0; less < 2; less++) {
        a[less][r] = extrapolate(scaled, 0, 2 - less);
        slope[less][r] = extrapolate(logarithm, 1, 1 - less);
      }
    }
    estimate(a[0], a[1], &fit[f].a);
    estimate(slope[0], slope[1], &fit[f].slope_bias);
    if (fit[f].step == 0) { /* infinitely many centred units change nothing: only rounding is left */
      mno_estimate_exact(&fit[f].a, 0, "infinitely many units have no depth bias at initialisation");
      mno_estimate_none(&fit[f].slope_bias, "there is no depth bias at initialisation");
    } else if (!is_finite(&fit[f].a))
      mno_estimate_none(&fit[f].a, "networks of infinite width are not finite at this step");
    else
      mno_estimate_settle(&fit[f].a);
    if (!is_finite(&fit[f].slope_bias) && !fit[f].slope_bias.warning[0])
      mno_estimate_none(&fit[f].slope_bias, "%s",
                        is_finite(&fit[f].a) ? "networks of infinite width have no depth bias at this step"
                                             : fit[f].a.warning);
  }
  free(bias);
  return status;
}
