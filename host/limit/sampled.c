/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/methods.h"

#include "core/memory.h"
#include "limit/average.h"
#include "limit/ensemble.h"
#include "limit/randomised.h"
#include "limit/refine.h"
#include "limit/stop.h"
#include "limit/watch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sizes and shares decide which points a limit is made of. bench/choices.py solves problems with other values of them, and
 * bench/results/choices.md has what that took: they are safe rather than the fastest. */
enum {
  PILOT_PARTICLES = 512,
  MOST_PILOT_PARTICLES = 1 << 18,
  FIRST_PARTICLES = 1024,
  LEAST_PARTICLES = 64,
  FIXED_COST = 4096, /* what a randomisation costs besides its particles, in particles; up to 16384 are as good */
  LARGEST_GROWTH = 64,
  HOPELESS = 100, /* tolerances */
};
static const double single_precision_tolerance = 2e-5; /* rounding of single precision stays well below this */
static const double solver_share = 0.01;               /* of the tolerance, for the collocation equations */
static const double depth_share = 0.3;                 /* of the tolerance, for the depth scheme */
static const double pilot_share = 0.4;                 /* of the time budget */
static const char no_solution[] = "; no finite solution found";
static const char out_of_memory[] = "; stopped at the memory budget";
static const char out_of_time[] = "; stopped at the time budget";
/* error ~ particles^-assumed_order, assumed when choosing sizes: 0.63 to 0.94 are found (bench_limit orders) */
static const double assumed_order = 0.6;
static const double pilot_gain = 0.7;   /* eight times as many particles for the pilot should do better than this factor */
static const double least_order = 0.15; /* measured below this, more particles do not help */

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

static mno_status run_pilot(void *context, const mno_system *system, mno_trajectory *trajectory, double *floor,
                            mno_error *err) {
  const pilot *pilot = context;
  size_t small = mno_coarse_particles(trajectory->r, pilot->particles);
  int two = pilot->particles >= 4 * small;
  mno_ensemble fine = {0}, coarse = {0};
  mno_system accurate = *system;
  if (!two) accurate.tolerance = 1e-10; /* Newton's method has it for nothing */
  mno_drawing drawing = {&pilot->options, system->reduction, 1, UINT32_MAX};
  mno_particle_request holds = {
      .problem = system->problem, .m = trajectory->m, .threads = mno_limit_threads(&pilot->options)};
  holds.particles = pilot->particles;
  holds.precision = two ? pilot->precision : MNO_F64;
  mno_status status = mno_ensemble_drawn(&drawing, holds, &fine, err);
  holds.particles = small;
  holds.precision = MNO_F64;
  if (status == MNO_OK && two) status = mno_ensemble_drawn(&drawing, holds, &coarse, err);
  if (status == MNO_OK) status = mno_trajectory_particles(&accurate, &fine, two ? &coarse : NULL, trajectory, err);
  mno_ensemble_free(&fine);
  mno_ensemble_free(&coarse);
  return status;
}

static double pilot_bytes(const void *context, const mno_system *system, size_t nodes) {
  const pilot *pilot = context;
  mno_particle_request fine = {system->problem, nodes, system->reduction->r, pilot->particles, MNO_F64, 1}, coarse = fine;
  coarse.particles = mno_coarse_particles(fine.r, fine.particles);
  if (pilot->options.engine) return 0; /* a card's memory is its own */
  return (double)mno_ensemble_bytes(NULL, fine) + (double)mno_ensemble_bytes(NULL, coarse);
}

static mno_precision precision_for(double tolerance) { return tolerance >= single_precision_tolerance ? MNO_F32 : MNO_F64; }

static double solver_tolerance(double tolerance) { return fmax(solver_share * tolerance, 1e-10); }

/* The depth error by a limit whose errors it is. Particles that end on either side of a separatrix, or of the kink of relu,
 * depending on depth make the drift of a small ensemble jump: where nodes do not help, more particles do. */
