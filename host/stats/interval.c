/* SPDX-License-Identifier: BSD-3-Clause */
#include "stats/interval.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { BISECTIONS = 60 };

void mno_estimate_none(mno_estimate *estimate, const char *format, ...) {
  estimate->value = estimate->low = estimate->high = NAN;
  va_list args;
  va_start(args, format);
  vsnprintf(estimate->warning, sizeof estimate->warning, format, args);
  va_end(args);
}

void mno_estimate_warn(mno_estimate *estimate, const char *format, ...) {
  size_t used = strlen(estimate->warning);
  if (used && used + 2 < sizeof estimate->warning) used += (size_t)snprintf(estimate->warning + used, 3, "; ");
  va_list args;
  va_start(args, format);
  vsnprintf(estimate->warning + used, sizeof estimate->warning - used, format, args);
  va_end(args);
}

void mno_estimate_exact(mno_estimate *estimate, double value, const char *why) {
  estimate->value = value;
  estimate->low = estimate->high = NAN;
  mno_estimate_warn(estimate, "no statistical error: %s", why);
}

void mno_estimate_settle(mno_estimate *estimate) {
  const double rounding = 1e-10; /* of the value: far more than rounding makes, far less than scatter over seeds does */
  if (estimate->low <= estimate->value && estimate->value <= estimate->high && isfinite(estimate->low) &&
      isfinite(estimate->high)) {
    if (!(estimate->high - estimate->low > rounding * fabs(estimate->value)))
      mno_estimate_exact(estimate, estimate->value, "it is the same without any of the samples");
    return;
  }
  bool said = isnan(estimate->value) && estimate->warning[0];
  estimate->value = estimate->low = estimate->high = NAN;
  if (!said) mno_estimate_warn(estimate, "no finite interval: take more seeds, or leave out runs that are about to diverge");
}

void mno_jackknife_interval(double value, const double *leave_out, size_t count, double other_variance,
                            mno_estimate *estimate) {
  double mean = 0, sum = 0;
  for (size_t s = 0; s < count; s++) mean += leave_out[s] / (double)count;
  for (size_t s = 0; s < count; s++) sum += (leave_out[s] - mean) * (leave_out[s] - mean);
  double variance = sum * (double)(count - 1) / (double)count + other_variance;
  double half = gsl_cdf_tdist_Pinv(0.975, (double)(count - 1)) * sqrt(variance);
  estimate->value = value;
  estimate->low = value - half;
  estimate->high = value + half;
}

/* Quantile of |y|^2 when |mu|^2 = theta. direction: u' V u for the direction u of mu. */
static double square_quantile(double p, double theta, double direction, double trace, double trace2, double estimated,
                              double widen) {
  double variance = 4 * theta * direction + 2 * trace2 + estimated;
  double third = 24 * theta * direction * direction + 8 * trace2 * trace2 / trace;
  double skewness = third / (variance * sqrt(variance));
  double freedom = 8 / (skewness * skewness);
  /* Standardised chi-square quantile, Wilson & Hilferty (1931): to 0.1 standard deviations even at one degree of freedom. */
  double spread = 2 / (9 * freedom), root = fmax(1 - spread + gsl_cdf_ugaussian_Pinv(p) * sqrt(spread), 0);
  double z = (freedom * root * root * root - freedom) / sqrt(2 * freedom);
  return theta + trace + widen * sqrt(variance) * z;
}

void mno_norm_interval(const mno_norm_moments *m, mno_estimate *estimate) {
  double freedom = (double)m->seeds - 1, size = (double)m->size;
  double trace = m->trace + size * m->floor;
  double trace2 = m->trace2 + 2 * m->floor * m->trace + size * m->floor * m->floor;
  double estimated = 2 * m->trace2 / freedom; /* variance of the estimate of tr V */
  double excess = m->square - trace;
  double scale = 1 / sqrt(size);
  if (!isfinite(m->square) || !isfinite(trace2) || !isfinite(excess)) { /* squares overflow */
    estimate->value = estimate->low = estimate->high = NAN;
    return;
  }
  estimate->value = excess > 0 ? sqrt(excess) * scale : 0;
  if (!(trace > 0) || !(trace2 > 0)) { /* no noise at all: the same numbers for every seed */
    estimate->low = estimate->high = estimate->value;
    return;
  }
  double direction = (m->along + m->floor * m->square) / m->square;
  if (!(direction > 0)) direction = trace2 / trace;
  double widen = gsl_cdf_tdist_Pinv(0.975, freedom) / gsl_cdf_ugaussian_Pinv(0.975);

  /* Upper end: the largest theta whose lower quantile is still below what was seen. Less than noise alone gives in all but
   * 16% of cases tells nothing more of mu, but rather that V is not what the runs have (few of them far away, say): the
   * bound does not go below that of this quantile (power-constrained limits: Cowan, Cranmer, Gross, Vitells, arXiv
   * 1105.3166). */
  double seen = fmax(m->square, square_quantile(0.16, 0, direction, trace, trace2, estimated, widen));
  double top = fmax(excess, 0) + 1e3 * (sqrt(trace2) + widen * widen * direction);
  while (square_quantile(0.025, top, direction, trace, trace2, estimated, widen) < seen) top *= 2;
  double low = 0, high = top;
  for (int i = 0; i < BISECTIONS; i++) {
    double middle = (low + high) / 2;
    *(square_quantile(0.025, middle, direction, trace, trace2, estimated, widen) < seen ? &low : &high) = middle;
  }
  estimate->high = fmax(sqrt(high) * scale, estimate->value);

  /* Lower end: the smallest theta whose upper quantile reaches it. */
  low = 0;
  high = fmax(excess, 0);
  if (square_quantile(0.975, 0, direction, trace, trace2, estimated, widen) >= m->square) high = 0;
  for (int i = 0; i < BISECTIONS; i++) {
    double middle = (low + high) / 2;
    *(square_quantile(0.975, middle, direction, trace, trace2, estimated, widen) < m->square ? &low : &high) = middle;
  }
  estimate->low = fmin(sqrt(low) * scale, estimate->value);
}
