/* Every arrangement of every kernel set: the same bits on any number of threads and with states kept or recomputed, and the
 * same numbers but for rounding in all arrangements. */
#include "test.h"

#include "cpu/cpu.h"
#include "cpu/isas.h"
#include "cpu/problem.h"

#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

enum { K = 2 };

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

static size_t bytes_of(const training *t, const shape *s) {
  mno_problem problem = problem_make(s->D, s->N, 3, 2, K, s->activation, MNO_SQUARED);
  size_t bytes = t->kernels->bytes(&problem, s->L, s->M, t->arrangement, t->state_bytes);
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
                   .recording = {.output = true, .embedding = true, .weights = MNO_WEIGHTS_BOTH}};
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
  batch.arena = mno_alloc(t->kernels->bytes(&problem, s->L, s->M, t->arrangement, t->state_bytes), 1);
  assert_non_null(batch.arena);
  assert_int_equal(t->kernels->train(&batch, t->arrangement), MNO_OK);
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
      if (((t).precision = (mno_precision)p_,                                                                               \
           (t).kernels = mno_cpu_kernels_named((mno_precision)p_, mno_block_named("perceptron"), isas[isa_])))

/* Several blocks of units in every kernel set, whole and with remainders. */
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

/* One step of training from the record's initial weights, number by number: losses[2]. */
static void scalar_losses(const mno_problem *p, const shape *s, const double *u0, const double *v0, double losses[2]) {
  enum { MOST = 4 };
  size_t layer = s->N * s->D, weights = s->L * s->M * s->D;
  double *u = malloc(weights * sizeof *u), *v = malloc(weights * sizeof *v), *h = malloc((s->L + 1) * layer * sizeof *h);
  double f[MOST * MOST], gradient[MOST * MOST], b[MOST * MOST], below[MOST * MOST],
      branch = p->alpha / (double)(s->L * s->M);
  assert_true(u && v && h && s->N <= MOST && s->D <= MOST && p->d_out <= MOST);
  memcpy(u, u0, weights * sizeof *u);
  memcpy(v, v0, weights * sizeof *v);
  for (int k = 0; k < 2; k++) {
    memset(h, 0, layer * sizeof *h);
    for (size_t n = 0; n < s->N; n++)
      for (size_t d = 0; d < s->D; d++)
        for (size_t j = 0; j < p->d_in; j++) h[n * s->D + d] += p->w_embed[d * p->d_in + j] * p->x[n * p->d_in + j];
    for (size_t l = 0; l < s->L; l++) {
      double *now = h + l * layer, *next = now + layer;
      memcpy(next, now, layer * sizeof *h);
      for (size_t j = 0; j < s->M; j++)
        for (size_t n = 0; n < s->N; n++) {
          double *uj = u + (l * s->M + j) * s->D, *vj = v + (l * s->M + j) * s->D, dot = 0;
          for (size_t d = 0; d < s->D; d++) dot += uj[d] * now[n * s->D + d];
          double rho = mno_activation_derivative(s->activation, 0, dot / (double)s->D);
          for (size_t d = 0; d < s->D; d++) next[n * s->D + d] += branch * vj[d] * rho;
        }
    }
    for (size_t n = 0; n < s->N; n++)
      for (size_t o = 0; o < p->d_out; o++) {
        double sum = 0;
        for (size_t d = 0; d < s->D; d++) sum += p->w_unembed[d * p->d_out + o] * h[s->L * layer + n * s->D + d];
        f[n * p->d_out + o] = sum / (double)s->D;
      }
    losses[k] = mno_loss_value(p->loss, s->N, p->d_out, f, p->y, gradient);
    memset(b, 0, sizeof b);
    for (size_t n = 0; n < s->N; n++)
      for (size_t d = 0; d < s->D; d++)
        for (size_t o = 0; o < p->d_out; o++) b[n * s->D + d] += p->w_unembed[d * p->d_out + o] * gradient[n * p->d_out + o];
    for (size_t l = s->L; l-- > 0;) {
      double *now = h + l * layer;
      memcpy(below, b, sizeof b);
      for (size_t j = 0; j < s->M; j++) {
        double *uj = u + (l * s->M + j) * s->D, *vj = v + (l * s->M + j) * s->D, change_u[MOST] = {0}, change_v[MOST] = {0};
        for (size_t n = 0; n < s->N; n++) {
          double dot = 0, q = 0;
          for (size_t d = 0; d < s->D; d++) {
            dot += uj[d] * now[n * s->D + d];
            q += vj[d] * b[n * s->D + d];
          }
          dot /= (double)s->D;
          double rho = mno_activation_derivative(s->activation, 0, dot),
                 g = mno_activation_derivative(s->activation, 1, dot) * q / (double)s->D;
          for (size_t d = 0; d < s->D; d++) {
            below[n * s->D + d] += branch * uj[d] * g;
            change_u[d] += now[n * s->D + d] * g;
            change_v[d] += b[n * s->D + d] * rho;
          }
        }
        for (size_t d = 0; d < s->D; d++) {
          uj[d] -= p->eta[MNO_U] / p->alpha * change_u[d];
          vj[d] -= p->eta[MNO_V] / p->alpha * change_v[d];
        }
      }
      memcpy(b, below, sizeof b);
    }
  }
  free(u);
  free(v);
  free(h);
}

