/* SPDX-License-Identifier: BSD-3-Clause */
#include "run/limits.h"

#include "core/memory.h"
#include "meanode/result.h"
#include "run/largest.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void note(mno_run_summary *summary, const char *format, ...) {
  size_t used = strlen(summary->note);
  if (used + 2 >= sizeof summary->note) return;
  if (used) used += (size_t)sprintf(summary->note + used, "; ");
  va_list args;
  va_start(args, format);
  vsnprintf(summary->note + used, sizeof summary->note - used, format, args);
  va_end(args);
}

/* The limit of this problem and kind in another file, or NULL; *at receives the file's number of the problem. */
static const mno_limit *find(const mno_result *other, const mno_problem *problem, mno_limit_kind kind, size_t *at) {
  for (*at = 0; other && *at < other->problem_count; ++*at) {
    const mno_result_problem *candidate = &other->problems[*at];
    if (candidate->id != problem->id) continue;
    for (size_t i = 0; i < candidate->limit_count; i++)
      if (candidate->limit[i]->kind == kind) return candidate->limit[i];
  }
  return NULL;
}

/* A file's average is over the largest networks of its sweep. */
static bool same_largest(const mno_plan *plan, size_t p, const mno_result *other, size_t at) {
  mno_largest ours = mno_largest_of_plan(plan, p), theirs = mno_largest_of_result(other, at);
  return ours.L == theirs.L && ours.M == theirs.M;
}

/* Is a limit of problem `at` of another file as good as the one asked for? NULL: yes; otherwise why not, in text[size]. */
static const char *objection(const mno_plan *plan, size_t p, const mno_result *other, size_t at, const mno_limit *limit,
                             char *text, size_t size) {
  const mno_sweep *sweep = plan->sweep;
  const mno_problem *problem = &plan->problem[p];
  if (limit->K != problem->K || limit->N != problem->N || limit->D != problem->D || limit->d_out != problem->d_out)
    return "it has other sizes";
  if (limit->kind == MNO_LIMIT_LARGEST) {
    if (same_largest(plan, p, other, at)) return NULL;
    snprintf(text, size, "it is an average of other networks (%.100s)", limit->parameters);
    return text;
  }
  const char *method = mno_limit_method_name(sweep->limit.method);
  if (limit->kind == MNO_LIMIT_MEAN_ODE && sweep->limit.method != MNO_METHOD_AUTO && strcmp(limit->method, method) != 0) {
    snprintf(text, size, "its method is %s, not %s", limit->method, method);
    return text;
  }
  if (limit->nodes == 0) return "it has no fields";
  if (mno_limit_is_sampled(limit) && limit->degrees < 1 && !limit->certified) return "its error is not known";
  for (size_t k = 0; k <= limit->K; k++)
    if (!(limit->output_error[k] <= sweep->limit.tolerance)) {
      snprintf(text, size, "its estimated error %.2g at step %zu is above the tolerance %g", limit->output_error[k], k,
               sweep->limit.tolerance);
      return text;
    }
  return NULL;
}

static mno_status solve(const mno_limits_job *job, size_t p, mno_limit_kind kind, mno_limit **limit, mno_error *err) {
  if (kind == MNO_LIMIT_LARGEST) return mno_run_largest(job->plan, p, job->options, limit, err);
  const mno_sweep *sweep = job->plan->sweep;
  const mno_limit_options how = {.kind = kind,
                                 .tolerance = sweep->limit.tolerance,
                                 .seconds = sweep->limit.seconds,
                                 .memory = sweep->limit.memory * 0x1p30,
                                 .method = kind == MNO_LIMIT_MEAN_ODE ? sweep->limit.method : MNO_METHOD_AUTO,
                                 .particles = sweep->limit.particles,
                                 .nodes = sweep->limit.nodes,
                                 .randomisations = sweep->limit.randomisations,
                                 .threads = job->options->threads,
                                 .stop = job->options->stop,
                                 .engine = job->engine};
  return mno_limit_solve(&job->plan->problem[p], &how, limit, err);
}

/* An average of networks has no tolerance to reach. */
static void count_uncertified(mno_run_summary *summary, size_t p, const mno_limit *limit, double tolerance) {
  bool average = limit->kind == MNO_LIMIT_LARGEST;
  if (limit->certified || (average && !limit->missing)) return;
  double worst = mno_limit_worst_error(limit);
  summary->limits_uncertified++;
  if (limit->diverged >= 0) {
    note(summary, "the %s limit of problem %zu is not known from step %lld on (%.120s)", mno_limit_kind_name(limit->kind), p,
         (long long)limit->diverged, limit->parameters);
    return;
  }
  if (average || !isfinite(worst)) {
    note(summary, "the error of the %s limit of problem %zu is not known at every step (%.120s)",
         mno_limit_kind_name(limit->kind), p, limit->parameters);
    return;
  }
  note(summary, "the %s limit of problem %zu has an estimated error of %.2g, not %g (%.120s)",
       mno_limit_kind_name(limit->kind), p, worst, tolerance, limit->parameters);
}

/* From the other file, or solved, into the store. */
static mno_status new_limit(const mno_limits_job *job, size_t p, mno_limit_kind kind, mno_limit **limit, mno_error *err) {
  char text[256];
  size_t at;
  const mno_limit *found = find(job->other, &job->plan->problem[p], kind, &at);
  const char *why = !job->other ? NULL
                    : !found    ? "it is not there"
                                : objection(job->plan, p, job->other, at, found, text, sizeof text);
  if (why)
    note(job->summary, "the %s limit of problem %zu was computed, not taken from %s: %s", mno_limit_kind_name(kind), p,
         job->options->limits_from, why);
  bool reused = found && !why;
  mno_status status = reused ? mno_limit_copy(found, limit, err) : solve(job, p, kind, limit, err);
  if (status != MNO_OK) return status;
  *(reused ? &job->summary->limits_reused : &job->summary->limits_computed) += 1;
  if (reused && kind != MNO_LIMIT_LARGEST) (*limit)->certified = 1; /* within this tolerance */
  return mno_store_put_limit(job->store, p, *limit, err);
}

static mno_status one_limit(const mno_limits_job *job, size_t p, size_t place, mno_error *err) {
  const mno_plan *plan = job->plan;
  mno_limit_kind kind = plan->sweep->limit.kind[place];
  const mno_limit *found = mno_store_limit(job->store, p, kind);
  mno_limit *limit = NULL;
  job->summary->limits_reused += found != NULL;
  mno_status status = found ? mno_limit_copy(found, &limit, err) : new_limit(job, p, kind, &limit, err);
  if (limit) count_uncertified(job->summary, p, limit, plan->sweep->limit.tolerance);
  if (place == 0 || (kind == MNO_LIMIT_MEAN_ODE && mno_recording_diagnoses(&plan->recording)))
    job->kept[p * MNO_LIMIT_KINDS + kind] = limit;
  else
    mno_limit_free(limit);
  return status;
}

mno_status mno_run_limits(const mno_limits_job *job, mno_error *err) {
  const mno_sweep *sweep = job->plan->sweep;
  size_t done = 0, total = job->plan->problem_count * sweep->limit.count;
  mno_status status = MNO_OK;
  double start = mno_now();
  for (size_t p = 0; status == MNO_OK && p < job->plan->problem_count; p++)
    for (size_t i = 0; status == MNO_OK && i < sweep->limit.count; i++) {
      job->tick(job->context, done++, total);
      status = one_limit(job, p, i, err);
    }
  if (status == MNO_OK) job->tick(job->context, done, total);
  job->summary->limit_seconds = mno_now() - start;
  return status;
}
