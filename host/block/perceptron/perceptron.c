/* SPDX-License-Identifier: BSD-3-Clause */
/* The two-layer perceptron of the paper: a unit adds v rho(<u, h>/D). */
#include "block/block.h"

#include "block/formula.h"
#include "meanode/random.h"

#include "block/perceptron/unit.h"

static const mno_tensor_spec tensor[] = {
    [MNO_U] = MNO_TENSOR("u", "input weights", MNO_TENSOR_U, false),
    [MNO_V] = MNO_TENSOR("v", "output weights", MNO_TENSOR_V, true),
};

_Static_assert(sizeof tensor / sizeof *tensor == perceptron_tensors, "one line for each tensor");

static void units(mno_activation activation, size_t count, const double *p, double *s, double *slope) {
  mno_formula_units(perceptron_unit, perceptron_tensors - 1, activation, count, p, s, slope);
}

static mno_slope_rule slope(mno_activation activation) {
  switch (activation) {
  case MNO_TANH: return MNO_SLOPE_TANH;
  case MNO_RELU: return MNO_SLOPE_STEP;
  case MNO_IDENTITY: return MNO_SLOPE_ONE;
  default: return MNO_SLOPE_KEPT;
  }
}

const mno_block mno_block_perceptron = {.name = "perceptron",
                                        .tensors = perceptron_tensors,
                                        .tensor = tensor,
                                        .units = units,
                                        .slope = slope,
                                        .solvers =
                                            MNO_BY_PARTICLES | MNO_BY_QUADRATURE | MNO_BY_CLOSURE | MNO_BY_TANGENT_ODE};
