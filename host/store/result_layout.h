/* SPDX-License-Identifier: BSD-3-Clause */
/* The result file as HDF5: its groups, dimensions and variables, made from a plan and filled row by row. */
#ifndef MNO_STORE_RESULT_LAYOUT_H
#define MNO_STORE_RESULT_LAYOUT_H

#include "meanode/limit.h"
#include "meanode/plan.h"
#include "meanode/store.h"
#include "store/write.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mno_layout mno_layout;

/* Makes the file of a plan: every variable there, every row missing. */
mno_status mno_layout_create(const char *path, const mno_plan *plan, const mno_stamp *stamp, mno_layout **layout,
                             mno_error *err);

/* Opens a file that mno_layout_create made for the same plan. */
mno_status mno_layout_open(const char *path, const mno_plan *plan, mno_layout **layout, mno_error *err);

/* Writes the origin anew (a resumed run). */
mno_status mno_layout_stamp(mno_layout *layout, const mno_stamp *stamp, mno_error *err);

/* Longest run of rows from `row` that lie side by side in all variables and share shapes (at most limit). */
size_t mno_layout_span(const mno_layout *layout, size_t row, size_t limit);

/* Writes `count` neighbouring rows (within one span): data[i] holds [count] rows of stored field i. */
mno_status mno_layout_rows(mno_layout *layout, size_t row, size_t count, const mno_stored *stored, size_t fields,
                           const void *const *data, mno_error *err);

mno_status mno_layout_limit(mno_layout *layout, size_t problem, const mno_limit *limit, mno_error *err);

/* Writes the columns that belong to all rows at once: status [instance_count], seconds [instance_count]. */
mno_status mno_layout_tables(mno_layout *layout, const int8_t *status, const double *seconds, mno_error *err);

/* Hands everything written so far to the operating system. */
mno_status mno_layout_flush(mno_layout *layout, mno_error *err);

/* Closes; on failure the file is worthless. */
mno_status mno_layout_close(mno_layout *layout, mno_error *err);

/* The open file; the place of a row of the plan among the runs of its problem. */
hid_t mno_layout_file(const mno_layout *layout);
size_t mno_layout_run(const mno_layout *layout, size_t row);

#endif
