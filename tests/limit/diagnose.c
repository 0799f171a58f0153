/* SPDX-License-Identifier: BSD-3-Clause */
/* Diagnostics of finite networks: against the CPU backend, the exact first step, and the orders of the theory. */
#include "limit/problems.h"

static mno_plan one_instance(mno_problem *problem, mno_instance *instance, int64_t *steps) {
  mno_plan plan = {.precision = MNO_F64, .problem_count = 1, .problem = problem, .instance_count = 1, .instance = instance};
  plan.step_count = problem->K + 1;
  plan.step = steps;
  for (size_t k = 0; k <= problem->K; k++) steps[k] = (int64_t)k;
  plan.recording = (mno_recording){.output = true, .embedding = true, .coupling = true, .path = true, .features = true};
  return plan;
}

static mno_record *diagnose(const mno_plan *plan, const mno_limit *limit) {
  mno_error err;
  mno_record *record;
  assert_ok(mno_record_new(plan, 0, &record, &err));
  assert_ok(mno_diagnose(plan, limit, record, &err));
  return record;
}

static mno_status take(void *context, mno_record *record, mno_error *err) {
  *(mno_record **)context = record;
  return MNO_OK;
}

/* The retrained network is the backend's: same states at s = 1; and its path starts at W_E x. */
static void retraining_matches_backend(void **state) {
  mno_error err;
  mno_problem p = random_problem(3, 2, 2, 5, 4);
  p.activation = MNO_GELU;
  p.sigma[MNO_U] = 0.8;
  p.eta[MNO_V] = 0.6;
  p.alpha = 1.3;
  mno_instance instance = {.L = 5, .M = 3, .seed = 7, .draw = {6, 2, -1}};
  int64_t steps[5];
  mno_plan plan = one_instance(&p, &instance, steps);
  mno_record *ours = diagnose(&plan, NULL), *theirs = NULL;
  const mno_backend *backend;
  size_t row = 0, field = p.N * p.D;
  assert_ok(mno_backend_find("cpu", &backend, &err));
  mno_job job = {.plan = &plan, .rows = &row, .count = 1, .threads = 1, .emit = take, .context = &theirs};
  assert_ok(backend->run(&job, &err));
  for (size_t k = 0; k <= p.K; k++) {
    const double *path = ours->path_forward + k * MNO_PATH_POINTS * field;
    for (size_t e = 0; e < field; e++)
      assert_close(path[(MNO_PATH_POINTS - 1) * field + e], theirs->embedding[k * field + e], 1e-11);
    for (size_t i = 0; i < p.N; i++)
      for (size_t a = 0; a < p.D; a++) {
        double h = 0;
        for (size_t c = 0; c < p.d_in; c++) h += p.w_embed[a * p.d_in + c] * p.x[i * p.d_in + c];
        assert_close(path[i * p.D + a], h, 1e-12);
      }
    assert_true(isnan(ours->coupling[k]));
    assert_true(isnan(ours->path_error_forward[k]));
  }
  assert_true(ours->feature_update[0] == 0 && ours->parameter_movement[0] == 0);
  /* what the initial units add at step 0 is all that moves h */
  const double *path = ours->path_forward;
  assert_close(ours->init_noise[0], rms_difference(path + (MNO_PATH_POINTS - 1) * field, path, field), 1e-13);
  mno_record_free(ours);
  mno_record_free(theirs);
  problem_free(&p);
}

/* Fields between the nodes. */
static void fields_interpolate(void **state) {
  mno_problem p = random_problem(3, 2, 2, 4, 3);
  mno_error err;
  mno_limit *limit = solve_limit(&p, (mno_limit_options){.tolerance = 1e-3, .particles = 512, .nodes = 5});
  size_t field = p.N * p.D;
  double *h = malloc(2 * field * sizeof(double)), *b = h + field;
  for (size_t k = 0; k <= p.K; k++) {
    for (size_t j = 0; j < limit->nodes; j++) { /* at nodes: the nodes' values */
      assert_ok(mno_limit_fields(&p, limit, k, limit->depth[j], h, b, &err));
      assert_true(rms_difference(h, limit->state + (k * limit->nodes + j) * field, field) < 1e-12);
      assert_true(rms_difference(b, limit->adjoint + (k * limit->nodes + j) * field, field) < 1e-12);
    }
    assert_ok(mno_limit_fields(&p, limit, k, 1, h, NULL, &err)); /* at s = 1: the embedding, up to the order of the nodes */
    assert_true(rms_difference(h, limit->embedding + k * field, field) < 1e-3 * rms(limit->embedding, field));
  }
  free(h);
  mno_limit_free(limit);
  problem_free(&p);
}

