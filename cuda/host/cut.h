/* SPDX-License-Identifier: BSD-3-Clause */
/* How an instance's computation is cut into tiles, slices and transfers: that fixes the order of sums. Pure functions. */
#ifndef MNO_CUDA_CUT_H
#define MNO_CUDA_CUT_H

#include "common/device_layout.h"

#include <stdbool.h>
#include <stddef.h>

/* What decides how sums are cut is part of the results' bits: chosen once, by counts and the model of cost.c, and not
 * retuned. `bench_gpu time ... KERNEL` times candidates on a card, bench/results/gpu-tuning.md has what was tried; where it
 * says nothing of a number, that was not timed. */
enum { MNO_TEAM_BYTES = 36 << 10 /* W0: shared memory of a warp that leaves room for 6 on a processor (227 KiB) */ };

mno_divisor mno_divide_by(uint32_t d);

/* W, C and X: the best tiles for the portions of a shape. 0: what a team keeps would be too large. */
bool mno_cut_tiles(mno_shape *shape);

/* W, C and X: places the regions of a team. False when they would not fit 32 bits. */
bool mno_place_state(mno_shape *shape);

/* W0: how many instances to a warp, at most `most`, and how many layers to a transfer. False: D or N is too large, or one
 * layer of one instance. */
bool mno_cut_lanes(mno_shape *shape, int most);

/* W0: D padded to what the kernel is compiled for; 0: D is too large. */
int mno_padded_D(size_t D);

#endif
