#include "run/limits.h"

#include "core/memory.h"
#include "meanode/result.h"
#include "run/largest.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static mno_limit_options options_of(const mno_sweep *sweep, mno_limit_kind kind, const mno_run_options *run,
                                    const mno_engine *engine) {
  return (mno_limit_options){
      .kind = kind,
      .tolerance = sweep->limit.tolerance,
      .seconds = sweep->limit.seconds,
      .memory = sweep->limit.memory * 0x1p30,
      .method = kind == MNO_LIMIT_MEAN_ODE ? sweep->limit.method : MNO_METHOD_AUTO,
      .particles = sweep->limit.particles,
      .nodes = sweep->limit.nodes,
      .randomisations = sweep->limit.randomisations,
      .seed = 0,
      .threads = run->threads,
      .stop = run->stop,
      .engine = engine,
  };
}

static void note(mno_run_summary *summary, const char *format, ...) {
  size_t used = strlen(summary->note);
  if (used + 2 >= sizeof summary->note) return;
  if (used) used += (size_t)sprintf(summary->note + used, "; ");
  va_list args;
  va_start(args, format);
  vsnprintf(summary->note + used, sizeof summary->note - used, format, args);
  va_end(args);
}

/* The limit of this problem and kind in another file, or NULL. */
static const mno_limit *find(const mno_result *other, const mno_problem *problem, mno_limit_kind kind) {
  for (size_t p = 0; other && p < other->problem_count; p++) {
    const mno_result_problem *candidate = &other->problems[p];
    if (candidate->id != problem->id) continue;
    for (size_t i = 0; i < candidate->limit_count; i++)
      if (candidate->limit[i]->kind == kind) return candidate->limit[i];
  }
  return NULL;
}

static bool same_largest(const mno_plan *plan, size_t p, const mno_limit *limit) {
  int64_t L, M;
  long long fileL, fileM;
  mno_run_largest_shape(plan, p, &L, &M);
  return sscanf(limit->parameters, "L %lld, M %lld,", &fileL, &fileM) == 2 && fileL == L && fileM == M;
}

/* Is a limit of another file as good as the one asked for? NULL: yes; otherwise why not, in room[size]. */
static const char *objection(const mno_plan *plan, size_t p, const mno_limit *limit, char *room, size_t size) {
  const mno_sweep *sweep = plan->sweep;
  const mno_problem *problem = &plan->problem[p];
  if (limit->K != problem->K || limit->N != problem->N || limit->D != problem->D || limit->d_out != problem->d_out)
    return "it has other sizes";
  if (limit->kind == MNO_LIMIT_LARGEST) {
    if (same_largest(plan, p, limit)) return NULL;
    snprintf(room, size, "it is an average of other networks (%.100s)", limit->parameters);
    return room;
  }
  const char *method = mno_limit_method_name(sweep->limit.method);
  if (limit->kind == MNO_LIMIT_MEAN_ODE && sweep->limit.method != MNO_METHOD_AUTO && strcmp(limit->method, method) != 0) {
    snprintf(room, size, "its method is %s, not %s", limit->method, method);
    return room;
  }
  if (limit->nodes == 0) return "it has no fields";
  bool sampled = strncmp(limit->method, "sobol", 5) == 0;
  if (sampled && limit->degrees < 1 && !limit->certified) return "its error is not known";
  for (size_t k = 0; k <= limit->K; k++)
    if (!(limit->output_error[k] <= sweep->limit.tolerance)) {
      snprintf(room, size, "its estimated error %.2g at step %zu is above the tolerance %g", limit->output_error[k], k,
               sweep->limit.tolerance);
      return room;
    }
  return NULL;
}

static mno_status solve(const mno_plan *plan, size_t p, mno_limit_kind kind, const mno_run_options *options,
                        const mno_engine *engine, mno_limit **limit, mno_error *err) {
  if (kind == MNO_LIMIT_LARGEST) return mno_run_largest(plan, p, options, limit, err);
  mno_limit_options how = options_of(plan->sweep, kind, options, engine);
  return mno_limit_solve(&plan->problem[p], &how, limit, err);
}

/* An average of networks has no tolerance to reach. */
static void count_uncertified(mno_run_summary *summary, size_t p, const mno_limit *limit, double tolerance) {
  bool average = limit->kind == MNO_LIMIT_LARGEST;
  if (limit->certified || (average && !strstr(limit->parameters, "stopped at"))) return;
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

static mno_status one_limit(const mno_plan *plan, size_t p, mno_limit_kind kind, const mno_result *other,
                            const mno_run_options *options, const mno_engine *engine, mno_store *store,
                            mno_run_summary *summary, mno_limit **fields, mno_error *err) {
  bool keep = fields && kind == MNO_LIMIT_MEAN_ODE;
  const mno_limit *found = mno_store_limit(store, p, kind);
  if (found) {
    summary->limits_reused++;
    count_uncertified(summary, p, found, plan->sweep->limit.tolerance);
    return keep ? mno_limit_copy(found, &fields[p], err) : MNO_OK;
  }
  char room[256];
  mno_limit *limit = NULL;
  found = find(other, &plan->problem[p], kind);
  const char *why = !other ? NULL : !found ? "it is not there" : objection(plan, p, found, room, sizeof room);
  if (why)
    note(summary, "the %s limit of problem %zu was computed, not taken from %s: %s", mno_limit_kind_name(kind), p,
         options->limits_from, why);
  mno_status status =
      found && !why ? mno_limit_copy(found, &limit, err) : solve(plan, p, kind, options, engine, &limit, err);
  if (status != MNO_OK) return status;
  *(found && !why ? &summary->limits_reused : &summary->limits_computed) += 1;
  if (found && !why && kind != MNO_LIMIT_LARGEST) limit->certified = 1; /* within this tolerance */
  count_uncertified(summary, p, limit, plan->sweep->limit.tolerance);
  status = mno_store_put_limit(store, p, limit, err);
  if (keep && status == MNO_OK)
    fields[p] = limit;
  else
    mno_limit_free(limit);
  return status;
}

mno_status mno_run_limits(const mno_plan *plan, const mno_run_options *options, const mno_engine *engine,
                          const mno_result *other, mno_store *store, mno_run_summary *summary, mno_limit **fields,
                          void (*tick)(void *context, size_t done, size_t total), void *context, mno_error *err) {
  const mno_sweep *sweep = plan->sweep;
  size_t done = 0, total = plan->problem_count * sweep->limit.count;
  mno_status status = MNO_OK;
  double start = mno_now();
  for (size_t p = 0; status == MNO_OK && p < plan->problem_count; p++)
    for (size_t i = 0; status == MNO_OK && i < sweep->limit.count; i++) {
      if (tick) tick(context, done, total);
      status = one_limit(plan, p, sweep->limit.kind[i], other, options, engine, store, summary, fields, err);
      done++;
    }
  if (tick && status == MNO_OK) tick(context, done, total);
  summary->limit_seconds = mno_now() - start;
  return status;
}
