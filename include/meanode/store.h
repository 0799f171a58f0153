/* SPDX-License-Identifier: BSD-3-Clause */
/* The store: results stream in from the kernels' threads, threads of its own bring them to the disk.
 *
 * OUT.h5          the result file, replaced as a whole from time to time: readable during the run, never half written
 * OUT.h5.journal  the truth while a run goes on (host/store/journal.h): a result that is in it survives any end of the run;
 *                 removed when everything is in OUT.h5 and on the disk
 * OUT.h5.lock     held by the run that writes
 *
 * A link is followed, and all lie beside the file that it leads to. What is replaced keeps its mode, owner, group, access
 * lists and extended attributes as far as the process may; the others are as private. A write-protected file is not
 * replaced. */
#ifndef MEANODE_STORE_H
#define MEANODE_STORE_H

#include "meanode/limit.h"
#include "meanode/plan.h"
#include "meanode/record.h"
#include "meanode/status.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mno_store mno_store;

/* What the file says of its origin, beyond what the plan knows. */
typedef struct mno_provenance {
  const char *backend; /* "cpu" */
  const char *device;  /* one line */
  const char *command; /* command line, for the history attribute */
  int shard, shards;   /* which part of the plan the run computes; shards 0 or 1: all of it */
} mno_provenance;

typedef enum mno_open_mode {
  MNO_CREATE, /* refuse an existing file */
  MNO_FORCE,  /* replace an existing file, which stays until the store is closed */
  MNO_RESUME  /* continue an existing file, or create it */
} mno_open_mode;

/* Opens the result file of a plan. Errors: MNO_ERR_USAGE if the file exists (MNO_CREATE) and MNO_ERR_INPUT if it belongs to
 * another configuration (MNO_RESUME; the message shows the difference); MNO_ERR_IO. The plan must outlive the store. */
mno_status mno_store_open(const char *path, const mno_plan *plan, const mno_provenance *provenance, mno_open_mode mode,
                          mno_store **store, mno_error *err);

/* What was found while opening that a person should know (damage, what is computed again); NULL if nothing. Borrowed. */
const char *mno_store_note(const mno_store *store);

/* Was this row there when the store was opened (MNO_RESUME)? Was it, as diverged? */
bool mno_store_has(const mno_store *store, size_t row);
bool mno_store_has_diverged(const mno_store *store, size_t row);

/* The limit found in the file being resumed, or NULL; borrowed. */
const mno_limit *mno_store_limit(const mno_store *store, size_t problem, mno_limit_kind kind);

/* Writes a limit; the first of a problem is what the errors of its records refer to. Copies. */
mno_status mno_store_put_limit(mno_store *store, size_t problem, const mno_limit *limit, mno_error *err);

/* Collects a record (ownership passes); any thread; never waits for the disk while the buffer has room. Once writing has
 * failed every call returns that failure. */
mno_status mno_store_put(mno_store *store, mno_record *record, mno_error *err);

/* How many of the rows put since opening are on the disk: what a person may be told. mno_store_wait waits for all of them.
 */
size_t mno_store_safe(mno_store *store);
mno_status mno_store_wait(mno_store *store, mno_error *err);

/* Writes what was collected, publishes it, closes, frees. Returns the first failure; the message says what is left. */
mno_status mno_store_close(mno_store *store, mno_error *err);

/* Merging shards: copies the rows and limits of several files of one sweep into one, after verifying that they have the same
 * instances, settings, configuration and version. */
typedef struct mno_merge_options {
  bool force;          /* replace an existing output */
  bool partial;        /* write although instances are missing (they stay marked as missing) */
  const char *command; /* for the history */
} mno_merge_options;

typedef struct mno_merge_report {
  size_t instances, there, missing;
  size_t repeated; /* instances in several files; their content was equal */
  char
      note[1024]; /* what a person should know: additions of users that were left behind, what could not be kept; or empty */
} mno_merge_report;

/* Errors: MNO_ERR_USAGE if the output exists or is one of the inputs; MNO_ERR_INPUT for files that do not belong together,
 * instances that are in several files with different content, missing instances (unless partial), a run that has not ended;
 * MNO_ERR_IO. */
mno_status mno_merge(const char *output, const char *const *inputs, size_t count, const mno_merge_options *options,
                     mno_merge_report *report, mno_error *err);

#ifdef __cplusplus
}
#endif
#endif