static mno_status find_nodes(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                             pilot *pilot, mno_limit **depth, mno_error *err) {
  double start = mno_now(), before = INFINITY;
  size_t budget, most = 0, r = reduction->r;
  int places;
  int64_t diverged = -1;
  /* no larger than the ensembles that were asked for */
  size_t largest = options->particles > 0 && options->particles < MOST_PILOT_PARTICLES ? (size_t)options->particles
                                                                                       : MOST_PILOT_PARTICLES;
  *pilot = (struct pilot){.options = *options, .particles = PILOT_PARTICLES, .precision = precision_for(options->tolerance)};
  pilot->options.tolerance = 2 * depth_share * options->tolerance; /* differences below half of that end the search */
  pilot->options.seconds = pilot_share * options->seconds;
  for (size_t i = 0; mno_node_counts[i] > 0; i++) most = mno_node_counts[i];
  mno_status status = mno_ensemble_budget(options, &budget, &places, err);
  for (; status == MNO_OK; pilot->particles *= 8) {
    mno_system system = mno_system_of(problem, reduction, solver_tolerance(options->tolerance), options->stop);
    system.pilot = 1;
    status = mno_refine(&pilot->options, system, r, run_pilot, pilot_bytes, pilot, depth, err);
    if (status != MNO_OK) break;
    double used = mno_now() - start, worst = mno_largest((*depth)->output_error, problem->K + 1);
    int again = (*depth)->diverged >= 0 && (*depth)->diverged == diverged; /* once may be the ensemble's fault */
    if ((*depth)->certified || again || mno_stopped(options->stop) ||
        ((*depth)->diverged < 0 && worst > pilot_gain * before &&
         (options->nodes > 0 || worst > HOPELESS * options->tolerance)) ||
        8 * pilot->particles > largest || (options->seconds > 0 && 10 * used > options->seconds) ||
        mno_ensemble_bytes(options->engine,
                           (mno_particle_request){problem, most, r, 8 * pilot->particles, pilot->precision, 1}) > budget)
      break;
    before = (*depth)->diverged < 0 ? worst : INFINITY;
    diverged = (*depth)->diverged;
    mno_limit_free(*depth);
    *depth = NULL;
  }
  return status;
}

static double relative_cost(size_t particles, size_t before) {
  return ((double)particles + FIXED_COST) / ((double)before + FIXED_COST);
}

/* What to compute next. More randomisations of the same size keep those that are there, and their error falls like the root
 * of their number; larger ensembles begin anew, and their error falls faster. The cheaper one that is within the budgets;
 * 0 if none is, with the reason. */
static int next_design(const mno_randomised *s, double sampling, double allowed, double left, size_t *particles,
                       size_t *randomisations, const char **ended) {
  const mno_limit_options *options = s->options;
  mno_design d = s->design;
  size_t before = d.particles, count = s->count;
  double gap = sampling / allowed, cost = s->seconds / (double)count;
  double most = (double)mno_randomised_most(s, &d),
         wanted = options->randomisations > 0 ? 0 : ceil((double)count * pow(1.1 * gap, 2));
  d.particles = power_of_two((double)before * fmin(fmax(pow(1.2 * gap, 1 / assumed_order), 2), LARGEST_GROWTH));
  *ended = "";
  if (wanted > (double)count && wanted <= most && cost * (wanted - (double)count) <= left &&
      wanted - (double)count <= MNO_RANDOMISATIONS * relative_cost(d.particles, before)) {
    *particles = before;
    *randomisations = (size_t)wanted;
    return 1;
  }
  *particles = d.particles;
  *randomisations = options->randomisations > 0 ? (size_t)options->randomisations : MNO_RANDOMISATIONS;
  *ended = out_of_time;
  while (d.particles > before && cost * (double)*randomisations * relative_cost(d.particles, before) > left)
    d.particles /= 2;
  if (d.particles > before) {
    while (d.particles > before && mno_randomised_bytes(s, &d, *randomisations) > (double)s->memory) d.particles /= 2;
    *ended = d.particles > before ? "" : out_of_memory;
  }
  *particles = d.particles;
  if (d.particles > before) return 1;
  /* Nothing larger fits: as many more of the same size as do. */
  wanted = fmin(fmin(wanted, most), (double)count + floor(left / cost));
  *randomisations = (size_t)fmax(wanted, 0);
  return wanted > (double)count;
}

