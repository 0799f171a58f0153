/* SPDX-License-Identifier: BSD-3-Clause */
/* A team: who runs a kernel body. The body is a sequence of phases; a phase is a function of (place, lane) that is called
 * for every lane of every rank, and ends with a barrier: phase() of the rank's lanes, cluster_phase() of all ranks. No value
 * of a lane lives across a phase, so the host can run a phase as a loop over lanes in any order; control flow between phases
 * is the same for all lanes.
 *
 * Transfers between memory and the ring in shared memory are asynchronous: load() starts one, ready() waits for it; store()
 * starts one, reusable() waits until its source may be overwritten, drain() until it is done. */
#ifndef MNO_CUDA_TEAM_TYPES_H
#define MNO_CUDA_TEAM_TYPES_H

#include "common/device_layout.h"
#include "device/portable.h"

namespace mno {

/* Where a lane stands: its rank and the memory of that rank. */
struct Place {
  int rank;
  char *shared; /* barriers and ring */
  char *state;  /* state region: shared memory, or the slot when it does not fit */
};

/* What moves between memory and a stage, in at most two pieces; bytes are multiples of 16 and may be 0. */
struct Piece {
  char *memory;
  uint32_t shared; /* offset in the rank's shared memory */
  uint32_t bytes;
};
struct Transfer {
  Piece piece[2];
};

/* A position in the ring: which stage, and the parity of its barrier. */
struct Cursor {
  int stage;
  uint32_t parity;
  MNO_DEVICE void advance(int stages) {
    if (++stage == stages) stage = 0, parity ^= 1;
  }
};

MNO_DEVICE uint32_t divide(uint32_t n, mno_divisor by) { return by.d == 1 ? n : high_product(n, by.magic); }

} // namespace mno

#endif
