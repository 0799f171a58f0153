/* SPDX-License-Identifier: BSD-3-Clause */
/* The main job: sweep -> plan -> limits -> instances -> result file. */
#ifndef MEANODE_RUN_H
#define MEANODE_RUN_H

#include "meanode/backend.h"
#include "meanode/plan.h"
#include "meanode/status.h"
#include "meanode/store.h"

#include <stdatomic.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mno_progress {
  const char *phase;  /* "limit", "train" */
  size_t done, total; /* limits, or instances whose results are on the disk */
  size_t diverged;
  double work_done, work_total; /* modelled work in the same unit, for the time left */
  double seconds;               /* since the phase began */
} mno_progress;

typedef struct mno_run_options {
  const char *output;      /* result file */
  const char *backend;     /* NULL: auto */
  const char *limits_from; /* NULL, or a result file whose limits of the same problems are reused */
  int limits_only;         /* compute the limits and no instance: a file for limits_from, or to resume */
  int threads;             /* 0: one per core */
  int shard, shards;       /* compute the rows of shard (0..shards-1); shards 0 or 1: all */
  const mno_backend *use;  /* NULL, or a backend to use instead of looking one up by name */
  mno_open_mode mode;
  const char *command;                                           /* command line, for the file's history */
  const atomic_int *stop;                                        /* may be NULL */
  void (*progress)(void *context, const mno_progress *progress); /* may be NULL; called at most ~10 times a second */
  void *context;
} mno_run_options;

typedef struct mno_run_summary {
  size_t computed, skipped, diverged; /* instances: computed now, already in the file, diverged among all these */
  size_t limits_computed, limits_reused, limits_uncertified;
  double limit_seconds, train_seconds;
  char note[1024]; /* what was found in the file that a person should know (damage, what is computed again); may be empty */
} mno_run_summary;

/* Bytes of one limit of a problem: outputs with their errors and embeddings of every step, states and adjoints at every
 * node. */
double mno_run_limit_bytes(const mno_plan *plan, const mno_problem *problem);

/* Bytes of the data and embeddings of all problems in memory; of the result file of the whole plan, about. */
double mno_run_data_bytes(const mno_plan *plan);
double mno_run_file_bytes(const mno_plan *plan);

/* Bytes of the host's memory that training these rows (NULL: all of the plan) takes at most: working sets, records and
 * diagnostics of all threads, the limits that these need, records and limits on their way into the file. Computing the
 * limits has its own budget. threads 0: one per core. heaviest receives the row of which a thread needs most, if it is not
 * NULL. */
double mno_run_bytes(const mno_plan *plan, const mno_backend *backend, const size_t *rows, size_t count, int threads,
                     size_t *heaviest);

/* Is there room for that, and for what the backend needs? Errors: MNO_ERR_INPUT, with the numbers and what to change; those
 * of the backend's fits. */
mno_status mno_run_fits(const mno_plan *plan, const mno_backend *backend, const size_t *rows, size_t count, int threads,
                        mno_error *err);

/* Solves the limits, trains the instances of the shard that are not in the file yet, writes them. The plan must outlive the
 * call. Returns MNO_OK; MNO_DIVERGED (all is there, some instances diverged); MNO_INTERRUPTED (what was finished is in the
 * file). Errors: MNO_ERR_USAGE for an output that exists or is what the run is read from, an unknown backend, a shard that
 * is none; MNO_ERR_INPUT for a file of another configuration, a method that does not apply, sizes that do not fit;
 * MNO_ERR_BACKEND; MNO_ERR_MEMORY; MNO_ERR_IO. After an error, too, what was finished is in the file or its journal. */
mno_status mno_run(const mno_plan *plan, const mno_run_options *options, mno_run_summary *summary, mno_error *err);

#ifdef __cplusplus
}
#endif
#endif
