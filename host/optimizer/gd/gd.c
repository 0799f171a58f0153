/* SPDX-License-Identifier: BSD-3-Clause */
/* Full-batch gradient descent. */
#include "optimizer/optimizer.h"

#include "block/formula.h"

#include "optimizer/gd/apply.h"

const mno_optimizer mno_optimizer_gd = {.name = "gd",
                                        .meaning = "full-batch gradient descent",
                                        .states = gd_states,
                                        .knobs = gd_knobs,
                                        .fuses = gd_fuses,
                                        .turns = true,
                                        .solvers =
                                            MNO_BY_PARTICLES | MNO_BY_QUADRATURE | MNO_BY_CLOSURE | MNO_BY_TANGENT_ODE,
                                        .apply = gd_apply};
