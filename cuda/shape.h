/* Shapes: how an instance's computation is cut up, which kernel takes it, and what it would cost. Pure functions. */
#ifndef MNO_CUDA_SHAPE_H
#define MNO_CUDA_SHAPE_H

#include "device.h"
#include "layout.h"
#include "meanode/model.h"
#include "meanode/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mno_dimensions {
  size_t D, M, N, L, d_out;
} mno_dimensions;

/* One candidate: a kernel with a number of lanes and ranks, and its modelled cost. */
typedef struct mno_candidate {
  mno_kernel_kind kernel;
  int lanes, ranks;
} mno_candidate;

/* "W", "C", "X", "W0", "G" */
const char *mno_kernel_name(mno_kernel_kind kernel);

extern const mno_candidate mno_candidates[];
extern const size_t mno_candidate_count;

/* -1; tests and measurements set it to the index of the candidate that every choice then takes. */
extern int mno_candidate_forced;

/* The shape of these dimensions under a candidate. Errors: MNO_ERR_BACKEND when it does not fit, with the numbers. */
mno_status mno_shape_make(const mno_dimensions *dimensions, mno_precision precision, const mno_candidate *candidate,
                          mno_shape *shape, mno_error *err);

enum { MNO_PRODUCTS_LEAST = 32 /* samples: fewer are not worth a call for each product (kernel G) */ };

/* What not every machine has. */
typedef enum mno_means {
  MNO_CLUSTERS = 1, /* of blocks: compute capability 9 */
  MNO_PRODUCTS = 2  /* a library for matrix products: cuBLAS */
} mno_means;

/* The shape of the candidate with the least modelled time among those that `means` (bits of mno_means) allow. */
mno_status mno_shape_choose(const mno_dimensions *dimensions, mno_precision precision, int means, mno_shape *shape,
                            mno_error *err);

/* Bytes of a team of this shape on the card. */
size_t mno_slot_bytes(const mno_shape *shape);

/* Takes a step to a smaller footprint that does not change the numbers: G computes projections again, then G and W0 take
 * fewer instances at a time. 0: there is none. */
int mno_shape_shrink(mno_shape *shape);

/* What bounds one gradient step of one instance, each in seconds on a reference card (H100: 132 processors, 1.755
 * GHz, 3.0e12 bytes/s) that is filled with such instances. Modelled, never measured. */
typedef struct mno_step_model {
  double memory;  /* bytes of weights and states */
  double issue;   /* instructions */
  double latency; /* the chain of phases, divided by the instances in flight */
} mno_step_model;
mno_step_model mno_shape_model(const mno_shape *shape);
double mno_shape_seconds(const mno_shape *shape); /* the largest of the three */

/* How `count` instances of a shape run best on a card that holds at most `most` teams by their registers: the stages of the
 * ring, and for W0 how many instances a warp takes at a time (`shape` is changed); neither changes the numbers. More stages
 * hide more latency, fewer leave room for more teams, and teams that are left over for a last wave cost as much as a full
 * one. Modelled. Errors: MNO_ERR_BACKEND when a block has too little shared memory, with the numbers. */
mno_status mno_shape_fit(mno_shape *shape, const mno_device_info *info, size_t most, size_t count, mno_fit_on_card *fit,
                         mno_error *err);

#ifdef __cplusplus
}
#endif
#endif
