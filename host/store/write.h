/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing the parts of a result file, each whole: false is a failure, with the cause on HDF5's error stack. */
#ifndef MNO_STORE_WRITE_H
#define MNO_STORE_WRITE_H

#include "meanode/limit.h"
#include "meanode/plan.h"
#include "store/h5.h"

#include <stdbool.h>
#include <stddef.h>

enum { MNO_RESULT_FORMAT = 1, MNO_STATUS_MISSING = -1 };

/* What the file says of its origin. */
typedef struct mno_stamp {
  const char *backend, *device, *history, *settings;
  int shard, shards;      /* shards <= 1: a whole run */
  size_t shard_instances; /* of this shard */
} mno_stamp;

bool mno_write_root(hid_t file, const mno_plan *plan, const mno_stamp *stamp);
bool mno_write_attributes(hid_t file, const mno_plan *plan, const mno_stamp *stamp); /* of the root */
bool mno_write_problem(hid_t file, const mno_plan *plan, size_t p);
bool mno_write_limit(hid_t problem, hid_t group, const mno_limit *limit); /* group: of the limit, empty */

#endif
