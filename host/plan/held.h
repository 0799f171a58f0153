/* SPDX-License-Identifier: BSD-3-Clause */
/* Problems whose data a result file holds. */
#ifndef MNO_PLAN_HELD_H
#define MNO_PLAN_HELD_H

#include "data/data.h"
#include "meanode/plan.h"

/* x and y of what is held, as a data file would give them; mno_data_free frees them. */
mno_status mno_held_load(const mno_held_data *held, mno_data **data, mno_error *err);

/* The embeddings of one D and data.seed; false if they are not held. */
bool mno_held_embed(const mno_held_data *held, uint64_t seed, size_t D, double *w_embed, double *w_unembed);

/* If the data file is still there and does not give the same data, the plan's note says so. */
mno_status mno_held_check_file(const mno_held_data *held, mno_plan *plan, mno_error *err);

#endif
