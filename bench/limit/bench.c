/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bench_problem bench_problem_make(size_t D, const char *activation, double alpha) {
  bench_problem made = {0};
  char text[1024], data[512];
  mno_error err = {0};
  if (D == 4 || D == 8)
    snprintf(data, sizeof data, "{kind: file, path: %s/mean_ode_D%zu.h5}", BENCH_REFERENCE, D);
  else
    snprintf(data, sizeof data, "{kind: gaussian, samples: 10, inputs: 5, targets: 5}");
  snprintf(text, sizeof text,
           "data: %s\nmodel: {D: %zu, activation: %s, alpha: %g}\ntraining: {steps: %d}\nsweep: {L: 1, M: 1}\n", data, D,
           activation, alpha, K);
  if (mno_sweep_parse(text, strlen(text), "bench", &made.sweep, &err) != MNO_OK ||
      mno_plan_build(made.sweep, MNO_F64, &made.plan, &err) != MNO_OK) {
    fprintf(stderr, "%s\n", err.message);
    exit(1);
  }
  made.problem = &made.plan->problem[0];
  return made;
}

void bench_problem_free(bench_problem *problem) {
  mno_plan_free(problem->plan);
  mno_sweep_free(problem->sweep);
}

mno_limit *bench_solve(const mno_problem *problem, mno_limit_options options) {
  mno_error err = {0};
  mno_limit *limit = NULL;
  if (options.threads == 0) options.threads = 1;
  clock_t start = clock();
  if (mno_limit_solve(problem, &options, &limit, &err) != MNO_OK) {
    fprintf(stderr, "%s\n", err.message);
    exit(1);
  }
  limit->seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
  return limit;
}

double bench_distance(const double *x, const double *y, size_t n) {
  double above = 0, below = 0;
  for (size_t e = 0; e < n; e++) {
    above += (x[e] - y[e]) * (x[e] - y[e]);
    below += y[e] * y[e];
  }
  return sqrt(above / below);
}

double bench_slope(const double *x, const double *y, size_t n, double *spread) {
  double mx = 0, my = 0, xx = 0, xy = 0, rest = 0;
  for (size_t i = 0; i < n; i++) {
    mx += log(x[i]) / (double)n;
    my += log(y[i]) / (double)n;
  }
  for (size_t i = 0; i < n; i++) {
    xx += (log(x[i]) - mx) * (log(x[i]) - mx);
    xy += (log(x[i]) - mx) * (log(y[i]) - my);
  }
  double slope = xy / xx;
  for (size_t i = 0; i < n; i++) {
    double d = log(y[i]) - my - slope * (log(x[i]) - mx);
    rest += d * d;
  }
  if (spread) *spread = n > 2 ? sqrt(rest / (double)(n - 2) / xx) : NAN;
  return slope;
}
