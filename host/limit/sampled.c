#include "limit/sampled.h"

#include "core/memory.h"
#include "limit/ensemble.h"
#include "limit/parallel.h"
#include "limit/refine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  PILOT_PARTICLES = 512,
  FIRST_PARTICLES = 1024,
  LEAST_PARTICLES = 64,
  LEAST_COARSE = 256,
  RANDOMISATIONS = 8,
  LARGEST_GROWTH = 64
};
static const double single_precision_tolerance = 2e-5; /* rounding of single precision stays well below this */
static const double solver_share = 0.01;               /* of the tolerance, for the collocation equations */
static const double depth_share = 0.3;                 /* of the tolerance, for the depth scheme */
static const double slope = 0.6;                       /* error ~ particles^-slope, assumed when choosing sizes */

/* One discretisation: randomisations of an ensemble on the same nodes. */
typedef struct design {
  size_t nodes, particles, randomisations;
  mno_precision precision;
  double tolerance;
} design;

typedef struct solution {
  const mno_problem *problem;
  const mno_limit_options *options;
  const mno_reduction *reduction;
  design design;
  mno_collocation method;
  mno_trajectory *trajectory; /* [randomisations] */
  mno_status *status;         /* [randomisations] */
  mno_error *error;           /* [randomisations] */
  double seconds;
} solution;

static void solution_free(solution *s) {
  for (size_t i = 0; s->trajectory && i < s->design.randomisations; i++) mno_trajectory_free(&s->trajectory[i]);
  free(s->trajectory);
  free(s->status);
  free(s->error);
  mno_collocation_free(&s->method);
  s->trajectory = NULL;
  s->status = NULL;
  s->error = NULL;
}

static size_t coarse_particles(size_t r, size_t particles) {
  size_t wanted = particles / (r < 8 ? 32 : 4 * r), coarse = LEAST_COARSE;
  while (2 * coarse <= wanted) coarse *= 2;
  return coarse;
}

static size_t bytes_per_worker(const mno_problem *problem, const mno_engine *engine, size_t r, const design *d) {
  size_t fields = (problem->K + 1) * d->nodes * problem->N * r * 2 * sizeof(double);
  return mno_ensemble_bytes(engine, problem, r, d->nodes, d->particles, d->precision) +
         mno_ensemble_bytes(engine, problem, r, d->nodes, coarse_particles(r, d->particles), MNO_F64) + fields;
}

static void randomise(void *context, size_t index, int worker) {
  (void)worker;
  solution *s = context;
  const design *d = &s->design;
  mno_error *err = &s->error[index];
  mno_ensemble fine = {0}, coarse = {0};
  const mno_engine *engine = s->options->engine;
  size_t r = s->reduction->r, small = coarse_particles(r, d->particles);
  int two = d->particles >= 4 * small;
  mno_status status = mno_ensemble_new(engine, s->problem, r, d->nodes, d->particles, d->precision, 1, &fine, err);
  if (status == MNO_OK) status = mno_ensemble_draw(&fine, s->reduction, 0, s->options->seed, (uint32_t)index, err);
  if (status == MNO_OK && two) status = mno_ensemble_new(engine, s->problem, r, d->nodes, small, MNO_F64, 1, &coarse, err);
  if (status == MNO_OK && two) status = mno_ensemble_draw(&coarse, s->reduction, 0, s->options->seed, (uint32_t)index, err);
  mno_system system = mno_system_of(s->problem, s->reduction, d->tolerance, s->options->stop);
  system.method = &s->method;
  if (status == MNO_OK) status = mno_trajectory_particles(&system, &fine, two ? &coarse : NULL, &s->trajectory[index], err);
  mno_ensemble_free(&fine);
  mno_ensemble_free(&coarse);
  s->status[index] = status;
}

static mno_status compute(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                          design d, solution *s, mno_error *err) {
  double start = mno_now();
  *s = (solution){.problem = problem, .options = options, .reduction = reduction, .design = d};
  s->trajectory = mno_alloc(d.randomisations, sizeof *s->trajectory);
  s->status = mno_alloc(d.randomisations, sizeof *s->status);
  s->error = mno_alloc(d.randomisations, sizeof *s->error);
  mno_status status = mno_collocation_new(&s->method, d.nodes, err);
  if (status == MNO_OK && (!s->trajectory || !s->status || !s->error))
    status = mno_fail_memory(err, d.randomisations * sizeof(mno_error), "the randomisations");
  for (size_t i = 0; status == MNO_OK && i < d.randomisations; i++)
    status = mno_trajectory_new(problem, reduction->r, d.nodes, &s->trajectory[i], err);
  size_t memory;
  int places;
  if (status == MNO_OK) status = mno_ensemble_budget(options, &memory, &places, err);
  if (status == MNO_OK) {
    size_t workers = (size_t)places * (memory / (bytes_per_worker(problem, options->engine, reduction->r, &d) + 1));
    int threads = options->threads > 0 ? options->threads : mno_core_count();
    if ((size_t)threads > workers) threads = workers > 0 ? (int)workers : 1;
    mno_parallel(threads, d.randomisations, randomise, s);
    for (size_t i = 0; status == MNO_OK && i < d.randomisations; i++)
      if (s->status[i] != MNO_OK) {
        status = s->status[i];
        if (err) *err = s->error[i];
      }
  }
  s->seconds = mno_now() - start;
  if (status != MNO_OK) solution_free(s);
  return status;
}