/* Where this search ends in steps without a solution: the other one, if it knows more steps, and why no more. */
static mno_status try_steep(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                            double start, mno_limit **limit, mno_error *err) {
  mno_limit *steep;
  double left = options->seconds > 0 ? options->seconds - (mno_now() - start) : 0;
  if (left < 0) return MNO_OK;
  mno_status status = mno_steep_solve(problem, options, reduction, left, &steep, err);
  if (status != MNO_OK || !steep) return status;
  if (steep->diverged < 0 || steep->diverged > (*limit)->diverged) {
    mno_limit *other = *limit;
    *limit = steep;
    steep = other;
  } else {
    mno_limit_end(*limit, steep->parameters);
  }
  mno_limit_free(steep);
  return MNO_OK;
}

/* What is there when a budget was used up before any sampling: the pilot, whose error is not known. */
static mno_limit *make_do(mno_limit *depth, const pilot *pilot, size_t dimension, const char *ended) {
  for (size_t k = 1; k <= depth->K; k++) depth->output_error[k] = depth->embedding_error[k] = NAN;
  for (size_t e = depth->N * depth->d_out; e < (depth->K + 1) * depth->N * depth->d_out; e++) depth->output_stderr[e] = NAN;
  depth->certified = 0;
  mno_limit_describe(depth, "sobol", "particles %zu, nodes %zu, randomisations 1, dimension %zu, %s", pilot->particles,
                     depth->nodes, dimension, mno_precision_name(pilot->precision));
  mno_limit_end(depth, ended);
  return depth;
}

/* Larger and larger designs until the error is within the tolerance; *ended: what ended the search before. */
static mno_status search(mno_randomised *s, mno_design d, double start, const mno_limit *depth, const char **ended,
                         mno_limit **limit, mno_error *err) {
  const mno_problem *problem = s->problem;
  const mno_limit_options *options = s->options;
  mno_step_errors depth_errors = {depth->output_error, depth->embedding_error};
  double tolerance = options->tolerance, worst = mno_largest(depth->output_error, problem->K + 1);
  size_t randomisations = options->randomisations > 0 ? (size_t)options->randomisations : MNO_RANDOMISATIONS,
         most = mno_randomised_most(s, &d), smallest = d.particles;
  if (randomisations > most) randomisations = most;
  mno_status status = MNO_OK;
  char where[32];
  int64_t diverged = -1;
  /* What is left for sampling; where the depth alone exceeds the tolerance, sampling need not be much better than it. */
  double allowed = worst < tolerance ? sqrt(tolerance * tolerance - worst * worst) : worst / 2, first = 0;
  for (int searching = 1; searching;) {
    if (!s->trajectory) status = mno_randomised_new(problem, options, s->reduction, d, s, err);
    if (status == MNO_OK) status = mno_randomised_extend(s, randomisations, err);
    if (status == MNO_OK && s->cut && *limit) { /* the one before it is complete */
      *ended = out_of_time;
      break;
    }
    mno_limit_free(*limit);
    *limit = NULL;
    if (status == MNO_OK) status = mno_average(problem, s->reduction, &s->method, s->trajectory, s->count, limit, err);
    if (status != MNO_OK) break;
    double sampling = mno_largest((*limit)->output_error, problem->K + 1),
           left = options->seconds > 0 ? options->seconds - (mno_now() - start) : INFINITY;
    mno_add_errors(*limit, &depth_errors);
    (*limit)->certified = mno_within(*limit, tolerance) && s->count > 1;
    mno_limit_describe(*limit, "sobol", "particles %zu, nodes %zu, randomisations %zu, dimension %zu, %s%s",
                       s->design.particles, d.nodes, s->count, mno_initial_dimension(problem, s->reduction->r),
                       mno_precision_name(d.precision), mno_ensemble_where(options, where));
    if (first == 0) first = sampling;
    if ((*limit)->certified)
      *ended = "";
    else if (mno_stopped(options->stop))
      *ended = out_of_time;
    else if (s->count < 2 && options->randomisations != 1)
      *ended = out_of_memory;
    else if ((*limit)->diverged >= 0 && ((*limit)->diverged == diverged || 2 * left < options->seconds))
      *ended = no_solution; /* once may be the ensemble's fault, if there is time to see */
    else if (sampling <= allowed && depth->diverged >= 0 && (*limit)->diverged < 0)
      *ended = "; the depth error is not known at every step";
    else if (sampling <= allowed && worst >= tolerance)
      *ended = strchr(depth->parameters, ';') ? depth->parameters : "; the depth nodes are too few for the tolerance";
    else if (s->design.particles >= LARGEST_GROWTH * smallest &&
             log(first / sampling) < least_order * log((double)s->design.particles / (double)smallest))
      *ended = "; stopped as more particles do not help";
    diverged = (*limit)->diverged;
    searching = !(*limit)->certified && options->particles == 0 && s->count > 1 && !**ended;
    if (searching) searching = next_design(s, sampling, allowed, left, &d.particles, &randomisations, ended);
    if (searching && d.particles != s->design.particles) mno_randomised_free(s);
  }
  return status;
}

