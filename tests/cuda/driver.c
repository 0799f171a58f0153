/* The driver on a twin of a card: grouping, rounds, several devices, results, failures; numbers against the CPU backend. */
#include "test.h"

#include "../cpu/problem.h"
#include "device_twin.h"
#include "driver.h"
#include "rounds.h"

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
} sweep;

static void sweep_make(sweep *s, mno_precision precision, mno_weights weights) {
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
                       .output = true,
                       .weights = weights};
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

static void sweep_free(sweep *s) {
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

static mno_status emit(void *context, mno_record *record, mno_error *err) {
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

static void catch_free(catch *c) {
  for (size_t i = 0; i < MOST; i++) mno_record_free(c->record[i]);
}

static mno_twin usual(void) { return (mno_twin){.devices = 1, .memory = 64 << 20, .resident = 3}; }

static mno_job job_of(sweep *s, catch *c) {
  return (mno_job){.plan = &s->plan, .rows = s->rows, .count = s->plan.instance_count, .emit = emit, .context = c};
}

static catch run_twin(sweep *s, mno_twin twin) {
  catch c = {.lock = PTHREAD_MUTEX_INITIALIZER};
  mno_error err = {0};
  mno_job job = job_of(s, &c);
  mno_twin_state = twin;
  assert_ok(mno_cuda_run(&mno_device_twin, &job, &err));
  assert_int_equal(c.count, s->plan.instance_count);
  assert_int_equal(mno_twin_state.live, 0);
  return c;
}

static double distance(const double *a, const double *b, size_t count) {
  double worst = 0, sum = 0;
  for (size_t i = 0; i < count; i++) {
    sum += b[i] * b[i];
    if (!(fabs(a[i] - b[i]) <= worst)) worst = fabs(a[i] - b[i]);
  }
  return count ? worst / sqrt(sum / (double)count) : 0;
}

static void compare(const sweep *s, const mno_record *a, const mno_record *b, double tolerance) {
  const mno_instance *i = &s->plan.instance[a->row];
  const mno_problem *p = &s->plan.problem[i->problem];
  const size_t S = s->plan.step_count, w = (size_t)i->L * (size_t)i->M * p->D;
  assert_int_equal(a->outcome, b->outcome);
  const double *pairs[][2] = {{a->loss, b->loss}, {a->output, b->output}, {a->embedding, b->embedding},
                              {a->u0, b->u0},     {a->v0, b->v0},         {a->u, b->u},
                              {a->v, b->v}};
  const size_t sizes[] = {S, S * p->N * p->d_out, S * p->N * p->D, w, w, w, w};
  for (size_t k = 0; k < 7; k++) {
    assert_int_equal(pairs[k][0] == NULL, pairs[k][1] == NULL);
    if (pairs[k][0]) assert_close(distance(pairs[k][0], pairs[k][1], sizes[k]), 0, tolerance);
  }
}

static void equals_the_cpu_backend(void **state) {
  for (int precision = 0; precision < 2; precision++) {
    sweep s;
    sweep_make(&s, (mno_precision)precision, MNO_WEIGHTS_BOTH);
    catch gpu = run_twin(&s, usual()), cpu = {.lock = PTHREAD_MUTEX_INITIALIZER};
    mno_error err = {0};
    mno_job job = job_of(&s, &cpu);
    assert_ok(mno_backend_cpu.run(&job, &err));
    for (size_t i = 0; i < s.plan.instance_count; i++)
      compare(&s, gpu.record[i], cpu.record[i], precision == MNO_F64 ? 1e-12 : 3e-5);
    catch_free(&gpu);
    catch_free(&cpu);
    sweep_free(&s);
  }
}

/* Few teams, little memory, several devices, part of the rows: the same bits. */
static void resources_change_nothing(void **state) {
  sweep s;
  sweep_make(&s, MNO_F32, MNO_WEIGHTS_FINAL);
  catch expected = run_twin(&s, usual());
  for (int k = 0; k < 4; k++) {
    mno_twin twin = usual();
    if (k == 0) twin.resident = 1;
    if (k == 1) twin.resident = 20;
    if (k == 2) twin.memory = 300 << 10;
    if (k == 3) twin.devices = 3;
    catch c = run_twin(&s, twin);
    if (k == 2) assert_true(mno_twin_state.launches > 3);
    if (k == 3) assert_int_equal(mno_twin_state.opens, 3);
    for (size_t i = 0; i < s.plan.instance_count; i++) compare(&s, c.record[i], expected.record[i], 0);
    catch_free(&c);
  }
  catch some = {.lock = PTHREAD_MUTEX_INITIALIZER};
  mno_job job = job_of(&s, &some);
  size_t rows[] = {40, 3, 17};
  job.rows = rows;
  job.count = 3;
  mno_error err = {0};
  mno_twin_state = usual();
  assert_ok(mno_cuda_run(&mno_device_twin, &job, &err));
  for (size_t i = 0; i < 3; i++) compare(&s, some.record[rows[i]], expected.record[rows[i]], 0);
  assert_int_equal(some.count, 3);
  catch_free(&some);
  catch_free(&expected);
  sweep_free(&s);
}

static void divergence_reaches_the_record(void **state) {
  sweep s;
  sweep_make(&s, MNO_F64, MNO_WEIGHTS_BOTH);
  s.problem[0].activation = MNO_IDENTITY;
  s.problem[0].eta_u = s.problem[0].eta_v = 1e100;
  catch c = run_twin(&s, usual());
  const mno_record *bad = c.record[0], *good = c.record[24];
  assert_int_equal(bad->outcome, MNO_INSTANCE_DIVERGED);
  assert_true(isfinite(bad->loss[0]) && isnan(bad->loss[2]) && isnan(bad->u[0]) && isfinite(bad->u0[0]));
  assert_int_equal(good->outcome, MNO_DONE);
  assert_true(isfinite(good->loss[2]) && good->seconds >= 0);
  catch_free(&c);
  sweep_free(&s);
}

/* Runs a job that must fail; returns the status and how many records were kept. */
static mno_status failing(mno_twin twin, catch *c, mno_error *err, sweep *s) {
  mno_job job = job_of(s, c);
  job.stop = c->stop;
  mno_twin_state = twin;
  mno_status status = mno_cuda_run(&mno_device_twin, &job, err);
  assert_int_equal(mno_twin_state.live, 0);
  return status;
}

static void failures_are_reported(void **state) {
  sweep s;
  sweep_make(&s, MNO_F64, MNO_WEIGHTS_NONE);
  mno_error err = {0};
  atomic_int stop = 0;
  mno_twin twin = usual();
  twin.devices = 0;
  catch none = {.lock = PTHREAD_MUTEX_INITIALIZER};
  assert_int_equal(failing(twin, &none, &err, &s), MNO_ERR_BACKEND);
  assert_int_equal(mno_status_exit_code(MNO_ERR_BACKEND), 69);

  twin = usual();
  twin.fail_open = 1;
  assert_int_equal(failing(twin, &none, &err, &s), MNO_ERR_MEMORY);

  twin = usual();
  twin.fail_launch = 2;
  catch launched = {.lock = PTHREAD_MUTEX_INITIALIZER};
  assert_int_equal(failing(twin, &launched, &err, &s), MNO_ERR_BACKEND);
  assert_string_equal(err.message, "twin: launch failed");
  catch_free(&launched);

  twin = usual();
  twin.fail_after = 3;
  twin.resident = 1;
  catch faulted = {.lock = PTHREAD_MUTEX_INITIALIZER};
  assert_int_equal(failing(twin, &faulted, &err, &s), MNO_ERR_BACKEND);
  assert_non_null(strstr(err.message, "illegal memory access"));
  catch_free(&faulted);

  catch full = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_at = 4};
  assert_int_equal(failing(usual(), &full, &err, &s), MNO_ERR_IO);
  assert_string_equal(err.message, "disk full");
  catch_free(&full);

  catch stopped = {.lock = PTHREAD_MUTEX_INITIALIZER, .stop = &stop};
  twin = usual();
  twin.resident = 1;
  assert_int_equal(failing(twin, &stopped, &err, &s), MNO_INTERRUPTED);
  assert_true(stopped.count >= 1 && stopped.count < s.plan.instance_count);
  catch_free(&stopped);
  sweep_free(&s);
}

static void too_large_is_refused_with_numbers(void **state) {
  sweep s;
  sweep_make(&s, MNO_F64, MNO_WEIGHTS_NONE);
  mno_error err = {0};
  catch c = {.lock = PTHREAD_MUTEX_INITIALIZER};
  mno_twin twin = usual();
  s.instance[5].L = 100000;
  assert_int_equal(failing(twin, &c, &err, &s), MNO_ERR_MEMORY);
  assert_non_null(strstr(err.message, "L = 100000"));
  assert_non_null(strstr(err.message, "GiB"));
  assert_int_equal(c.count, 0);
  sweep_free(&s);
}

/* Every row exactly once over the devices, longest first, rounds within their budgets. */
static void groups_and_rounds(void **state) {
  sweep s;
  sweep_make(&s, MNO_F64, MNO_WEIGHTS_BOTH);
  mno_error err = {0};
  int seen[MOST] = {0};
  for (int device = 0; device < 3; device++) {
    mno_groups groups;
    assert_ok(mno_groups_make(&s.plan, s.rows, s.plan.instance_count, 1, device, 3, &groups, &err));
    size_t largest = 0, memory, pinned;
    for (size_t g = 0; g < groups.count; g++) {
      mno_group *group = &groups.group[g];
      group->wanted = 5;
      if (g) assert_true(group->seconds <= groups.group[g - 1].seconds);
      for (size_t i = 0; i < group->count; i++) {
        const mno_instance *n = &s.plan.instance[group->rows[i]];
        assert_int_equal(n->M, group->shape.M);
        assert_true(n->L <= group->shape.L);
        if (i) assert_true(n->L <= s.plan.instance[group->rows[i - 1]].L);
        assert_true(group->parcel_bytes >= mno_parcel_size(&s.plan, group->rows[i]));
        seen[group->rows[i]]++;
      }
      if (group->slot_bytes > largest) largest = group->slot_bytes;
    }
    memory = 3 * largest;
    pinned = (size_t)1 << 24;
    int rounds;
    assert_ok(mno_rounds_plan(&groups, memory, pinned, &rounds, &err));
    assert_true(rounds > 1);
    for (int round = 0; round < rounds; round++) {
      size_t used = 0, sent = 0, members = 0;
      for (size_t g = 0; g < groups.count; g++) {
        const mno_group *group = &groups.group[g];
        if (group->round != round) continue;
        assert_true(group->teams >= 1 && group->teams <= 5 && (size_t)group->teams <= group->count);
        used += (size_t)group->teams * group->slot_bytes;
        sent += 2 * (size_t)group->teams * group->parcel_bytes;
        members++;
      }
      assert_true(members > 0 && used <= memory && sent <= pinned);
    }
    assert_int_equal(mno_rounds_plan(&groups, largest - 1, pinned, &rounds, &err), MNO_ERR_MEMORY);
    mno_groups_free(&groups);
  }
  for (size_t i = 0; i < s.plan.instance_count; i++) assert_int_equal(seen[i], 1);
  sweep_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(equals_the_cpu_backend),
                                     cmocka_unit_test(resources_change_nothing),
                                     cmocka_unit_test(divergence_reaches_the_record),
                                     cmocka_unit_test(failures_are_reported),
                                     cmocka_unit_test(too_large_is_refused_with_numbers),
                                     cmocka_unit_test(groups_and_rounds)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
