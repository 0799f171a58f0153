/* SPDX-License-Identifier: BSD-3-Clause */
/* A record: all that one finished instance leaves behind. Made by a backend, consumed by a store. */
#ifndef MEANODE_RECORD_H
#define MEANODE_RECORD_H

#include "meanode/plan.h"
#include "meanode/status.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { MNO_PATH_POINTS = 17 }; /* depths 0, 1/16, ..., 1 of recorded paths */

typedef enum mno_outcome { MNO_DONE = 0, MNO_INSTANCE_DIVERGED = 1 } mno_outcome;

/* S = plan->step_count. Absent quantities are NULL. After divergence the remaining steps hold NaN. All arrays lie in one
 * block owned by the record. */
typedef struct mno_record {
  size_t row; /* row of the result table = index of the instance in the plan */
  mno_outcome outcome;
  double seconds;                         /* wall time attributed to this instance (share of its batch) */
  double *loss;                           /* [S] */
  double *error_output, *error_embedding; /* [S] distance to the first limit; filled by the run */
  double *output;                         /* [S][N][d_out] */
  double *embedding;                      /* [S][N][D], h^L; always present while a run goes on (errors need it) */
  double *initial[MNO_TENSORS_MOST];      /* by tensor of the block: [L][M][D] initial weights */
  double *final[MNO_TENSORS_MOST];        /* likewise the final ones */
  /* Diagnostics, filled by mno_diagnose (diagnose.h has their definitions). */
  double *coupling, *decorrelation;                         /* [S] */
  double *path_error_forward, *path_error_backward;         /* [S] */
  double *path_forward, *path_backward;                     /* [S][MNO_PATH_POINTS][N][D] */
  double *init_noise, *feature_update, *parameter_movement; /* [S] */
} mno_record;

/* The arrays of a record, as one table that the record's memory, the store and the reader share. To record one more
 * quantity: add a member above and its line to the table in host/record/record.c. */
typedef enum mno_dimension {
  MNO_DIMENSION_NONE, /* ends the list */
  MNO_DIMENSION_STEP,
  MNO_DIMENSION_SAMPLE,
  MNO_DIMENSION_TARGET,
  MNO_DIMENSION_EMBED,
  MNO_DIMENSION_DEPTH, /* depths of paths */
  MNO_DIMENSION_NODE,  /* depth nodes of a limit */
  MNO_DIMENSION_LAYER, /* layer and unit: only in MNO_PLACE_INSTANCE, their sizes differ between instances */
  MNO_DIMENSION_UNIT,
  MNO_DIMENSIONS
} mno_dimension;
enum { MNO_FIELD_RANK = 4 };

const char *mno_dimension_name(mno_dimension dimension); /* in files: "step", "sample", ... */

/* Sizes of an array with these dimensions; returns their product (1 if it has none). size [MNO_DIMENSIONS]: by dimension. */
size_t mno_dimension_shape(const mno_dimension dimension[MNO_FIELD_RANK], const size_t size[MNO_DIMENSIONS],
                           size_t shape[MNO_FIELD_RANK], size_t *rank);

typedef enum mno_place {
  MNO_PLACE_TABLE,   /* root table: (instance, dimensions...); only MNO_DIMENSION_STEP, problems differ in the others */
  MNO_PLACE_PROBLEM, /* /problem_0000: (run, dimensions...) */
  MNO_PLACE_INSTANCE /* /problem_0000/weights/<row>: (dimensions...) */
} mno_place;

typedef enum mno_when { /* which setting of the plan asks for a field */
                        MNO_WHEN_ALWAYS,
                        MNO_WHEN_OUTPUT,
                        MNO_WHEN_EMBEDDING,
                        MNO_WHEN_WEIGHTS_INITIAL,
                        MNO_WHEN_WEIGHTS_FINAL,
                        MNO_WHEN_COUPLING,
                        MNO_WHEN_PATH,
                        MNO_WHEN_FEATURES
} mno_when;

typedef struct mno_record_field {
  const char *name, *units, *long_name;
  mno_place place;
  mno_dimension dimension[MNO_FIELD_RANK]; /* after the row's own dimension, if the place has one */
  bool single;                             /* stored in the plan's precision; otherwise f64 */
  mno_when allocate, store;                /* in memory; in the file */
  size_t offset;                           /* of the double * in mno_record */
} mno_record_field;

/* The table for networks of a residual block, in the order in which numbers lie in a record; returns how many there are. */
enum { MNO_RECORD_FIELDS_MOST = 32 };
size_t mno_record_fields(const mno_block *block, mno_record_field field[MNO_RECORD_FIELDS_MOST]);

/* Does the plan ask for what this setting stands for? */
bool mno_plan_wants(const mno_plan *plan, mno_when when);

/* Sizes of the field's dimensions for one row; returns their product (1 if it has none). */
size_t mno_record_field_shape(const mno_plan *plan, size_t row, const mno_record_field *field, size_t shape[MNO_FIELD_RANK],
                              size_t *rank);

/* A record with room for what the plan asks for, everything NaN, done, 0 seconds. Errors: MNO_ERR_MEMORY. */
mno_status mno_record_new(const mno_plan *plan, size_t row, mno_record **record, mno_error *err);
void mno_record_free(mno_record *record);

/* The numbers of a record as one block [mno_record_numbers], in the order of the table, borrowed: to send a record
 * elsewhere. */
double *mno_record_block(const mno_record *record);
size_t mno_record_numbers(const mno_plan *plan, size_t row); /* how many */

/* Bytes of one record of this row in memory, and of its numbers in a result file. */
size_t mno_record_bytes(const mno_plan *plan, size_t row);
size_t mno_record_stored_bytes(const mno_plan *plan, size_t row);

/* Bytes beside the records themselves that their way into the file takes while records of this row are on it: the journal's
 * buffer that is filled and the one that is written, what is read back of it, and the rows that are written together. */
size_t mno_record_way_bytes(const mno_plan *plan, size_t row);

#ifdef __cplusplus
}
#endif
#endif
