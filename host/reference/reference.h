/* SPDX-License-Identifier: BSD-3-Clause */
/* A network in double precision, loop by loop as the model reads (block/block.h): any unit block, any optimiser. What every
 * faster version is compared with, and what the diagnostics are measured on.
 *
 * Weights are [tensors][L][M][D], tensors in the order of the block; what the optimiser keeps of them is
 * [tensors][L][M][D][states]; fields are [L+1][N][D]: h behind and b at the same depth, h[0] = h^0, b[L] = b^L. */
#ifndef MNO_REFERENCE_REFERENCE_H
#define MNO_REFERENCE_REFERENCE_H

#include "meanode/plan.h"
#include "meanode/status.h"

#include <stddef.h>

/* The units of a network and their memory of the steps before. */
typedef struct mno_reference_units {
  double *w;    /* [tensors][L][M][D] */
  double *kept; /* [tensors][L][M][D][states] */
} mno_reference_units;

typedef struct mno_reference {
  const mno_problem *problem;
  size_t L, M;
  mno_reference_units units;
  double *h, *b;         /* [L+1][N][D] */
  double *output;        /* [N][d_out] */
  double *gradient;      /* [N][d_out] dloss/df */
  double *g;             /* [tensors][D] of one unit */
  double *p, *s, *slope; /* [tensors - 1][places], [places], like p: of the units of a layer or the samples of a unit */
} mno_reference;

/* Doubles of all units of a network, without and with what is kept of them. */
size_t mno_reference_weights(const mno_problem *problem, size_t L, size_t M);
size_t mno_reference_unit_numbers(const mno_problem *problem, size_t L, size_t M);

/* Doubles of a whole network; and places one, or units alone, in so many that are zero. */
size_t mno_reference_numbers(const mno_problem *problem, size_t L, size_t M);
mno_reference mno_reference_place(const mno_problem *problem, size_t L, size_t M, double *numbers);
mno_reference_units mno_reference_place_units(const mno_problem *problem, size_t L, size_t M, double *numbers);

/* Initial weights w of an instance of the problem. */
void mno_reference_draw(const mno_problem *problem, const mno_instance *instance, double *w);

/* target [N][D] += what layer l (0..L-1) with these weights adds to its state h [N][D]. */
void mno_reference_branch(const mno_reference *network, const double *w, size_t l, const double *h, double *target);

/* States h of all layers, the output; returns the loss. */
double mno_reference_forward(mno_reference *network);

/* dloss/df and all b of the last forward pass. */
void mno_reference_backward(mno_reference *network);

/* Normalised gradients g [tensors][D] of unit j of layer l at weights w under the fields h, b [L+1][N][D], times `scale`. */
void mno_reference_gradient(const mno_reference *network, const double *w, size_t l, size_t j, const double *h,
                            const double *b, const double *scale /* [tensors] */, double *g);

/* Step k (0..K-1) of units under the fields h, b [L+1][N][D]: the network's own, or those of a limit. */
void mno_reference_update(const mno_reference *network, size_t k, const double *h, const double *b,
                          mno_reference_units units);

/* Trains an instance from its draw, all K steps. loss [K+1], output [K+1][N][d_out] and embedding [K+1][N][D] of every step,
 * any of them NULL; initial and trained weights [tensors][L][M][D] likewise. Errors: MNO_ERR_MEMORY. */
typedef struct mno_reference_results {
  double *loss, *output, *embedding, *initial, *trained;
} mno_reference_results;
mno_status mno_reference_train(const mno_problem *problem, const mno_instance *instance, mno_reference_results results,
                               mno_error *err);

#endif
