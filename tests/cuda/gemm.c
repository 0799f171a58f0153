/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernel G on the twin of a card, whose products are plain loops: its workers, graphs and elementwise operations, against
 * the CPU backend.
 */
#include "test.h"

#include "host/gemm_worker.h"
#include "host/rounds.h"
#include "host/shape.h"
#include "jobs.h"
#include "meanode/random.h"

static void make(sweep *s, mno_precision precision, mno_weights weights) {
  sweep_make(s, precision, weights);
  s->options.candidate = candidate_with(MNO_KERNEL_GEMM);
}

static void equals_the_cpu_backend(void **state) {
  for (int precision = 0; precision < 2; precision++)
    for (int activation = 0; activation < MNO_ACTIVATION_COUNT; activation++) {
      sweep s;
      make(&s, (mno_precision)precision, MNO_WEIGHTS_BOTH);
      for (int p = 0; p < 2; p++) {
        s.problem[p].activation = (mno_activation)activation;
        /* linear networks amplify rounding a thousandfold at the usual rates, whatever trains them */
        if (activation == MNO_IDENTITY) s.problem[p].eta[MNO_U] = s.problem[p].eta[MNO_V] = 0.1;
      }
      catch gpu = run_twin(&s, usual()), cpu = {.lock = PTHREAD_MUTEX_INITIALIZER};
      assert_true(mno_twin_state.products > 0 && mno_twin_state.launches == 0);
      /* outside of graphs only the six of a layer that each worker begins with: 2 workers to each of 6 groups */
      assert_true(mno_twin_state.calls_at_once > 0 && mno_twin_state.calls_at_once <= 6 * 2 * 6);
      mno_error err = {0};
      mno_job job = job_of(&s, &cpu);
      assert_ok(mno_backend_cpu.run(&job, &err));
      for (size_t i = 0; i < s.plan.instance_count; i++)
        compare(&s, gpu.record[i], cpu.record[i], precision == MNO_F64 ? 1e-13 : 1e-5);
      catch_free(&gpu);
      catch_free(&cpu);
      sweep_free(&s);
    }
}

/* Frozen weights of one kind, and no steps at all. */
static void frozen_and_untrained(void **state) {
  for (int k = 0; k < 3; k++) {
    sweep s;
    make(&s, MNO_F64, MNO_WEIGHTS_BOTH);
    for (int p = 0; p < 2; p++) {
      if (k == 0) s.problem[p].eta[MNO_U] = 0;
      if (k == 1) s.problem[p].eta[MNO_V] = 0;
      if (k == 2) s.problem[p].K = 0;
    }
    if (k == 2) s.plan.step_count = 1;
    catch gpu = run_twin(&s, usual()), cpu = {.lock = PTHREAD_MUTEX_INITIALIZER};
    mno_error err = {0};
    mno_job job = job_of(&s, &cpu);
    assert_ok(mno_backend_cpu.run(&job, &err));
    for (size_t i = 0; i < s.plan.instance_count; i++) compare(&s, gpu.record[i], cpu.record[i], 1e-12);
    catch_free(&gpu);
    catch_free(&cpu);
    sweep_free(&s);
  }
}

