/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/memory.h"
#include "limit/average.h"
#include "limit/ensemble.h"
#include "limit/layers.h"
#include "meanode/limit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_PARTICLES = 64, PARTICLES = 1024, NODES = 8 };

/* States after the last layer, [K+1][N][r]. */
typedef struct ends {
  double *h1;
  size_t L, field;
} ends;

static int keep_end(void *context, size_t k, const double *h, const double *b) {
  const ends *to = context;
  memcpy(to->h1 + k * to->field, h + to->L * to->field, to->field * sizeof(double));
  return 1;
}

mno_status mno_limit_depth_bias(const mno_problem *problem, const mno_limit_options *options, size_t L, double *output,
                                double *embedding, mno_error *err) {
  size_t particles = LEAST_PARTICLES, wanted = options->particles > 0 ? (size_t)options->particles : PARTICLES,
         K = problem->K, f = problem->N * problem->d_out;
  while (particles < wanted) particles *= 2;
  mno_reduction reduction;
  mno_status status = mno_reduction_new(problem, 0, &reduction, err);
  if (status != MNO_OK) return status;
  size_t field = problem->N * reduction.r;
  mno_collocation method = {0};
  mno_trajectory limit = {0};
  mno_ensemble ensemble = {0};
  double *h1 = mno_alloc((K + 1) * field + 2 * f, sizeof(double));
  if (!h1) status = mno_fail_memory(err, ((K + 1) * field + 2 * f) * sizeof(double), "the Euler scheme");
  if (status == MNO_OK) status = mno_collocation_new(&method, options->nodes > 0 ? (size_t)options->nodes : NODES, err);
  if (status == MNO_OK) status = mno_trajectory_new(problem, reduction.r, method.m, &limit, err);
  method.stop = options->stop;
  mno_drawing drawing = {options, &reduction, 1, 0};
  mno_particle_request holds = {problem, method.m, 0, particles, MNO_F64, mno_limit_threads(options)};
  if (status == MNO_OK) status = mno_ensemble_drawn(&drawing, holds, &ensemble, err);
  mno_system system = mno_system_of(problem, &reduction, 1e-11, options->stop);
  system.method = &method;
  if (status == MNO_OK) status = mno_trajectory_particles(&system, &ensemble, NULL, &limit, err);
  mno_ensemble_free(&ensemble);
  /* a network of depth L with infinitely many units per layer, all layers starting from the same particles */
  ends to = {h1, L, field};
  holds.m = L;
  if (status == MNO_OK) status = mno_ensemble_drawn(&drawing, holds, &ensemble, err);
  if (status == MNO_OK) status = mno_layers_train(problem, &reduction, &ensemble, keep_end, &to, err);
  for (size_t k = 0; status == MNO_OK && k <= K; k++) {
    const double *x = h1 + k * field, *y = limit.h1 + k * field;
    double *fx = h1 + (K + 1) * field, of = 0, oh = 0;
    mno_reduction_output(problem, &reduction, x, fx, NULL);
    mno_reduction_output(problem, &reduction, y, fx + f, NULL);
    for (size_t e = 0; e < f; e++) of += (fx[e] - fx[f + e]) * (fx[e] - fx[f + e]);
    for (size_t e = 0; e < field; e++) oh += (x[e] - y[e]) * (x[e] - y[e]);
    if (output) output[k] = (double)L * sqrt(of / (double)f);
    if (embedding) embedding[k] = (double)L * sqrt(oh / (double)(problem->N * problem->D));
  }
  mno_ensemble_free(&ensemble);
  mno_trajectory_free(&limit);
  mno_collocation_free(&method);
  mno_reduction_free(&reduction);
  free(h1);
  return status;
}
