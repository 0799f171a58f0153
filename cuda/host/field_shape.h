/* SPDX-License-Identifier: BSD-3-Clause */
/* How a pass over particles is cut up, and what it would cost. Pure functions. */
#ifndef MNO_CUDA_FIELD_SHAPE_H
#define MNO_CUDA_FIELD_SHAPE_H

#include "common/field_layout.h"
#include "host/device.h"
#include "meanode/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* trainer: block and optimiser (trainers.h). N, r and particles are positive; particles of a node below 2^31. */
mno_field_shape mno_field_shape_make(int trainer, size_t N, size_t r, size_t particles, mno_precision precision,
                                     mno_field_results results);

/* Does the work tile fit the shared memory of a block of this card? 1: it goes to memory. Errors: MNO_ERR_BACKEND when not
 * even the rest fits, with the numbers. */
mno_status mno_field_fit(const mno_field_shape *shape, const mno_device_info *info, int *work_in_memory, mno_error *err);

#ifdef __cplusplus
}
#endif
#endif
