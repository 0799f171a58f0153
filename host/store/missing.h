/* SPDX-License-Identifier: BSD-3-Clause */
/* What files that shall be merged lack, for a person who will have it computed. */
#ifndef MNO_STORE_MISSING_H
#define MNO_STORE_MISSING_H

#include "meanode/result.h"
#include "meanode/status.h"

/* MNO_ERR_INPUT: `missing` of the instances are in none of the files; which shards are absent, unfinished, there twice or
 * out of another number, and the commands that complete them, as far as the files say what they are. */
mno_status mno_report_missing(mno_result *const *file, size_t count, size_t missing, mno_error *err);

#endif
