/* Every layout of every kernel set: the same bits on any number of threads and with states kept or recomputed, and the same
 * numbers but for rounding in all layouts. */
#include "test.h"

#include "cpu/cpu.h"
#include "cpu/problem.h"

#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

static const char *const isas[] = {"avx512", "avx2", "portable"};
enum { ISAS = sizeof isas / sizeof *isas, K = 2 };

typedef struct shape {
  size_t D, M, L, N;
  mno_activation activation;
} shape;

typedef struct training {
  const mno_cpu_kernels *kernels;
  mno_precision precision;
  mno_cpu_layout layout;
  int threads;
  size_t state_bytes;
} training;

static size_t bytes_of(const training *t, const shape *s) {
  mno_problem problem = problem_make(s->D, s->N, 3, 2, K, s->activation, MNO_SQUARED);
  size_t bytes = t->kernels->bytes(&problem, s->L, s->M, t->layout, t->state_bytes);
  problem_free(&problem);
  return bytes;
}

static mno_record *trained(const training *t, const shape *s) {
  mno_problem problem = problem_make(s->D, s->N, 3, 2, K, s->activation, MNO_SQUARED);
  mno_instance instance = {.L = (int64_t)s->L, .M = (int64_t)s->M, .seed = 5, .draw = {(int64_t)s->M, 0, 1}};
  int64_t steps[K + 1] = {0, 1, 2};
  mno_plan plan = {.precision = t->precision,
                   .problem_count = 1,
                   .problem = &problem,
                   .instance_count = 1,
                   .instance = &instance,
                   .step_count = K + 1,
                   .step = steps,
                   .output = true,
                   .embedding = true,
                   .weights = MNO_WEIGHTS_FINAL};
  atomic_int halt = 0;
  mno_cpu_batch batch = {.plan = &plan,
                         .problem = &problem,
                         .L = s->L,
                         .M = s->M,
                         .count = 1,
                         .instance = {&instance},
                         .halt = &halt,
                         .threads = t->threads,
                         .state_bytes = t->state_bytes};
  mno_error err = {0};
  assert_ok(mno_record_new(&plan, 0, &batch.record[0], &err));
  batch.arena = mno_alloc(t->kernels->bytes(&problem, s->L, s->M, t->layout, t->state_bytes), 1);
  assert_non_null(batch.arena);
  assert_int_equal(t->kernels->train(&batch, t->layout), MNO_OK);
  free(batch.arena);
  problem_free(&problem);
  return batch.record[0];
}

static void same_bits(const mno_record *a, const mno_record *b, const shape *s) {
  size_t weights = s->L * s->M * s->D;
  assert_memory_equal(a->loss, b->loss, (K + 1) * sizeof(double));
  assert_memory_equal(a->output, b->output, (K + 1) * s->N * 2 * sizeof(double));
  assert_memory_equal(a->embedding, b->embedding, (K + 1) * s->N * s->D * sizeof(double));
  assert_memory_equal(a->u, b->u, weights * sizeof(double));
  assert_memory_equal(a->v, b->v, weights * sizeof(double));
}

#define EACH_KERNELS(t)                                                                                                     \
  for (size_t isa_ = 0; isa_ < ISAS; isa_++)                                                                                \
    for (int p_ = 0; p_ < 2; p_++)                                                                                          \
      if (((t).precision = (mno_precision)p_, (t).kernels = mno_cpu_kernels_named((mno_precision)p_, isas[isa_])))

/* Several blocks of units in every kernel set, whole and with remainders. */
static const shape wide[] = {{20, 300, 3, 10, MNO_TANH}, {17, 530, 2, 37, MNO_SOFTPLUS}, {33, 257, 2, 70, MNO_RELU}};
enum { WIDE = sizeof wide / sizeof *wide };

static void a_team_changes_no_bit(void **state) {
  training t = {0};
  EACH_KERNELS(t) {
    for (t.layout = 0; t.layout < MNO_CPU_LAYOUTS; t.layout++)
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
    for (t.layout = 0; t.layout < MNO_CPU_LAYOUTS; t.layout++)
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
    for (t.layout = 0; t.layout < MNO_CPU_LAYOUTS; t.layout++) {
      const shape deep = {8, 4, 100000, 64, MNO_TANH}, deeper = {8, 4, 400000, 64, MNO_TANH};
      size_t lanes = (size_t)t.kernels->lanes, real = t.precision == MNO_F32 ? 4 : 8;
      size_t layer = 2 * 8 * (t.layout == MNO_CPU_SL ? 4 * lanes : lanes) * real;
      size_t states = bytes_of(&t, &deep) - layer * deep.L, more = bytes_of(&t, &deeper) - layer * deeper.L;
      assert_true(states < ((size_t)1 << 28) + ((size_t)1 << 26));
      assert_true(more < ((size_t)1 << 28) + ((size_t)1 << 27));
    }
  }
}

static void layouts_agree(void **state) {
  static const double tolerance[] = {[MNO_F64] = 1e-12, [MNO_F32] = 1e-4};
  training t = {.threads = 1};
  EACH_KERNELS(t) {
    for (size_t s = 0; s < WIDE; s++) {
      t.layout = MNO_CPU_SL;
      mno_record *reference = trained(&t, &wide[s]);
      for (t.layout = MNO_CPU_ML; t.layout < MNO_CPU_LAYOUTS; t.layout++) {
        mno_record *other = trained(&t, &wide[s]);
        for (int k = 0; k <= K; k++) assert_close(other->loss[k] / reference->loss[k], 1, tolerance[t.precision]);
        mno_record_free(other);
      }
      mno_record_free(reference);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_team_changes_no_bit),
                                     cmocka_unit_test(recomputed_states_change_no_bit), cmocka_unit_test(memory_is_bounded),
                                     cmocka_unit_test(layouts_agree)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
