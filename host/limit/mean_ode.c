/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/methods.h"

#include <stdio.h>

/* Measured (bench_limit methods): in two dimensions (r = 1) quadrature needs tenths of a second down to 1e-3, as long as
 * sampling at 1e-4, less from there on, and leaves no chance; in four (r = 2) sampling is 8 to 27 times faster at 1e-2 and
 * 1e-3 and reaches 1e-4, which quadrature does not. */
enum { QUADRATURE_WINS_UP_TO = 1 };

mno_status mno_mean_ode_solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit,
                              mno_error *err) {
  mno_limit_method method = options->method;
  const char *why;
  char text[128];
  const char *objection = mno_limit_objection(problem, MNO_LIMIT_MEAN_ODE, method, text, sizeof text);
  if (objection) return mno_fail(err, MNO_ERR_INPUT, "limit method %s", objection);
  int closes = problem->activation == MNO_IDENTITY && mno_limit_knows(problem, MNO_BY_CLOSURE),
      gridded = mno_limit_knows(problem, MNO_BY_QUADRATURE), reducible = mno_reduction_valid(problem, &why);
  mno_reduction reduction;
  mno_status status = mno_reduction_new(problem, method == MNO_METHOD_SOBOL_FULL || !reducible, &reduction, err);
  if (status != MNO_OK) return status;
  if (method == MNO_METHOD_CLOSURE || (method == MNO_METHOD_AUTO && closes)) {
    status = mno_closure_solve(problem, options, &reduction, limit, err);
  } else if (method == MNO_METHOD_QUADRATURE ||
             (method == MNO_METHOD_AUTO && gridded && reduction.r <= QUADRATURE_WINS_UP_TO)) {
    status = mno_quadrature_solve(problem, options, &reduction, limit, err);
    if (status == MNO_OK && !*limit && method == MNO_METHOD_QUADRATURE)
      status = mno_fail(err, MNO_ERR_INPUT, "limit method quadrature cannot reach tolerance %g within its budget; use sobol",
                        options->tolerance);
    if (status == MNO_OK && *limit && (*limit)->diverged >= 0 && method == MNO_METHOD_AUTO) {
      mno_limit_free(*limit); /* a rule has no more than its points; sampling knows another way */
      *limit = NULL;
    }
  }
  if (status == MNO_OK && !*limit) {
    status = mno_sampled_solve(problem, options, &reduction, limit, err);
    if (status == MNO_OK && (method == MNO_METHOD_SOBOL_FULL || !reducible)) /* every coordinate was integrated */
      snprintf((*limit)->method, sizeof(*limit)->method, "%s", mno_limit_method_name(MNO_METHOD_SOBOL_FULL));
  }
  mno_reduction_free(&reduction);
  return status;
}
