/* SPDX-License-Identifier: BSD-3-Clause */
/* The CPU backend as a whole: bits that depend on nothing but the instance, draws, divergence, stopping. */
#include "test.h"

#include "problem.h"

#include <string.h>

enum { STEPS = 3 };

typedef struct sink {
  const mno_plan *plan;
  mno_record **record; /* [instance_count] */
  atomic_int emitted, fail_after;
  atomic_int *stop;
} sink;

static mno_status keep(void *context, mno_record *record, mno_error *err) {
  sink *s = context;
  int before = atomic_fetch_add(&s->emitted, 1);
  s->record[record->row] = record;
  if (s->fail_after && before + 1 >= s->fail_after) return mno_fail(err, MNO_ERR_IO, "the disk is full");
  return MNO_OK;
}

static int64_t steps[STEPS] = {0, 2, 4};

static mno_plan plan_make(mno_problem *problem, size_t problems, mno_instance *instance, size_t count,
                          mno_precision precision) {
  return (mno_plan){.precision = precision,
                    .problem_count = problems,
                    .problem = problem,
                    .instance_count = count,
                    .instance = instance,
                    .step_count = STEPS,
                    .step = steps,
                    .recording = {.output = true, .embedding = true, .weights = MNO_WEIGHTS_BOTH}};
}

static sink run_rows(const mno_plan *plan, const size_t *rows, size_t count, int threads) {
  const mno_backend *backend;
  mno_error err = {0};
  sink s = {.plan = plan, .record = calloc(plan->instance_count, sizeof(mno_record *))};
  assert_ok(mno_backend_find("cpu", &backend, &err));
  mno_job job = {.plan = plan, .rows = rows, .count = count, .threads = threads, .emit = keep, .context = &s};
  assert_ok(backend->run(&job, &err));
  assert_int_equal(s.emitted, count);
  return s;
}

static void sink_free(sink *s) {
  for (size_t i = 0; i < s->plan->instance_count; i++)
    if (s->record[i]) mno_record_free(s->record[i]);
  free(s->record);
}

static void same(const double *a, const double *b, size_t count) { assert_memory_equal(a, b, count * sizeof *a); }

static void same_record(const mno_plan *plan, const mno_record *a, const mno_record *b) {
  const mno_instance *i = &plan->instance[a->row];
  const mno_problem *p = &plan->problem[i->problem];
  size_t weights = (size_t)(i->L * i->M) * p->D;
  same(a->loss, b->loss, STEPS);
  same(a->output, b->output, STEPS * p->N * p->d_out);
  same(a->embedding, b->embedding, STEPS * p->N * p->D);
  same(a->initial[MNO_U], b->initial[MNO_U], weights);
  same(a->initial[MNO_V], b->initial[MNO_V], weights);
  same(a->final[MNO_U], b->final[MNO_U], weights);
  same(a->final[MNO_V], b->final[MNO_V], weights);
}

/* Shapes that meet every layout. */
static const struct {
  size_t D, M, L, N;
} shapes[] = {{3, 5, 4, 7}, {8, 4, 9, 10}, {16, 64, 3, 10}, {20, 33, 2, 10}, {12, 40, 3, 37}, {24, 17, 2, 64}};
enum { SHAPES = sizeof shapes / sizeof *shapes, SEEDS = 19 };

