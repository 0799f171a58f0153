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
  MOST_PILOT_PARTICLES = 1 << 18,
  FIRST_PARTICLES = 1024,
  LEAST_PARTICLES = 64,
  LEAST_COARSE = 256,
  OVERHEAD = 4096, /* what a randomisation costs besides its particles, in particles */
  RANDOMISATIONS = 8,
  MOST_RANDOMISATIONS = 64,
  LARGEST_GROWTH = 64,
  HOPELESS = 100, /* tolerances */
};
static const double single_precision_tolerance = 2e-5; /* rounding of single precision stays well below this */
static const double solver_share = 0.01;               /* of the tolerance, for the collocation equations */
static const double depth_share = 0.3;                 /* of the tolerance, for the depth scheme */
static const double slope = 0.6;                       /* error ~ particles^-slope, assumed when choosing sizes */
static const double helped = 0.7;       /* eight times as many particles for the pilot should do better than this */
static const double least_slope = 0.15; /* below this, more particles do not help */

/* One discretisation. */
typedef struct design {
  size_t nodes, particles;
  mno_precision precision;
  double tolerance;
} design;

/* Its solutions: independent randomisations of the particles on the same nodes. */
typedef struct solution {
  const mno_problem *problem;
  const mno_limit_options *options;
  const mno_reduction *reduction;
  design design;
  mno_collocation method;
  size_t first, count;        /* randomisations first .. count - 1 are being computed, those before are there */
  mno_trajectory *trajectory; /* [MOST or as many as asked for] */
  mno_status *status;         /* the same */
  mno_error *error;           /* the same */
  size_t memory;              /* bytes of particles that one place may hold */
  int places;
  double seconds; /* of all of them */
} solution;

