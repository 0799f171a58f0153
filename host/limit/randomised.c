/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/randomised.h"

#include "core/memory.h"
#include "limit/ensemble.h"
#include "limit/layers.h"
#include "limit/parallel.h"

#include <math.h>
#include <stdlib.h>

enum { LEAST_COARSE = 256 };

void mno_randomised_free(mno_randomised *s) {
  for (size_t i = 0; s->trajectory && i < s->count; i++) mno_trajectory_free(&s->trajectory[i]);
  free(s->trajectory);
  free(s->status);
  free(s->error);
  mno_collocation_free(&s->method);
  s->trajectory = NULL;
  s->status = NULL;
  s->error = NULL;
}

/* Newton's method works on them. A quarter as many gain nothing, with four times as many limits take 1.05 to 1.6 times as
 * long (bench/choices.py coarse-particles). */
size_t mno_coarse_particles(size_t r, size_t particles) {
  size_t wanted = particles / (r < 8 ? 32 : 4 * r), coarse = LEAST_COARSE;
  while (2 * coarse <= wanted) coarse *= 2;
  return coarse;
}

static mno_particle_request ensemble_of(const mno_randomised *s, const mno_design *d) {
  return (mno_particle_request){
      s->problem, d->layers > 0 ? d->layers : d->nodes, s->reduction->r, d->particles, d->precision, 1};
}

static mno_particle_request coarse_of(const mno_randomised *s, const mno_design *d) {
  size_t r = s->reduction->r;
  return (mno_particle_request){s->problem, d->nodes, r, mno_coarse_particles(r, d->particles), MNO_F64, 1};
}

/* What is held while one is computed: its particles, and what solves its equations. */
static double worker_bytes(const mno_randomised *s, const mno_design *d) {
  size_t r = s->reduction->r;
  const mno_engine *engine = s->options->engine;
  double own = (double)mno_ensemble_bytes(engine, ensemble_of(s, d));
  if (d->layers > 0) return own + 2 * sizeof(double) * ((double)d->layers + 2) * (double)s->problem->N * (double)r;
  return own + (double)mno_ensemble_bytes(engine, coarse_of(s, d)) + mno_trajectory_work(s->problem, r, d->nodes);
}

/* What stays: their fields, and in the end the limit. */
static double kept_bytes(const mno_randomised *s, const mno_design *d, size_t count) {
  return (double)count * mno_trajectory_bytes(s->problem, s->reduction->r, d->nodes) + mno_limit_bytes(s->problem, d->nodes);
}

double mno_randomised_bytes(const mno_randomised *s, const mno_design *d, size_t count) {
  return fmax(kept_bytes(s, d, count) + worker_bytes(s, d), mno_limit_storing(s->problem, d->nodes));
}

/* How many trajectories there is room for. */
static size_t capacity_of(const mno_limit_options *options) {
  return options->randomisations > 0 ? (size_t)options->randomisations : MNO_MOST_RANDOMISATIONS;
}

size_t mno_randomised_most(const mno_randomised *s, const mno_design *d) {
  double fields = mno_trajectory_bytes(s->problem, s->reduction->r, d->nodes), memory = mno_limit_memory(s->options);
  /* a card refuses itself what does not fit it */
  double left = memory - kept_bytes(s, d, 0) - (s->options->engine ? 0 : worker_bytes(s, d));
  return (size_t)fmin((double)capacity_of(s->options), fmax(0, fmin(left, memory / 2) / fields));
}

mno_status mno_randomised_fits(const mno_randomised *s, const mno_design *d, mno_error *err) {
  const double gib = 1 << 30;
  double needed = mno_randomised_bytes(s, d, 1);
  if (s->options->particles == 0 || s->options->engine || needed <= (double)s->memory) return MNO_OK;
  return mno_fail(err, MNO_ERR_INPUT,
                  "limit.particles: %zu particles on %zu depth nodes need %.1f GiB, and limit.memory leaves %.1f GiB; "
                  "choose fewer particles",
                  d->particles, d->nodes, needed / gib, (double)s->memory / gib);
}

