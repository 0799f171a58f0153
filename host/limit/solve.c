/* SPDX-License-Identifier: BSD-3-Clause */
/* From the kind of a limit to what solves it. */
#include "core/memory.h"
#include "limit/methods.h"
#include "limit/watch.h"

mno_status mno_limit_check(const mno_plan *plan, mno_error *err) {
  const mno_sweep *sweep = plan->sweep;
  int mean_ode = 0;
  char text[128];
  for (size_t i = 0; sweep && i < sweep->limit.count; i++) {
    mno_limit_kind kind = sweep->limit.kind[i];
    mean_ode |= kind == MNO_LIMIT_MEAN_ODE;
    for (size_t p = 0; p < plan->problem_count; p++) {
      const char *objection = mno_limit_objection(&plan->problem[p], kind, MNO_METHOD_AUTO, text, sizeof text);
      if (objection) return mno_sweep_fail(sweep, sweep->limit.mark[i], err, "limit.kind %s", objection);
    }
  }
  if (!sweep || sweep->limit.method == MNO_METHOD_AUTO) return MNO_OK;
  if (!mean_ode)
    return mno_sweep_fail(sweep, sweep->limit.method_mark, err,
                          "limit.method %s is for mean-ode, which is not in limit.kind; remove the key",
                          mno_limit_method_name(sweep->limit.method));
  for (size_t p = 0; p < plan->problem_count; p++) {
    const char *objection =
        mno_limit_objection(&plan->problem[p], MNO_LIMIT_MEAN_ODE, sweep->limit.method, text, sizeof text);
    if (objection)
      return mno_sweep_fail(sweep, sweep->limit.method_mark, err, "limit.method %s (D = %zu)", objection,
                            plan->problem[p].D);
  }
  return MNO_OK;
}

static mno_status solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit, mno_error *err) {
  char text[128];
  const char *objection = mno_limit_objection(problem, options->kind, MNO_METHOD_AUTO, text, sizeof text);
  if (objection) return mno_fail(err, MNO_ERR_INPUT, "limit kind %s", objection);
  switch (options->kind) {
  case MNO_LIMIT_MEAN_ODE: return mno_mean_ode_solve(problem, options, limit, err);
  case MNO_LIMIT_TANGENT_ODE: return mno_tangent_ode_solve(problem, options, limit, err);
  case MNO_LIMIT_JOINT: return mno_joint_solve(problem, options, limit, err);
  default:
    return mno_fail(err, MNO_ERR_INPUT,
                    "limit kind %s is an average over networks (mno_limit_largest), not solved from the problem",
                    mno_limit_kind_name(options->kind));
  }
}

mno_status mno_limit_solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit, mno_error *err) {
  *limit = NULL;
  double start = mno_now();
  mno_limit_options watched = *options;
  mno_watch watch;
  mno_status status = mno_watch_begin(&watch, options->stop, options->seconds, &watched.stop, err);
  if (status != MNO_OK) return status;
  status = solve(problem, &watched, limit, err);
  mno_watch_end(&watch);
  if (status == MNO_OK) {
    (*limit)->kind = options->kind;
    (*limit)->tolerance = options->tolerance;
    (*limit)->seconds = mno_now() - start;
  }
  return status;
}