static size_t power_of_two(double x) {
  size_t p = LEAST_PARTICLES;
  while ((double)p < x && p < (size_t)1 << 31) p *= 2;
  return p;
}

/* The pilot that measures the depth error: a small ensemble common to all nodes, so that its drift is smooth in depth. */
static mno_status pilot(void *context, const mno_system *system, mno_trajectory *trajectory, double *floor, mno_error *err) {
  const mno_limit_options *options = context;
  mno_ensemble ensemble;
  mno_status status = mno_ensemble_new(options->engine, system->problem, trajectory->r, trajectory->m, PILOT_PARTICLES,
                                       MNO_F64, options->threads > 0 ? options->threads : mno_core_count(), &ensemble, err);
  if (status == MNO_OK) status = mno_ensemble_draw(&ensemble, system->reduction, 1, options->seed, UINT32_MAX, err);
  if (status == MNO_OK) status = mno_trajectory_particles(system, &ensemble, NULL, trajectory, err);
  mno_ensemble_free(&ensemble);
  return status;
}

/* The next size, from the error of the last one; 0 if a budget forbids it, with the reason. */
static size_t next_size(const mno_problem *problem, const mno_engine *engine, size_t r, design d, double sampling,
                        double room, double seconds, double left, size_t memory, const char **ended) {
  double growth = pow(1.2 * sampling / room, 1 / slope);
  size_t before = d.particles;
  d.particles = power_of_two((double)before * fmin(fmax(growth, 2), LARGEST_GROWTH));
  while (d.particles > before && seconds * (double)d.particles / (double)before > left) d.particles /= 2;
  *ended = "; stopped at the time budget";
  if (d.particles <= before) return 0;
  while (d.particles > before && bytes_per_worker(problem, engine, r, &d) > memory) d.particles /= 2;
  *ended = d.particles <= before ? "; stopped at the memory budget" : "";
  return d.particles <= before ? 0 : d.particles;
}

mno_status mno_sampled_solve(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                             mno_limit **limit, mno_error *err) {
  double start = mno_now(), tolerance = options->tolerance;
  mno_limit *depth = NULL;
  mno_limit_options pilot_options = *options;
  pilot_options.tolerance = 2 * depth_share * tolerance; /* differences below half of that end the search */
  mno_status status = mno_refine(&pilot_options, mno_system_of(problem, reduction, 1e-10, options->stop), reduction->r,
                                 pilot, &pilot_options, &depth, err);
  if (status != MNO_OK) return status;
  mno_step_errors depth_errors = {depth->output_error, depth->embedding_error};
  double worst = mno_largest(depth->output_error, problem->K + 1);

  design d = {.nodes = depth->nodes,
              .particles = options->particles > 0 ? power_of_two((double)options->particles) : FIRST_PARTICLES,
              .randomisations = options->randomisations > 0 ? (size_t)options->randomisations : RANDOMISATIONS,
              .precision = tolerance >= single_precision_tolerance ? MNO_F32 : MNO_F64,
              .tolerance = fmax(solver_share * tolerance, 1e-10)};
  const char *ended = "";
  char where[32];
  for (size_t next = d.particles; next > 0;) {
    solution s;
    d.particles = next;
    mno_limit_free(*limit);
    *limit = NULL;
    status = compute(problem, options, reduction, d, &s, err);
    if (status != MNO_OK) break;
    status = mno_average(problem, reduction, &s.method, s.trajectory, d.randomisations, limit, err);
    double seconds = s.seconds, left = options->seconds > 0 ? options->seconds - (mno_now() - start) : INFINITY;
    solution_free(&s);
    if (status != MNO_OK) break;
    double sampling = mno_largest((*limit)->output_error, problem->K + 1);
    mno_add_errors(*limit, &depth_errors);
    (*limit)->certified = mno_within(*limit, tolerance) && d.randomisations > 1;
    if ((*limit)->certified || options->particles > 0 || d.randomisations == 1) break;
    if (worst >= tolerance) {
      ended = "; the depth scheme cannot reach the tolerance";
      break;
    }
    size_t memory;
    int places;
    status = mno_ensemble_budget(options, &memory, &places, err);
    if (status != MNO_OK) break;
    next = next_size(problem, options->engine, reduction->r, d, sampling, sqrt(tolerance * tolerance - worst * worst),
                     seconds, left, memory, &ended);
  }
  if (status == MNO_OK) {
    snprintf((*limit)->method, sizeof(*limit)->method, "sobol");
    snprintf((*limit)->parameters, sizeof(*limit)->parameters,
             "particles %zu, nodes %zu, randomisations %zu, dimension %zu, %s%s%s", d.particles, d.nodes, d.randomisations,
             2 * reduction->r, mno_precision_name(d.precision), mno_ensemble_where(options, where), ended);
  } else {
    mno_limit_free(*limit);
    *limit = NULL;
  }
  mno_limit_free(depth);
  return status;
}
