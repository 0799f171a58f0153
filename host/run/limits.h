/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the limits of a run come from: the file being resumed, another result file, or the solver. */
#ifndef MNO_RUN_LIMITS_H
#define MNO_RUN_LIMITS_H

#include "meanode/result.h"
#include "meanode/run.h"

typedef struct mno_limits_job {
  const mno_plan *plan;
  const mno_run_options *options;
  const mno_engine *engine; /* of the backend, or NULL */
  const mno_result *other;  /* NULL, or a file whose limits of the same problems are taken where they are as good as what is
                             * asked (method, estimated error at every step; for largest the same L and M) */
  mno_store *store;
  mno_run_summary *summary; /* notes where they are not */
  mno_limit **kept; /* [problem_count][MNO_LIMIT_KINDS] receives what training needs, the caller's: the first limit of every
                     * problem, for errors, and the Mean ODE, for diagnostics */
  void (*tick)(void *context, size_t done, size_t total);
  void *context;
} mno_limits_job;

/* Puts every limit of the plan's sweep into the store, in the order of the list. */
mno_status mno_run_limits(const mno_limits_job *job, mno_error *err);

#endif
