/* SPDX-License-Identifier: BSD-3-Clause */
/* A small sweep, run on the twin of a card or on the CPU, and comparisons of what it leaves behind. */
#ifndef MNO_TEST_CUDA_JOBS_H
#define MNO_TEST_CUDA_JOBS_H

#include "device_twin.h"
#include "host/driver.h"
#include "host/shape.h"
#include "problem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

extern const mno_backend mno_backend_cpu;

enum { MOST = 64 };

/* A small sweep: two problems, several L and M, paired draws among them. */
typedef struct sweep {
  mno_problem problem[2];
  mno_instance instance[MOST];
  int64_t step[3];
  size_t rows[MOST];
  mno_plan plan;
  mno_shape_options options;
} sweep;

static inline void sweep_make(sweep *s, mno_precision precision, mno_weights weights) {
  static const int64_t L[] = {1, 3, 8, 5}, M[] = {1, 4, 9};
  *s = (sweep){.step = {0, 1, 3}};
  s->problem[0] = problem_make(6, 7, 3, 2, 3, MNO_TANH, MNO_SQUARED);
  s->problem[1] = problem_make(5, 12, 3, 3, 3, MNO_GELU, MNO_CROSS_ENTROPY);
  s->plan = (mno_plan){.precision = precision,
                       .problem_count = 2,
                       .problem = s->problem,
                       .instance = s->instance,
                       .step_count = 3,
                       .step = s->step,
                       .recording = {.output = true, .weights = weights}};
  for (uint32_t p = 0; p < 2; p++)
    for (size_t l = 0; l < 4; l++)
      for (size_t m = 0; m < 3; m++)
        for (uint64_t seed = 0; seed < 2; seed++) {
          mno_instance *i = &s->instance[s->plan.instance_count++];
          *i = (mno_instance){.problem = p, .L = L[l], .M = M[m], .seed = 10 + seed, .draw = {M[m], 0, 1}};
          if (seed == 1) i->draw = (mno_draw){2 * M[m], M[m], -1};
        }
  for (size_t i = 0; i < s->plan.instance_count; i++) s->rows[i] = i;
}

static inline void sweep_free(sweep *s) {
  problem_free(&s->problem[0]);
  problem_free(&s->problem[1]);
}

typedef struct catch {
  pthread_mutex_t lock;
  mno_record *record[MOST];
  size_t count, fail_at; /* fail_at: this emit fails (from 1) */
  atomic_int *stop;      /* set after the first record */
}
catch;

static inline mno_status emit(void *context, mno_record *record, mno_error *err) {
  catch *c = context;
  pthread_mutex_lock(&c->lock);
  c->count++;
  if (c->stop) atomic_store(c->stop, 1);
  const int fails = c->count == c->fail_at;
  if (fails || c->record[record->row])
    mno_record_free(record);
  else
    c->record[record->row] = record;
  pthread_mutex_unlock(&c->lock);
  return fails ? mno_fail(err, MNO_ERR_IO, "disk full") : MNO_OK;
}

static inline void catch_free(catch *c) {
  for (size_t i = 0; i < MOST; i++) mno_record_free(c->record[i]);
}

static inline mno_twin usual(void) { return (mno_twin){.devices = 1, .memory = 64 << 20, .resident = 3}; }

static inline mno_job job_of(sweep *s, catch *c) {
  return (mno_job){.plan = &s->plan, .rows = s->rows, .count = s->plan.instance_count, .emit = emit, .context = c};
}

static inline catch run_on(const mno_device_api *api, sweep *s) {
  catch c = {.lock = PTHREAD_MUTEX_INITIALIZER};
  mno_error err = {0};
  mno_job job = job_of(s, &c);
  assert_ok(mno_cuda_run(api, &job, s->options, &err));
  assert_int_equal(c.count, s->plan.instance_count);
  return c;
}

static inline catch run_twin(sweep *s, mno_twin twin) {
  mno_twin_state = twin;
  catch c = run_on(&mno_device_twin, s);
  assert_int_equal(mno_twin_state.live, 0);
  return c;
}

static inline double distance(const double *a, const double *b, size_t count) {
  double worst = 0, sum = 0;
  for (size_t i = 0; i < count; i++) {
    sum += b[i] * b[i];
    if (!(fabs(a[i] - b[i]) <= worst)) worst = fabs(a[i] - b[i]);
  }
  return count ? worst / sqrt(sum / (double)count) : 0;
}

static inline void compare(const sweep *s, const mno_record *a, const mno_record *b, double tolerance) {
  const mno_instance *i = &s->plan.instance[a->row];
  const mno_problem *p = &s->plan.problem[i->problem];
  const size_t S = s->plan.step_count, w = (size_t)i->L * (size_t)i->M * p->D;
  assert_int_equal(a->outcome, b->outcome);
  const double *pairs[][2] = {{a->loss, b->loss},
                              {a->output, b->output},
                              {a->embedding, b->embedding},
                              {a->initial[MNO_U], b->initial[MNO_U]},
                              {a->initial[MNO_V], b->initial[MNO_V]},
                              {a->final[MNO_U], b->final[MNO_U]},
                              {a->final[MNO_V], b->final[MNO_V]}};
  const size_t sizes[] = {S, S * p->N * p->d_out, S * p->N * p->D, w, w, w, w};
  for (size_t k = 0; k < 7; k++) {
    assert_int_equal(pairs[k][0] == NULL, pairs[k][1] == NULL);
    if (pairs[k][0]) assert_close(distance(pairs[k][0], pairs[k][1], sizes[k]), 0, tolerance);
  }
}

/* The first candidate with this kernel. */
static inline const mno_candidate *candidate_with(mno_kernel_kind kernel) {
  const mno_candidate *candidate = mno_candidates;
  while (candidate->kernel != kernel) candidate++;
  return candidate;
}

/* A test for several programs. */
static inline void check_divergence(const mno_candidate *candidate) {
  sweep s;
  sweep_make(&s, MNO_F64, MNO_WEIGHTS_BOTH);
  s.options.candidate = candidate;
  s.problem[0].activation = MNO_IDENTITY;
  s.problem[0].eta[MNO_U] = s.problem[0].eta[MNO_V] = 1e100;
  catch c = run_twin(&s, usual());
  const mno_record *bad = c.record[0], *good = c.record[24];
  assert_int_equal(bad->outcome, MNO_INSTANCE_DIVERGED);
  assert_true(isfinite(bad->loss[0]) && isnan(bad->loss[2]) && isnan(bad->final[MNO_U][0]) &&
              isfinite(bad->initial[MNO_U][0]));
  assert_int_equal(good->outcome, MNO_DONE);
  assert_true(isfinite(good->loss[2]) && good->seconds >= 0);
  catch_free(&c);
  sweep_free(&s);
}

#endif