/* Mean over seeds of a diagnostic at a step. */
static void averages(mno_problem *p, const mno_limit *limit, int64_t L, int64_t M, size_t seeds, size_t k, double out[4]) {
  int64_t steps[32];
  for (int i = 0; i < 4; i++) out[i] = 0;
  for (size_t seed = 0; seed < seeds; seed++) {
    mno_instance instance = {.L = L, .M = M, .seed = 100 + seed, .draw = {M, 0, 1}};
    mno_plan plan = one_instance(p, &instance, steps);
    mno_record *record = diagnose(&plan, limit);
    out[0] += record->coupling[k] * record->coupling[k] / (double)seeds;
    out[1] += record->decorrelation[k] / (double)seeds;
    out[2] += record->path_error_forward[k] * record->path_error_forward[k] / (double)seeds;
    out[3] += record->path_error_backward[k] * record->path_error_backward[k] / (double)seeds;
    mno_record_free(record);
  }
  out[0] = sqrt(out[0]);
  out[2] = sqrt(out[2]);
  out[3] = sqrt(out[3]);
}

/* Propagation of chaos: deviations fall as (L M)^-1/2, M = 1 included; distinct units decorrelate as 1/(L M). */
static void propagation_of_chaos(void **state) {
  enum { SEEDS = 8 };
  mno_problem p = random_problem(6, 3, 2, 4, 5);
  mno_limit *limit = solve_limit(&p, (mno_limit_options){.tolerance = 1e-3});
  static const int64_t shapes[][2] = {{64, 1}, {1024, 1}, {64, 16}};
  double value[3][4];
  for (size_t i = 0; i < 3; i++) averages(&p, limit, shapes[i][0], shapes[i][1], SEEDS, p.K, value[i]);
  for (size_t i = 1; i < 3; i++) {
    double slope = log(value[i][0] / value[0][0]) / log(16.0);
    print_message(
        "L %d M %d: coupling %.3e (slope %.3f), pair covariance %.2e (from %.2e), path %.2e %.2e (from %.2e %.2e)\n",
        (int)shapes[i][0], (int)shapes[i][1], value[i][0], slope, value[i][1], value[0][1], value[i][2], value[i][3],
        value[0][2], value[0][3]);
    assert_close(slope, -0.5, 0.15);
    assert_close(log(value[i][2] / value[0][2]) / log(16.0), -0.5, 0.2);
    assert_true(fabs(value[i][1]) < value[i][0] * value[i][0]);
  }
  mno_limit_free(limit);
  problem_free(&p);
}

/* The constants of RMS |Z_k - coupled Z_k| = C_k sqrt(D)/sqrt(L M), per coordinate of (u, v), of the D = 8 reference
 * problem, against an independent measurement: C_1 = .25, C_5 = .65, C_15 = 1.3, one unit a layer included. */
static void coupling_constants(void **state) {
  enum { SEEDS = 12 };
  static const double wanted[3] = {0.25, 0.65, 1.3};
  static const size_t steps[3] = {1, 5, 15};
  static const int64_t shapes[][2] = {{256, 1}, {16, 16}};
  hid_t file = reference_open("mean_ode_D8.h5");
  mno_problem p = reference_problem(file);
  mno_limit *limit = solve_limit(&p, (mno_limit_options){.tolerance = 2e-3});
  for (size_t i = 0; i < 2; i++) {
    double square[3] = {0}, units = (double)(shapes[i][0] * shapes[i][1]);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
      int64_t all[16];
      mno_instance instance = {.L = shapes[i][0], .M = shapes[i][1], .seed = seed, .draw = {shapes[i][1], 0, 1}};
      mno_plan plan = one_instance(&p, &instance, all);
      plan.recording.path = plan.recording.features = false;
      mno_record *record = diagnose(&plan, limit);
      for (int s = 0; s < 3; s++) square[s] += record->coupling[steps[s]] * record->coupling[steps[s]] / SEEDS;
      mno_record_free(record);
    }
    for (int s = 0; s < 3; s++) {
      double C = sqrt(square[s] * units / (double)p.D);
      print_message("L %d M %d: C_%zu = %.3f\n", (int)shapes[i][0], (int)shapes[i][1], steps[s], C);
      assert_close(C, wanted[s], 0.15 * wanted[s]);
    }
  }
  mno_limit_free(limit);
  problem_free(&p);
  H5Fclose(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(retraining_matches_backend), cmocka_unit_test(fields_interpolate),
                                     cmocka_unit_test(propagation_of_chaos), cmocka_unit_test(coupling_constants)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
