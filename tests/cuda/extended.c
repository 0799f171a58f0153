/* SPDX-License-Identifier: BSD-3-Clause */
/* A block and an optimiser that only the tests have: two inputs, a state, updates that are not products. */
#include "block/block.h"
#include "block/formula.h"
#include "meanode/random.h"
#include "optimizer/optimizer.h"

#include "block/units.h"
#include "optimizer/formulas.h"

extern const mno_block mno_block_gated;
extern const mno_optimizer mno_optimizer_heavy_ball;

static const mno_tensor_spec tensor[gated_tensors] = {
    {.name = "u", .draw = MNO_TENSOR_U}, {.name = "w", .draw = 77}, {.name = "v", .draw = MNO_TENSOR_V, .flips = true}};
static void units(mno_activation activation, size_t count, const double *p, double *s, double *slope) {
  mno_formula_units(gated_unit, gated_tensors - 1, activation, count, p, s, slope);
}
const mno_block mno_block_gated = {.name = "gated", .tensors = gated_tensors, .tensor = tensor, .units = units};

const mno_optimizer mno_optimizer_heavy_ball = {.name = "heavy_ball",
                                                .states = heavy_ball_states,
                                                .knobs = heavy_ball_knobs,
                                                .fuses = heavy_ball_fuses,
                                                .apply = heavy_ball_apply};
