/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading a result file: what the reader, the store (resume) and merge share. */
#ifndef MNO_STORE_RESULT_FILE_H
#define MNO_STORE_RESULT_FILE_H

#include "meanode/result.h"
#include "store/journal.h"
#include "store/objects.h"

#include <stdbool.h>
#include <stddef.h>

/* Behind mno_result.file. */
typedef struct mno_result_file {
  hid_t file;
  size_t *runs;   /* [problem_count] size of the run dimension */
  bool sealed;    /* untouched since it was written */
  char *settings; /* what decides the content of rows; NULL in a file of another program */
  char *precision, *history;
  double *seconds; /* [instance_count], or NULL */
  size_t *run_of;  /* [instance_count] place along the run dimension of its problem; SIZE_MAX: missing */
  int shard, shards;
  size_t shard_instances;
} mno_result_file;

static inline mno_result_file *mno_file_of(const mno_result *result) { return result->file; }

/* Fill a result whose path is there, with HDF5's lock held: the file as a whole, opening it; a problem; its limits. */
mno_status mno_read_root(mno_result *result, mno_error *err);
mno_status mno_read_problem(mno_result *result, size_t p, mno_error *err);
mno_status mno_read_limits(mno_result *result, hid_t group, mno_result_problem *problem, mno_error *err);

/* Reads one stored field of `count` neighbouring rows, as it is stored: data receives [count][stored->bytes]. */
mno_status mno_result_read_rows(mno_result *result, size_t row, size_t count, const mno_stored *stored, void *data,
                                mno_error *err);

/* The plan that a file was made from, as far as writing another of its kind needs it: sizes, instances, what is recorded.
 * Its problems have no data and, alpha apart, no hyper-parameters (mno_result_data has them); there is no sweep.
 * MNO_ERR_INPUT if the file does not say what was recorded (it was made by another program). */
mno_status mno_plan_of_result(const mno_result *result, mno_plan **plan, mno_error *err);
void mno_plan_of_result_free(mno_plan *plan);

#endif
