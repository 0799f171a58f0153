/* SPDX-License-Identifier: BSD-3-Clause */
/* Shards: dealing a plan, merging files, what must be refused. */
#include "sample.h"

enum { SHARDS = 3 };

static const char *shard_path(int shard) {
  static char path[SHARDS][64];
  snprintf(path[shard], sizeof path[shard], "merge_shard%d.h5", shard);
  return path[shard];
}

/* Writes the rows of one shard. */
static void write_part(const mno_plan *plan, int shard, const char *path, bool limits) {
  mno_error err = {0};
  size_t *rows = malloc(plan->instance_count * sizeof *rows), count;
  assert_ok(mno_plan_shard(plan, shard, SHARDS, rows, &count, &err));
  mno_provenance origin = {.backend = "cpu", .device = "a test", .command = "meanode run", .shard = shard, .shards = SHARDS};
  mno_store *store;
  assert_ok(mno_store_open(path, plan, &origin, MNO_FORCE, &store, &err));
  if (limits) sample_put_limits(store, plan);
  for (size_t i = 0; i < count; i++) sample_put(store, plan, rows[i], rows[i] + 1);
  sample_close(store);
  free(rows);
}

static void write_shard(const mno_plan *plan, int shard, const char *path) { write_part(plan, shard, path, true); }

static void test_shards(void **state) {
  mno_error err = {0};
  sample s = sample_new("data: {kind: gaussian, samples: 3, inputs: 2, targets: 2, seed: 1}\n"
                        "model: {block: perceptron, activation: tanh, D: [2, 5], alpha: 1}\n"
                        "training: {steps: 4}\nlimit: {kind: none}\n"
                        "sweep: {L: [2, 4, 8, 64], M: [1, 3, 9], seeds: 7}\n",
                        MNO_F64);
  size_t n = s.plan->instance_count, *rows = malloc(n * sizeof *rows), count;
  for (int shards = 1; shards < 200; shards = shards * 2 + 1) {
    int *seen = calloc(n, sizeof *seen);
    double most = 0, total = 0, largest = 0;
    for (int shard = 0; shard < shards; shard++) {
      assert_ok(mno_plan_shard(s.plan, shard, shards, rows, &count, &err));
      double work = 0;
      for (size_t i = 0; i < count; i++) {
        seen[rows[i]]++;
        const mno_instance *instance = &s.plan->instance[rows[i]];
        double flops = mno_instance_flops(&s.plan->problem[instance->problem], instance);
        work += flops;
        if (flops > largest) largest = flops;
        if (i) assert_true(rows[i] > rows[i - 1]);
      }
      total += work;
      if (work > most) most = work;
    }
    for (size_t i = 0; i < n; i++) assert_int_equal(seen[i], 1);
    assert_true(most <= total / shards + largest);
    free(seen);
  }
  /* The order of the sweep does not matter. */
  size_t before_count, *before = malloc(n * sizeof *before);
  assert_ok(mno_plan_shard(s.plan, 1, 4, before, &before_count, &err));
  uint64_t sum = 0, reversed = 0;
  for (size_t i = 0; i < before_count; i++) sum ^= s.plan->instance[before[i]].id;
  for (size_t i = 0; i < n / 2; i++) {
    mno_instance moved = s.plan->instance[i];
    s.plan->instance[i] = s.plan->instance[n - 1 - i];
    s.plan->instance[n - 1 - i] = moved;
  }
  assert_ok(mno_plan_shard(s.plan, 1, 4, rows, &count, &err));
  for (size_t i = 0; i < count; i++) reversed ^= s.plan->instance[rows[i]].id;
  assert_true(sum == reversed && count == before_count);

  assert_int_equal(mno_plan_shard(s.plan, 4, 4, rows, &count, &err), MNO_ERR_USAGE);
  assert_int_equal(mno_plan_shard(s.plan, -1, 4, rows, &count, &err), MNO_ERR_USAGE);
  assert_int_equal(mno_plan_shard(s.plan, 0, 0, rows, &count, &err), MNO_ERR_USAGE);
  free(before);
  free(rows);
  sample_free(&s);
}

/* A limit that only a later file has comes with all that was said of it. */
static void test_later_limit(void **state) {
  mno_error err = {0};
  sample s = sample_new(sample_text, MNO_F64);
  const char *input[SHARDS], *path = sample_path("merged_later");
  for (int shard = 0; shard < SHARDS; shard++) write_part(s.plan, shard, input[shard] = shard_path(shard), shard == 1);
  mno_merge_report report;
  mno_merge_options options = {0};
  assert_ok(mno_merge(path, input, SHARDS, &options, &report, &err));
  mno_result *result;
  assert_ok(mno_result_open(path, &result, &err));
  for (size_t p = 0; p < result->problem_count; p++) {
    assert_int_equal(result->problems[p].limit_count, 1);
    const mno_limit *limit = result->problems[p].limit[0];
    assert_true(limit->tolerance == s.sweep->limit.tolerance);
    assert_true(limit->certified && limit->degrees == 7 && limit->seconds == 2.5);
    assert_string_equal(limit->method, "sobol");
  }
  mno_result_free(result);
  sample_free(&s);
}