/* One step moves the weights by minus the rates times the gradient of the loss, as differences of the loss have it. */
static void gradients_match_differences(void **state) {
  enum { D = 4, M = 3, L = 2, N = 5, IN = 3, OUT = 2 };
  const double eps = 1e-5;
  mno_problem p = problem_make(D, N, IN, OUT, 1, MNO_SOFTPLUS, MNO_CROSS_ENTROPY);
  mno_instance instance = {.L = L, .M = M, .seed = 3, .draw = {M, 0, 1}};
  int64_t step[] = {0, 1};
  size_t rows[] = {0};
  const mno_plan plan = {.precision = MNO_F64,
                         .problem_count = 1,
                         .problem = &p,
                         .instance_count = 1,
                         .instance = &instance,
                         .step_count = 2,
                         .step = step,
                         .recording = {.output = true, .weights = MNO_WEIGHTS_BOTH}};
  catch c = {.lock = PTHREAD_MUTEX_INITIALIZER};
  const mno_job job = {.plan = &plan, .rows = rows, .count = 1, .emit = emit, .context = &c};
  mno_error err = {0};
  mno_twin_state = usual();
  const mno_shape_options options = {.candidate = candidate_with(MNO_KERNEL_GEMM)};
  assert_ok(mno_cuda_run(&mno_device_twin, &job, options, &err));
  const mno_record *r = c.record[0];
  double u[L * M * D], v[L * M * D];
  for (int which = 0; which < 2; which++)
    for (int e = 0; e < L * M * D; e++) {
      double loss[2];
      for (int side = 0; side < 2; side++) {
        memcpy(u, r->initial[MNO_U], sizeof u);
        memcpy(v, r->initial[MNO_V], sizeof v);
        (which ? v : u)[e] += side ? eps : -eps;
        double f[N * OUT] = {0}, gradient[N * OUT];
        for (int n = 0; n < N; n++) {
          double h[D] = {0}, next[D];
          for (int d = 0; d < D; d++)
            for (int j = 0; j < IN; j++) h[d] += p.w_embed[d * IN + j] * p.x[n * IN + j];
          for (int l = 0; l < L; l++) {
            memcpy(next, h, sizeof h);
            for (int m = 0; m < M; m++) {
              double q = 0;
              for (int d = 0; d < D; d++) q += u[(l * M + m) * D + d] * h[d] / D;
              const double t = mno_activation_derivative(p.activation, 0, q);
              for (int d = 0; d < D; d++) next[d] += p.alpha / (L * M) * v[(l * M + m) * D + d] * t;
            }
            memcpy(h, next, sizeof h);
          }
          for (int o = 0; o < OUT; o++)
            for (int d = 0; d < D; d++) f[n * OUT + o] += p.w_unembed[d * OUT + o] * h[d] / D;
        }
        loss[side] = mno_loss_value(p.loss, N, OUT, f, p.y, gradient);
      }
      const double rate = (which ? p.eta[MNO_V] : p.eta[MNO_U]) * (L * M * D) / (p.alpha * p.alpha);
      const double moved = which ? r->final[MNO_V][e] - r->initial[MNO_V][e] : r->final[MNO_U][e] - r->initial[MNO_U][e];
      assert_close(moved, -rate * (loss[1] - loss[0]) / (2 * eps), 2e-7);
    }
  catch_free(&c);
  problem_free(&p);
}

/* Fewer instances at a time, projections computed again, several devices, part of the rows: the same bits. */
static void resources_change_nothing(void **state) {
  for (int precision = 0; precision < 2; precision++) {
    sweep s;
    make(&s, (mno_precision)precision, MNO_WEIGHTS_BOTH);
    catch expected = run_twin(&s, usual());
    const int plays = mno_twin_state.plays;
    for (int k = 0; k < 3; k++) {
      mno_twin twin = usual();
      if (k == 0) twin.memory = 120 << 10;
      if (k == 1) twin.memory = 28 << 10;
      if (k == 2) twin.devices = 2;
      catch c = run_twin(&s, twin);
      if (k == 1) assert_true(mno_twin_state.plays > plays); /* smaller batches, so more of them */
      for (size_t i = 0; i < s.plan.instance_count; i++) compare(&s, c.record[i], expected.record[i], 0);
      catch_free(&c);
    }
    size_t rows[] = {40, 3, 17};
    catch some = {.lock = PTHREAD_MUTEX_INITIALIZER};
    mno_job job = job_of(&s, &some);
    job.rows = rows;
    job.count = 3;
    mno_error err = {0};
    mno_twin_state = usual();
    assert_ok(mno_cuda_run(&mno_device_twin, &job, s.options, &err));
    for (size_t i = 0; i < 3; i++) compare(&s, some.record[rows[i]], expected.record[rows[i]], 0);
    catch_free(&some);
    catch_free(&expected);
    sweep_free(&s);
  }
}

static void recomputed_projections_are_the_same(void **state) {
  sweep s;
  make(&s, MNO_F32, MNO_WEIGHTS_FINAL);
  s.plan.instance_count = 1;
  s.instance[0] = (mno_instance){.L = 30, .M = 20, .seed = 5, .draw = {20, 0, 1}};
  catch kept = run_twin(&s, usual());
  const int products = mno_twin_state.products;
  mno_twin twin = usual();
  twin.memory = 72 << 10;
  catch again = run_twin(&s, twin);
  /* one more for each layer of the recorded backward pass, and to warm up */
  assert_int_equal(mno_twin_state.products, products + 31);
  compare(&s, again.record[0], kept.record[0], 0);
  catch_free(&kept);
  catch_free(&again);
  sweep_free(&s);
}

static void divergence_reaches_the_record(void **state) { check_divergence(candidate_with(MNO_KERNEL_GEMM)); }

static void failures_are_reported(void **state) {
  sweep s;
  make(&s, MNO_F64, MNO_WEIGHTS_NONE);
  for (int k = 0; k < 4; k++) {
    catch c = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_at = k == 2 ? 4 : 0};
    atomic_int stop = 0;
    mno_error err = {0};
    mno_job job = job_of(&s, &c);
    mno_twin_state = usual();
    if (k == 0) mno_twin_state.fail_product = 40;
    if (k == 1) mno_twin_state.fail_play = 9;
    if (k == 3) job.stop = c.stop = &stop;
    static const mno_status expected[] = {MNO_ERR_BACKEND, MNO_ERR_BACKEND, MNO_ERR_IO, MNO_INTERRUPTED};
    static const char *const message[] = {"a product failed", "a graph failed", "disk full", "interrupted"};
    assert_int_equal(mno_cuda_run(&mno_device_twin, &job, s.options, &err), expected[k]);
    assert_non_null(strstr(err.message, message[k]));
    assert_int_equal(mno_twin_state.live, 0);
    assert_true(c.count < s.plan.instance_count);
    catch_free(&c);
  }
  sweep_free(&s);
}

