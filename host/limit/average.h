/* SPDX-License-Identifier: BSD-3-Clause */
/* From trajectories in reduced coordinates to a limit with errors. */
#ifndef MNO_LIMIT_AVERAGE_H
#define MNO_LIMIT_AVERAGE_H

#include "limit/trajectory.h"
#include "meanode/limit.h"

/* Relative RMS errors per step. */
typedef struct mno_step_errors {
  double *output, *embedding; /* [K+1] */
} mno_step_errors;

mno_status mno_step_errors_new(const mno_problem *problem, mno_step_errors *errors, mno_error *err);
void mno_step_errors_free(mno_step_errors *errors);

/* The limit as the mean over `count` trajectories on the same nodes; its errors are standard errors of that mean, zero when
 * count is 1. */
mno_status mno_average(const mno_problem *problem, const mno_reduction *reduction, const mno_collocation *method,
                       const mno_trajectory *trajectory, size_t count, mno_limit **limit, mno_error *err);

/* Differences of two trajectories, relative to the second. NaN from the step on where one of them failed. */
void mno_step_difference(const mno_problem *problem, const mno_reduction *reduction, const mno_trajectory *x,
                         const mno_trajectory *y, mno_step_errors *errors);

/* RMS of x - y / RMS of y, 0 if they are the same. */
double mno_relative_difference(const double *x, const double *y, size_t n);

/* Adds errors to those of a limit, in quadrature. */
void mno_add_errors(mno_limit *limit, const mno_step_errors *errors);

/* Largest finite entry, at least 0. */
double mno_largest(const double *x, size_t n);

/* Is the estimated error of every step at most the tolerance? */
int mno_within(const mno_limit *limit, double tolerance);

#endif
