/* SPDX-License-Identifier: BSD-3-Clause */
/* The CUDA backend: the driver on the devices of the CUDA runtime. */
#include "meanode/backend.h"

#include "host/cost.h"
#include "host/driver.h"
#include "host/particles.h"
#include "host/rounds.h"
#include "host/shape.h"

#include <stdio.h>

static mno_status probe(char *description, size_t size) {
  mno_error err = {0};
  int count;
  mno_device_info info;
  mno_status status = mno_device_cuda.count(&count, &err);
  if (status == MNO_OK) status = mno_device_cuda.info(0, &info, &err);
  if (status != MNO_OK) {
    snprintf(description, size, "%s", err.message);
    return status;
  }
  snprintf(description, size, "%d x %s (compute capability %d.%d, %.0f GiB)", count, info.name, info.major, info.minor,
           (double)info.memory_total / 0x1p30);
  return MNO_OK;
}

/* That of kernel G, whose sums are its own. */
static void libraries(const mno_plan *plan, char *text, size_t size) {
  if (plan && !mno_products_pay(plan)) return;
  snprintf(text, size, "without cuBLAS");
  mno_device_cuda.gemm->available(text, size, NULL);
}

static mno_status run(const mno_job *job, mno_error *err) {
  return mno_cuda_run(&mno_device_cuda, job, (mno_shape_options){0}, err);
}

static mno_status fits(const mno_plan *plan, const size_t *rows, size_t count, int threads, mno_error *err) {
  return mno_cuda_fits(&mno_device_cuda, plan, rows, count, (mno_shape_options){0}, err);
}

static mno_status shape_of(const mno_plan *plan, size_t row, mno_shape *shape) {
  mno_dimensions dims;
  const mno_status status = mno_dimensions_of(plan, row, &dims, NULL);
  return status != MNO_OK ? status : mno_shape_choose(&dims, plan->precision, true, NULL, shape, NULL);
}

/* On the card: what the team needs that would train it. */
static size_t memory(const mno_plan *plan, size_t row) {
  mno_shape shape;
  return shape_of(plan, row, &shape) == MNO_OK ? mno_slot_bytes(&shape) : 0;
}

static double seconds(const mno_plan *plan, size_t row) {
  mno_shape shape;
  if (shape_of(plan, row, &shape) != MNO_OK) return 0;
  return mno_shape_seconds(&shape) * (double)(plan->problem[plan->instance[row].problem].K + 1);
}

extern const mno_backend mno_backend_cuda;
const mno_backend mno_backend_cuda = {.name = "cuda",
                                      .priority = 10,
                                      .probe = probe,
                                      .libraries = libraries,
                                      .run = run,
                                      .fits = fits,
                                      .memory = memory,
                                      .seconds = seconds,
                                      .engine = &mno_engine_cuda};
