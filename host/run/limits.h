/* Where the limits of a run come from: the file being resumed, another result file, or the solver. */
#ifndef MNO_RUN_LIMITS_H
#define MNO_RUN_LIMITS_H

#include "meanode/result.h"
#include "meanode/run.h"

/* Puts every limit of the plan's sweep that can be had before training into the store, in the order of the list. engine: of
 * the backend, or NULL. other, or NULL: a file whose limits of the same problems are taken where they are as good as what is
 * asked (method, estimated error at every step; for largest the same L and M); the summary notes where they are not. fields,
 * [problem_count] or NULL, receives copies of the Mean ODEs (NULL where there is none). tick may be NULL; it is told how
 * many of how many are done. */
mno_status mno_run_limits(const mno_plan *plan, const mno_run_options *options, const mno_engine *engine,
                          const mno_result *other, mno_store *store, mno_run_summary *summary, mno_limit **fields,
                          void (*tick)(void *context, size_t done, size_t total), void *context, mno_error *err);

#endif
