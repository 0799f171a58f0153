/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening the files of a store: finding what an earlier run left, checking that the plan continues it, and bringing file and
 * journal together. */
#ifndef MNO_STORE_RECOVER_H
#define MNO_STORE_RECOVER_H

#include "store/files.h"

/* Locks, checks and makes the first version of the file: empty, or what an earlier run left in file and journal. Fills
 * status and seconds [instance_count]. */
mno_status mno_files_open(mno_store_files *files, const char *path, const mno_plan *plan, const mno_provenance *provenance,
                          mno_open_mode mode, int8_t *status, double *seconds, mno_error *err);

#endif