static void test_merge(void **state) {
  mno_error err = {0};
  for (mno_precision precision = MNO_F64; precision <= MNO_F32; precision++) {
    sample s = sample_new(sample_text, precision);
    const char *input[SHARDS];
    for (int shard = 0; shard < SHARDS; shard++) write_shard(s.plan, shard, input[shard] = shard_path(shard));
    mno_result_state now;
    assert_ok(mno_result_inspect(input[1], &now, &err));
    assert_int_equal(now.shard, 1);
    assert_int_equal(now.shards, SHARDS);
    assert_int_equal(now.shard_instances, now.done + now.diverged);

    const char *path = sample_path("merged");
    mno_merge_report report;
    mno_merge_options options = {.command = "meanode merge"};
    assert_ok(mno_merge(path, input, SHARDS, &options, &report, &err));
    assert_int_equal(report.missing, 0);
    assert_int_equal(report.repeated, 0);
    sample_check(path, s.plan, s.plan->instance_count);
    mno_result *result;
    assert_ok(mno_result_open(path, &result, &err));
    assert_int_equal(result->problems[1].limit_count, 1);
    char *history = mno_result_attribute(result, "history");
    assert_non_null(strstr(history, "meanode merge"));
    free(history);
    mno_result_free(result);
    assert_ok(mno_result_inspect(path, &now, &err));
    assert_int_equal(now.shards, 0);

    /* Again: refused, then with everything twice. */
    assert_int_equal(mno_merge(path, input, SHARDS, &options, &report, &err), MNO_ERR_USAGE);
    options.force = true;
    const char *twice[] = {input[2], input[0], input[1], input[0]};
    assert_ok(mno_merge(path, twice, 4, &options, &report, &err));
    assert_true(report.repeated > 0 && report.missing == 0);
    sample_check(path, s.plan, s.plan->instance_count);
    sample_free(&s);
  }
}

static void test_refused(void **state) {
  mno_error err = {0};
  sample s = sample_new(sample_text, MNO_F64);
  const char *input[SHARDS + 1];
  for (int shard = 0; shard < SHARDS; shard++) write_shard(s.plan, shard, input[shard] = shard_path(shard));
  const char *path = sample_path("merge_refused");
  mno_merge_report report;
  mno_merge_options options = {0};
  /* One is missing. */
  assert_int_equal(mno_merge(path, input, 2, &options, &report, &err), MNO_ERR_INPUT);
  assert_non_null(
      strstr(err.message, "shard 2 of 3 (counted from 0) is not among the files: meanode run CONFIG.yaml --shard 2/3"));
  assert_false(sample_exists(path, ""));
  options.partial = true;
  assert_ok(mno_merge(path, input, 2, &options, &report, &err));
  assert_true(report.missing > 0);
  mno_result_state now;
  assert_ok(mno_result_inspect(path, &now, &err));
  assert_int_equal(now.done + now.diverged, report.there);
  options.partial = false;
  /* The output among the inputs. */
  assert_int_equal(mno_merge(input[0], input, SHARDS, &options, &report, &err), MNO_ERR_USAGE);
  unlink(path);

  /* The same rows with other numbers. */
  mno_store *store = sample_open("merge_other.h5", s.plan, MNO_FORCE);
  sample_put_limits(store, s.plan);
  mno_record *record = sample_record(s.plan, 0);
  record->outcome = MNO_DONE;
  record->output[1] += 1;
  assert_ok(mno_store_put(store, record, &err));
  sample_close(store);
  input[SHARDS] = "merge_other.h5";
  assert_int_equal(mno_merge(path, input, SHARDS + 1, &options, &report, &err), MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "different content"));

  /* Another configuration, another precision. */
  const struct {
    const char *old, *new;
    mno_precision precision;
  } other[] = {{"seeds: 3", "seeds: 4", MNO_F64}, {"eta_u: 1", "eta_u: 2", MNO_F64}, {"all", "all", MNO_F32}};
  for (size_t i = 0; i < 3; i++) {
    char text[1000];
    snprintf(text, sizeof text, "%s", sample_text);
    char *at = strstr(text, other[i].old);
    if (at) memcpy(at, other[i].new, strlen(other[i].new));
    sample o = sample_new(text, other[i].precision);
    store = sample_open("merge_other.h5", o.plan, MNO_FORCE);
    sample_close(store);
    assert_int_equal(mno_merge(path, input, SHARDS + 1, &options, &report, &err), MNO_ERR_INPUT);
    assert_non_null(strstr(err.message, "merge_other.h5"));
    sample_free(&o);
  }

  /* A run that has not ended. */
  mno_provenance origin = {.backend = "cpu", .device = "a test", .command = "meanode run", .shard = 1, .shards = SHARDS};
  assert_ok(mno_store_open(input[1], s.plan, &origin, MNO_RESUME, &store, &err));
  assert_int_equal(mno_merge(path, input, SHARDS, &options, &report, &err), MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "still being written"));
  sample_close(store);
  assert_false(sample_exists(path, ""));
  sample_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_shards), cmocka_unit_test(test_later_limit),
                                     cmocka_unit_test(test_merge), cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
