/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of the CUDA side share. */
#ifndef MNO_CUDA_DEVICE_CUDA_H
#define MNO_CUDA_DEVICE_CUDA_H

#include "host/device.h"

#include <cuda_runtime_api.h>

/* The status and message of a failed call of the runtime, with what a person can do about it. */
mno_status mno_cuda_fail(mno_error *err, const char *call, cudaError_t error);

/* The status of a call: MNO_CUDA(err, cudaSetDevice(0)) has its text for the message. */
mno_status mno_cuda_status(const char *call, cudaError_t error, mno_error *err);
#define MNO_CUDA(err, call) mno_cuda_status(#call, call, err)

/* For functions that give things back and go on after a failure: the status so far, or that of this call if it is the first
 * that failed. */
mno_status mno_cuda_released(mno_status so_far, const char *call, cudaError_t error, mno_error *err);

int mno_device_index(const mno_device *device);

extern const mno_gemm_api mno_gemm_cuda;

#endif
