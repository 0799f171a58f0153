/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver: trains the instances of a job on devices of any kind. */
#ifndef MNO_CUDA_DRIVER_H
#define MNO_CUDA_DRIVER_H

#include "host/shape.h"
#include "meanode/backend.h"

/* Runs the job on all devices of the table, a host thread each. See mno_backend.run. */
mno_status mno_cuda_run(const mno_device_api *api, const mno_job *job, mno_shape_options options, mno_error *err);

/* Do the rows (NULL: all) fit the devices? See mno_backend.fits. */
mno_status mno_cuda_fits(const mno_device_api *api, const mno_plan *plan, const size_t *rows, size_t count,
                         mno_shape_options options, mno_error *err);

#endif
