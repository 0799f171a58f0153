/* SPDX-License-Identifier: BSD-3-Clause */
/* Error against time, before and after: the prototype's method, the library at the same sizes, the library choosing. Errors
 * are distances to a tight solution with independent points (bench_truth), relative RMS of the output. */
#include "bench.h"
#include "prototype.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t steps[] = {1, 5, 15};
enum { STEPS = 3, TRUTH_SEED = 77, RUN_SEED = 5 };

int bench_truth(size_t D, const char *path, int log2_particles, int randomisations) {
  bench_problem b = bench_problem_make(D, "tanh", 1);
  mno_limit *limit = bench_solve(b.problem, (mno_limit_options){.tolerance = 1e-5,
                                                                .method = MNO_METHOD_SOBOL,
                                                                .particles = (int64_t)1 << log2_particles,
                                                                .nodes = D == 2 ? 24 : 10,
                                                                .randomisations = randomisations,
                                                                .seed = TRUTH_SEED,
                                                                .threads = 2});
  FILE *file = fopen(path, "wb");
  size_t n = (K + 1) * limit->N * limit->d_out;
  int ok = file && fwrite(limit->output_error, sizeof(double), K + 1, file) == K + 1 &&
           fwrite(limit->output, sizeof(double), n, file) == n;
  if (file) ok = fclose(file) == 0 && ok;
  printf("D %zu: %s; claimed error %.1e %.1e %.1e at k = 1, 5, 15; %.0f s\n", D, limit->parameters, limit->output_error[1],
         limit->output_error[5], limit->output_error[15], limit->seconds);
  if (!ok) fprintf(stderr, "cannot write %s\n", path);
  mno_limit_free(limit);
  bench_problem_free(&b);
  return ok;
}

static void print_row(const char *who, size_t particles, double seconds, const double error[STEPS],
                      const double claimed[STEPS], const char *about) {
  printf("| %s | %zu | %.3f |", who, particles, seconds);
  for (int s = 0; s < STEPS; s++) {
    printf(" %.1e", error[s]);
    if (claimed) printf(" (%.1e)", claimed[s]);
    printf(" |");
  }
  printf(" %s |\n", about);
  fflush(stdout);
}

/* Where a falling curve of error against seconds crosses an error, by interpolation in logarithms; beyond the last point by
 * the slope of the last two. */
static double crossing(const double *seconds, const double *error, size_t n, double wanted) {
  size_t i = 1;
  while (i + 1 < n && error[i] > wanted) i++;
  double slope = log(seconds[i] / seconds[i - 1]) / log(error[i] / error[i - 1]);
  return seconds[i] * exp(slope * log(wanted / error[i]));
}

int bench_curve(size_t D, const char *path) {
  bench_problem b = bench_problem_make(D, "tanh", 1);
  const mno_problem *p = b.problem;
  size_t f = p->N * p->d_out, n = (K + 1) * f;
  double *truth = malloc(2 * n * sizeof(double)), *output = truth + n, truth_error[K + 1];
  FILE *file = fopen(path, "rb");
  if (!file || fread(truth_error, sizeof(double), K + 1, file) != K + 1 || fread(truth, sizeof(double), n, file) != n) {
    fprintf(stderr, "cannot read %s\n", path);
    return 0;
  }
  fclose(file);
  printf("\nD = %zu (tight solution: %.1e, %.1e, %.1e at k = 1, 5, 15)\n\n"
         "| | particles | seconds | k = 1 | k = 5 | k = 15 | |\n|---|---|---|---|---|---|---|\n",
         D, truth_error[1], truth_error[5], truth_error[15]);
  mno_limit *choice = bench_solve(p, (mno_limit_options){.tolerance = 1e-3, .method = MNO_METHOD_SOBOL});
  size_t nodes = choice->nodes, rows = 0;
  mno_limit_free(choice);

  double seconds[32], last[32];
  for (size_t particles = 1024; particles <= (D == 8 ? 524288 : 65536); particles *= D == 8 && particles > 65536 ? 2 : 4) {
    int trials = particles <= 16384 ? 4 : particles <= 65536 ? 2 : 1;
    double square[STEPS] = {0}, error[STEPS], spent = 0, evaluations = 0, evaluating = 0;
    for (int trial = 0; trial < trials; trial++) {
      prototype_cost cost;
      if (!prototype_solve(p, nodes, particles, RUN_SEED, (uint32_t)trial, 1e-6, output, &cost)) return 0;
      for (int s = 0; s < STEPS; s++)
        square[s] += pow(bench_distance(output + steps[s] * f, truth + steps[s] * f, f), 2) / trials;
      spent += cost.seconds / trials;
      evaluations += cost.evaluations / trials;
      evaluating += cost.seconds_evaluating / trials;
    }
    for (int s = 0; s < STEPS; s++) error[s] = sqrt(square[s]);
    char about[128];
    snprintf(about, sizeof about, "%zu nodes, %.1f evaluations per node and step, %.0f ns per particle, node and evaluation",
             nodes, evaluations, 1e9 * evaluating / ((double)(particles * nodes * (K + 1)) * evaluations));
    print_row("before, one randomisation", particles, spent, error, NULL, about);
    seconds[rows] = spent;
    last[rows++] = error[2];
  }
  double before = crossing(seconds, last, rows, 1e-4);
  rows = 0;
  for (size_t particles = 1024; particles <= 65536; particles *= 4) {
    mno_limit *limit = bench_solve(p, (mno_limit_options){.tolerance = 1e-4,
                                                          .method = MNO_METHOD_SOBOL,
                                                          .particles = (int64_t)particles,
                                                          .nodes = (int64_t)nodes,
                                                          .randomisations = 8,
                                                          .seed = RUN_SEED});
    double error[STEPS], claimed[STEPS];
    for (int s = 0; s < STEPS; s++) {
      error[s] = bench_distance(limit->output + steps[s] * f, truth + steps[s] * f, f);
      claimed[s] = limit->output_error[steps[s]];
    }
    print_row("after, 8 randomisations", particles, limit->seconds, error, claimed, limit->parameters);
    mno_limit_free(limit);
  }
  for (double tolerance = 1e-2; tolerance > 0.99e-4; tolerance /= sqrt(10)) {
    mno_limit *limit = bench_solve(p, (mno_limit_options){.tolerance = tolerance, .seed = RUN_SEED});
    double error[STEPS], claimed[STEPS];
    for (int s = 0; s < STEPS; s++) {
      error[s] = bench_distance(limit->output + steps[s] * f, truth + steps[s] * f, f);
      claimed[s] = limit->output_error[steps[s]];
    }
    char who[64], about[512];
    snprintf(who, sizeof who, "after, tolerance %.1e: %s", tolerance, limit->certified ? "certified" : "not certified");
    snprintf(about, sizeof about, "%s, %s", limit->method, limit->parameters);
    print_row(who, 0, limit->seconds, error, claimed, about);
    if (tolerance < 1.1e-4)
      printf("\nD = %zu: relative error 1e-4 at k = 15: before %.1f s without an error bar%s, after %.2f s with it (claimed "
             "%.1e, "
             "found %.1e): ratio %.1f\n",
             D, before, last[0] > 1e-4 && D != 8 ? " (extrapolated)" : "", limit->seconds, claimed[2], error[2],
             before / limit->seconds);
    mno_limit_free(limit);
  }
  free(truth);
  bench_problem_free(&b);
  return 1;
}
