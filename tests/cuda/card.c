/* The card against the host: every kernel, both precisions, bit for bit; for kernel G, whose sums are cuBLAS's, to rounding,
 * and the same bits whatever else is in the batch. Needs a card: without one it is skipped, or fails when
 * MEANODE_REQUIRE_GPU is set. MEANODE_SMALL=1: fewer and smaller networks, for the sanitizers. */
#include "test.h"

#include "../cpu/problem.h"
#include "device_twin.h"
#include "driver.h"
#include "engine.h"
#include "limit/ensemble.h"
#include "shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 5 };

static mno_status emit(void *context, mno_record *record, mno_error *err) {
  mno_record **kept = context;
  kept[record->row] = record;
  return MNO_OK;
}

static void run(const mno_device_api *api, const mno_plan *plan, mno_record **kept) {
  mno_error err = {0};
  size_t rows[SEEDS];
  for (size_t i = 0; i < SEEDS; i++) rows[i] = i;
  const mno_job job = {.plan = plan, .rows = rows, .count = plan->instance_count, .emit = emit, .context = kept};
  assert_ok(mno_cuda_run(api, &job, &err));
}

static bool equal(const mno_plan *plan, const mno_record *a, const mno_record *b) {
  /* all arrays of a record lie in one block behind it */
  const size_t bytes = mno_record_bytes(plan, a->row) - sizeof(mno_record) - 64;
  return a->outcome == b->outcome && memcmp(a->loss, b->loss, bytes) == 0;
}

static void need_card(void) {
  int count;
  mno_error err = {0};
  if (mno_device_cuda.count(&count, &err) == MNO_OK) return;
  if (getenv("MEANODE_REQUIRE_GPU")) fail_msg("%s", err.message);
  printf("%s: not run\n", err.message);
  skip();
}

static void card_equals_host(void **state) {
  mno_error err = {0};
  need_card();
  static const struct {
    size_t D;
    int64_t M, L;
    size_t N;
    int candidate; /* -1: the program's choice */
  } cases[] = {{2, 1, 40, 10, -1},   {10, 10, 30, 10, -1}, {7, 33, 9, 13, 0},      {32, 32, 20, 10, -1},
               {32, 32, 20, 10, 1},  {9, 100, 6, 21, 2},   {32, 70, 12, 10, 3},    {20, 50, 10, 7, 5},
               {16, 2, 30, 20, 6},   {10, 10, 30, 10, 0},  {100, 100, 10, 10, -1}, {300, 64, 4, 10, -1},
               {100, 40, 3, 200, 1}, {800, 24, 3, 10, 4},  {1000, 16, 3, 10, -1}};
  mno_device_info info;
  assert_ok(mno_device_cuda.info(0, &info, &err));
  const size_t limit = getenv("MEANODE_SMALL") ? 10 : sizeof cases / sizeof *cases;
  for (size_t c = 0; c < limit; c++)
    for (int precision = 0; precision < 2; precision++)
      for (int activation = 0; activation < (c == 1 ? MNO_ACTIVATION_COUNT : 1); activation++) {
        if (cases[c].candidate >= 3 && cases[c].candidate <= 5 && info.major < 9) continue; /* no clusters */
        mno_problem problem = problem_make(cases[c].D, cases[c].N, 3, 2, 3, (mno_activation)activation,
                                           activation % 2 ? MNO_CROSS_ENTROPY : MNO_SQUARED);
        mno_instance instance[SEEDS];
        int64_t step[] = {0, 1, 3};
        for (size_t i = 0; i < SEEDS; i++)
          instance[i] =
              (mno_instance){.L = cases[c].L - (int64_t)i % 2, .M = cases[c].M, .seed = 5 + i, .draw = {cases[c].M, 0, 1}};
        const mno_plan plan = {.precision = (mno_precision)precision,
                               .problem_count = 1,
                               .problem = &problem,
                               .instance_count = SEEDS,
                               .instance = instance,
                               .step_count = 3,
                               .step = step,
                               .output = true,
                               .weights = MNO_WEIGHTS_BOTH};
        mno_record *card[SEEDS] = {0}, *host[SEEDS] = {0};
        mno_twin_state = (mno_twin){.devices = 1, .memory = (size_t)4 << 30, .resident = 2};
        mno_candidate_forced = cases[c].candidate;
        run(&mno_device_cuda, &plan, card);
        run(&mno_device_twin, &plan, host);
        mno_candidate_forced = -1;
        for (size_t i = 0; i < SEEDS; i++) {
          if (!equal(&plan, card[i], host[i]))
            fail_msg("D %zu M %lld N %zu candidate %d %s %s: the card's bits differ from the host's", cases[c].D,
                     (long long)cases[c].M, cases[c].N, cases[c].candidate, mno_precision_name(plan.precision),
                     mno_activation_name(problem.activation));
          mno_record_free(card[i]);
          mno_record_free(host[i]);
        }
        problem_free(&problem);
      }
}