/* A hundred thousand layers, their states in less than a MiB. */
static void very_deep(void **state) {
  const shape deep = {2, 3, 100000, 3, MNO_TANH};
  training t = {
      .kernels = mno_cpu_kernels_choose(MNO_F64, mno_block_named("perceptron")), .precision = MNO_F64, .threads = 1};
  mno_problem problem = problem_make(deep.D, deep.N, 3, 2, K, deep.activation, MNO_SQUARED);
  for (t.arrangement = 0; t.arrangement < MNO_CPU_ARRANGEMENTS; t.arrangement++) {
    size_t lanes = (size_t)t.kernels->lanes,
           units = t.arrangement == MNO_SEEDS_ON_LANES ? deep.M * lanes : (deep.M + lanes - 1) / lanes * lanes;
    t.state_bytes = 1;
    assert_true(bytes_of(&t, &deep) - 2 * deep.L * deep.D * units * sizeof(double) < (size_t)1 << 20);
    mno_record *record = trained(&t, &deep);
    double losses[2];
    scalar_losses(&problem, &deep, record->u0, record->v0, losses);
    assert_true(fabs(losses[1] - losses[0]) > 1e-3 * losses[0]);
    for (int k = 0; k < 2; k++) assert_close(record->loss[k] / losses[k], 1, 1e-10);
    mno_record_free(record);
  }
  problem_free(&problem);
}

static void arrangements_agree(void **state) {
  static const double tolerance[] = {[MNO_F64] = 1e-12, [MNO_F32] = 1e-4};
  training t = {.threads = 1};
  EACH_KERNELS(t) {
    for (size_t s = 0; s < WIDE; s++) {
      t.arrangement = MNO_SEEDS_ON_LANES;
      mno_record *reference = trained(&t, &wide[s]);
      for (t.arrangement = MNO_UNITS_ON_LANES; t.arrangement < MNO_CPU_ARRANGEMENTS; t.arrangement++) {
        mno_record *other = trained(&t, &wide[s]);
        for (int k = 0; k <= K; k++) assert_close(other->loss[k] / reference->loss[k], 1, tolerance[t.precision]);
        mno_record_free(other);
      }
      mno_record_free(reference);
    }
  }
}

int main(void) {
  isas_say_skipped();
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_team_changes_no_bit),
                                     cmocka_unit_test(recomputed_states_change_no_bit), cmocka_unit_test(memory_is_bounded),
                                     cmocka_unit_test(very_deep), cmocka_unit_test(arrangements_agree)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
