/* SPDX-License-Identifier: BSD-3-Clause */
/* Shapes: how an instance's computation is cut up, which kernel takes it, and what it would cost. Pure functions. */
#ifndef MNO_CUDA_SHAPE_H
#define MNO_CUDA_SHAPE_H

#include "common/device_layout.h"
#include "host/device.h"
#include "meanode/model.h"
#include "meanode/status.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mno_dimensions {
  size_t D, M, N, L, d_out;
  int trainer; /* block and optimiser: trainers.h */
} mno_dimensions;

/* One candidate: a kernel with a number of lanes, and of portions into which a layer's units are cut. */
typedef struct mno_candidate {
  mno_kernel_kind kernel;
  int lanes, portions;
} mno_candidate;

/* "W", "C", "X" (several ranks), "W0", "G" */
const char *mno_kernel_name(const mno_shape *shape);

extern const mno_candidate mno_candidates[];
extern const size_t mno_candidate_count;

/* The candidate of an index, NULL for -1. Errors: MNO_ERR_INPUT if there is none. */
mno_status mno_candidate_at(int index, const mno_candidate **candidate, mno_error *err);

/* Where a shape has several portions: does a team have a rank for each? */
typedef enum mno_spread { MNO_SPREAD_FIT, MNO_SPREAD_ONE, MNO_SPREAD_ALL } mno_spread;

/* What tests and measurements prescribe; the program leaves both to the models. */
typedef struct mno_shape_options {
  const mno_candidate *candidate; /* of all shapes; NULL: of each the one with the least modelled time */
  mno_spread spread;              /* MNO_SPREAD_FIT: what is modelled to be faster on the card */
} mno_shape_options;

/* The shape of these dimensions under a candidate, for teams of one rank. Errors: MNO_ERR_BACKEND when it does not fit, with
 * the numbers. */
mno_status mno_shape_make(const mno_dimensions *dimensions, mno_precision precision, const mno_candidate *candidate,
                          mno_shape *shape, mno_error *err);

enum { MNO_PRODUCTS_LEAST = 32 /* samples: fewer are not worth a call for each product (kernel G) */ };

/* The shape of the candidate with the least modelled time, for teams of one rank; of those that differ in portions, the one
 * with most that costs little more, so that few large networks can fill a card. products: is there a library for matrix
 * products (cuBLAS)? prescribed: the candidate that it has to be, or NULL. */
mno_status mno_shape_choose(const mno_dimensions *dimensions, mno_precision precision, bool products,
                            const mno_candidate *prescribed, mno_shape *shape, mno_error *err);

/* The same shape for teams with a rank for each portion, or with one for all: no number changes. */
mno_shape mno_shape_spread(const mno_shape *shape, bool all);

/* Bytes of a team of this shape on the card. */
size_t mno_slot_bytes(const mno_shape *shape);

/* Takes a step to a smaller footprint that does not change the numbers: G computes projections again, then G and W0 take
 * fewer instances at a time. 0: there is none. */
int mno_shape_shrink(mno_shape *shape);

/* Is a card's shared memory too small for the states of a team? Then they lie in its memory. */
int mno_state_in_memory(const mno_shape *shape, const mno_device_info *info);

/* Teams that a card holds at most by their registers: of one rank, and of a rank for each portion (0: it has no clusters).
 */
typedef struct mno_most_teams {
  size_t one, all;
} mno_most_teams;

/* What registers allow on the card that the model is of. */
mno_most_teams mno_reference_teams(const mno_shape *shape);

/* How `count` instances of a shape run best on a card: the stages of the ring, the ranks of a team, and for W0 how many
 * instances a warp takes at a time (`shape` is changed); none changes the numbers. More stages hide more latency, fewer
 * leave room for more teams; teams that are left over for a last wave cost as much as a full one; several ranks are faster
 * where there are few instances. Modelled. Errors: MNO_ERR_BACKEND when a block has too little shared memory, with the
 * numbers. */
mno_status mno_shape_fit(mno_shape *shape, const mno_device_info *info, mno_most_teams most, size_t count,
                         mno_fit_on_card *fit, mno_error *err);

#ifdef __cplusplus
}
#endif
#endif
