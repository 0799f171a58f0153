/* Full-batch gradient descent. */
#include "optimizer/optimizer.h"

#include "block/formula.h"

#include "optimizer/gd/apply.h"

const mno_optimizer mno_optimizer_gd = {.name = "gd",
                                        .meaning = "full-batch gradient descent",
                                        .states = gd_states,
                                        .knobs = gd_knobs,
                                        .fuses = gd_fuses,
                                        .apply = gd_apply};
