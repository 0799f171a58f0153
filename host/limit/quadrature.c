/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/methods.h"

#include "core/memory.h"
#include "limit/average.h"
#include "limit/ensemble.h"
#include "limit/refine.h"
#include "limit/stop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double spacings[] = {1,      0.7,   0.5,  0.35,   0.25,  0.18,   0.125, 0.09,
                                  0.0625, 0.045, 0.03, 0.0225, 0.016, 0.0115, 0.008, 0};

typedef struct rule {
  const mno_problem *problem;
  double spacing, radius;
  double floor; /* error of the rule itself */
  int threads;
  const mno_engine *engine;
} rule;

/* Points of the grid (i + 1/2) h inside the ball; with an odd activation only those with u_1 > 0, which stand for their
 * mirror images. Writes them and their weights unless z is NULL; returns how many. */
static size_t points(const rule *rule, size_t r, double h, double *z /* [][2][r] */, double *weight) {
  const mno_problem *problem = rule->problem;
  size_t dimensions = 2 * r, count = 0;
  long half = (long)ceil(rule->radius / h), index[2 * MNO_QUADRATURE_LARGEST_R];
  int odd = mno_activation_is_odd(problem->activation);
  double total = 0,
         scale[2] = {problem->sigma[MNO_U] * sqrt((double)problem->D), problem->sigma[MNO_V] * sqrt((double)problem->D)};
  for (int fill = 0; fill <= (z != NULL); fill++) {
    count = 0;
    for (size_t d = 0; d < dimensions; d++) index[d] = -half;
    if (odd) index[0] = 0;
    for (size_t d = 0; d < dimensions;) {
      double x[2 * MNO_QUADRATURE_LARGEST_R], square = 0;
      for (size_t e = 0; e < dimensions; e++) {
        x[e] = ((double)index[e] + 0.5) * h;
        square += x[e] * x[e];
      }
      if (square <= rule->radius * rule->radius) {
        double density = exp(-square / 2);
        if (!fill) total += density;
        if (fill) {
          weight[count] = density / total;
          for (size_t e = 0; e < dimensions; e++) z[count * dimensions + e] = x[e] * scale[e >= r];
        }
        count++;
      }
      for (d = 0; d < dimensions && ++index[d] == half; d++) index[d] = d == 0 && odd ? 0 : -half;
    }
  }
  return count;
}

/* The same points at every node. */
static mno_status fill(const rule *rule, const mno_system *system, const mno_trajectory *t, double h, mno_ensemble *ensemble,
                       mno_error *err) {
  size_t count = points(rule, t->r, h, NULL, NULL);
  double *z = mno_alloc(count * (2 * t->r + 1), sizeof(double));
  if (!z) return mno_fail_memory(err, count * (2 * t->r + 1) * sizeof(double), "the points of the quadrature");
  double *weight = z + count * 2 * t->r;
  points(rule, t->r, h, z, weight);
  mno_particle_request holds = {system->problem, t->m, t->r, count, MNO_F64, rule->threads};
  mno_status status = mno_ensemble_new(rule->engine, holds, ensemble, err);
  for (size_t j = 0; status == MNO_OK && j < t->m; j++) {
    status = mno_ensemble_write(ensemble, j, z, err);
    if (status == MNO_OK) status = mno_interrupted(system->stop, err);
  }
  if (status == MNO_OK) status = mno_ensemble_weigh(ensemble, weight, err);
  free(z);
  return status;
}

static mno_status run(void *context, const mno_system *system, mno_trajectory *t, double *floor, mno_error *err) {
  const rule *rule = context;
  double h[2] = {rule->spacing, 1.6 * rule->spacing};
  mno_ensemble ensemble[2] = {{0}};
  mno_status status = MNO_OK;
  int two = rule->spacing < 0.6;
  for (int i = 0; i <= two && status == MNO_OK; i++) status = fill(rule, system, t, h[i], &ensemble[i], err);
  if (status == MNO_OK) status = mno_trajectory_particles(system, &ensemble[0], two ? &ensemble[1] : NULL, t, err);
  for (int i = 0; i < 2; i++) mno_ensemble_free(&ensemble[i]);
  *floor = rule->floor;
  return mno_trajectory_settle(system, t, status);
}

