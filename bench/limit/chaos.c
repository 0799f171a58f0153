/* SPDX-License-Identifier: BSD-3-Clause */
/* Coupled units (propagation of chaos): how far units of trained networks are from the units of the limit that start from
 * the same draw, against L M, M = 1 included. D = 8. */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHAPES = 12, STEPS = 3 };

int bench_chaos(void) {
  static const size_t steps[STEPS] = {1, 5, 15};
  char text[1024];
  mno_error err = {0};
  mno_sweep *sweep;
  mno_plan *plan;
  snprintf(text, sizeof text,
           "data: {kind: file, path: %s/mean_ode_D8.h5}\nmodel: {D: 8}\ntraining: {steps: %d}\n"
           "sweep: {L: [16, 64, 256, 1024], M: [1, 4, 16], seeds: 16}\nrecord: {steps: [1, 5, 15], coupling: true}\n",
           BENCH_REFERENCE, K);
  if (mno_sweep_parse(text, strlen(text), "bench", &sweep, &err) != MNO_OK ||
      mno_plan_build(sweep, MNO_F64, &plan, &err) != MNO_OK) {
    fprintf(stderr, "%s\n", err.message);
    return 0;
  }
  const mno_problem *p = &plan->problem[0];
  mno_limit *limit = bench_solve(p, (mno_limit_options){.tolerance = 5e-4});
  double size[SHAPES], rms[STEPS][SHAPES], pair[STEPS][SHAPES], D = (double)p->D;
  size_t seeds = sweep->sweep.seed_count;
  printf(
      "Distance of units to their coupled units: RMS over units, seeds and the 2 D coordinates of (u, v) - coupled (u, v),\n"
      "times sqrt(L M / D); and of the pairs: mean inner product per coordinate of the deviations of distinct units, times "
      "L M / D\n\n"
      "| L | M | C_1 | C_5 | C_15 | pairs, 1 | 5 | 15 |\n|---|---|---|---|---|---|---|---|\n");
  for (size_t shape = 0; shape < SHAPES; shape++) {
    const mno_instance *first = &plan->instance[shape * seeds];
    double square[STEPS] = {0}, product[STEPS] = {0};
    for (size_t i = 0; i < seeds; i++) {
      mno_record *record;
      if (mno_record_new(plan, shape * seeds + i, &record, &err) != MNO_OK ||
          mno_diagnose(plan, limit, record, &err) != MNO_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 0;
      }
      for (int s = 0; s < STEPS; s++) {
        square[s] += record->coupling[s] * record->coupling[s] / (double)seeds;
        product[s] += record->decorrelation[s] / (double)seeds;
      }
      mno_record_free(record);
    }
    size[shape] = (double)first->L * (double)first->M;
    printf("| %d | %d |", (int)first->L, (int)first->M);
    for (int s = 0; s < STEPS; s++) {
      rms[s][shape] = sqrt(square[s]);
      pair[s][shape] = product[s];
      printf(" %.3f |", rms[s][shape] * sqrt(size[shape] / D));
    }
    for (int s = 0; s < STEPS; s++) printf(" %.4f |", pair[s][shape] * size[shape] / D);
    printf("\n");
    fflush(stdout);
  }
  printf("\n| slope in L M | k = 1 | k = 5 | k = 15 |\n|---|---|---|---|\n");
  for (int which = 0; which < 2; which++) {
    double x[SHAPES], y[STEPS][SHAPES];
    size_t count = 0;
    for (size_t shape = 0; shape < SHAPES; shape++) {
      const mno_instance *first = &plan->instance[shape * seeds];
      if (which ? first->M != 1 : first->L < 64) continue;
      x[count] = size[shape];
      for (int s = 0; s < STEPS; s++) y[s][count] = rms[s][shape];
      count++;
    }
    printf("| %s |", which ? "M = 1" : "L >= 64, all M");
    for (int s = 0; s < STEPS; s++) {
      double spread, slope = bench_slope(x, y[s], count, &spread);
      printf(" %.3f +- %.3f |", slope, spread);
    }
    printf("\n");
  }
  printf("\nsteps %zu, %zu, %zu\n", steps[0], steps[1], steps[2]);
  mno_limit_free(limit);
  mno_plan_free(plan);
  mno_sweep_free(sweep);
  return 1;
}
