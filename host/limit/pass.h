/* SPDX-License-Identifier: BSD-3-Clause */
/* One pass over the units of a depth node: what the Mean ODE costs. A particle is a unit of a block (block/block.h): inputs
 * w_0 .. w_{A-1} and the output v in r coordinates, a weight, and what the optimiser keeps; particles lie on lanes, in
 * tiles. A pass may update every particle with the fields of the last step and then take, at the fields of the next, the
 * drift F_i = sum weight v s(p_i),   p_ia = <w_a, h_i>/D, the adjoint drift G_i = sum weight sum_a w_a (ds/dp_a) q_i, q_i =
 * <v, b_i>/D, or instead of it the Jacobian of F, J_i = sum weight v sum_a (ds/dp_a) w_a^T / D. */
#ifndef MNO_LIMIT_PASS_H
#define MNO_LIMIT_PASS_H

#include "meanode/model.h"
#include "meanode/plan.h"

#include <stdatomic.h>
#include <stddef.h>

typedef struct mno_pass {
  const mno_problem *problem;
  size_t r, tiles;
  void *state;        /* [tiles][1 + states][tensors][r][width] weights, then what is kept of them; single or double */
  const void *weight; /* [tiles][width] */
  /* update by the optimiser with the normalised gradients of w_a, sum_i h_i (ds/dp_a) q_i, and of v, sum_i b_i s, at the
   * rates of the step; skipped when old_h is NULL */
  const double *old_h, *old_b; /* [N][r] */
  size_t step;
  /* evaluation; skipped when h is NULL */
  const double *h, *b;    /* [N][r]; b may be NULL */
  double *F, *G;          /* [N][r]; G may be NULL */
  double *J;              /* [N][r][r]; may be NULL; then G is not computed */
  void *scratch;          /* scratch_bytes(r, N), aligned to 64 bytes */
  const atomic_int *stop; /* nonzero: the rest is left undone, and the results are none; may be NULL */
} mno_pass;

typedef struct mno_kernel {
  size_t width, element; /* particles per tile, bytes per number */
  size_t (*scratch_bytes)(size_t r, size_t N);
  void (*run)(const mno_pass *pass);
} mno_kernel;

/* The kernel for a precision and a block, of the instruction set that trains (core/isa.h); NULL if MEANODE_ISA asks for one
 * that is not there, or the block is none of units. */
const mno_kernel *mno_kernel_find(mno_precision precision, const mno_block *block);

#endif
