#include "limit/refine.h"

#include "core/memory.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const size_t mno_node_counts[] = {3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 0};

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
  if (status == MNO_OK) status = run(context, &system, &a->trajectory, &a->floor, err);
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

static int64_t unresolved_step(const mno_system *system, const attempt *a) {
  mno_system own = *system;
  own.method = &a->method;
  return mno_trajectory_unresolved(&own, &a->trajectory);
}

mno_status mno_refine(const mno_limit_options *options, mno_system system, size_t r, mno_run_trajectory run, void *context,
                      mno_limit **limit, mno_error *err) {
  const mno_problem *problem = system.problem;
  double start = mno_now();
  size_t fixed = options->nodes > 0 ? (size_t)options->nodes : 0;
  mno_step_errors errors;
  mno_status status = mno_step_errors_new(problem, &errors, err);
  if (status != MNO_OK) return status;
  attempt coarse, fine;
  status = attempt_run(system, r, fixed ? fixed : mno_node_counts[0], run, context, &coarse, err);
  for (size_t i = 1; status == MNO_OK; i++) {
    status = attempt_run(system, r, fixed ? fixed + 2 : mno_node_counts[i], run, context, &fine, err);
    if (status != MNO_OK) {
      attempt_free(&coarse);
      break;
    }
    mno_step_difference(problem, system.reduction, &coarse.trajectory, &fine.trajectory, &errors);
    double factor = error_of_difference(&system, coarse.trajectory.m, fine.trajectory.m, fixed > 0);
    for (size_t k = 0; k <= problem->K; k++) {
      errors.output[k] *= factor;
      errors.embedding[k] *= factor;
    }
    int64_t failed[2] = {coarse.trajectory.failed, fine.trajectory.failed};
    double worst = failed[0] == failed[1] ? mno_largest(errors.output, problem->K + 1) : INFINITY;
    int agree = worst <= 0.5 * options->tolerance;
    int64_t unresolved = agree || !system.pilot ? unresolved_step(&system, fixed ? &coarse : &fine) : -1;
    int late = options->seconds > 0 && 2 * (mno_now() - start) > options->seconds;
    if (fixed || late || (agree && unresolved < 0) || mno_node_counts[i + 1] == 0) {
      attempt *chosen = fixed ? &coarse : &fine;
      if (unresolved >= 0) {
        mno_trajectory_forget(&chosen->trajectory, (size_t)unresolved, MNO_UNRESOLVED);
        for (size_t k = (size_t)unresolved; k <= problem->K; k++) errors.output[k] = errors.embedding[k] = NAN;
      }
      status = mno_average(problem, system.reduction, &chosen->method, &chosen->trajectory, 1, limit, err);
      if (status == MNO_OK) {
        for (size_t k = 1; k <= problem->K; k++) {
          errors.output[k] = hypot(errors.output[k], chosen->floor);
          errors.embedding[k] = hypot(errors.embedding[k], chosen->floor);
        }
        mno_add_errors(*limit, &errors);
        (*limit)->certified = mno_within(*limit, options->tolerance);
        if ((*limit)->diverged >= 0)
          mno_failure_text(chosen->trajectory.failure, chosen->trajectory.failed, (*limit)->parameters);
        else if (!(*limit)->certified && !fixed)
          snprintf((*limit)->parameters, sizeof(*limit)->parameters, "%s",
                   late     ? "; stopped at the time budget"
                   : !agree ? "; stopped at the largest number of depth nodes"
                            : "");
      }
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
  if (last) *last = 0;
  size_t used = strlen(limit->parameters);
  snprintf(limit->parameters + used, sizeof limit->parameters - used, "%s", ended);
}
