#include "meanode/backend.h"

#include "device.h"

#include <stdio.h>

static mno_status probe(char *description, size_t size) {
  mno_error err = {0};
  int count;
  mno_device_info info;
  mno_status status = mno_cuda_count(&count, &err);
  if (status == MNO_OK) status = mno_cuda_info(0, &info, &err);
  if (status != MNO_OK)
    snprintf(description, size, "%s", err.message);
  else
    snprintf(description, size, "%d x %s (compute capability %d.%d, %.0f GiB)", count, info.name, info.major, info.minor,
             (double)info.memory_total / 0x1p30);
  return status;
}

static mno_status run(const mno_job *job, mno_error *err) {
  return mno_fail(err, MNO_ERR_BACKEND, "the CUDA backend of this version trains nothing yet: use --backend cpu");
}

static size_t memory(const mno_plan *plan, size_t row) { return 0; }

static double seconds(const mno_plan *plan, size_t row) {
  const mno_instance *instance = &plan->instance[row];
  const mno_problem *problem = &plan->problem[instance->problem];
  return 12.0 * (double)(problem->N * problem->D * problem->K) * (double)instance->L * (double)instance->M / 1e13;
}

extern const mno_backend mno_backend_cuda;
const mno_backend mno_backend_cuda = {
    .name = "cuda", .priority = 10, .probe = probe, .run = run, .memory = memory, .seconds = seconds};
