/* SPDX-License-Identifier: BSD-3-Clause */
/* Every arrangement of every kernel set: the same bits on any number of threads and with states kept or recomputed, and the
 * numbers of the plain network (reference/reference.h) but for rounding. */
#include "test.h"

#include "cpu/cpu.h"
#include "cpu/isas.h"
#include "problem.h"

#include "block/block.h"
#include "core/memory.h"
#include "optimizer/optimizer.h"
#include "reference/reference.h"

#include <stdlib.h>
#include <string.h>

enum { K = 3 };

typedef struct shape {
  size_t D, M, L, N;
  mno_activation activation;
} shape;

typedef struct training {
  const mno_cpu_kernels *kernels;
  mno_precision precision;
  mno_cpu_arrangement arrangement;
  int threads;
  size_t state_bytes;
} training;

static mno_problem problem_of(const shape *s) { return problem_make(s->D, s->N, 3, 2, K, s->activation, MNO_SQUARED); }

static mno_instance instance_of(const shape *s) {
  return (mno_instance){.L = (int64_t)s->L, .M = (int64_t)s->M, .seed = 5, .draw = {(int64_t)s->M, 0, 1}};
}

static size_t bytes_of(const training *t, const shape *s) {
  mno_problem problem = problem_of(s);
  size_t bytes = t->kernels->bytes(&problem, s->L, s->M, t->arrangement, t->state_bytes);
  problem_free(&problem);
  return bytes;
}

static mno_record *trained_on(const training *t, const shape *s, mno_problem *problem) {
  mno_instance instance = instance_of(s);
  int64_t steps[K + 1] = {0, 1, 2, 3};
  mno_plan plan = {.precision = t->precision,
                   .problem_count = 1,
                   .problem = problem,
                   .instance_count = 1,
                   .instance = &instance,
                   .step_count = K + 1,
                   .step = steps,
                   .recording = {.output = true, .embedding = true, .weights = MNO_WEIGHTS_BOTH}};
  atomic_int halt = 0;
  mno_cpu_batch batch = {.plan = &plan,
                         .problem = problem,
                         .L = s->L,
                         .M = s->M,
                         .count = 1,
                         .instance = {&instance},
                         .halt = &halt,
                         .threads = t->threads,
                         .state_bytes = t->state_bytes};
  mno_error err = {0};
  assert_ok(mno_record_new(&plan, 0, &batch.record[0], &err));
  batch.arena = mno_alloc(t->kernels->bytes(problem, s->L, s->M, t->arrangement, t->state_bytes), 1);
  assert_non_null(batch.arena);
  assert_int_equal(t->kernels->train(&batch, t->arrangement), MNO_OK);
  free(batch.arena);
  return batch.record[0];
}

static mno_record *trained(const training *t, const shape *s) {
  mno_problem problem = problem_of(s);
  mno_record *record = trained_on(t, s, &problem);
  problem_free(&problem);
  return record;
}

static void same_bits(const mno_record *a, const mno_record *b, const shape *s) {
  size_t weights = s->L * s->M * s->D;
  assert_memory_equal(a->loss, b->loss, (K + 1) * sizeof(double));
  assert_memory_equal(a->output, b->output, (K + 1) * s->N * 2 * sizeof(double));
  assert_memory_equal(a->embedding, b->embedding, (K + 1) * s->N * s->D * sizeof(double));
  assert_memory_equal(a->final[MNO_U], b->final[MNO_U], weights * sizeof(double));
  assert_memory_equal(a->final[MNO_V], b->final[MNO_V], weights * sizeof(double));
}

#define EACH_KERNELS(t)                                                                                                     \
  for (size_t isa_ = 0; isa_ < ISAS; isa_++)                                                                                \
    for (int p_ = 0; p_ < 2; p_++)                                                                                          \
      if (((t).precision = (mno_precision)p_, (t).kernels = isas_kernels((mno_precision)p_, isas[isa_])))

/* Several slices of units in every kernel set, whole and with remainders. */
static const shape wide[] = {{20, 300, 3, 10, MNO_TANH}, {17, 530, 2, 37, MNO_SOFTPLUS}, {33, 257, 2, 70, MNO_RELU}};
enum { WIDE = sizeof wide / sizeof *wide };

static void a_team_changes_no_bit(void **state) {
  training t = {0};
  EACH_KERNELS(t) {
    for (t.arrangement = 0; t.arrangement < MNO_CPU_ARRANGEMENTS; t.arrangement++)
      for (size_t s = 0; s < WIDE; s++) {
        t.threads = 1;
        mno_record *one = trained(&t, &wide[s]);
        for (t.threads = 2; t.threads <= 5; t.threads++) {
          mno_record *team = trained(&t, &wide[s]);
          same_bits(one, team, &wide[s]);
          mno_record_free(team);
        }
        mno_record_free(one);
      }
  }
}

