/* SPDX-License-Identifier: BSD-3-Clause */
/* What kernels read, on its way to a device: the problems of a plan, arrays of any kind. */
#ifndef MNO_CUDA_UPLOAD_H
#define MNO_CUDA_UPLOAD_H

#include "host/device.h"
#include "meanode/plan.h"

typedef struct mno_upload {
  const mno_device_api *api;
  mno_device *device;
  char *at; /* device address, aligned to 256, that the next array gets */
} mno_upload;

/* array[index] = value, in numbers of so many bytes. */
static inline void mno_put_number(int bytes, void *array, size_t index, double value) {
  if (bytes == sizeof(double))
    ((double *)array)[index] = value;
  else
    ((float *)array)[index] = (float)value;
}

/* Copies a host array; *address receives where it lies. */
mno_status mno_upload_put(mno_upload *to, const void *from, size_t bytes, const void **address, mno_error *err);

/* Bytes that the problems of a plan take. */
size_t mno_upload_bytes(const mno_plan *plan);

/* The problems with their arrays; *problems receives where mno_device_problem [problem_count] lies. */
mno_status mno_upload_problems(mno_upload *to, const mno_plan *plan, const mno_device_problem **problems, mno_error *err);

#endif