static void randomise(void *context, size_t piece, int worker) {
  (void)worker;
  mno_randomised *s = context;
  size_t index = s->first + piece;
  const mno_design *d = &s->design;
  mno_error *err = &s->error[index];
  mno_ensemble fine = {0}, coarse = {0};
  mno_drawing drawing = {s->options, s->reduction, 0, (uint32_t)index};
  mno_particle_request small = coarse_of(s, d);
  int two = d->layers == 0 && d->particles >= 4 * small.particles;
  mno_status status = mno_ensemble_drawn(&drawing, ensemble_of(s, d), &fine, err);
  if (status == MNO_OK && two) status = mno_ensemble_drawn(&drawing, small, &coarse, err);
  mno_system system = mno_system_of(s->problem, s->reduction, d->tolerance, s->options->stop);
  system.method = &s->method;
  mno_trajectory *t = &s->trajectory[index];
  if (status == MNO_OK)
    status = d->layers > 0 ? mno_trajectory_layers(&system, &fine, t, err)
                           : mno_trajectory_particles(&system, &fine, two ? &coarse : NULL, t, err);
  mno_ensemble_free(&fine);
  mno_ensemble_free(&coarse);
  s->status[index] = mno_trajectory_settle(&system, t, status);
}

mno_status mno_randomised_new(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                              mno_design d, mno_randomised *s, mno_error *err) {
  size_t capacity = capacity_of(options);
  *s = (mno_randomised){.problem = problem, .options = options, .reduction = reduction, .design = d};
  s->trajectory = mno_alloc(capacity, sizeof *s->trajectory);
  s->status = mno_alloc(capacity, sizeof *s->status);
  s->error = mno_alloc(capacity, sizeof *s->error);
  mno_status status = mno_collocation_new(&s->method, d.nodes, err);
  s->method.stop = options->stop;
  if (status == MNO_OK && (!s->trajectory || !s->status || !s->error))
    status = mno_fail_memory(err, capacity * sizeof(mno_error), "the randomisations");
  if (status == MNO_OK) status = mno_ensemble_budget(options, &s->memory, &s->places, err);
  if (status == MNO_OK) status = mno_randomised_fits(s, &s->design, err);
  if (status != MNO_OK) mno_randomised_free(s);
  return status;
}

/* Drops those that the end of the time cut, if there are others. */
static void keep_complete(mno_randomised *s) {
  size_t complete = 0, kept = 0;
  for (size_t i = 0; i < s->count; i++) complete += !mno_trajectory_is_cut(&s->trajectory[i]);
  s->cut = complete < s->count && complete < 2;
  for (size_t i = 0; !s->cut && i < s->count; i++)
    if (mno_trajectory_is_cut(&s->trajectory[i]))
      mno_trajectory_free(&s->trajectory[i]);
    else
      s->trajectory[kept++] = s->trajectory[i];
  if (!s->cut) s->count = kept;
}

mno_status mno_randomised_extend(mno_randomised *s, size_t count, mno_error *err) {
  double start = mno_now();
  const mno_limit_options *options = s->options;
  mno_status status = MNO_OK;
  s->first = s->count;
  for (; status == MNO_OK && s->count < count; s->count += status == MNO_OK)
    status = mno_trajectory_new(s->problem, s->reduction->r, s->design.nodes, &s->trajectory[s->count], err);
  if (status != MNO_OK) return status;
  double left = fmax(0, (double)s->memory - kept_bytes(s, &s->design, s->count));
  size_t workers = (size_t)((double)s->places * fmin(1e6, left / worker_bytes(s, &s->design)));
  int threads = mno_limit_threads(options);
  if ((size_t)threads > workers) threads = workers > 0 ? (int)workers : 1;
  mno_parallel(threads, s->count - s->first, randomise, s);
  for (size_t i = s->first; status == MNO_OK && i < s->count; i++)
    if (s->status[i] != MNO_OK) {
      status = s->status[i];
      if (err) *err = s->error[i];
    }
  if (status == MNO_OK) keep_complete(s);
  s->seconds += mno_now() - start;
  return status;
}

mno_failure mno_randomised_failure(const mno_randomised *s) {
  const mno_trajectory *first = NULL;
  size_t grew = 0;
  for (size_t i = 0; i < s->count; i++) {
    grew += s->trajectory[i].failure == MNO_GREW;
    if (s->trajectory[i].failed >= 0 && (!first || s->trajectory[i].failed < first->failed)) first = &s->trajectory[i];
  }
  return !first ? MNO_SOLVED : grew == s->count ? MNO_GREW : first->failure == MNO_GREW ? MNO_UNSOLVED : first->failure;
}
