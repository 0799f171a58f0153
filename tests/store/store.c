/* SPDX-License-Identifier: BSD-3-Clause */
/* Round trips of the store, resume, refusals. */
#include "sample.h"

static void test_round_trip(void **state) {
  for (mno_precision precision = MNO_F64; precision <= MNO_F32; precision++) {
    sample s = sample_new(sample_text, precision);
    const char *path = sample_path("round_trip");
    mno_store *store = sample_open(path, s.plan, MNO_CREATE);
    assert_true(sample_exists(path, "") && sample_exists(path, ".journal") && sample_exists(path, ".lock"));
    sample_check(path, s.plan, 0);
    sample_put_limits(store, s.plan);
    sample_put(store, s.plan, 0, s.plan->instance_count);
    sample_close(store);
    assert_false(sample_exists(path, ".journal") || sample_exists(path, ".lock") || sample_exists(path, ".new"));
    sample_check(path, s.plan, s.plan->instance_count);
    sample_free(&s);
  }
}

static void test_limits(void **state) {
  mno_error err = {0};
  sample s = sample_new(sample_text, MNO_F64);
  const char *path = sample_path("limits");
  mno_store *store = sample_open(path, s.plan, MNO_CREATE);
  /* Kinds in the order in which they were put, not in that of their numbers. */
  mno_limit *tangent = sample_limit(s.plan, 1, MNO_LIMIT_TANGENT_ODE), *mean = sample_limit(s.plan, 1, MNO_LIMIT_MEAN_ODE);
  assert_ok(mno_store_put_limit(store, 1, tangent, &err));
  assert_ok(mno_store_put_limit(store, 1, mean, &err));
  sample_close(store);
  mno_result *result;
  assert_ok(mno_result_open(path, &result, &err));
  assert_int_equal(result->problems[0].limit_count, 0);
  assert_int_equal(result->problems[1].limit_count, 2);
  assert_int_equal(result->problems[1].limit[0]->kind, MNO_LIMIT_TANGENT_ODE);
  const mno_limit *read = result->problems[1].limit[1];
  assert_int_equal(read->kind, MNO_LIMIT_MEAN_ODE);
  assert_int_equal(read->K, mean->K);
  assert_int_equal(read->nodes, 2);
  assert_int_equal(read->certified, 1);
  assert_string_equal(read->method, "sobol");
  assert_string_equal(read->parameters, mean->parameters);
  assert_close(read->seconds, 2.5, 0);
  size_t S = mean->K + 1, field = S * 2 * mean->N * mean->D;
  assert_memory_equal(read->output, mean->output, S * mean->N * mean->d_out * 8);
  assert_memory_equal(read->embedding, mean->embedding, S * mean->N * mean->D * 8);
  assert_memory_equal(read->loss, mean->loss, S * 8);
  assert_memory_equal(read->output_error, mean->output_error, S * 8);
  assert_memory_equal(read->output_stderr, mean->output_stderr, S * mean->N * mean->d_out * 8);
  assert_int_equal(read->degrees, 7);
  assert_int_equal(read->diverged, -1);
  assert_int_equal(result->problems[1].limit[0]->diverged, 1);
  assert_memory_equal(read->depth, mean->depth, 16);
  assert_memory_equal(read->state, mean->state, field * 8);
  assert_memory_equal(read->adjoint, mean->adjoint, field * 8);
  mno_result_free(result);

  store = sample_open(path, s.plan, MNO_RESUME);
  const mno_limit *kept = mno_store_limit(store, 1, MNO_LIMIT_MEAN_ODE);
  assert_non_null(kept);
  assert_int_equal(kept->degrees, 7);
  assert_non_null(mno_store_limit(store, 1, MNO_LIMIT_TANGENT_ODE));
  assert_null(mno_store_limit(store, 0, MNO_LIMIT_MEAN_ODE));
  sample_close(store);
  mno_limit_free(mean);
  mno_limit_free(tangent);
  sample_free(&s);
}

