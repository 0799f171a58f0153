/* SPDX-License-Identifier: BSD-3-Clause */
#include "run/largest.h"

#include "core/memory.h"
#include "limit/watch.h"
#include "meanode/backend.h"

#include <stdio.h>
#include <stdlib.h>

/* Records by their position in the list of rows, whichever thread finishes first. */
typedef struct collection {
  const size_t *rows;
  size_t count;
  mno_record **record; /* [count] */
} collection;

static mno_status collect(void *context, mno_record *record, mno_error *err) {
  collection *all = context;
  for (size_t i = 0; i < all->count; i++)
    if (all->rows[i] == record->row) all->record[i] = record; /* one writer per element */
  return MNO_OK;
}

static bool is_plain(int64_t M, mno_draw draw) { return draw.width == M && draw.offset == 0 && draw.sign == 1; }

static void consider(mno_largest *best, int64_t L, int64_t M, mno_draw draw) {
  double size = (double)L * (double)M, most = (double)best->L * (double)best->M;
  if (is_plain(M, draw) && (size > most || (size == most && L > best->L))) *best = (mno_largest){L, M};
}

mno_largest mno_largest_of_plan(const mno_plan *plan, size_t problem) {
  mno_largest best = {0, 0};
  for (size_t row = 0; row < plan->instance_count; row++) {
    const mno_instance *instance = &plan->instance[row];
    if (instance->problem == problem) consider(&best, instance->L, instance->M, instance->draw);
  }
  return best;
}

mno_largest mno_largest_of_result(const mno_result *result, size_t problem) {
  mno_largest best = {0, 0};
  for (size_t row = 0; row < result->instance_count; row++) {
    mno_draw draw = result->draw ? result->draw[row] : (mno_draw){result->M[row], 0, 1};
    if (result->problem[row] == (int64_t)problem) consider(&best, result->L[row], result->M[row], draw);
  }
  return best;
}

/* The rows of the largest networks; returns how many. */
static size_t largest_rows(const mno_plan *plan, size_t problem, size_t *rows) {
  mno_largest largest = mno_largest_of_plan(plan, problem);
  size_t count = 0;
  for (size_t row = 0; row < plan->instance_count; row++) {
    const mno_instance *instance = &plan->instance[row];
    if (instance->problem == problem && is_plain(instance->M, instance->draw) && instance->L == largest.L &&
        instance->M == largest.M)
      rows[count++] = row;
  }
  return count;
}

/* The time was up before the first network was trained. */
static mno_status none_finished(const mno_problem *problem, mno_limit **limit, mno_error *err) {
  mno_status status = mno_limit_new(problem, 0, limit, err);
  if (status != MNO_OK) return status;
  (*limit)->kind = MNO_LIMIT_LARGEST;
  (*limit)->diverged = 0;
  snprintf((*limit)->method, sizeof(*limit)->method, "average");
  return MNO_OK;
}

static mno_status average(const mno_plan *plan, size_t problem, const collection *all, mno_limit **limit, mno_error *err) {
  const double **output = mno_alloc(2 * all->count, sizeof *output), **embedding = output + all->count;
  if (!output) return mno_fail_memory(err, 2 * all->count * sizeof *output, "the largest networks");
  /* Networks that diverged are left out. If all did, so does the limit: their average, up to the first that is not finite.
   */
  bool some_done = false;
  for (size_t i = 0; i < all->count; i++) some_done = some_done || (all->record[i] && all->record[i]->outcome == MNO_DONE);
  size_t count = 0, missing = 0;
  for (size_t i = 0; i < all->count; i++) {
    missing += !all->record[i];
    if (!all->record[i]) continue;
    if (some_done && all->record[i]->outcome != MNO_DONE) continue;
    output[count] = all->record[i]->output;
    embedding[count++] = all->record[i]->embedding;
  }
  const mno_instance *first = &plan->instance[all->rows[0]];
  mno_status status =
      count > 0 ? mno_limit_largest(&plan->problem[problem], count, output, embedding, first->L, first->M, limit, err)
                : none_finished(&plan->problem[problem], limit, err);
  if (status == MNO_OK && missing > 0) {
    (*limit)->missing = (int64_t)missing;
    snprintf((*limit)->parameters, sizeof(*limit)->parameters, "L %lld, M %lld, networks %zu; stopped at the time budget",
             (long long)first->L, (long long)first->M, count);
  }
  free(output);
  return status;
}

