/* SPDX-License-Identifier: BSD-3-Clause */
/* The smallest client of the library: a sweep from memory, trained on the CPU, the loss of each instance printed. */
#include <meanode/meanode.h>

#include <stdio.h>
#include <string.h>

static mno_status print_loss(void *context, mno_record *record, mno_error *err) {
  const mno_plan *plan = context;
  const mno_instance *instance = &plan->instance[record->row];
  printf("L %lld M %lld loss %.6f\n", (long long)instance->L, (long long)instance->M, record->loss[plan->step_count - 1]);
  mno_record_free(record);
  return MNO_OK;
}

int main(void) {
  const char *text = "data: {kind: gaussian, samples: 4, inputs: 3, targets: 2, seed: 1}\n"
                     "model: {D: 4}\ntraining: {steps: 3}\nlimit: {kind: none}\nsweep: {L: [4, 8], M: 2, seeds: 1}\n";
  mno_error err = {0};
  mno_sweep *sweep = NULL;
  mno_plan *plan = NULL;
  const mno_backend *backend = NULL;
  mno_status status = mno_sweep_parse(text, strlen(text), "consumer", &sweep, &err);
  if (status == MNO_OK) status = mno_plan_build(sweep, MNO_F64, &plan, &err);
  if (status == MNO_OK) status = mno_backend_find("cpu", &backend, &err);
  if (status == MNO_OK) {
    size_t rows[] = {0, 1};
    status = backend->run(&(mno_job){.plan = plan, .rows = rows, .count = 2, .threads = 1, .emit = print_loss, .context = plan}, &err);
  }
  if (status != MNO_OK) fprintf(stderr, "%s\n", err.message);
  mno_plan_free(plan);
  mno_sweep_free(sweep);
  return mno_status_exit_code(status);
}