/* Depths that segments divide and do not; the last is one layer more than a segment. */
static void recomputed_states_change_no_bit(void **state) {
  static const shape deep[] = {{5, 3, 100, 7, MNO_TANH}, {9, 20, 37, 18, MNO_GELU}, {4, 300, 17, 5, MNO_SIN}};
  training t = {0};
  EACH_KERNELS(t) {
    for (t.arrangement = 0; t.arrangement < MNO_CPU_ARRANGEMENTS; t.arrangement++)
      for (size_t s = 0; s < sizeof deep / sizeof *deep; s++)
        for (t.threads = 1; t.threads <= 2; t.threads++) {
          t.state_bytes = 0;
          size_t all = bytes_of(&t, &deep[s]);
          mno_record *kept = trained(&t, &deep[s]);
          t.state_bytes = 1;
          assert_true(bytes_of(&t, &deep[s]) < all);
          mno_record *recomputed = trained(&t, &deep[s]);
          same_bits(kept, recomputed, &deep[s]);
          mno_record_free(kept);
          mno_record_free(recomputed);
        }
  }
}

/* States of very deep networks grow like the square root of the depth: only the weights grow with it. */
static void memory_is_bounded(void **state) {
  training t = {0};
  EACH_KERNELS(t) {
    for (t.arrangement = 0; t.arrangement < MNO_CPU_ARRANGEMENTS; t.arrangement++) {
      const shape deep = {8, 4, 100000, 64, MNO_TANH}, deeper = {8, 4, 400000, 64, MNO_TANH};
      size_t lanes = (size_t)t.kernels->lanes, real = t.precision == MNO_F32 ? 4 : 8;
      size_t layer = 2 * 8 * (t.arrangement == MNO_SEEDS_ON_LANES ? 4 * lanes : lanes) * real;
      size_t states = bytes_of(&t, &deep) - layer * deep.L, more = bytes_of(&t, &deeper) - layer * deeper.L;
      assert_true(states < ((size_t)1 << 28) + ((size_t)1 << 26));
      assert_true(more < ((size_t)1 << 28) + ((size_t)1 << 27));
    }
  }
}

/* What the plain network makes of the same instance. */
typedef struct expected {
  mno_reference_results results;
  size_t outputs, embeddings, weights; /* numbers of all steps; of a tensor */
} expected;

static expected reference_of(const shape *s, const mno_problem *p) {
  expected e = {.outputs = (K + 1) * p->N * p->d_out, .embeddings = (K + 1) * p->N * p->D, .weights = s->L * s->M * s->D};
  mno_instance instance = instance_of(s);
  mno_error err = {0};
  double *block = malloc((K + 1 + e.outputs + e.embeddings + p->block->tensors * e.weights) * sizeof *block);
  assert_non_null(block);
  e.results = (mno_reference_results){.loss = block, .output = block + K + 1};
  e.results.embedding = e.results.output + e.outputs;
  e.results.trained = e.results.embedding + e.embeddings;
  assert_ok(mno_reference_train(p, &instance, e.results, &err));
  return e;
}

static void expected_free(expected *e) { free(e->results.loss); }

/* Equal but for `tolerance` of their size. */
static void close_to(const double *x, const double *reference, size_t count, double tolerance) {
  assert_true(rms(reference, count) > 0);
  assert_true(rms_difference(x, reference, count) <= tolerance * rms(reference, count));
}

static void as_the_reference(const training *t, const shape *s, mno_problem *p, const expected *e) {
  static const double tolerance[] = {[MNO_F64] = 1e-12, [MNO_F32] = 2e-5};
  mno_record *r = trained_on(t, s, p);
  close_to(r->loss, e->results.loss, K + 1, tolerance[t->precision]);
  close_to(r->output, e->results.output, e->outputs, tolerance[t->precision]);
  close_to(r->embedding, e->results.embedding, e->embeddings, tolerance[t->precision]);
  for (size_t i = 0; i < p->block->tensors; i++)
    close_to(r->final[i], e->results.trained + i * e->weights, e->weights, tolerance[t->precision]);
  mno_record_free(r);
}

/* Whole and with remainders in D, M and N, one tile of samples and several. */
static const shape varied[] = {{8, 4, 5, 10, MNO_TANH}, {5, 19, 3, 7, MNO_GELU},    {17, 40, 2, 37, MNO_SOFTPLUS},
                               {3, 33, 4, 1, MNO_ERF},  {16, 16, 2, 16, MNO_SILU},  {9, 21, 3, 5, MNO_RELU},
                               {4, 70, 2, 11, MNO_SIN}, {2, 3, 4, 3, MNO_IDENTITY}, {33, 257, 2, 18, MNO_TANH}};
enum { VARIED = sizeof varied / sizeof *varied };

