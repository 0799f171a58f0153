/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernels as the host sees them. */
#ifndef MNO_CUDA_KERNELS_H
#define MNO_CUDA_KERNELS_H

#include "common/device_layout.h"
#include "common/field_layout.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The kernel of a shape: W, C and X, and W0, for its block and optimiser. Its argument is one mno_train_args by value. */
const void *mno_train_kernel(const mno_shape *shape, int state_in_memory);
const void *mno_lanes_kernel(const mno_shape *shape);

/* G's elementwise operations for a block and an optimiser; arguments: mno_gemm_args by value, an int (mno_elementwise), a
 * size_t (elements). Threads of a block: 256; blocks: any x, y counts the instances. */
const void *mno_elementwise_kernel(const mno_shape *shape);

/* Kernel F of a shape, for its block and optimiser, and the sum over its chunks; their argument is one mno_field_args by
 * value. */
const void *mno_field_kernel(const mno_field_shape *shape, int work_in_memory);
const void *mno_field_total_kernel(void);

#ifdef __cplusplus
}
#endif
#endif