static void batches_share_problem_and_depth(void **state) {
  mno_item item[20] = {{0}};
  mno_batch batch[20];
  for (int i = 0; i < 20; i++) item[i].L = i < 7 ? 5 : 3, item[i].problem = i >= 15;
  const size_t count = mno_batches_make(item, 20, 4, batch), expected[] = {4, 3, 4, 4, 3, 2};
  assert_int_equal(count, 6);
  size_t first = 0;
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(batch[i].first, first);
    assert_int_equal(batch[i].count, expected[i]);
    first += batch[i].count;
  }
}

/* Kernels wait for the host, calls of G may wait for kernels: they never run at the same time. */
static void rounds_of_its_own(void **state) {
  sweep s;
  make(&s, MNO_F32, MNO_WEIGHTS_NONE);
  mno_error err = {0};
  mno_groups groups;
  const mno_abilities none = {0};
  const mno_job job = {.plan = &s.plan, .count = s.plan.instance_count};
  assert_ok(mno_groups_make(&job, &none, 0, 1, &groups, &err));
  assert_true(groups.count >= 4);
  for (size_t i = 0; i < groups.count; i += 2) { /* half of them to G, in between the others */
    mno_group *g = &groups.group[i];
    const mno_dimensions dims = {(size_t)g->shape.D, (size_t)g->shape.M,     (size_t)g->shape.N,
                                 (size_t)g->shape.L, (size_t)g->shape.d_out, 0};
    const mno_candidate gemm = {MNO_KERNEL_GEMM, 256, 1};
    assert_ok(mno_shape_make(&dims, MNO_F32, &gemm, &g->shape, &err));
    g->slot_bytes = mno_slot_bytes(&g->shape);
  }
  for (size_t i = 0; i < groups.count; i++) groups.group[i].wanted = 2;
  int rounds;
  assert_ok(mno_rounds_plan(&groups, (size_t)1 << 30, (size_t)1 << 30, &rounds, &err));
  assert_int_equal(rounds, 2);
  for (size_t i = 0; i < groups.count; i++)
    assert_int_equal(groups.group[i].round, groups.group[i].shape.kernel == MNO_KERNEL_GEMM);
  mno_groups_free(&groups);
  sweep_free(&s);
}

/* Without a library for products, or one without an algorithm for these sizes, the other kernels take the shape. */
static void without_a_library(void **state) {
  enum { L = 2 };
  mno_problem p = problem_make(100, 200, 3, 2, 1, MNO_TANH, MNO_SQUARED);
  mno_instance instance = {.L = L, .M = 100, .seed = 3, .draw = {100, 0, 1}};
  int64_t step[] = {1};
  size_t rows[] = {0};
  const mno_plan plan = {.precision = MNO_F64,
                         .problem_count = 1,
                         .problem = &p,
                         .instance_count = 1,
                         .instance = &instance,
                         .step_count = 1,
                         .step = step,
                         .recording = {.output = true}};
  double loss[3];
  for (int k = 0; k < 3; k++) {
    catch c = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const mno_job job = {.plan = &plan, .rows = rows, .count = 1, .emit = emit, .context = &c};
    mno_error err = {0};
    mno_twin_state = usual();
    mno_twin_state.no_products = k == 1;
    mno_twin_state.no_algorithm = k == 2;
    assert_ok(mno_cuda_run(&mno_device_twin, &job, (mno_shape_options){0}, &err));
    assert_int_equal(mno_twin_state.products > 0, !k);
    assert_int_equal(mno_twin_state.launches, k > 0);
    loss[k] = c.record[0]->loss[0];
    catch_free(&c);
  }
  assert_close(loss[0], loss[1], 1e-13 * loss[0]);
  assert_true(loss[1] == loss[2]);
  problem_free(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(equals_the_cpu_backend),
                                     cmocka_unit_test(frozen_and_untrained),
                                     cmocka_unit_test(gradients_match_differences),
                                     cmocka_unit_test(resources_change_nothing),
                                     cmocka_unit_test(recomputed_projections_are_the_same),
                                     cmocka_unit_test(divergence_reaches_the_record),
                                     cmocka_unit_test(failures_are_reported),
                                     cmocka_unit_test(batches_share_problem_and_depth),
                                     cmocka_unit_test(rounds_of_its_own),
                                     cmocka_unit_test(without_a_library)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