static double distance(const double *a, const double *b, size_t count) {
  double worst = 0, sum = 0;
  for (size_t i = 0; i < count; i++) {
    sum += b[i] * b[i];
    if (!(fabs(a[i] - b[i]) <= worst)) worst = fabs(a[i] - b[i]);
  }
  return worst / sqrt(sum / (double)count);
}

static void products_on_the_card(void **state) {
  need_card();
  char library[128];
  mno_error err = {0};
  if (mno_device_cuda.gemm->available(library, sizeof library, &err) != MNO_OK) {
    printf("%s: kernel G not run\n", err.message);
    skip();
  }
  static const struct {
    size_t D;
    int64_t M, L;
    size_t N;
  } cases[] = {{33, 20, 4, 40}, {100, 100, 6, 200}, {256, 130, 3, 65}};
  const size_t limit = getenv("MEANODE_SMALL") ? 1 : sizeof cases / sizeof *cases;
  for (size_t c = 0; c < limit; c++)
    for (int precision = 0; precision < 2; precision++) {
      mno_problem problem = problem_make(cases[c].D, cases[c].N, 3, 2, 3, MNO_TANH, MNO_SQUARED);
      mno_instance instance[SEEDS];
      int64_t step[] = {0, 3};
      for (size_t i = 0; i < SEEDS; i++)
        instance[i] = (mno_instance){.L = cases[c].L, .M = cases[c].M, .seed = 5 + i, .draw = {cases[c].M, 0, 1}};
      mno_plan plan = {.precision = (mno_precision)precision,
                       .problem_count = 1,
                       .problem = &problem,
                       .instance_count = SEEDS,
                       .instance = instance,
                       .step_count = 2,
                       .step = step,
                       .output = true,
                       .weights = MNO_WEIGHTS_BOTH};
      mno_record *card[SEEDS] = {0}, *host[SEEDS] = {0}, *alone[SEEDS] = {0};
      for (size_t i = 0; i < mno_candidate_count; i++)
        if (mno_candidates[i].kernel == MNO_KERNEL_GEMM) mno_candidate_forced = (int)i;
      mno_twin_state = (mno_twin){.devices = 1, .memory = (size_t)4 << 30, .resident = 2};
      run(&mno_device_cuda, &plan, card);
      run(&mno_device_twin, &plan, host);
      plan.instance_count = 1;
      run(&mno_device_cuda, &plan, alone);
      mno_candidate_forced = -1;
      assert_true(equal(&plan, card[0], alone[0])); /* in a batch of five and alone */
      for (size_t i = 0; i < SEEDS; i++) {
        const size_t w = (size_t)cases[c].L * (size_t)cases[c].M * cases[c].D;
        const double e = fmax(distance(card[i]->u, host[i]->u, w), distance(card[i]->loss, host[i]->loss, 2));
        if (!(e <= (precision == MNO_F64 ? 1e-13 : 1e-5)))
          fail_msg("D %zu M %lld N %zu %s: card and host differ by %.2g", cases[c].D, (long long)cases[c].M, cases[c].N,
                   mno_precision_name(plan.precision), e);
        mno_record_free(card[i]);
        mno_record_free(host[i]);
      }
      mno_record_free(alone[0]);
      problem_free(&problem);
    }
}