static void bits_depend_on_the_instance_only(void **state) {
  for (int precision = 0; precision < 2; precision++) {
    mno_problem problem[SHAPES];
    mno_instance instance[SHAPES * SEEDS] = {{0}};
    size_t n = 0, rows[SHAPES * SEEDS], backwards[SHAPES * SEEDS];
    for (size_t s = 0; s < SHAPES; s++) {
      problem[s] = problem_make(shapes[s].D, shapes[s].N, 3, 2, 4, s % 2 ? MNO_GELU : MNO_TANH, MNO_SQUARED);
      for (size_t seed = 0; seed < SEEDS; seed++) {
        int64_t M = (int64_t)shapes[s].M;
        instance[n++] = (mno_instance){(uint32_t)s, (int64_t)shapes[s].L, M, seed, {M, 0, 1}, n};
      }
    }
    for (size_t i = 0; i < n; i++) rows[i] = i, backwards[i] = n - 1 - i;
    mno_plan plan = plan_make(problem, SHAPES, instance, n, (mno_precision)precision);
    sink all = run_rows(&plan, rows, n, 1), two = run_rows(&plan, backwards, n, 2),
         part = run_rows(&plan, rows + 5, n - 7, 3);
    for (size_t i = 0; i < n; i++) {
      same_record(&plan, all.record[i], two.record[i]);
      if (part.record[i]) same_record(&plan, all.record[i], part.record[i]);
    }
    for (size_t i = 0; i < n; i += 9) {
      for (int threads = 1; threads <= 2; threads++) {
        sink alone = run_rows(&plan, &i, 1, threads);
        same_record(&plan, all.record[i], alone.record[i]);
        sink_free(&alone);
      }
    }
    sink_free(&all);
    sink_free(&two);
    sink_free(&part);
    for (size_t s = 0; s < SHAPES; s++) problem_free(&problem[s]);
  }
}

/* Initial weights are sigma sqrt(D) times the draw that mno_draw names. */
static void draws_are_mapped(void **state) {
  const mno_draw draws[] = {{6, 0, 1}, {6, 0, -1}, {12, 0, 1}, {3, 0, 1}, {12, 6, 1}, {17, 5, -1}, {24, 12, 1}};
  enum { DRAWS = sizeof draws / sizeof *draws };
  for (int precision = 0; precision < 2; precision++)
    for (size_t s = 0; s < SHAPES; s++) {
      size_t D = shapes[s].D, L = 5;
      int64_t M = s % 2 ? 6 : 24;
      mno_problem problem = problem_make(D, shapes[s].N, 3, 2, 4, MNO_TANH, MNO_SQUARED);
      mno_instance instance[DRAWS];
      size_t rows[DRAWS];
      for (size_t i = 0; i < DRAWS; i++) {
        instance[i] = (mno_instance){0, (int64_t)L, M, ((uint64_t)1 << 40) + i, draws[i], i};
        rows[i] = i;
      }
      mno_plan plan = plan_make(&problem, 1, instance, DRAWS, (mno_precision)precision);
      sink all = run_rows(&plan, rows, DRAWS, 1);
      double z[64], tolerance = precision == MNO_F32 ? 2e-5 : 1e-13;
      for (size_t i = 0; i < DRAWS; i++)
        for (int64_t g = 0; g < (int64_t)L * M; g++) {
          uint32_t layer = (uint32_t)(g / draws[i].width), unit = (uint32_t)(g % draws[i].width + draws[i].offset);
          mno_normals(instance[i].seed, MNO_TENSOR_U, layer, unit, D, z);
          for (size_t d = 0; d < D; d++)
            assert_close(all.record[i]->initial[MNO_U][(size_t)g * D + d], problem.sigma[MNO_U] * sqrt((double)D) * z[d],
                         tolerance);
          mno_normals(instance[i].seed, MNO_TENSOR_V, layer, unit, D, z);
          for (size_t d = 0; d < D; d++)
            assert_close(all.record[i]->initial[MNO_V][(size_t)g * D + d],
                         draws[i].sign * problem.sigma[MNO_V] * sqrt((double)D) * z[d], tolerance);
        }
      sink_free(&all);
      problem_free(&problem);
    }
}

