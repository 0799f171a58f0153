/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/refine.h"

#include "core/memory.h"
#include "limit/ensemble.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const size_t mno_node_counts[] = {3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 0};

/* NEXT_COSTS: the next attempt has more nodes and takes as long as the last at least; bench/limit/budgets.py finds what is
 * late. JUDGED: nodes from which on a solution is also held against its own polynomials in depth. */
enum { NEXT_COSTS = 1, JUDGED = 8, JUDGED_IF_AGREEING = 5 };
static const char out_of_time[] = "; stopped at the time budget";

typedef struct attempt {
  mno_collocation method;
  mno_trajectory trajectory;
  double floor;
} attempt;

static void attempt_free(attempt *a) {
  mno_collocation_free(&a->method);
  mno_trajectory_free(&a->trajectory);
}

static mno_status attempt_run(mno_system system, size_t r, size_t nodes, mno_run_trajectory run, void *context, attempt *a,
                              mno_error *err) {
  *a = (attempt){0};
  mno_status status = mno_collocation_new(&a->method, nodes, err);
  if (status == MNO_OK) status = mno_trajectory_new(system.problem, r, nodes, &a->trajectory, err);
  a->method.stop = system.stop;
  system.method = &a->method;
  if (status == MNO_OK)
    status = mno_trajectory_settle(&system, &a->trajectory, run(context, &system, &a->trajectory, &a->floor, err));
  if (status != MNO_OK) attempt_free(a);
  return status;
}

/* What the difference of two solutions on few < more nodes says about the error of the one that is chosen. Fields that are
 * analytic in depth converge geometrically, and the difference bounds the error of the finer. relu has kinks there, where
 * the directions of two samples cross: algebraic convergence, of order 2 at least (bench_limit orders). */
static double error_of_difference(const mno_system *system, size_t few, size_t more, int coarser) {
  if (!mno_system_is_kinked(system)) return 1;
  double shrinks = pow((double)few / (double)more, 2);
  return (coarser ? 1 : shrinks) / (1 - shrinks);
}

/* Errors of the finer of two solutions, or of the coarser. */
static void difference(const mno_system *system, const mno_trajectory *coarse, const mno_trajectory *fine, int coarser,
                       mno_step_errors *errors) {
  mno_step_difference(system->problem, system->reduction, coarse, fine, errors);
  double factor = error_of_difference(system, coarse->m, fine->m, coarser);
  for (size_t k = 0; k <= system->problem->K; k++) {
    errors->output[k] *= factor;
    errors->embedding[k] *= factor;
  }
}

/* Few nodes are judged by their error alone: their spurious solutions differ from one number to the next. */
static int64_t unresolved_step(const mno_system *system, const attempt *a, int agree) {
  mno_system own = *system;
  own.method = &a->method;
  size_t least = agree ? JUDGED_IF_AGREEING : JUDGED;
  return a->method.m >= least && (agree || !system->pilot) ? mno_trajectory_unresolved(&own, &a->trajectory) : -1;
}

/* What two solutions and the limit hold when the second has so many nodes. */
static double needed(const mno_system *system, size_t r, size_t few, size_t more, mno_run_bytes bytes, const void *context) {
  const mno_problem *problem = system->problem;
  double own = mno_trajectory_work(problem, r, more) + (bytes ? bytes(context, system, more) : 0);
  double solving = mno_trajectory_bytes(problem, r, few) + mno_trajectory_bytes(problem, r, more) +
                   fmax(own, mno_limit_bytes(problem, more));
  return fmax(solving, mno_limit_storing(problem, more));
}

static mno_status too_large(const mno_limit_options *options, const mno_problem *problem, size_t nodes, double bytes,
                            mno_error *err) {
  const double gib = 1 << 30;
  return mno_fail(
      err, options->memory > 0 ? MNO_ERR_INPUT : MNO_ERR_MEMORY,
      "limit.memory: %zu steps with %zu samples on %zu depth nodes need %.3g GiB, and there are %.3g GiB; choose "
      "fewer steps or samples, more memory, or limit.kind none",
      problem->K, problem->N, nodes, bytes / gib, mno_limit_memory(options) / gib);
}

/* The limit out of the chosen trajectory and its errors. */
static mno_status conclude(const mno_limit_options *options, const mno_system *system, const attempt *chosen,
                           const mno_step_errors *errors, const char *ended, mno_limit **limit, mno_error *err) {
  const mno_problem *problem = system->problem;
  const mno_trajectory *path = &chosen->trajectory;
  mno_status status = mno_average(problem, system->reduction, &chosen->method, path, 1, limit, err);
  if (status != MNO_OK) return status;
  for (size_t k = 1; k <= problem->K; k++) {
    errors->output[k] = hypot(errors->output[k], chosen->floor);
    errors->embedding[k] = hypot(errors->embedding[k], chosen->floor);
  }
  mno_add_errors(*limit, errors);
  (*limit)->certified = mno_within(*limit, options->tolerance);
  if ((*limit)->diverged >= 0)
    mno_failure_text(path->failure, path->failed, (*limit)->parameters);
  else if (!(*limit)->certified)
    snprintf((*limit)->parameters, sizeof(*limit)->parameters, "%s", ended);
  return MNO_OK;
}

