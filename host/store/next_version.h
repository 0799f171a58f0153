/* SPDX-License-Identifier: BSD-3-Clause */
/* The next version of the result file: made beside the published one, brought up to date from the journal while the run goes
 * on, and renamed over it. A reader sees one whole version or the next, never one in between. */
#ifndef MNO_STORE_NEXT_VERSION_H
#define MNO_STORE_NEXT_VERSION_H

#include "store/files.h"
#include "store/publish.h"
#include "store/result_layout.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct mno_version {
  mno_store_files *files;
  const mno_plan *plan;
  mno_journal_reader reader; /* of the journal being written */
  mno_layout *layout;        /* the next version, or NULL: nothing is new since the last one */
  int8_t *status;            /* [instance_count] of the next version */
  double *seconds;           /* [instance_count] */
  bool left;                 /* somebody else has changed the published file: it is left as it is */
  double began, cost;        /* when the last version was published; what making it cost beyond its new rows, seconds */
} mno_version;

/* Starts from the published file and a journal just begun. status and seconds hold what that file holds; they stay the
 * caller's. */
mno_status mno_version_open(mno_version *version, mno_store_files *files, const mno_plan *plan, int8_t *status,
                            double *seconds, mno_error *err);

/* Brings what is pending, at most `bytes` in a journal that is written up to `end`, into the next version and starts
 * writing it out. pending is empty afterwards. */
mno_status mno_version_add(mno_version *version, mno_pending *pending, uint64_t end, uint64_t bytes, mno_error *err);

/* Is it time for readers to see it? Versions cost a small share of the time. */
bool mno_version_is_due(const mno_version *version);

/* Publishes the next version if there is one, or the last one again if somebody has removed it. MNO_ERR_IO if somebody else
 * has changed the file: a resumed run brings that and the journal together. */
mno_status mno_version_publish(mno_version *version, mno_error *err);

/* Drops what is not published. */
void mno_version_drop(mno_version *version);

void mno_version_close(mno_version *version);

#endif
