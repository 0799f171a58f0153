/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/methods.h"

#include "core/memory.h"
#include "limit/average.h"
#include "limit/ensemble.h"
#include "limit/randomised.h"
#include "limit/refine.h"
#include "limit/stop.h"

#include <math.h>

/* The bias of the depth goes like 1/layers, the variance like 1/(layers particles), and at small alpha like 1/alpha. */
static const struct level {
  size_t layers, particles;
} levels[] = {{32, 1 << 10}, {64, 1 << 11}, {128, 1 << 12}, {256, 1 << 13}, {512, 1 << 14}, {1024, 1 << 15}};
/* Twice the layers of twice the particles: the next level costs four times as much. Three levels take 6 s of processor time
 * at D = 4, K = 15, alpha = 1e-3, all six would take minutes, so that these need a budget. Errors that were reached:
 * bench/results/limit-budgets.md. */
enum { NODES = 8, NEXT_COSTS = 4, LEVELS = sizeof levels / sizeof *levels, LEVELS_WITHOUT_BUDGET = 3 };

/* Adds the difference to the solution before; where there is none, the error is not known. */
static mno_status add_difference(const mno_problem *problem, const mno_limit *before, mno_limit *limit, mno_error *err) {
  size_t f = problem->N * problem->d_out, h = problem->N * problem->D;
  mno_step_errors errors;
  mno_status status = mno_step_errors_new(problem, &errors, err);
  if (status != MNO_OK) return status;
  for (size_t k = 1; k <= problem->K; k++) {
    errors.output[k] = before ? mno_relative_difference(before->output + k * f, limit->output + k * f, f) : NAN;
    errors.embedding[k] = before ? mno_relative_difference(before->embedding + k * h, limit->embedding + k * h, h) : NAN;
  }
  mno_add_errors(limit, &errors);
  mno_step_errors_free(&errors);
  return MNO_OK;
}

/* Steps whose limit is known. */
static size_t known(const mno_limit *limit) { return limit->diverged < 0 ? limit->K + 1 : (size_t)limit->diverged; }

/* One solution of these sizes; *limit: its mean, errors included, or NULL where it does not fit the memory. */
static mno_status solve_level(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                              mno_design design, const mno_limit *before, mno_limit **limit, mno_failure *failure,
                              mno_error *err) {
  mno_randomised s;
  size_t count = options->randomisations > 0 ? (size_t)options->randomisations : MNO_RANDOMISATIONS;
  mno_status status = mno_randomised_new(problem, options, reduction, design, &s, err);
  if (status != MNO_OK) return status;
  if (mno_randomised_bytes(&s, &design, count) <= (double)s.memory) {
    status = mno_randomised_extend(&s, count, err);
    if (status == MNO_OK) status = mno_average(problem, reduction, &s.method, s.trajectory, s.count, limit, err);
    if (status == MNO_OK) status = add_difference(problem, before, *limit, err);
    if (status == MNO_OK) {
      char where[32];
      *failure = mno_randomised_failure(&s);
      (*limit)->certified = mno_within(*limit, options->tolerance) && s.count > 1;
      mno_limit_describe(*limit, "sobol", "particles %zu, layers %zu, randomisations %zu, dimension %zu, %s%s",
                         design.particles, design.layers, s.count, mno_initial_dimension(problem, reduction->r),
                         mno_precision_name(design.precision), mno_ensemble_where(options, where));
    }
  }
  mno_randomised_free(&s);
  return status;
}

mno_status mno_steep_solve(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                           double seconds, mno_limit **limit, mno_error *err) {
  mno_status status = MNO_OK;
  const char *ended = "";
  char text[64];
  mno_failure why = MNO_SOLVED; /* *limit has no more steps */
  double start = mno_now(), before = start;
  *limit = NULL;
  for (size_t i = 0, most = seconds > 0 ? LEVELS : LEVELS_WITHOUT_BUDGET; i < most && !*ended; i++) {
    mno_design d = {NODES, levels[i].particles, MNO_F64, 0, levels[i].layers};
    if (options->nodes > 0) d.nodes = (size_t)options->nodes;
    mno_limit *now = NULL;
    mno_failure failure = MNO_SOLVED;
    status = solve_level(problem, options, reduction, d, *limit, &now, &failure, err);
    if (status != MNO_OK) break;
    double end = mno_now(), next = NEXT_COSTS * (end - before);
    before = end;
    if (!now)
      ended = "; stopped at the memory budget";
    else if (mno_time_is_up(options->stop))
      ended = "; stopped at the time budget";
    else if (!now->certified && failure == MNO_GREW && *limit && known(now) == known(*limit))
      ended = mno_failure_text(failure, now->diverged, text);
    else if (seconds > 0 && end - start + next > seconds)
      ended = "; stopped at the time budget";
    else if (i + 1 == most && !now->certified)
      ended = "; stopped at the largest number of particles";
    if (now && *limit && known(now) < known(*limit)) {
      mno_limit_free(now);
    } else if (now) {
      mno_limit_free(*limit);
      *limit = now;
      why = failure;
      if (now->certified) break;
    }
  }
  if (status == MNO_OK && *limit && !(*limit)->certified)
    mno_limit_end(*limit, (*limit)->diverged < 0 ? ended : mno_failure_text(why, (*limit)->diverged, text));
  if (status != MNO_OK) {
    mno_limit_free(*limit);
    *limit = NULL;
  }
  return status;
}
