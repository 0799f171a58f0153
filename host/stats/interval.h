/* SPDX-License-Identifier: BSD-3-Clause */
/* 95% intervals. */
#ifndef MNO_STATS_INTERVAL_H
#define MNO_STATS_INTERVAL_H

#include "meanode/fit.h"

#include <stddef.h>

/* No estimate, and why. */
void mno_estimate_none(mno_estimate *estimate, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds a sentence to the warning. */
void mno_estimate_warn(mno_estimate *estimate, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A value without statistical error, and why. */
void mno_estimate_exact(mno_estimate *estimate, double value, const char *why);

/* An estimate is whole: finite with value in [low, high]; exact where no more than rounding is between these; or none with
 * the reason. What is neither becomes none. */
void mno_estimate_settle(mno_estimate *estimate);

/* value +- t_{count-1} x standard error, the variance being the delete-one jackknife's plus other_variance.
 *   leave_out [count]: the estimate without each seed in turn. NaN estimate if any is NaN. */
void mno_jackknife_interval(double value, const double *leave_out, size_t count, double other_variance,
                            mno_estimate *estimate);

/* What is known of y ~ normal(mu, V), V = S/seeds estimated from that many seeds. */
typedef struct mno_norm_moments {
  double square; /* |y|^2 */
  double trace;  /* estimate of tr V */
  double trace2; /* estimate of tr V^2 */
  double along;  /* y' V y */
  size_t seeds;  /* V has seeds - 1 degrees of freedom */
  size_t size;   /* numbers in y */
  double floor;  /* variance of every number from another source (the limit), known and isotropic */
} mno_norm_moments;

/* RMS of mu over its numbers: square root of (|y|^2 - tr V)/size, with an interval by inverting the test on |y|^2 whose
 * law, a sum of noncentral chi-squares, is matched in three cumulants by a shifted gamma law (Pearson 1959). The lower end
 * is 0 when |y|^2 is compatible with noise alone. */
void mno_norm_interval(const mno_norm_moments *moments, mno_estimate *estimate);

#endif
