#include "limit/mean_ode.h"

#include "core/nearest.h"
#include "limit/closure.h"
#include "limit/quadrature.h"
#include "limit/refine.h"
#include "limit/sampled.h"

#include <stdio.h>
#include <string.h>

static mno_status run_closure(void *context, const mno_system *system, mno_trajectory *trajectory, double *floor,
                              mno_error *err) {
  return mno_trajectory_closure(system, trajectory, err);
}

static mno_status close_moments(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                                mno_limit **limit, mno_error *err) {
  mno_system system = mno_system_of(problem, reduction, 1e-10, options->stop);
  mno_status status = mno_refine(options, system, reduction->r, run_closure, NULL, limit, err);
  if (status != MNO_OK) return status;
  snprintf((*limit)->method, sizeof(*limit)->method, "closure");
  snprintf((*limit)->parameters, sizeof(*limit)->parameters, "nodes %zu, dimension %zu", (*limit)->nodes, reduction->r);
  return MNO_OK;
}

/* Measured (bench/limit): in two dimensions (r = 1) quadrature beats sampling from tolerance 1e-3 down; in four (r = 2)
 * sampling is faster down to 1e-5 at least. */
enum { QUADRATURE_WINS_UP_TO = 1 };

mno_status mno_mean_ode_solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit,
                              mno_error *err) {
  static const char *const methods[] = {"auto", "closure", "quadrature", "sobol", "sobol-full"};
  enum { AUTO, CLOSURE, QUADRATURE, SOBOL, SOBOL_FULL, METHODS };
  const char *name = options->method ? options->method : "auto", *why;
  int method = 0;
  while (method < METHODS && strcmp(name, methods[method]) != 0) method++;
  if (method == METHODS) {
    const char *nearest = mno_nearest(name, methods, METHODS);
    return mno_fail(err, MNO_ERR_INPUT, "unknown limit method \"%s\"%s%s%s", name, nearest ? "; did you mean \"" : "",
                    nearest ? nearest : "", nearest ? "\"?" : "");
  }
  int identity = problem->activation == MNO_IDENTITY, reducible = mno_reduction_valid(problem, &why);
  if (method == CLOSURE && !identity)
    return mno_fail(err, MNO_ERR_INPUT, "limit method closure needs activation identity, not %s",
                    mno_activation_name(problem->activation));
  mno_reduction reduction;
  mno_status status = mno_reduction_new(problem, method == SOBOL_FULL || !reducible, &reduction, err);
  if (status != MNO_OK) return status;
  if (method == CLOSURE || (method == AUTO && identity)) {
    status = close_moments(problem, options, &reduction, limit, err);
  } else if (method == QUADRATURE || (method == AUTO && reduction.r <= QUADRATURE_WINS_UP_TO)) {
    status = mno_quadrature_solve(problem, options, &reduction, limit, err);
    if (status == MNO_OK && !*limit && method == QUADRATURE)
      status = mno_fail(err, MNO_ERR_INPUT, "limit method quadrature cannot reach tolerance %g within its budget; use sobol",
                        options->tolerance);
  }
  if (status == MNO_OK && !*limit) {
    status = mno_sampled_solve(problem, options, &reduction, limit, err);
    if (status == MNO_OK && (method == SOBOL_FULL || !reducible)) /* every coordinate was integrated */
      snprintf((*limit)->method, sizeof(*limit)->method, "sobol-full");
  }
  mno_reduction_free(&reduction);
  return status;
}
