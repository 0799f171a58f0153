/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading a result file. */
#ifndef MEANODE_RESULT_H
#define MEANODE_RESULT_H

#include "meanode/limit.h"
#include "meanode/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One problem of a file. Runs are the rows that are there, in file order; S = step_count of the result. */
typedef struct mno_result_problem {
  char name[32]; /* "problem_0000" */
  size_t N, d_in, d_out, D;
  size_t K; /* gradient steps; where the file does not say, the last that it has */
  const mno_block *block;
  double alpha;
  uint64_t id;       /* mno_problem's id: same id, same limits */
  int64_t data_seed; /* data.seed of the configuration; -1: the file does not say */
  size_t run_count;
  size_t *row;        /* [run_count] row of the root table */
  size_t limit_count; /* limits in the file's order; the first is what errors refer to */
  mno_limit *limit[MNO_LIMIT_KINDS];
} mno_result_problem;

typedef struct mno_result {
  char *path;
  char *config;          /* the configuration text */
  size_t instance_count; /* rows */
  int64_t *L, *M, *D;    /* [instance_count] */
  double *alpha;         /* [instance_count] */
  uint64_t *seed, *id;   /* [instance_count] */
  int64_t *data_seed;    /* [instance_count] data.seed of the problem; NULL: the file does not say */
  int64_t *problem;      /* [instance_count] */
  int8_t *status;        /* [instance_count] 0 done, 1 diverged, -1 missing */
  mno_draw *draw;        /* [instance_count] which draws the units take; NULL: all plain */
  size_t step_count;
  int64_t *step; /* [step_count] */
  size_t problem_count;
  mno_result_problem *problems;
  void *file; /* private */
} mno_result;

/* Opens a result file; during a run, its last published version. Errors: MNO_ERR_IO, also for a
 * file that another program has open for writing; MNO_ERR_MEMORY; MNO_ERR_INPUT for a file that is not a meanode result or
 * is damaged (names file and object). A file that other programs made or changed is
 * read too. */
mno_status mno_result_open(const char *path, mno_result **result, mno_error *err);
void mno_result_free(mno_result *result);

/* Does the group of a problem hold this variable ("output", "embedding", ...)? It may still be damaged. */
bool mno_result_has(const mno_result *result, size_t problem, const char *name);

/* Output of all runs of a problem at one recorded step (index into result->step): out [run_count][N][d_out].
 * Runs that diverged hold NaN from then on. Errors: MNO_ERR_INPUT if it was not recorded or is damaged. */
mno_status mno_result_output(mno_result *result, size_t problem, size_t step_index, double *out, mno_error *err);

/* The same for the embedding: out [run_count][N][D]. */
mno_status mno_result_embedding(mno_result *result, size_t problem, size_t step_index, double *out, mno_error *err);

/* The training problem behind a group, with its data and embeddings, as the plan had it; mno_result_data_free frees them.
 * Errors: MNO_ERR_MEMORY; MNO_ERR_INPUT if the file does not hold all that its id says defines it. */
mno_status mno_result_data(const mno_result *result, size_t problem, mno_problem *data, mno_error *err);
void mno_result_data_free(mno_problem *data);

/* The data of a run whose configuration says data.kind: file, for mno_plan_build_held; mno_held_data_free frees them.
 * Errors: as mno_result_data. */
mno_status mno_result_held_data(const mno_result *result, mno_held_data **held, mno_error *err);

/* A text attribute of the file (title, source, history, references, backend, device, precision, generator); the caller
 * frees it. NULL if it is not there. */
char *mno_result_attribute(const mno_result *result, const char *name);

/* Is the file for a shard of its sweep? Then which (from 0) of how many. */
bool mno_result_share(const mno_result *result, int *shard, int *shards);

/* The configuration that a file was made from; the caller frees *text. Reads only that.
 * Errors: MNO_ERR_IO; MNO_ERR_INPUT if there is none. */
mno_status mno_result_config(const char *path, char **text, mno_error *err);

/* How far a run is: what is in the file and in its journal, and whether somebody is writing it. */
typedef struct mno_result_state {
  size_t instances, done, diverged; /* done without divergence; diverged; the rest is missing */
  size_t in_journal;                /* of these, not yet in the file */
  int shard, shards;                /* shards 0: a whole run */
  size_t shard_instances;           /* instances of this shard */
  bool running;                     /* held by a living process of this machine, or by another machine */
  char owner[200];                  /* who holds it, in words */
  char note[600];                   /* damage that was found; empty if none */
} mno_result_state;

/* Errors: MNO_ERR_IO if there is neither file nor journal; MNO_ERR_INPUT if nothing in them can be read. */
mno_status mno_result_inspect(const char *path, mno_result_state *state, mno_error *err);

#ifdef __cplusplus
}
#endif
#endif