/* Rates of a schedule; updates in one go with the products, and from gradients that were formed first. */
static void all_train_as_the_reference(void **state) {
  const double schedule[K] = {0.5, 1.25, 0.75};
  mno_optimizer apart = *mno_optimizer_named("gd");
  apart.fuses = false;
  for (size_t s = 0; s < VARIED; s++) {
    mno_problem p = problem_of(&varied[s]);
    p.schedule = schedule;
    expected e = reference_of(&varied[s], &p);
    training t = {.threads = 1};
    EACH_KERNELS(t) {
      for (t.arrangement = 0; t.arrangement < MNO_CPU_ARRANGEMENTS; t.arrangement++) {
        p.optimizer = mno_optimizer_named("gd");
        as_the_reference(&t, &varied[s], &p, &e);
        p.optimizer = &apart;
        as_the_reference(&t, &varied[s], &p, &e);
      }
    }
    expected_free(&e);
    problem_free(&p);
  }
}

/* A hundred thousand layers, their states in less than a MiB. */
static void very_deep(void **state) {
  const shape deep = {2, 3, 100000, 3, MNO_TANH};
  training t = {.kernels = mno_cpu_kernels_choose(MNO_F64, mno_block_named("perceptron")), .precision = MNO_F64};
  mno_problem problem = problem_of(&deep);
  expected e = reference_of(&deep, &problem);
  assert_true(fabs(e.results.loss[1] - e.results.loss[0]) > 1e-3 * e.results.loss[0]);
  t.state_bytes = 1;
  for (t.arrangement = 0; t.arrangement < MNO_CPU_ARRANGEMENTS; t.arrangement++) {
    size_t lanes = (size_t)t.kernels->lanes,
           units = t.arrangement == MNO_SEEDS_ON_LANES ? deep.M * lanes : (deep.M + lanes - 1) / lanes * lanes;
    assert_true(bytes_of(&t, &deep) - 2 * deep.L * deep.D * units * sizeof(double) < (size_t)1 << 20);
    mno_record *record = trained(&t, &deep);
    for (int k = 0; k <= K; k++) assert_close(record->loss[k] / e.results.loss[k], 1, 1e-10);
    mno_record_free(record);
  }
  expected_free(&e);
  problem_free(&problem);
}

/* A block and an optimiser that the program does not have: kernels of this test, with the formulas in extended/. */
extern const mno_cpu_kernels extended_f64, extended_f32;

static const mno_tensor_spec gated_tensor[] = {MNO_TENSOR("u", "", MNO_TENSOR_U, false), MNO_TENSOR("w", "", 77, false),
                                               MNO_TENSOR("v", "", MNO_TENSOR_V, true)};
static void gated_units(mno_activation activation, size_t count, const double *p, double *s, double *slope) {
  for (size_t i = 0; i < count; i++) {
    double rho = mno_activation_derivative(activation, 0, p[i]), gate = p[count + i];
    if (s) s[i] = rho * gate;
    if (!slope) continue;
    slope[i] = mno_activation_derivative(activation, 1, p[i]) * gate;
    slope[count + i] = rho;
  }
}
static const mno_block gated = {.name = "gated", .tensors = 3, .tensor = gated_tensor, .units = gated_units};

static double heavy_ball_apply(double w, double g, double rate, const double *knob, double *state) {
  state[0] = knob[0] * state[0] + g;
  return w - rate * state[0];
}
static const mno_optimizer heavy_ball = {.name = "heavy_ball", .states = 1, .apply = heavy_ball_apply};

static void another_block_and_optimizer(void **state) {
  const double schedule[K] = {0.5, 1.25, 0.75};
  for (size_t s = 0; s < VARIED; s++) {
    mno_problem p = problem_of(&varied[s]);
    p.block = &gated;
    p.optimizer = &heavy_ball;
    p.knob[0] = 0.9;
    for (int i = 0; i < 3; i++) p.eta[i] /= 64; /* its growth has no bound */
    p.schedule = schedule;
    expected e = reference_of(&varied[s], &p);
    for (int precision = 0; precision < 2; precision++) {
      training t = {.kernels = precision == MNO_F64 ? &extended_f64 : &extended_f32, .precision = (mno_precision)precision};
      for (t.arrangement = 0; t.arrangement < MNO_CPU_ARRANGEMENTS; t.arrangement++)
        for (t.threads = 1; t.threads <= 3; t.threads += 2) as_the_reference(&t, &varied[s], &p, &e);
    }
    expected_free(&e);
    problem_free(&p);
  }
}

static void too_many_instances_are_refused(void **state) {
  training t = {0};
  EACH_KERNELS(t) {
    for (t.arrangement = 0; t.arrangement < MNO_CPU_ARRANGEMENTS; t.arrangement++) {
      mno_cpu_batch batch = {.count = t.arrangement == MNO_SEEDS_ON_LANES ? (size_t)t.kernels->lanes + 1 : 2};
      assert_int_equal(t.kernels->train(&batch, t.arrangement), MNO_ERR_INTERNAL);
    }
  }
}

int main(void) {
  isas_say_skipped();
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_team_changes_no_bit),
                                     cmocka_unit_test(recomputed_states_change_no_bit),
                                     cmocka_unit_test(memory_is_bounded),
                                     cmocka_unit_test(all_train_as_the_reference),
                                     cmocka_unit_test(very_deep),
                                     cmocka_unit_test(another_block_and_optimizer),
                                     cmocka_unit_test(too_many_instances_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
