/* SPDX-License-Identifier: BSD-3-Clause */
/* Does a plan continue what a file holds? */
#ifndef MNO_STORE_COMPARE_H
#define MNO_STORE_COMPARE_H

#include "meanode/plan.h"
#include "meanode/result.h"
#include "meanode/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file or journal, as far as it matters here. Texts may be NULL: unknown. */
typedef struct mno_held {
  const char *name; /* of the file, for messages */
  size_t instance_count;
  const uint64_t *id; /* [instance_count] */
  const char *settings, *precision;
  const char *config; /* [config_length] */
  size_t config_length;
  const mno_result *result; /* the file itself, or NULL: then it is not known what its data were */
} mno_held;

/* MNO_OK if every instance that is held is also in the plan, under the same settings; otherwise MNO_ERR_INPUT that names a
 * data file which has changed, and the difference between the configurations, line by line. */
mno_status mno_compare(const mno_held *held, const mno_plan *plan, mno_error *err);

/* What decides the content of rows beyond their ids, as the line of text that file and journal hold: recorded quantities and
 * steps, the limits asked for. malloc'ed; NULL when out of memory. */
char *mno_settings(const mno_plan *plan);

/* The recorded quantities of such a line; false if it does not say. */
bool mno_settings_recording(const char *settings, mno_recording *recording);

typedef struct mno_share {
  int shard, shards;
} mno_share;

/* Does a run for a share of the plan (shard of shards; shards <= 1: all of it) go on with a file that holds another?
 * `begun`: the file has instances; one of the whole sweep without any, such as one of limits only, may become that of a
 * shard. MNO_ERR_USAGE, naming the share to ask for. */
mno_status mno_compare_share(const mno_share *held, const mno_share *run, const char *name, bool begun, mno_error *err);

/* Rows by id. */
typedef struct mno_rows {
  size_t count;
  struct mno_row {
    uint64_t id;
    size_t row;
  } * row; /* [count], by id */
} mno_rows;

mno_status mno_rows_of(const mno_plan *plan, mno_rows *rows, mno_error *err);
size_t mno_rows_find(const mno_rows *rows, uint64_t id); /* SIZE_MAX: none */

/* The problem of a plan with this id; SIZE_MAX: none. */
size_t mno_problem_find(const mno_plan *plan, uint64_t id);

#endif
