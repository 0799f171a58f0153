/* SPDX-License-Identifier: BSD-3-Clause */
/* Particles of the Mean ODE on devices: the engine of the CUDA backend. */
#ifndef MNO_CUDA_PARTICLES_H
#define MNO_CUDA_PARTICLES_H

#include "host/device.h"
#include "limit/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An engine on the devices of a table; new particles go where most memory is free. */
mno_engine mno_cuda_engine(const mno_device_api *api);

extern const mno_engine mno_engine_cuda; /* on the cards of this machine */

#ifdef __cplusplus
}
#endif

#endif
