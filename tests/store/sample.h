/* SPDX-License-Identifier: BSD-3-Clause */
/* A small plan, and records and limits whose numbers are a function of what they belong to. */
#ifndef MNO_TEST_STORE_SAMPLE_H
#define MNO_TEST_STORE_SAMPLE_H

#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char sample_text[] = "data: {kind: gaussian, samples: 3, inputs: 2, targets: 2, seed: 1}\n"
                                  "model: {block: perceptron, activation: tanh, D: [2, 3], alpha: 1}\n"
                                  "training: {steps: 4, eta_u: 1, eta_v: 1}\n"
                                  "limit: {kind: mean-ode, tolerance: 1e-3}\n"
                                  "sweep: {L: [2, 4], M: [1, 3], seeds: 3}\n"
                                  "record: {steps: [0, 2, 4], output: true, embedding: true, weights: both}\n";

typedef struct sample {
  mno_sweep *sweep;
  mno_plan *plan;
} sample;

static inline sample sample_new(const char *text, mno_precision precision) {
  mno_error err = {0};
  sample s = {0};
  assert_ok(mno_sweep_parse(text, strlen(text), "test.yaml", &s.sweep, &err));
  assert_ok(mno_plan_build(s.sweep, precision, &s.plan, &err));
  return s;
}

static inline void sample_free(sample *s) {
  mno_plan_free(s->plan);
  mno_sweep_free(s->sweep);
}

/* A number that depends on the instance, the field and the place, exact in f32. */
static inline double sample_number(uint64_t id, size_t field, size_t i) {
  uint64_t x = id + 0x9e3779b97f4a7c15ull * (field * 1000003 + i + 1);
  x ^= x >> 31;
  x *= 0xbf58476d1ce4e5b9ull;
  x ^= x >> 29;
  return (double)(x % 2001) / 256 - 4;
}

static inline mno_record *sample_record(const mno_plan *plan, size_t row) {
  mno_error err = {0};
  mno_record *record;
  assert_ok(mno_record_new(plan, row, &record, &err));
  size_t shape[MNO_FIELD_RANK], rank;
  mno_record_field field[MNO_RECORD_FIELDS_MOST];
  const size_t count = mno_record_fields(plan->problem[plan->instance[row].problem].block, field);
  for (size_t f = 0; f < count; f++) {
    double *value = *(double **)((char *)record + field[f].offset);
    size_t n = value ? mno_record_field_shape(plan, row, &field[f], shape, &rank) : 0;
    for (size_t i = 0; i < n; i++) value[i] = sample_number(plan->instance[row].id, f, i);
  }
  record->outcome = row % 5 == 4 ? MNO_INSTANCE_DIVERGED : MNO_DONE;
  record->seconds = (double)row / 8;
  return record;
}

static inline mno_limit *sample_limit(const mno_plan *plan, size_t p, mno_limit_kind kind) {
  mno_error err = {0};
  mno_limit *limit;
  const mno_problem *problem = &plan->problem[p];
  assert_ok(mno_limit_new(problem, 2, &limit, &err));
  limit->kind = kind;
  limit->certified = 1;
  limit->degrees = 7;
  limit->diverged = kind == MNO_LIMIT_TANGENT_ODE ? 1 : -1;
  limit->seconds = 2.5;
  snprintf(limit->method, sizeof limit->method, "sobol");
  snprintf(limit->parameters, sizeof limit->parameters, "particles 64, nodes 2");
  size_t S = limit->K + 1, state = S * 2 * limit->N * limit->D;
  for (size_t i = 0; i < 2; i++) limit->depth[i] = 0.25 + 0.5 * (double)i;
  for (size_t i = 0; i < S; i++) {
    limit->loss[i] = sample_number(problem->id, 20, i);
    limit->output_error[i] = limit->embedding_error[i] = 1e-4;
  }
  for (size_t i = 0; i < S * limit->N * limit->d_out; i++) {
    limit->output[i] = sample_number(problem->id, 21 + kind, i);
    limit->output_stderr[i] = 1e-4 * (1 + (double)(i % 7));
  }
  for (size_t i = 0; i < S * limit->N * limit->D; i++) limit->embedding[i] = sample_number(problem->id, 31 + kind, i);
  for (size_t i = 0; i < state; i++) {
    limit->state[i] = sample_number(problem->id, 41, i);
    limit->adjoint[i] = sample_number(problem->id, 42, i);
  }
  return limit;
}

