#include "run/limits.h"

#include "core/memory.h"
#include "meanode/result.h"
#include "run/largest.h"

static mno_limit_options options_of(const mno_sweep *sweep, mno_limit_kind kind, const mno_run_options *run) {
  return (mno_limit_options){
      .kind = kind,
      .tolerance = sweep->limit.tolerance,
      .seconds = sweep->limit.seconds,
      .memory = sweep->limit.memory * 0x1p30,
      .method = sweep->limit.method,
      .particles = sweep->limit.particles,
      .nodes = sweep->limit.nodes,
      .randomisations = sweep->limit.randomisations,
      .seed = 0,
      .threads = run->threads,
      .stop = run->stop,
  };
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

static mno_status one_limit(const mno_plan *plan, size_t p, mno_limit_kind kind, const mno_result *other,
                            const mno_run_options *options, mno_store *store, mno_run_summary *summary, mno_limit **fields,
                            mno_error *err) {
  bool keep = fields && kind == MNO_LIMIT_MEAN_ODE;
  const mno_limit *found = mno_store_limit(store, p, kind);
  if (found) {
    summary->limits_reused++;
    summary->limits_uncertified += !found->certified;
    return keep ? mno_limit_copy(found, &fields[p], err) : MNO_OK;
  }
  found = find(other, &plan->problem[p], kind);
  mno_limit *solved = NULL;
  if (!found) {
    mno_limit_options how = options_of(plan->sweep, kind, options);
    mno_status status = kind == MNO_LIMIT_LARGEST ? mno_run_largest(plan, p, options, &solved, err)
                                                  : mno_limit_solve(&plan->problem[p], &how, &solved, err);
    if (status != MNO_OK) return status;
    found = solved;
  }
  *(solved ? &summary->limits_computed : &summary->limits_reused) += 1;
  summary->limits_uncertified += !found->certified;
  mno_status status = mno_store_put_limit(store, p, found, err);
  if (keep && status == MNO_OK) status = mno_limit_copy(found, &fields[p], err);
  mno_limit_free(solved);
  return status;
}

mno_status mno_run_limits(const mno_plan *plan, const mno_run_options *options, mno_store *store, mno_run_summary *summary,
                          mno_limit **fields, void (*tick)(void *context, size_t done, size_t total), void *context,
                          mno_error *err) {
  const mno_sweep *sweep = plan->sweep;
  size_t done = 0, total = plan->problem_count * sweep->limit.count;
  mno_result *other = NULL;
  mno_status status = MNO_OK;
  if (options->limits_from) status = mno_result_open(options->limits_from, &other, err);
  double start = mno_now();
  for (size_t p = 0; status == MNO_OK && p < plan->problem_count; p++)
    for (size_t i = 0; status == MNO_OK && i < sweep->limit.count; i++) {
      if (tick) tick(context, done, total);
      status = one_limit(plan, p, sweep->limit.kind[i], other, options, store, summary, fields, err);
      done++;
    }
  if (tick && status == MNO_OK) tick(context, done, total);
  summary->limit_seconds = mno_now() - start;
  mno_result_free(other);
  return status;
}
