/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs a configuration twice, on the CPU backend and on the CUDA driver and engine over the twin of a card: files CONFIG
 * f32|f64 CPU.h5 CUDA.h5 [KERNEL]. KERNEL: index of a candidate, as in shape.h. */
#include "meanode/meanode.h"

#include "device_twin.h"
#include "host/driver.h"
#include "host/particles.h"
#include "host/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const mno_backend mno_backend_cpu;

static mno_status probe(char *description, size_t size) {
  snprintf(description, size, "twin");
  return MNO_OK;
}
static mno_shape_options options;

static mno_status run(const mno_job *job, mno_error *err) { return mno_cuda_run(&mno_device_twin, job, options, err); }
static mno_status fits(const mno_plan *plan, const size_t *rows, size_t count, int threads, mno_error *err) {
  return mno_cuda_fits(&mno_device_twin, plan, rows, count, options, err);
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  mno_error err = {0};
  mno_sweep *sweep = NULL;
  mno_plan *plan = NULL;
  mno_status status = mno_candidate_at(argc > 5 ? atoi(argv[5]) : -1, &options.candidate, &err);
  if (status == MNO_OK) status = mno_sweep_load(argv[1], &sweep, &err);
  if (status == MNO_OK) status = mno_plan_build(sweep, strcmp(argv[2], "f32") == 0 ? MNO_F32 : MNO_F64, &plan, &err);
  mno_backend twin = mno_backend_cpu;
  twin.name = "cuda";
  twin.probe = probe;
  twin.run = run;
  twin.fits = fits;
  const mno_engine engine = mno_cuda_engine(&mno_device_twin);
  twin.engine = &engine;
  for (int k = 0; k < 2 && status == MNO_OK; k++) {
    mno_run_summary summary;
    mno_twin_state = (mno_twin){.devices = 2, .memory = 256 << 20, .resident = 3};
    const mno_run_options how = {.output = argv[3 + k], .threads = 2, .use = k ? &twin : &mno_backend_cpu};
    status = mno_run(plan, &how, &summary, &err);
    if (status == MNO_DIVERGED) status = MNO_OK;
    if (k) printf("%d launches\n", mno_twin_state.launches); /* of kernels for training and for particles */
  }
  if (status != MNO_OK) fprintf(stderr, "%s\n", err.message);
  mno_plan_free(plan);
  mno_sweep_free(sweep);
  return mno_status_exit_code(status);
}