/* Two ensembles, the second with fewer points, and the points of the first as they are written. */
static double bytes(const void *context, const mno_system *system, size_t nodes) {
  const rule *rule = context;
  size_t r = system->reduction->r, count = points(rule, r, rule->spacing, NULL, NULL);
  if (rule->engine) return 0; /* a card's memory is its own */
  double ensemble = (double)mno_ensemble_bytes(NULL, (mno_particle_request){system->problem, nodes, r, count, MNO_F64, 1});
  return ensemble * (1 + pow(1.6, -2.0 * (double)r)) + (double)count * (2 * (double)r + 1) * sizeof(double);
}

mno_status mno_quadrature_solve(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                                mno_limit **limit, mno_error *err) {
  size_t r = reduction->r, budget;
  int places;
  char where[32];
  double start = mno_now(), tolerance = options->tolerance;
  *limit = NULL;
  mno_status status = mno_ensemble_budget(options, &budget, &places, err);
  if (status != MNO_OK) return status;
  rule rule = {.problem = problem,
               .engine = options->engine,
               .radius = sqrt(2 * log(1e3 / fmin(tolerance, 1e-2))), /* the mass outside is far below the tolerance */
               .threads = mno_limit_threads(options)};
  mno_system system = mno_system_of(problem, reduction, fmax(1e-2 * tolerance, 1e-11), options->stop);
  mno_collocation method;
  mno_step_errors errors;
  mno_trajectory last = {0};
  status = mno_collocation_new(&method, 4, err);
  if (status != MNO_OK) return status;
  status = mno_step_errors_new(problem, &errors, err);
  system.method = &method;
  int found = 0;
  double wanted = options->particles > 0 ? INFINITY : 0.3 * tolerance;
  for (size_t i = 0; status == MNO_OK && spacings[i] > 0; i++) {
    rule.spacing = spacings[i];
    /* the ball's volume over the cell's, before the points are counted one by one */
    double ball = (r == 1 ? M_PI : M_PI * M_PI / 2) * pow(rule.radius / rule.spacing, 2.0 * (double)r);
    if (mno_activation_is_odd(problem->activation)) ball /= 2;
    mno_particle_request holds = {problem, 8, r, (size_t)fmin(ball, (double)budget), MNO_F64, 1};
    if (ball > (double)budget || mno_ensemble_bytes(options->engine, holds) > budget) break;
    size_t count = holds.particles = points(&rule, r, rule.spacing, NULL, NULL);
    if (mno_ensemble_bytes(options->engine, holds) > budget ||
        (options->seconds > 0 && mno_now() - start > options->seconds / 4))
      break;
    mno_trajectory now;
    double unused;
    status = mno_trajectory_new(problem, r, 4, &now, err);
    if (status == MNO_OK) status = run(&rule, &system, &now, &unused, err);
    if (status != MNO_OK) {
      mno_trajectory_free(&now);
      break;
    }
    if (last.h) {
      mno_step_difference(problem, reduction, &last, &now, &errors);
      rule.floor = mno_largest(errors.output, problem->K + 1);
      found = !mno_stopped(options->stop) && rule.floor <= wanted && now.failed == last.failed &&
              (size_t)options->particles <= count;
    }
    mno_trajectory_free(&last);
    last = now;
    if (found || mno_stopped(options->stop)) break;
  }
  mno_trajectory_free(&last);
  mno_step_errors_free(&errors);
  mno_collocation_free(&method);
  if (status != MNO_OK || !found) return status;
  status = mno_refine(options, system, r, run, bytes, &rule, limit, err);
  if (status != MNO_OK) return status;
  mno_limit_describe(*limit, "quadrature",
                     "trapezoid rule, spacing %g, radius %.2f, particles %zu, nodes %zu, dimension %zu%s", rule.spacing,
                     rule.radius, points(&rule, r, rule.spacing, NULL, NULL), (*limit)->nodes, 2 * r,
                     mno_ensemble_where(options, where));
  return MNO_OK;
}