static void test_modes(void **state) {
  mno_error err = {0};
  sample s = sample_new(sample_text, MNO_F64);
  const char *path = sample_path("modes");
  size_t n = s.plan->instance_count;
  mno_store *store = sample_open(path, s.plan, MNO_RESUME); /* resume of nothing starts */
  sample_put_limits(store, s.plan);
  sample_put(store, s.plan, 0, 7);
  sample_close(store);

  assert_int_equal(mno_store_open(path, s.plan, NULL, MNO_CREATE, &store, &err), MNO_ERR_USAGE);
  assert_non_null(strstr(err.message, "--resume"));
  sample_check(path, s.plan, 7);

  store = sample_open(path, s.plan, MNO_RESUME);
  for (size_t row = 0; row < n; row++) assert_int_equal(mno_store_has(store, row), row < 7);
  sample_put(store, s.plan, 0, n);
  sample_close(store);
  sample_check(path, s.plan, n);

  store = sample_open(path, s.plan, MNO_FORCE);
  assert_false(mno_store_has(store, 0));
  sample_close(store);
  sample_check(path, s.plan, 0);
  sample_free(&s);
}

static char *replaced(const char *text, const char *old, const char *new) {
  const char *at = strstr(text, old);
  assert_non_null(at);
  char *made = malloc(strlen(text) + strlen(new) + 1);
  sprintf(made, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
  return made;
}

static void test_changed_configuration(void **state) {
  const struct {
    const char *old, *new, *shown;
  } change[] = {{"eta_u: 1", "eta_u: 2", "eta_u: 2"},
                {"seeds: 3", "seeds: 2", "seeds: 2"},
                {"L: [2, 4]", "L: [2, 8]", "L: [2, 8]"},
                {"seed: 1", "seed: 2", "seed: 2"},
                {"steps: [0, 2, 4]", "steps: all", "steps: all"},
                {"weights: both", "weights: none", "weights: none"},
                {"tolerance: 1e-3", "tolerance: 1e-4", "tolerance: 1e-4"},
                {"kind: mean-ode", "kind: [tangent-ode, mean-ode]", "tangent-ode"}};
  mno_error err = {0};
  sample s = sample_new(sample_text, MNO_F64);
  const char *path = sample_path("changed");
  mno_store *store = sample_open(path, s.plan, MNO_CREATE);
  sample_put(store, s.plan, 0, 3);
  sample_close(store);
  for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
    char *text = replaced(sample_text, change[i].old, change[i].new);
    sample other = sample_new(text, MNO_F64);
    if (mno_store_open(path, other.plan, NULL, MNO_RESUME, &store, &err) != MNO_ERR_INPUT)
      fail_msg("%s was accepted", change[i].new);
    if (!strstr(err.message, change[i].shown) || !strstr(err.message, path))
      fail_msg("%s is not shown: %s", change[i].new, err.message);
    sample_free(&other);
    free(text);
  }
  sample other = sample_new(sample_text, MNO_F32);
  assert_int_equal(mno_store_open(path, other.plan, NULL, MNO_RESUME, &store, &err), MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "f64"));
  sample_free(&other);
  sample_check(path, s.plan, 3);
  sample_free(&s);
}

