/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing the parts of a result file: dimensions, arrays that are written at once, the variables that rows fill, and of
 * these the root, problems and limits. A failure is false, or a negative id, with the cause on HDF5's error stack. */
#ifndef MNO_STORE_WRITE_H
#define MNO_STORE_WRITE_H

#include "meanode/limit.h"
#include "meanode/plan.h"
#include "store/journal.h"
#include "store/objects.h"

#include <stdbool.h>
#include <stddef.h>

enum { MNO_RESULT_FORMAT = 1, MNO_STATUS_MISSING = -1 };

/* What the file says of its origin. */
typedef struct mno_stamp {
  const char *backend, *device, *history, *settings;
  int shard, shards;      /* shards <= 1: a whole run */
  size_t shard_instances; /* of this shard */
} mno_stamp;

/* The history attribute with one more line: the time, and a command. malloc'ed; NULL when out of memory. */
char *mno_history(const char *before, const char *command);

bool mno_write_root(hid_t file, const mno_plan *plan, const mno_stamp *stamp);
bool mno_write_attributes(hid_t file, const mno_plan *plan, const mno_stamp *stamp); /* of the root */
bool mno_write_problem(hid_t file, const mno_plan *plan, size_t p);
bool mno_write_limit(hid_t problem, hid_t group, const mno_limit *limit); /* group: of the limit, empty */

/* The coordinates of the root table's variables, as the CF conventions name them. */
extern const char mno_row_coordinates[];

/* The numbers of a stored field in memory. */
hid_t mno_memory_type(const mno_stored *stored);

/* "problem_0003": the group of a problem. */
void mno_problem_name(size_t problem, char name[32]);

/* What these make, the caller closes. */
hid_t mno_make_group(hid_t parent, const char *name);
hid_t mno_make_dimension(hid_t group, const char *name, size_t size); /* without values, as netCDF has it */
hid_t mno_make_axis(hid_t group, const char *name, hid_t type, hid_t memory, size_t size, const void *value,
                    const char *long_name); /* a dimension with values: a coordinate variable */
hid_t mno_make_steps(hid_t group, const int64_t *step, size_t count);

/* Makes those of a group's dimensions [rank] that are not in scale [by mno_dimension] yet (0). */
bool mno_make_dimensions(hid_t group, size_t rank, const mno_dimension *dimension, const size_t *shape,
                         hid_t scale[MNO_DIMENSIONS]);

/* An array along these dimensions, written. */
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