static inline void sample_put(mno_store *store, const mno_plan *plan, size_t from, size_t to) {
  mno_error err = {0};
  for (size_t row = from; row < to; row++)
    if (!mno_store_has(store, row)) assert_ok(mno_store_put(store, sample_record(plan, row), &err));
}

static inline void sample_put_limits(mno_store *store, const mno_plan *plan) {
  mno_error err = {0};
  for (size_t p = 0; p < plan->problem_count; p++) {
    if (mno_store_limit(store, p, MNO_LIMIT_MEAN_ODE)) continue;
    mno_limit *limit = sample_limit(plan, p, MNO_LIMIT_MEAN_ODE);
    assert_ok(mno_store_put_limit(store, p, limit, &err));
    mno_limit_free(limit);
  }
}

static inline mno_store *sample_open(const char *path, const mno_plan *plan, mno_open_mode mode) {
  mno_error err = {0};
  mno_store *store;
  mno_provenance origin = {.backend = "cpu", .device = "a test", .command = "meanode run test.yaml"};
  assert_ok(mno_store_open(path, plan, &origin, mode, &store, &err));
  return store;
}

static inline void sample_close(mno_store *store) {
  mno_error err = {0};
  assert_ok(mno_store_close(store, &err));
}

/* All rows there hold the numbers of sample_record; the first `rows` are there, the rest is missing. */
static inline void sample_check(const char *path, const mno_plan *plan, size_t rows) {
  mno_error err = {0};
  mno_result *result;
  assert_ok(mno_result_open(path, &result, &err));
  assert_int_equal(result->instance_count, plan->instance_count);
  assert_int_equal(result->step_count, plan->step_count);
  for (size_t row = 0; row < plan->instance_count; row++) {
    const mno_instance *instance = &plan->instance[row];
    assert_int_equal(result->status[row], row < rows ? (row % 5 == 4) : -1);
    assert_int_equal(result->L[row], instance->L);
    assert_int_equal(result->M[row], instance->M);
    assert_true(result->id[row] == instance->id && result->seed[row] == instance->seed);
    assert_int_equal(result->problem[row], instance->problem);
    assert_int_equal(result->draw[row].width, instance->draw.width);
    assert_int_equal(result->draw[row].sign, instance->draw.sign);
  }
  mno_record_field field[MNO_RECORD_FIELDS_MOST];
  size_t seen = 0, fields = mno_record_fields(plan->problem[0].block, field), output = 0, embedding = 0;
  for (size_t f = 0; f < fields; f++) {
    if (strcmp(field[f].name, "output") == 0) output = f;
    if (strcmp(field[f].name, "embedding") == 0) embedding = f;
  }
  for (size_t p = 0; p < result->problem_count; p++) {
    const mno_result_problem *problem = &result->problems[p];
    assert_int_equal(problem->D, plan->problem[p].D);
    assert_true(problem->id == plan->problem[p].id);
    size_t out = problem->N * problem->d_out, state = problem->N * problem->D;
    double *value = malloc((problem->run_count + 1) * (out + state) * sizeof *value);
    for (size_t s = 0; s < plan->step_count; s++) {
      assert_ok(mno_result_output(result, p, s, value, &err));
      for (size_t i = 0; i < problem->run_count; i++)
        for (size_t j = 0; j < out; j++)
          assert_close(value[i * out + j], sample_number(result->id[problem->row[i]], output, s * out + j), 0);
      if (!plan->recording.embedding) continue;
      assert_ok(mno_result_embedding(result, p, s, value, &err));
      for (size_t i = 0; i < problem->run_count; i++)
        for (size_t j = 0; j < state; j++)
          assert_close(value[i * state + j], sample_number(result->id[problem->row[i]], embedding, s * state + j), 0);
    }
    free(value);
    for (size_t i = 0; i < problem->run_count; i++) assert_true(problem->row[i] < rows);
    seen += problem->run_count;
  }
  assert_int_equal(seen, rows);
  mno_result_free(result);
}

static inline char *sample_path(const char *name) {
  static char path[256];
  snprintf(path, sizeof path, "%s.h5", name);
  char other[300];
  const char *ends[] = {"", ".journal", ".lock", ".new"};
  for (size_t i = 0; i < 4; i++) {
    snprintf(other, sizeof other, "%s%s", path, ends[i]);
    unlink(other);
  }
  return path;
}

static inline bool sample_exists(const char *path, const char *end) {
  char other[300];
  snprintf(other, sizeof other, "%s%s", path, end);
  return access(other, F_OK) == 0;
}

#endif
