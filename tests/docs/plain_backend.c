/* SPDX-License-Identifier: BSD-3-Clause */
/* The example of docs/how-to/backend.md: a whole backend, one instance after the other with the reference network, and the
 * least that its test must show. */
#include "core/memory.h"
#include "reference/reference.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mno_status plain_probe(char *description, size_t size) {
  snprintf(description, size, "one core, no vectors");
  return MNO_OK;
}

/* What is kept of a recorded step, the s-th of them. */
static void keep(mno_record *record, const mno_reference *network, size_t s, double loss) {
  const mno_problem *problem = network->problem;
  const size_t outputs = problem->N * problem->d_out, field = problem->N * problem->D;
  record->loss[s] = loss;
  memcpy(record->output + s * outputs, network->output, outputs * sizeof(double));
  memcpy(record->embedding + s * field, network->h + network->L * field, field * sizeof(double));
}

static void train(const mno_plan *plan, mno_reference *network, mno_record *record) {
  const size_t K = network->problem->K;
  for (size_t k = 0, s = 0; k <= K; k++) {
    const double loss = mno_reference_forward(network);
    if (!isfinite(loss)) { /* an outcome, not an error; what is left stays NaN */
      record->outcome = MNO_INSTANCE_DIVERGED;
      return;
    }
    if (s < plan->step_count && plan->step[s] == (int64_t)k) keep(record, network, s++, loss);
    if (k == K) return;
    mno_reference_backward(network);
    mno_reference_update(network, k, network->h, network->b, network->units);
  }
}

static mno_status train_row(const mno_job *job, size_t row, mno_error *err) {
  const mno_instance *instance = &job->plan->instance[row];
  const mno_problem *problem = &job->plan->problem[instance->problem];
  const size_t L = (size_t)instance->L, M = (size_t)instance->M, count = mno_reference_numbers(problem, L, M);
  const double start = mno_now();
  mno_record *record;
  mno_status status = mno_record_new(job->plan, row, &record, err); /* everything in it is NaN */
  if (status != MNO_OK) return status;
  double *numbers = mno_alloc(count, sizeof *numbers);
  if (!numbers) {
    mno_record_free(record);
    return mno_fail_memory(err, count * sizeof *numbers, "a network");
  }
  mno_reference network = mno_reference_place(problem, L, M, numbers);
  mno_reference_draw(problem, instance, network.units.w);
  train(job->plan, &network, record);
  free(numbers);
  record->seconds = mno_now() - start;
  return job->emit(job->context, record, err); /* ownership passes, whatever it returns */
}

static mno_status plain_run(const mno_job *job, mno_error *err) {
  mno_status status = MNO_OK;
  for (size_t i = 0; i < job->count && status == MNO_OK; i++) {
    if (job->stop && atomic_load(job->stop)) return mno_fail(err, MNO_INTERRUPTED, "interrupted");
    status = train_row(job, job->rows[i], err);
  }
  return status;
}

/* What it does not do is refused before any work. */
static mno_status plain_fits(const mno_plan *plan, const size_t *rows, size_t count, int threads, mno_error *err) {
  if (plan->recording.weights) return mno_fail(err, MNO_ERR_BACKEND, "backend plain records no weights; use --backend cpu");
  return MNO_OK;
}

static size_t plain_memory(const mno_plan *plan, size_t row) {
  const mno_instance *instance = &plan->instance[row];
  return mno_reference_numbers(&plan->problem[instance->problem], (size_t)instance->L, (size_t)instance->M) * sizeof(double);
}

static double plain_seconds(const mno_plan *plan, size_t row) {
  const mno_instance *instance = &plan->instance[row];
  return mno_instance_flops(&plan->problem[instance->problem], instance) / 1e9;
}

static const mno_backend plain = {.name = "plain",
                                  .priority = -1, /* --backend auto takes any other that is there */
                                  .probe = plain_probe,
                                  .run = plain_run,
                                  .fits = plain_fits,
                                  .memory = plain_memory,
                                  .seconds = plain_seconds};

/* ---- The test */

enum { MOST = 64 };
static const char sweep_text[] = "data: {kind: gaussian, samples: 5, inputs: 3, targets: 2}\n"
                                 "model: {D: 4, activation: gelu, alpha: [0.5, 1e-6]}\n"
                                 "training: {steps: 12, eta_u: 0.7, eta_v: 1}\n"
                                 "limit: {kind: none}\n"
                                 "sweep: {L: [3, 7], M: [1, 5], seeds: 2, pairs: antithetic}\n"
                                 "record: {steps: [0, 1, 12], embedding: true}\n";

static mno_status collect(void *context, mno_record *record, mno_error *err) {
  mno_record **of_row = context;
  assert_null(of_row[record->row]);
  of_row[record->row] = record;
  return MNO_OK;
}

static void train_all(const mno_backend *backend, const mno_plan *plan, mno_record *of_row[MOST]) {
  mno_error err = {0};
  size_t rows[MOST];
  for (size_t i = 0; i < plan->instance_count; i++) rows[i] = plan->instance_count - 1 - i;
  const mno_job job = {.plan = plan, .rows = rows, .count = plan->instance_count, .emit = collect, .context = of_row};
  assert_ok(backend->fits(plan, NULL, 0, 1, &err));
  assert_ok(backend->run(&job, &err));
}

/* Every record is there once, with the same numbers as the CPU backend's up to rounding, and the same outcome. */
static void equals_the_cpu_backend(void **state) {
  mno_error err = {0};
  mno_sweep *sweep;
  mno_plan *plan;
  const mno_backend *cpu;
  mno_record *mine[MOST] = {0}, *theirs[MOST] = {0};
  assert_ok(mno_sweep_parse(sweep_text, strlen(sweep_text), "sweep.yaml", &sweep, &err));
  assert_ok(mno_plan_build(sweep, MNO_F64, &plan, &err));
  assert_in_range(plan->instance_count, 1, MOST);
  assert_ok(mno_backend_find("cpu", &cpu, &err));
  train_all(&plain, plan, mine);
  train_all(cpu, plan, theirs);
  size_t outcomes[2] = {0};
  for (size_t row = 0; row < plan->instance_count; row++) {
    assert_non_null(mine[row]);
    assert_int_equal(mine[row]->outcome, theirs[row]->outcome);
    outcomes[mine[row]->outcome]++;
    const double *a = mno_record_block(mine[row]), *b = mno_record_block(theirs[row]);
    for (size_t e = 0; e < mno_record_numbers(plan, row); e++)
      if (!isnan(a[e]) || !isnan(b[e])) assert_close(a[e], b[e], 1e-9 * fmax(1, fabs(b[e])));
    mno_record_free(mine[row]);
    mno_record_free(theirs[row]);
  }
  assert_true(outcomes[MNO_DONE] && outcomes[MNO_INSTANCE_DIVERGED]);
  mno_plan_free(plan);
  mno_sweep_free(sweep);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(equals_the_cpu_backend)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
