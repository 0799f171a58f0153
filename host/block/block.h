/* SPDX-License-Identifier: BSD-3-Clause */
/* A residual block as the rest of the program knows it: the tensors of weights of a unit, and a formula. Blocks are listed
 * in host/extensions.cmake; each has a folder here.
 *
 * A unit block is a mean over M units, each of which reads a state along some of its tensors and writes along another. With
 * A = tensors - 1 inputs w_0 .. w_{A-1}, the output v (the last tensor), all vectors of D numbers, and a formula s:
 *   h^l = h^{l-1} + alpha/(L M) sum_j v s(p_0, .., p_{A-1}),       p_a = <w_a, h>/D
 *   b^{l-1} = b^l + alpha/(L M) sum_j sum_a w_a g_a,               g_a = (ds/dp_a) q,   q = <v, b>/D
 *   normalised gradients, summed over the samples:  of w_a  h g_a,   of v  b s
 * The formula is NAME_unit in unit.h of the block's folder (see formula.h), beside the number NAME_tensors; loops over
 * units, samples and depth know nothing of it. */
#ifndef MNO_BLOCK_BLOCK_H
#define MNO_BLOCK_BLOCK_H

#include "block/solvers.h"
#include "meanode/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One array of weights [L][M][D]. Initial entries are N(0, sigma^2 D) with the problem's sigma of this tensor. */
typedef struct mno_tensor_spec {
  const char *name; /* "u": keys are model.sigma_u and training.eta_u */
  /* What records call the initial and the final weights, "u0" and "u", and say of them. */
  const char *record[2], *long_name[2];
  uint32_t draw; /* fourth counter word of its initial draw (random.h); part of the format, never renumbered */
  bool flips;    /* is it what sweep.pairs: antithetic turns the sign of? */
} mno_tensor_spec;

/* A spec; its name, and what it is for a person, as literals. */
#define MNO_TENSOR(name_, what, draw_, flips_)                                                                              \
  {                                                                                                                         \
    .name = name_, .record = {name_ "0", name_}, .long_name = {"initial " what " " name_, "final " what " " name_},         \
    .draw = draw_, .flips = flips_                                                                                          \
  }

/* How the slopes ds/dp_a are had when the backward pass needs them. */
typedef enum mno_slope_rule {
  MNO_SLOPE_KEPT, /* the forward pass keeps them */
  MNO_SLOPE_TANH, /* 1 - s^2 */
  MNO_SLOPE_STEP, /* 1 where s > 0, else 0 */
  MNO_SLOPE_ONE
} mno_slope_rule;

struct mno_block {
  const char *name; /* in configurations and files */
  size_t tensors;
  const mno_tensor_spec *tensor; /* [tensors] inputs, then the output */

  /* s [count] and its slopes ds/dp_a [tensors - 1][count], either or NULL, at projections p [tensors - 1][count]; in double,
   * to rounding. */
  void (*units)(mno_activation activation, size_t count, const double *p, double *s, double *slope);
  mno_slope_rule (*slope)(mno_activation activation); /* NULL: kept */
  unsigned solvers;                                   /* ways to its limit (solvers.h); 0: `largest` only */
};

/* All blocks [*count], in the order of the documentation. */
const mno_block *const *mno_blocks(size_t *count);

extern const mno_block mno_block_perceptron;

#endif
