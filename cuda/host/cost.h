/* SPDX-License-Identifier: BSD-3-Clause */
/* The cost model: instructions, bytes and cycles, counted in the code for sm_90 and for a reference card. Pure functions. */
#ifndef MNO_CUDA_COST_H
#define MNO_CUDA_COST_H

#include "host/device.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The card that the model is of: an H100. */
extern const mno_device_info mno_reference_card;

/* What bounds one gradient step of one instance, each in seconds on a reference card (H100: 132 processors, 1.755
 * GHz, 3.0e12 bytes/s) that is filled with such instances. Modelled, never measured. */
typedef struct mno_step_model {
  double memory;  /* bytes of weights and states */
  double issue;   /* instructions */
  double latency; /* the chain of phases, divided by the instances in flight */
} mno_step_model;
mno_step_model mno_shape_model(const mno_shape *shape);
double mno_shape_seconds(const mno_shape *shape); /* the largest of the three */

/* What the model supposes of the reference card: bytes/s of memory and of the second-level cache, cycles/s, processors,
 * bytes of memory and of a processor's shared memory, instructions a cycle and processor, flop/s (128 lanes of each
 * processor at that clock), seconds of a load that nothing hides. */
typedef struct mno_card_rates {
  double bandwidth, cache, clock, processors, memory, shared, issue_rate, flops, load_seconds;
} mno_card_rates;
extern const mno_card_rates mno_rates;

static inline double mno_max(double a, double b) { return a > b ? a : b; }

/* Instructions of a lane in a phase that deals `items` x `slices` of `length` rows to the lanes. */
double mno_phase_instructions(const mno_shape *shape, size_t items, size_t slices, size_t length);

/* W0: instructions of a warp in the two passes of a layer, and in all layers of a transfer; rounds of an update. */
double mno_pass_instructions(const mno_shape *shape);
double mno_transfer_instructions(const mno_shape *shape);
int mno_update_rounds(const mno_shape *shape);

/* W, C, X, W0: transfers of layers' weights in a pass, and the cycles of a team's chain of phases in a step. */
double mno_transfers(const mno_shape *shape);
double mno_chain_cycles(const mno_shape *shape);

#ifdef __cplusplus
}
#endif

#endif