/* As many threads as a budget of memory leaves room for: these never change the numbers. MNO_ERR_INPUT if one is too many.
 */
static mno_status threads_within(double budget, const mno_plan *every_step, const mno_backend *backend, const size_t *rows,
                                 size_t count, int *threads, mno_error *err) {
  if (!(budget > 0) || count == 0) return MNO_OK;
  const mno_instance *first = &every_step->instance[rows[0]];
  mno_sweep without_limits = *every_step->sweep;
  without_limits.limit.count = 0; /* the budget is for this one */
  mno_plan alone = *every_step;
  alone.sweep = &without_limits;
  double fixed = (double)count * (double)mno_record_bytes(every_step, rows[0]) +
                 2 * mno_run_limit_bytes(every_step, &every_step->problem[first->problem]),
         bytes = 0;
  for (int t = *threads > 0 ? *threads : mno_core_count(); t > 0; t--) {
    bytes = fixed + mno_run_bytes(&alone, backend, rows, count, t, NULL);
    *threads = t;
    if (bytes <= budget) return MNO_OK;
  }
  return mno_fail(
      err, MNO_ERR_INPUT,
      "limit.memory: %zu networks of L = %lld, M = %lld for the limit largest need %.3g GiB with one thread, and "
      "there are %.3g GiB; raise limit.memory, or choose fewer seeds or smaller L or M",
      count, (long long)first->L, (long long)first->M, bytes / 0x1p30, budget / 0x1p30);
}

mno_status mno_run_largest(const mno_plan *plan, size_t problem, const mno_run_options *options, mno_limit **limit,
                           mno_error *err) {
  const mno_backend *backend;
  mno_watch watch;
  const atomic_int *stop;
  mno_status status = mno_backend_find(options->backend ? options->backend : "auto", &backend, err);
  if (status == MNO_OK) status = mno_watch_begin(&watch, options->stop, plan->sweep->limit.seconds, &stop, err);
  if (status != MNO_OK) return status;
  size_t K = plan->problem[problem].K, *rows = mno_alloc(plan->instance_count, sizeof *rows);
  int64_t *steps = mno_alloc(K + 1, sizeof *steps);
  mno_record **records = mno_alloc(plan->instance_count, sizeof *records);
  if (!rows || !steps || !records) {
    status = mno_fail_memory(err, plan->instance_count * sizeof *rows, "the largest networks");
  } else {
    for (size_t k = 0; k <= K; k++) steps[k] = (int64_t)k;
    mno_plan every_step = *plan;
    every_step.step = steps;
    every_step.step_count = K + 1;
    every_step.recording = (mno_recording){.output = plan->recording.output, .embedding = plan->recording.embedding};
    collection all = {.rows = rows, .count = largest_rows(plan, problem, rows), .record = records};
    int threads = options->threads;
    status = threads_within(plan->sweep->limit.memory * 0x1p30, &every_step, backend, rows, all.count, &threads, err);
    mno_job job = {.plan = &every_step,
                   .rows = rows,
                   .count = all.count,
                   .threads = threads,
                   .emit = collect,
                   .context = &all,
                   .stop = stop};
    if (status == MNO_OK) status = backend->run(&job, err);
    if (status == MNO_INTERRUPTED && mno_time_is_up(stop)) status = MNO_OK; /* those that are there */
    if (status == MNO_OK) status = average(plan, problem, &all, limit, err);
    for (size_t i = 0; i < all.count; i++) mno_record_free(records[i]);
  }
  mno_watch_end(&watch);
  free(rows);
  free(steps);
  free(records);
  return status;
}
