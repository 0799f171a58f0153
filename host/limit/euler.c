#include "core/memory.h"
#include "limit/average.h"
#include "limit/ensemble.h"
#include "limit/stop.h"
#include "meanode/limit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_PARTICLES = 64, PARTICLES = 1024, NODES = 8 };

/* A network of depth L with infinitely many units per layer, all layers starting from the same particles. */
typedef struct euler {
  const mno_problem *problem;
  const mno_reduction *reduction;
  mno_ensemble ensemble; /* a node per layer */
  size_t L, field;
  double *h, *b;  /* [L+1][N][r] */
  double *drift;  /* [N][r] */
  double *unused; /* [N][r] */
} euler;

/* The drift of one layer at h, or its adjoint drift at h and b. */
static void evaluate(euler *e, size_t l, const double *h, const double *b, double *F, double *G) {
  mno_particle_pass pass = {.first = l, .count = 1, .h = h, .b = b, .F = F, .G = G};
  mno_ensemble_pass_nodes(&e->ensemble, &pass);
}

/* Trains K steps; h1 [K+1][N][r] receives the states after the last layer. 0: stopped. */
static int train(euler *e, double *h1) {
  const mno_problem *problem = e->problem;
  double step = problem->alpha / (double)e->L, *output = mno_alloc(problem->N * problem->d_out, sizeof(double));
  int running = output != NULL;
  memcpy(e->h, e->reduction->h0, e->field * sizeof(double));
  for (size_t k = 0; running && k <= problem->K; k++) {
    for (size_t l = 0; l < e->L; l++) {
      const double *h = e->h + l * e->field;
      evaluate(e, l, h, NULL, e->drift, NULL);
      for (size_t i = 0; i < e->field; i++) e->h[(l + 1) * e->field + i] = h[i] + step * e->drift[i];
    }
    memcpy(h1 + k * e->field, e->h + e->L * e->field, e->field * sizeof(double));
    mno_reduction_output(problem, e->reduction, e->h + e->L * e->field, output, e->b + e->L * e->field);
    for (size_t l = e->L; l-- > 0;) {
      const double *b = e->b + (l + 1) * e->field;
      evaluate(e, l, e->h + l * e->field, b, e->unused, e->drift);
      for (size_t i = 0; i < e->field; i++) e->b[l * e->field + i] = b[i] + step * e->drift[i];
    }
    /* layer l is driven by h below it and b above it */
    mno_ensemble_pass(&e->ensemble, e->h, e->b + e->field, NULL, NULL, NULL, NULL, NULL);
    running = !mno_stopped(e->ensemble.stop);
  }
  free(output);
  return running;
}

static mno_status train_euler(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                              size_t particles, size_t L, double *h1, mno_error *err) {
  size_t field = problem->N * reduction->r, count = 2 * (L + 1) * field + 2 * field;
  euler e = {.problem = problem, .reduction = reduction, .L = L, .field = field};
  e.h = mno_alloc(count, sizeof(double));
  if (!e.h) return mno_fail_memory(err, count * sizeof(double), "the Euler scheme");
  e.b = e.h + (L + 1) * field;
  e.drift = e.b + (L + 1) * field;
  e.unused = e.drift + field;
  mno_status status = mno_ensemble_new(options->engine, problem, reduction->r, L, particles, MNO_F64,
                                       options->threads > 0 ? options->threads : mno_core_count(), &e.ensemble, err);
  e.ensemble.stop = options->stop;
  if (status == MNO_OK) status = mno_ensemble_draw(&e.ensemble, reduction, 1, options->seed, 0, err);
  if (status == MNO_OK && !train(&e, h1)) status = mno_fail(err, MNO_INTERRUPTED, "interrupted");
  if (status == MNO_OK) status = mno_ensemble_check(&e.ensemble, err);
  mno_ensemble_free(&e.ensemble);
  free(e.h);
  return status;
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
  if (status == MNO_OK)
    status = mno_ensemble_new(options->engine, problem, reduction.r, method.m, particles, MNO_F64,
                              options->threads > 0 ? options->threads : mno_core_count(), &ensemble, err);
  ensemble.stop = method.stop = options->stop;
  if (status == MNO_OK) status = mno_ensemble_draw(&ensemble, &reduction, 1, options->seed, 0, err);
  mno_system system = mno_system_of(problem, &reduction, 1e-11, options->stop);
  system.method = &method;
  if (status == MNO_OK) status = mno_trajectory_particles(&system, &ensemble, NULL, &limit, err);
  if (status == MNO_OK) status = train_euler(problem, options, &reduction, particles, L, h1, err);
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