/* Particles drawn, moved and summed, and a whole limit: the card's bits are the host's. */
static void particles_on_the_card(void **state) {
  need_card();
  static const struct {
    size_t D, N, m, particles;
    int full;
  } cases[] = {{4, 10, 2, 1024, 0}, {9, 13, 2, 4096, 0}, {40, 7, 1, 512, 1}, {70, 25, 1, 256, 1}};
  const size_t limit = getenv("MEANODE_SMALL") ? 2 : sizeof cases / sizeof *cases;
  mno_error err = {0};
  const mno_engine engine[] = {mno_cuda_engine(&mno_device_cuda), mno_cuda_engine(&mno_device_twin)};
  mno_twin_state = (mno_twin){.devices = 1, .memory = (size_t)4 << 30};
  for (size_t c = 0; c < limit; c++)
    for (int precision = 0; precision < 2; precision++)
      for (int activation = 0; activation < (c == 0 ? MNO_ACTIVATION_COUNT : 1); activation++) {
        mno_problem p = problem_make(cases[c].D, cases[c].N, 3, 2, 2, (mno_activation)activation, MNO_SQUARED);
        mno_reduction reduction;
        assert_ok(mno_reduction_new(&p, cases[c].full, &reduction, &err));
        const size_t r = reduction.r, n = cases[c].m * p.N * r, z = cases[c].particles * 2 * r, count = n * (4 + r) + z;
        double *h = problem_normals(2 * n, MNO_TENSOR_X, 1), *out[2];
        for (int k = 0; k < 2; k++) {
          double *F = out[k] = malloc(count * sizeof *F), *G = F + n, *again = G + n, *J = again + n, *units = J + n * r + n;
          memset(F, 0, count * sizeof *F);
          mno_ensemble e;
          assert_ok(
              mno_ensemble_new(&engine[k], &p, r, cases[c].m, cases[c].particles, (mno_precision)precision, 1, &e, &err));
          assert_ok(mno_ensemble_draw(&e, &reduction, 0, 3, 1, &err));
          mno_ensemble_pass(&e, h, h + n, h + n, h, F, G, NULL);
          mno_ensemble_pass(&e, NULL, NULL, h, NULL, again, NULL, J);
          assert_ok(mno_ensemble_check(&e, &err));
          assert_ok(mno_ensemble_read(&e, cases[c].m - 1, units, &err));
          mno_ensemble_free(&e);
        }
        if (memcmp(out[0], out[1], count * sizeof **out) != 0)
          fail_msg("D %zu N %zu particles %zu %s %s: the card's particles or sums differ from the host's", cases[c].D,
                   cases[c].N, cases[c].particles, mno_precision_name((mno_precision)precision),
                   mno_activation_name(p.activation));
        free(h);
        free(out[0]);
        free(out[1]);
        mno_reduction_free(&reduction);
        problem_free(&p);
      }
  mno_problem p = problem_make(5, 6, 3, 2, 3, MNO_TANH, MNO_SQUARED);
  mno_limit *solved[2];
  for (int k = 0; k < 2; k++) {
    const mno_limit_options options = {.tolerance = 1e-6,
                                       .method = MNO_METHOD_SOBOL,
                                       .particles = 2048,
                                       .nodes = 3,
                                       .randomisations = 2,
                                       .engine = &engine[k]};
    assert_ok(mno_limit_solve(&p, &options, &solved[k], &err));
  }
  assert_memory_equal(solved[0]->state, solved[1]->state, (p.K + 1) * 3 * p.N * p.D * sizeof(double));
  mno_limit_free(solved[0]);
  mno_limit_free(solved[1]);
  problem_free(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(card_equals_host), cmocka_unit_test(products_on_the_card),
                                     cmocka_unit_test(particles_on_the_card)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