/* More seeds and sizes: the old rows move to their new places, nothing is computed twice. */
static void test_extended(void **state) {
  {
    sample s = sample_new(sample_text, MNO_F64);
    const char *path = sample_path("extended");
    mno_store *store = sample_open(path, s.plan, MNO_CREATE);
    sample_put_limits(store, s.plan);
    sample_put(store, s.plan, 0, s.plan->instance_count);
    sample_close(store);
    char *more = replaced(sample_text, "L: [2, 4], M: [1, 3], seeds: 3", "L: [2, 4, 5], M: [1, 2, 3], seeds: 4");
    sample e = sample_new(more, MNO_F64);
    store = sample_open(path, e.plan, MNO_RESUME);
    size_t had = 0;
    for (size_t row = 0; row < e.plan->instance_count; row++) had += mno_store_has(store, row);
    assert_int_equal(had, s.plan->instance_count);
    assert_non_null(mno_store_limit(store, 1, MNO_LIMIT_MEAN_ODE));
    sample_put(store, e.plan, 0, e.plan->instance_count);
    sample_close(store);

    mno_error err = {0};
    mno_result *result;
    assert_ok(mno_result_open(path, &result, &err));
    assert_string_equal(result->config, more);
    assert_int_equal(result->instance_count, e.plan->instance_count);
    for (size_t p = 0; p < result->problem_count; p++) {
      const mno_result_problem *problem = &result->problems[p];
      assert_int_equal(problem->run_count, 36);
      assert_int_equal(problem->limit_count, 1);
      size_t out = problem->N * problem->d_out;
      double *value = malloc(problem->run_count * out * sizeof *value);
      assert_ok(mno_result_output(result, p, 2, value, &err));
      for (size_t i = 0; i < problem->run_count; i++)
        for (size_t j = 0; j < out; j++)
          assert_close(value[i * out + j], sample_number(result->id[problem->row[i]], 3, 2 * out + j), 0);
      free(value);
    }
    mno_result_free(result);
    free(more);
    sample_free(&e);
    sample_free(&s);
  }
}

/* Where the sweep's own largest networks are the limit, more instances would change what is there. */
static void test_extended_largest(void **state) {
  mno_error err = {0};
  char *text = replaced(sample_text, "kind: mean-ode", "kind: largest"), *more = replaced(text, "seeds: 3", "seeds: 4");
  sample s = sample_new(text, MNO_F64), e = sample_new(more, MNO_F64);
  const char *path = sample_path("extended_largest");
  mno_store *store = sample_open(path, s.plan, MNO_CREATE);
  sample_close(store);
  assert_int_equal(mno_store_open(path, e.plan, NULL, MNO_RESUME, &store, &err), MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "largest"));
  store = sample_open(path, s.plan, MNO_RESUME);
  sample_close(store);
  sample_free(&e);
  sample_free(&s);
  free(more);
  free(text);
}

static void test_lock(void **state) {
  mno_error err = {0};
  sample s = sample_new(sample_text, MNO_F64);
  const char *path = sample_path("lock");
  mno_store *store = sample_open(path, s.plan, MNO_CREATE), *second;
  mno_open_mode modes[] = {MNO_CREATE, MNO_FORCE, MNO_RESUME};
  char host[128], pid[32];
  gethostname(host, sizeof host);
  snprintf(pid, sizeof pid, "%ld", (long)getpid());
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(mno_store_open(path, s.plan, NULL, modes[i], &second, &err), MNO_ERR_IO);
    assert_non_null(strstr(err.message, host));
    assert_non_null(strstr(err.message, pid));
  }
  sample_put(store, s.plan, 0, s.plan->instance_count);
  sample_close(store);
  sample_check(path, s.plan, s.plan->instance_count);

  /* Left by a process that is gone. */
  char name[300];
  snprintf(name, sizeof name, "%s.lock", path);
  FILE *file = fopen(name, "w");
  fprintf(file, "host %s process 999999999 start 5 beat 1\n", host);
  fclose(file);
  store = sample_open(path, s.plan, MNO_RESUME);
  sample_close(store);
  assert_false(sample_exists(path, ".lock"));
  sample_free(&s);
}

static void test_unwritable(void **state) {
  mno_error err = {0};
  sample s = sample_new(sample_text, MNO_F64);
  mno_store *store;
  const char *path[] = {"/dev/full", "/dev/null", "/proc/out.h5", "/no/such/folder/out.h5", "."};
  for (size_t i = 0; i < sizeof path / sizeof *path; i++) {
    assert_int_equal(mno_store_open(path[i], s.plan, NULL, MNO_FORCE, &store, &err), MNO_ERR_IO);
    assert_non_null(strstr(err.message, path[i]));
  }
  sample_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip), cmocka_unit_test(test_limits),
      cmocka_unit_test(test_modes),      cmocka_unit_test(test_changed_configuration),
      cmocka_unit_test(test_extended),   cmocka_unit_test(test_extended_largest),
      cmocka_unit_test(test_lock),       cmocka_unit_test(test_unwritable),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
