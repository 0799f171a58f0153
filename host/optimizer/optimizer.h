/* SPDX-License-Identifier: BSD-3-Clause */
/* An optimiser as the rest of the program knows it: how many numbers it keeps beside every weight, and a formula that moves
 * one weight. Optimisers are listed in host/extensions.cmake; each has a folder here.
 *
 * What moves a weight of tensor T at step k is its normalised gradient g (block.h) and the rate mno_problem_rate(problem, k,
 * T) = c_k eta_T/alpha. The formula is apply.h in the optimiser's folder (see block/formula.h):
 *   FORMULA NUMBER NAME_apply(NUMBER w, NUMBER g, SCALAR rate, const SCALAR *knob, NUMBER *state)
 * returns the new weight; state [states] starts at zero; knob [knobs] are the optimiser's own hyper-parameters, in the order
 * of `knob` below. SCALAR is a number that all lanes share. */
#ifndef MNO_OPTIMIZER_OPTIMIZER_H
#define MNO_OPTIMIZER_OPTIMIZER_H

#include "block/solvers.h"
#include "meanode/model.h"

#include <stdbool.h>
#include <stddef.h>

enum { MNO_STATES_MOST = 4 };

/* A hyper-parameter of an optimiser: key training.<name>. Optimisers that have one of the same name share the key, and so
 * its meaning, default and range. */
typedef struct mno_knob_spec {
  const char *name, *meaning;
  const char *fallback; /* default as one would write it; NULL: required */
  double low, high;     /* accepted; high only if not `below` */
  bool below;
} mno_knob_spec;

struct mno_optimizer {
  const char *name, *meaning; /* in configurations and files; for a person */
  size_t states;              /* numbers kept per weight, at most MNO_STATES_MOST */
  size_t knobs;
  const mno_knob_spec *knob; /* [knobs] */
  /* Is the new weight w - rate g, so that gradients may be added onto the weights as they are formed? */
  bool fuses;
  /* Is the motion of a vector a sum of its gradients with factors that all coordinates share? Then turned gradients turn it,
   * and a limit lives in the span of the embeddings (limit/reduction.h). */
  bool turns;
  unsigned solvers; /* ways to the limit that know it (block/solvers.h) */
  /* The formula in double, to rounding. */
  double (*apply)(double w, double g, double rate, const double *knob, double *state);
};

/* All optimisers [*count], in the order of the documentation. */
const mno_optimizer *const *mno_optimizers(size_t *count);

extern const mno_optimizer mno_optimizer_gd;

#endif
