/* SPDX-License-Identifier: BSD-3-Clause */
/* What the groups of a result file are made of: dimensions, arrays that are written at once, and the variables that rows
 * fill. A failure is false, or a negative id, with the cause on HDF5's error stack. */
#ifndef MNO_STORE_VARIABLES_H
#define MNO_STORE_VARIABLES_H

#include "meanode/plan.h"
#include "store/h5.h"
#include "store/journal.h"

#include <stdbool.h>
#include <stddef.h>

/* The coordinates of the root table's variables, as the CF conventions name them. */
extern const char mno_row_coordinates[];

/* In the file and in memory. */
hid_t mno_stored_type(const mno_stored *stored);
hid_t mno_memory_type(const mno_stored *stored);

/* "problem_0003": the group of a problem. */
void mno_problem_name(size_t problem, char name[32]);

hid_t mno_make_group(hid_t parent, const char *name);

/* A dimension with values: a coordinate variable. The caller closes it. */
hid_t mno_make_axis(hid_t group, const char *name, hid_t type, hid_t memory, size_t size, const void *value,
                    const char *long_name);
hid_t mno_make_steps(hid_t group, const int64_t *step, size_t count);

/* An array of numbers along these dimensions, written. */
bool mno_make_array(hid_t group, const char *name, hid_t type, hid_t memory, size_t rank, const hid_t *scale,
                    const void *value, const char *units, const char *long_name);

/* One variable per stored field of a place, every row missing. scale: dimensions by mno_dimension; rows: that of the
 * place's rows, of which there are row_count. */
bool mno_make_fields(hid_t group, mno_place place, const mno_stored *stored, size_t fields, hid_t rows, size_t row_count,
                     const hid_t scale[MNO_DIMENSIONS]);

/* Rows are read one step at a time and written many at a time: a chunk holds one step of as many rows as make 64 KiB. *cache
 * receives the bytes of the chunks that writing neighbouring rows touches. */
void mno_choose_chunk(const mno_stored *stored, size_t rows, hsize_t chunk[MNO_FIELD_RANK + 1], size_t *cache);

#endif