mno_status mno_sampled_solve(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                             mno_limit **limit, mno_error *err) {
  double start = mno_now(), tolerance = options->tolerance;
  mno_design d = {.nodes = options->nodes > 0 ? (size_t)options->nodes : mno_node_counts[0], /* at least */
                  .particles = options->particles > 0 ? power_of_two((double)options->particles) : FIRST_PARTICLES,
                  .precision = precision_for(tolerance),
                  .tolerance = solver_tolerance(tolerance)};
  mno_randomised s = {.problem = problem, .options = options, .reduction = reduction};
  mno_limit *depth = NULL;
  pilot pilot;
  mno_status status = mno_ensemble_budget(options, &s.memory, &s.places, err);
  if (status == MNO_OK) status = mno_randomised_fits(&s, &d, err);
  if (status == MNO_OK) status = find_nodes(problem, options, reduction, &pilot, &depth, err);
  if (status != MNO_OK) return status;
  d.nodes = depth->nodes;
  if (mno_time_is_up(options->stop) || mno_randomised_most(&s, &d) == 0) {
    *limit = make_do(depth, &pilot, mno_initial_dimension(problem, reduction->r),
                     mno_time_is_up(options->stop) ? out_of_time : out_of_memory);
    return MNO_OK;
  }
  const char *ended = "";
  /* Where the pilot found no solution the search may find none either: half of the time is for the other way. */
  double left = depth->diverged >= 0 && options->seconds > 0 ? options->seconds - (mno_now() - start) : 0;
  mno_limit_options how = *options;
  mno_watch watch;
  s.options = &how;
  status = mno_watch_begin(&watch, options->stop, left > 0 ? left / 2 : 0, &how.stop, err);
  if (status == MNO_OK) status = search(&s, d, start, depth, &ended, limit, err);
  mno_watch_end(&watch);
  if (status == MNO_OK) mno_limit_end(*limit, ended);
  if (status != MNO_OK) {
    mno_limit_free(*limit);
    *limit = NULL;
  }
  mno_randomised_free(&s);
  mno_limit_free(depth);
  if (status == MNO_OK && (*limit)->diverged >= 0 && options->particles == 0 && !mno_stopped(options->stop))
    status = try_steep(problem, options, reduction, start, limit, err);
  return status;
}