/* Steps that a trajectory has; of two, the one with more has the say. */
static size_t known(const attempt *a) {
  return a->trajectory.failed < 0 ? a->trajectory.K + 1 : (size_t)a->trajectory.failed;
}

mno_status mno_refine(const mno_limit_options *options, mno_system system, size_t r, mno_run_trajectory run,
                      mno_run_bytes bytes, void *context, mno_limit **limit, mno_error *err) {
  const mno_problem *problem = system.problem;
  double start = mno_now(), before = start, memory = mno_limit_memory(options);
  size_t fixed = options->nodes > 0 ? (size_t)options->nodes : 0, K = problem->K, first = fixed ? fixed : mno_node_counts[0];
  size_t second = fixed ? fixed + 2 : mno_node_counts[1];
  double least = needed(&system, r, first, second, bytes, context);
  if (least > memory) return too_large(options, problem, second, least, err);
  mno_step_errors errors;
  mno_status status = mno_step_errors_new(problem, &errors, err);
  if (status != MNO_OK) return status;
  attempt coarse, fine;
  status = attempt_run(system, r, first, run, context, &coarse, err);
  for (size_t k = 1; k <= K; k++) errors.output[k] = errors.embedding[k] = NAN;
  for (size_t i = 1; status == MNO_OK; i++) {
    if (mno_trajectory_is_cut(&coarse.trajectory)) {
      status = conclude(options, &system, &coarse, &errors, out_of_time, limit, err);
      attempt_free(&coarse);
      break;
    }
    status = attempt_run(system, r, fixed ? fixed + 2 : mno_node_counts[i], run, context, &fine, err);
    if (status != MNO_OK) {
      attempt_free(&coarse);
      break;
    }
    int cut = mno_trajectory_is_cut(&fine.trajectory);
    if (!cut || i == 1) difference(&system, &coarse.trajectory, &fine.trajectory, fixed || cut, &errors);
    int64_t failed[2] = {coarse.trajectory.failed, fine.trajectory.failed};
    double worst = failed[0] == failed[1] ? mno_largest(errors.output, K + 1) : INFINITY, now = mno_now();
    int agree = worst <= 0.5 * options->tolerance && !cut;
    attempt *chosen = fixed || (cut && known(&coarse) > known(&fine)) ? &coarse : &fine;
    int64_t unresolved = unresolved_step(&system, chosen == &coarse && cut ? &coarse : &fine, agree);
    /* the next has more nodes, and there has to be time for what comes after a pilot */
    int late = cut || (options->seconds > 0 && now - start + NEXT_COSTS * (now - before) > options->seconds);
    before = now;
    size_t next = fixed ? 0 : mno_node_counts[i + 1];
    int full = next > 0 && needed(&system, r, mno_node_counts[i], next, bytes, context) > memory;
    if (fixed || late || full || (agree && unresolved < 0) || next == 0) {
      if (unresolved >= 0) {
        mno_trajectory_forget(&chosen->trajectory, (size_t)unresolved, MNO_UNRESOLVED);
        for (size_t k = (size_t)unresolved; k <= K; k++) errors.output[k] = errors.embedding[k] = NAN;
      }
      const char *ended = late             ? out_of_time
                          : full           ? "; stopped at the memory budget"
                          : agree || fixed ? ""
                                           : "; stopped at the largest number of depth nodes";
      status = conclude(options, &system, chosen, &errors, ended, limit, err);
      attempt_free(&coarse);
      attempt_free(&fine);
      break;
    }
    attempt_free(&coarse);
    coarse = fine;
  }
  mno_step_errors_free(&errors);
  return status;
}

void mno_limit_describe(mno_limit *limit, const char *method, const char *format, ...) {
  char own[sizeof limit->parameters], ended[64];
  va_list values;
  va_start(values, format);
  vsnprintf(own, sizeof own, format, values);
  va_end(values);
  snprintf(ended, sizeof ended, "%.63s", limit->parameters);
  snprintf(limit->method, sizeof limit->method, "%s", method);
  snprintf(limit->parameters, sizeof limit->parameters, "%.*s%s", (int)(sizeof own - sizeof ended), own, ended);
}

void mno_limit_end(mno_limit *limit, const char *ended) {
  char *last = strchr(limit->parameters, ';');
  const char *reason = strchr(ended, ';');
  if (last) *last = 0;
  size_t used = strlen(limit->parameters);
  snprintf(limit->parameters + used, sizeof limit->parameters - used, "%s", reason ? reason : "");
}
