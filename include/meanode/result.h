/* Reading a result file. */
#ifndef MEANODE_RESULT_H
#define MEANODE_RESULT_H

#include "meanode/limit.h"
#include "meanode/status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One problem of a file. Runs are the rows that are there, in file order; S = step_count of the result. */
typedef struct mno_result_problem {
  char name[32]; /* "problem_0000" */
  size_t N, d_in, d_out, D;
  double alpha;
  uint64_t id; /* mno_problem's id: same id, same limits */
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
  int64_t *problem;      /* [instance_count] */
  int8_t *status;        /* [instance_count] 0 done, 1 diverged, -1 missing */
  mno_draw *draw;        /* [instance_count] which draws the units take; NULL: all plain */
  size_t step_count;
  int64_t *step; /* [step_count] */
  size_t problem_count;
  mno_result_problem *problems;
  void *file; /* private */
} mno_result;

/* Opens a file, or its journal if the run has not ended. Errors: MNO_ERR_IO; MNO_ERR_INPUT for a file that is not a meanode
 * result or is damaged (names file and object). */
mno_status mno_result_open(const char *path, mno_result **result, mno_error *err);
void mno_result_free(mno_result *result);

/* Output of all runs of a problem at one recorded step (index into result->step): out [run_count][N][d_out].
 * MNO_ERR_INPUT if it was not recorded. */
mno_status mno_result_output(mno_result *result, size_t problem, size_t step_index, double *out, mno_error *err);

/* The same for the embedding: out [run_count][N][D]. */
mno_status mno_result_embedding(mno_result *result, size_t problem, size_t step_index, double *out, mno_error *err);

#ifdef __cplusplus
}
#endif
#endif