/* A step far too long: relu networks overflow. Their neighbours in the batch that do not must keep their bits. */
static void divergence_is_contained(void **state) {
  for (int precision = 0; precision < 2; precision++) {
    mno_problem problem = problem_make(2, 3, 3, 2, 4, MNO_RELU, MNO_SQUARED);
    problem.eta[MNO_U] = problem.eta[MNO_V] = precision == MNO_F32 ? 1e8 : 1e70;
    enum { COUNT = 64 };
    mno_instance instance[COUNT];
    size_t rows[COUNT], diverged = 0;
    for (size_t i = 0; i < COUNT; i++) {
      instance[i] = (mno_instance){0, 1, 1, i, {1, 0, 1}, i};
      rows[i] = i;
    }
    mno_plan plan = plan_make(&problem, 1, instance, COUNT, (mno_precision)precision);
    sink all = run_rows(&plan, rows, COUNT, 2);
    for (size_t i = 0; i < COUNT; i++) {
      const mno_record *r = all.record[i];
      sink alone = run_rows(&plan, &rows[i], 1, 1);
      same(r->loss, alone.record[i]->loss, STEPS);
      assert_int_equal(r->outcome, alone.record[i]->outcome);
      sink_free(&alone);
      assert_true(isfinite(r->loss[0]) && isfinite(r->embedding[0]));
      if (r->outcome == MNO_INSTANCE_DIVERGED) {
        diverged++;
        assert_true(isnan(r->loss[STEPS - 1]) && isnan(r->output[(STEPS - 1) * 3 * 2]) && isnan(r->final[MNO_U][0]));
      } else {
        assert_true(isfinite(r->loss[STEPS - 1]) && isfinite(r->final[MNO_U][0]));
      }
    }
    print_message("%zu of %d diverged\n", diverged, COUNT);
    assert_true(diverged > 0 && diverged < COUNT); /* units dead for all samples stay finite */
    sink_free(&all);
    problem_free(&problem);
  }
}

static void stops_and_fails(void **state) {
  mno_problem problem = problem_make(2, 3, 3, 2, 4, MNO_TANH, MNO_SQUARED);
  enum { COUNT = 64 };
  mno_instance instance[COUNT];
  size_t rows[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    instance[i] = (mno_instance){0, (int64_t)(i + 1), 1, i, {1, 0, 1}, i};
    rows[i] = i;
  }
  mno_plan plan = plan_make(&problem, 1, instance, COUNT, MNO_F64);
  const mno_backend *backend;
  mno_error err = {0};
  assert_ok(mno_backend_find("auto", &backend, &err));
  assert_ok(mno_backend_find("cpu", &backend, &err));
  atomic_int stop = 1;
  sink s = {.plan = &plan, .record = calloc(COUNT, sizeof(mno_record *))};
  mno_job job = {.plan = &plan, .rows = rows, .count = COUNT, .threads = 2, .emit = keep, .context = &s, .stop = &stop};
  assert_int_equal(backend->run(&job, &err), MNO_INTERRUPTED);
  assert_int_equal(s.emitted, 0);
  stop = 0;
  s.fail_after = 5;
  assert_int_equal(backend->run(&job, &err), MNO_ERR_IO);
  assert_string_equal(err.message, "the disk is full");
  assert_true(s.emitted >= 5 && s.emitted < COUNT);
  sink_free(&s);
  job.count = 0;
  assert_ok(backend->run(&job, &err));
  assert_ok(backend->fits(&plan, NULL, 0, 1, &err));
  assert_true(backend->memory(&plan, 3) > 0 && backend->seconds(&plan, 9) > backend->seconds(&plan, 3));
  setenv("MEANODE_ISA", "mmx", 1);
  assert_int_equal(backend->run(&(mno_job){.plan = &plan, .rows = rows, .count = 1}, &err), MNO_ERR_BACKEND);
  assert_non_null(strstr(err.message, "MEANODE_ISA=mmx"));
  assert_non_null(strstr(err.message, "portable; leave it unset")); /* last of those that there are */
  unsetenv("MEANODE_ISA");
  problem_free(&problem);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(bits_depend_on_the_instance_only), cmocka_unit_test(draws_are_mapped),
                                     cmocka_unit_test(divergence_is_contained), cmocka_unit_test(stops_and_fails)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