static void solution_free(solution *s) {
  for (size_t i = 0; s->trajectory && i < s->count; i++) mno_trajectory_free(&s->trajectory[i]);
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

static size_t bytes_of_fields(const mno_problem *problem, size_t r, const design *d) {
  return (problem->K + 1) * (d->nodes + 1) * problem->N * r * 2 * sizeof(double);
}

static size_t bytes_per_worker(const solution *s, const design *d) {
  size_t r = s->reduction->r, coarse = coarse_particles(r, d->particles);
  const mno_engine *engine = s->options->engine;
  return mno_ensemble_bytes(engine, s->problem, r, d->nodes, d->particles, d->precision) +
         mno_ensemble_bytes(engine, s->problem, r, d->nodes, coarse, MNO_F64) + bytes_of_fields(s->problem, r, d);
}

/* A number of particles that the user chose may be beyond the memory: said before anything is computed. A card's engine
 * says it itself. */
static mno_status room_for_particles(const solution *s, const design *d, mno_error *err) {
  const double gib = 1 << 30;
  size_t needed = bytes_per_worker(s, d);
  if (s->options->particles == 0 || s->options->engine || needed <= s->memory) return MNO_OK;
  return mno_fail(err, MNO_ERR_INPUT,
                  "limit.particles: %zu particles on %zu depth nodes need %.1f GiB, and limit.memory leaves %.1f GiB; "
                  "choose fewer particles",
                  d->particles, d->nodes, (double)needed / gib, (double)s->memory / gib);
}

static void randomise(void *context, size_t piece, int worker) {
  (void)worker;
  solution *s = context;
  size_t index = s->first + piece;
  const design *d = &s->design;
  mno_error *err = &s->error[index];
  mno_ensemble fine = {0}, coarse = {0};
  const mno_engine *engine = s->options->engine;
  size_t r = s->reduction->r, small = coarse_particles(r, d->particles);
  int two = d->particles >= 4 * small;
  mno_status status = mno_ensemble_new(engine, s->problem, r, d->nodes, d->particles, d->precision, 1, &fine, err);
  fine.stop = s->options->stop;
  if (status == MNO_OK) status = mno_ensemble_draw(&fine, s->reduction, 0, s->options->seed, (uint32_t)index, err);
  if (status == MNO_OK && two) status = mno_ensemble_new(engine, s->problem, r, d->nodes, small, MNO_F64, 1, &coarse, err);
  coarse.stop = s->options->stop;
  if (status == MNO_OK && two) status = mno_ensemble_draw(&coarse, s->reduction, 0, s->options->seed, (uint32_t)index, err);
  mno_system system = mno_system_of(s->problem, s->reduction, d->tolerance, s->options->stop);
  system.method = &s->method;
  if (status == MNO_OK) status = mno_trajectory_particles(&system, &fine, two ? &coarse : NULL, &s->trajectory[index], err);
  mno_ensemble_free(&fine);
  mno_ensemble_free(&coarse);
  s->status[index] = status;
}

static mno_status solution_new(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                               design d, solution *s, mno_error *err) {
  size_t room = options->randomisations > 0 ? (size_t)options->randomisations : MOST_RANDOMISATIONS;
  *s = (solution){.problem = problem, .options = options, .reduction = reduction, .design = d};
  s->trajectory = mno_alloc(room, sizeof *s->trajectory);
  s->status = mno_alloc(room, sizeof *s->status);
  s->error = mno_alloc(room, sizeof *s->error);
  mno_status status = mno_collocation_new(&s->method, d.nodes, err);
  s->method.stop = options->stop;
  if (status == MNO_OK && (!s->trajectory || !s->status || !s->error))
    status = mno_fail_memory(err, room * sizeof(mno_error), "the randomisations");
  if (status == MNO_OK) status = mno_ensemble_budget(options, &s->memory, &s->places, err);
  if (status == MNO_OK) status = room_for_particles(s, &s->design, err);
  if (status != MNO_OK) solution_free(s);
  return status;
}

/* Randomisations up to number count. */
static mno_status extend(solution *s, size_t count, mno_error *err) {
  double start = mno_now();
  const mno_limit_options *options = s->options;
  mno_status status = MNO_OK;
  s->first = s->count;
  for (; status == MNO_OK && s->count < count; s->count += status == MNO_OK)
    status = mno_trajectory_new(s->problem, s->reduction->r, s->design.nodes, &s->trajectory[s->count], err);
  if (status != MNO_OK) return status;
  size_t workers = (size_t)s->places * (s->memory / (bytes_per_worker(s, &s->design) + 1));
  int threads = options->threads > 0 ? options->threads : mno_core_count();
  if ((size_t)threads > workers) threads = workers > 0 ? (int)workers : 1;
  mno_parallel(threads, s->count - s->first, randomise, s);
  for (size_t i = s->first; status == MNO_OK && i < s->count; i++)
    if (s->status[i] != MNO_OK) {
      status = s->status[i];
      if (err) *err = s->error[i];
    }
  s->seconds += mno_now() - start;
  return status;
}

static size_t power_of_two(double x) {
  size_t p = LEAST_PARTICLES;
  while ((double)p < x && p < (size_t)1 << 31) p *= 2;
  return p;
}

/* The pilot that measures the depth error: an ensemble common to all nodes, so that its drift is smooth in depth. */
typedef struct pilot {
  mno_limit_options options;
  size_t particles;
  mno_precision precision;
} pilot;

static mno_status new_shared(const pilot *pilot, const mno_system *system, const mno_trajectory *trajectory,
                             size_t particles, mno_precision precision, mno_ensemble *ensemble, mno_error *err) {
  const mno_limit_options *options = &pilot->options;
  mno_status status = mno_ensemble_new(options->engine, system->problem, trajectory->r, trajectory->m, particles, precision,
                                       options->threads > 0 ? options->threads : mno_core_count(), ensemble, err);
  ensemble->stop = options->stop;
  if (status == MNO_OK) status = mno_ensemble_draw(ensemble, system->reduction, 1, options->seed, UINT32_MAX, err);
  return status;
}

static mno_status run_pilot(void *context, const mno_system *system, mno_trajectory *trajectory, double *floor,
                            mno_error *err) {
  const pilot *pilot = context;
  size_t small = coarse_particles(trajectory->r, pilot->particles);
  int two = pilot->particles >= 4 * small;
  mno_ensemble fine = {0}, coarse = {0};
  mno_system accurate = *system;
  if (!two) accurate.tolerance = 1e-10; /* Newton's method has it for nothing */
  mno_status status = new_shared(pilot, system, trajectory, pilot->particles, two ? pilot->precision : MNO_F64, &fine, err);
  if (status == MNO_OK && two) status = new_shared(pilot, system, trajectory, small, MNO_F64, &coarse, err);
  if (status == MNO_OK) status = mno_trajectory_particles(&accurate, &fine, two ? &coarse : NULL, trajectory, err);
  mno_ensemble_free(&fine);
  mno_ensemble_free(&coarse);
  return status;
}

static mno_precision precision_for(double tolerance) { return tolerance >= single_precision_tolerance ? MNO_F32 : MNO_F64; }

static double solver_tolerance(double tolerance) { return fmax(solver_share * tolerance, 1e-10); }

/* The depth error by a limit whose errors it is. Particles that end on either side of a separatrix, or of the kink of relu,
 * depending on depth make the drift of a small ensemble jump: where nodes do not help, more particles do. */
static mno_status find_nodes(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                             mno_limit **depth, mno_error *err) {
  double start = mno_now(), before = INFINITY;
  size_t budget, most = 0, r = reduction->r;
  int places;
  int64_t diverged = -1;
  /* no larger than the ensembles that were asked for */
  size_t largest = options->particles > 0 && options->particles < MOST_PILOT_PARTICLES ? (size_t)options->particles
                                                                                       : MOST_PILOT_PARTICLES;
  pilot pilot = {.options = *options, .particles = PILOT_PARTICLES, .precision = precision_for(options->tolerance)};
  pilot.options.tolerance = 2 * depth_share * options->tolerance; /* differences below half of that end the search */
  for (size_t i = 0; mno_node_counts[i] > 0; i++) most = mno_node_counts[i];
  mno_status status = mno_ensemble_budget(options, &budget, &places, err);
  for (; status == MNO_OK; pilot.particles *= 8) {
    mno_system system = mno_system_of(problem, reduction, solver_tolerance(options->tolerance), options->stop);
    status = mno_refine(&pilot.options, system, r, run_pilot, &pilot, depth, err);
    if (status != MNO_OK) break;
    double used = mno_now() - start, worst = mno_largest((*depth)->output_error, problem->K + 1);
    int again = (*depth)->diverged >= 0 && (*depth)->diverged == diverged; /* once may be the ensemble's fault */
    if ((*depth)->certified || again ||
        ((*depth)->diverged < 0 && worst > helped * before &&
         (options->nodes > 0 || worst > HOPELESS * options->tolerance)) ||
        8 * pilot.particles > largest || (options->seconds > 0 && 10 * used > options->seconds) ||
        mno_ensemble_bytes(options->engine, problem, r, most, 8 * pilot.particles, pilot.precision) > budget)
      break;
    before = (*depth)->diverged < 0 ? worst : INFINITY;
    diverged = (*depth)->diverged;
    mno_limit_free(*depth);
    *depth = NULL;
  }
  return status;
}

static double relative_cost(size_t particles, size_t before) {
  return ((double)particles + OVERHEAD) / ((double)before + OVERHEAD);
}

/* What to compute next. More randomisations of the same size keep those that are there, and their error falls like the root
 * of their number; larger ensembles begin anew, and their error falls faster. The cheaper one that is within the budgets;
 * 0 if none is, with the reason. */
static int next_design(const solution *s, double sampling, double room, double left, size_t *particles,
                       size_t *randomisations, const char **ended) {
  const mno_limit_options *options = s->options;
  design d = s->design;
  size_t before = d.particles, count = s->count;
  double gap = sampling / room, cost = s->seconds / (double)count;
  double most = (double)s->memory / 2 / (double)bytes_of_fields(s->problem, s->reduction->r, &d),
         wanted = options->randomisations > 0 ? 0 : ceil((double)count * pow(1.1 * gap, 2));
  most = fmin(most, MOST_RANDOMISATIONS);
  d.particles = power_of_two((double)before * fmin(fmax(pow(1.2 * gap, 1 / slope), 2), LARGEST_GROWTH));
  *ended = "";
  if (wanted > (double)count && wanted <= most && cost * (wanted - (double)count) <= left &&
      wanted - (double)count <= RANDOMISATIONS * relative_cost(d.particles, before)) {
    *particles = before;
    *randomisations = (size_t)wanted;
    return 1;
  }
  *particles = d.particles;
  *randomisations = options->randomisations > 0 ? (size_t)options->randomisations : RANDOMISATIONS;
  *ended = "; stopped at the time budget";
  while (d.particles > before && cost * (double)*randomisations * relative_cost(d.particles, before) > left)
    d.particles /= 2;
  if (d.particles > before) {
    while (d.particles > before && bytes_per_worker(s, &d) > s->memory) d.particles /= 2;
    *ended = d.particles > before ? "" : "; stopped at the memory budget";
  }
  *particles = d.particles;
  if (d.particles > before) return 1;
  /* Nothing larger fits: as many more of the same size as do. */
  wanted = fmin(fmin(wanted, most), (double)count + floor(left / cost));
  *randomisations = (size_t)fmax(wanted, 0);
  return wanted > (double)count;
}

mno_status mno_sampled_solve(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                             mno_limit **limit, mno_error *err) {
  double start = mno_now(), tolerance = options->tolerance;
  design d = {.nodes = options->nodes > 0 ? (size_t)options->nodes : mno_node_counts[0], /* at least */
              .particles = options->particles > 0 ? power_of_two((double)options->particles) : FIRST_PARTICLES,
              .precision = precision_for(tolerance),
              .tolerance = solver_tolerance(tolerance)};
  solution s = {.problem = problem, .options = options, .reduction = reduction};
  mno_limit *depth = NULL;
  mno_status status = mno_ensemble_budget(options, &s.memory, &s.places, err);
  if (status == MNO_OK) status = room_for_particles(&s, &d, err);
  if (status == MNO_OK) status = find_nodes(problem, options, reduction, &depth, err);
  if (status != MNO_OK) return status;
  mno_step_errors depth_errors = {depth->output_error, depth->embedding_error};
  double worst = mno_largest(depth->output_error, problem->K + 1);
  d.nodes = depth->nodes;

  size_t randomisations = options->randomisations > 0 ? (size_t)options->randomisations : RANDOMISATIONS,
         smallest = d.particles;
  const char *ended = "";
  char where[32];
  int64_t diverged = -1;
  /* What is left for sampling; where the depth alone exceeds the tolerance, sampling need not be much better than it. */
  double room = worst < tolerance ? sqrt(tolerance * tolerance - worst * worst) : worst / 2, first = 0;
  for (int searching = 1; searching;) {
    if (!s.trajectory) status = solution_new(problem, options, reduction, d, &s, err);
    if (status == MNO_OK) status = extend(&s, randomisations, err);
    mno_limit_free(*limit);
    *limit = NULL;
    if (status == MNO_OK) status = mno_average(problem, reduction, &s.method, s.trajectory, s.count, limit, err);
    if (status != MNO_OK) break;
    double sampling = mno_largest((*limit)->output_error, problem->K + 1),
           left = options->seconds > 0 ? options->seconds - (mno_now() - start) : INFINITY;
    mno_add_errors(*limit, &depth_errors);
    (*limit)->certified = mno_within(*limit, tolerance) && s.count > 1;
    if (first == 0) first = sampling;
    if ((*limit)->certified)
      ended = "";
    else if ((*limit)->diverged >= 0 && (*limit)->diverged == diverged) /* once may be the ensemble's fault */
      ended = "; no finite solution found";
    else if (sampling <= room && depth->diverged >= 0 && (*limit)->diverged < 0)
      ended = "; the depth error is not known at every step";
    else if (sampling <= room && worst >= tolerance)
      ended = depth->parameters[0] ? depth->parameters : "; the depth nodes are too few for the tolerance";
    else if (s.design.particles >= LARGEST_GROWTH * smallest &&
             log(first / sampling) < least_slope * log((double)s.design.particles / (double)smallest))
      ended = "; stopped as more particles do not help";
    diverged = (*limit)->diverged;
    searching = !(*limit)->certified && options->particles == 0 && s.count > 1 && !*ended;
    if (searching) searching = next_design(&s, sampling, room, left, &d.particles, &randomisations, &ended);
    if (searching && d.particles != s.design.particles) solution_free(&s);
  }
  if (status == MNO_OK) {
    snprintf((*limit)->method, sizeof(*limit)->method, "sobol");
    snprintf((*limit)->parameters, sizeof(*limit)->parameters,
             "particles %zu, nodes %zu, randomisations %zu, dimension %zu, %s%s%.60s", s.design.particles, d.nodes, s.count,
             2 * reduction->r, mno_precision_name(d.precision), mno_ensemble_where(options, where), ended);
  } else {
    mno_limit_free(*limit);
    *limit = NULL;
  }
  solution_free(&s);
  mno_limit_free(depth);
  return status;
}
