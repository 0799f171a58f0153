/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of the limit benchmark share: its problems, solving on one core, comparing outputs. */
#ifndef BENCH_LIMIT_BENCH_H
#define BENCH_LIMIT_BENCH_H

#include "meanode/meanode.h"

enum { K = 15 };

/* A problem and the plan that owns it. N = 10, d_in = d_out = 5, K = 15, squared loss, all constants 1 but alpha. D = 4 and
 * 8 with the data of tests/data/reference, so that its solutions apply; the others drawn. */
typedef struct bench_problem {
  mno_sweep *sweep;
  mno_plan *plan;
  const mno_problem *problem;
} bench_problem;

bench_problem bench_problem_make(size_t D, const char *activation, double alpha);
void bench_problem_free(bench_problem *problem);

/* One thread; seconds of the limit are processor time, so that others on the machine disturb less. Ends the program on
 * failure. */
mno_limit *bench_solve(const mno_problem *problem, mno_limit_options options);

/* RMS of x - y over RMS of y, n numbers. */
double bench_distance(const double *x, const double *y, size_t n);

/* Least-squares slope of log y against log x; *spread receives its standard error. */
double bench_slope(const double *x, const double *y, size_t n, double *spread);

/* The tables, one file each. */
int bench_truth(size_t D, const char *path, int log2_particles, int randomisations); /* a tight solution, for curve */
int bench_curve(size_t D, const char *path);
int bench_orders(void);
int bench_lazy(void);
int bench_chaos(void);
int bench_methods(void);

#endif
