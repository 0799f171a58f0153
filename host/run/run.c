/* SPDX-License-Identifier: BSD-3-Clause */
#include "meanode/run.h"

#include "core/memory.h"
#include "data/load.h"
#include "meanode/backend.h"
#include "meanode/diagnose.h"
#include "meanode/result.h"
#include "run/limits.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* What the emitting threads share. */
typedef struct run_state {
  const mno_plan *plan;
  const mno_run_options *options;
  const mno_backend *backend;
  mno_result *other; /* whose limits are reused, or NULL */
  mno_store *store;
  mno_limit **limit; /* [problem_count][MNO_LIMIT_KINDS] what errors and diagnostics refer to; NULL: not needed */
  pthread_mutex_t lock;
  mno_progress progress; /* under lock */
  size_t computed;       /* under lock: handed to the store */
  bool training;         /* progress counts what is on the disk */
  double phase_start, last_tick;
} run_state;

static void tick(run_state *run, bool force) {
  double now = mno_now();
  run->progress.seconds = now - run->phase_start;
  if (!run->options->progress || (!force && now - run->last_tick < 0.1)) return;
  run->last_tick = now;
  if (run->training) run->progress.done = mno_store_safe(run->store);
  run->options->progress(run->options->context, &run->progress);
}

static void begin_phase(run_state *run, const char *phase, size_t total, double work) {
  run->phase_start = mno_now();
  run->progress = (mno_progress){.phase = phase, .total = total, .work_total = work};
}

static void limit_tick(void *context, size_t done, size_t total) {
  run_state *run = context;
  run->progress.done = done;
  run->progress.work_done = (double)done;
  tick(run, true);
}

static double rms(const double *a, const double *b, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sqrt(sum / (double)count);
}

static void measure_errors(const mno_plan *plan, const mno_limit *limit, mno_record *record) {
  size_t out = limit->N * limit->d_out, state = limit->N * limit->D;
  for (size_t s = 0; s < plan->step_count; s++) {
    size_t k = (size_t)plan->step[s];
    if (k > limit->K) continue; /* a file's limit that somebody has cut short */
    record->error_output[s] = rms(record->output + s * out, limit->output + k * out, out);
    record->error_embedding[s] = rms(record->embedding + s * state, limit->embedding + k * state, state);
  }
}

/* What a record says in comparison with the limits of its problem. */
static mno_status compare(const run_state *run, mno_record *record, mno_error *err) {
  const mno_sweep *sweep = run->plan->sweep;
  mno_limit *const *limit = &run->limit[run->plan->instance[record->row].problem * MNO_LIMIT_KINDS];
  if (sweep->limit.count) measure_errors(run->plan, limit[sweep->limit.kind[0]], record);
  return mno_diagnose(run->plan, limit[MNO_LIMIT_MEAN_ODE], record, err);
}

static mno_status emit(void *context, mno_record *record, mno_error *err) {
  run_state *run = context;
  size_t row = record->row;
  bool diverged = record->outcome == MNO_INSTANCE_DIVERGED;
  mno_status status = compare(run, record, err);
  if (status != MNO_OK) {
    mno_record_free(record);
    return status;
  }
  status = mno_store_put(run->store, record, err);
  pthread_mutex_lock(&run->lock);
  run->computed++;
  run->progress.diverged += diverged;
  run->progress.work_done += run->backend->seconds(run->plan, row);
  tick(run, false);
  pthread_mutex_unlock(&run->lock);
  return status;
}

static mno_status train(run_state *run, const size_t *rows, size_t count, mno_error *err) {
  double work = 0;
  for (size_t i = 0; i < count; i++) work += run->backend->seconds(run->plan, rows[i]);
  begin_phase(run, "train", count, work);
  run->training = true;
  tick(run, true);
  mno_job job = {.plan = run->plan,
                 .rows = rows,
                 .count = count,
                 .threads = run->options->threads,
                 .emit = emit,
                 .context = run,
                 .stop = run->options->stop};
  mno_status status = count ? run->backend->run(&job, err) : MNO_OK;
  if (status == MNO_OK) status = mno_store_wait(run->store, err);
  pthread_mutex_lock(&run->lock);
  tick(run, true);
  pthread_mutex_unlock(&run->lock);
  return status;
}

static mno_status limits_then_train(run_state *run, const size_t *rows, size_t count, mno_run_summary *summary,
                                    mno_error *err) {
  const mno_plan *plan = run->plan;
  size_t limits = plan->problem_count * plan->sweep->limit.count;
  begin_phase(run, "limit", limits, (double)limits);
  mno_limits_job job = {.plan = plan,
                        .options = run->options,
                        .engine = run->backend->engine,
                        .other = run->other,
                        .store = run->store,
                        .summary = summary,
                        .kept = run->limit,
                        .tick = limit_tick,
                        .context = run};
  mno_status status = mno_run_limits(&job, err);
  if (status != MNO_OK) return status;
  status = train(run, rows, count, err);
  summary->computed = run->computed;
  summary->diverged += run->progress.diverged;
  summary->train_seconds = run->progress.seconds;
  return status;
}

static mno_status find_backend(run_state *run, char *device, size_t size, mno_error *err) {
  mno_status status = MNO_OK;
  run->backend = run->options->use;
  if (!run->backend) status = mno_backend_find(run->options->backend ? run->options->backend : "auto", &run->backend, err);
  if (status != MNO_OK) return status;
  status = mno_backend_describe(run->backend, run->plan, device, size);
  return status == MNO_OK ? status : mno_fail(err, status, "backend %s: %s", run->backend->name, device);
}

static mno_status open_files(run_state *run, const char *device, mno_error *err) {
  const mno_run_options *options = run->options;
  mno_provenance provenance = {.backend = run->backend->name,
                               .device = device,
                               .command = options->command,
                               .shard = options->shard,
                               .shards = options->shards};
  mno_status status = options->limits_from ? mno_result_open(options->limits_from, &run->other, err) : MNO_OK;
  if (status != MNO_OK) return status;
  return mno_store_open(options->output, run->plan, &provenance, options->mode, &run->store, err);
}

/* The rows [planned] that the store does not have yet; those that it has do not stay in the list. */
static mno_status compute(run_state *run, size_t *rows, size_t planned, mno_run_summary *summary, mno_error *err) {
  const char *note = mno_store_note(run->store);
  size_t count = 0, limits = run->plan->problem_count * MNO_LIMIT_KINDS;
  if (note) snprintf(summary->note, sizeof summary->note, "%s", note);
  for (size_t i = 0; i < planned && !run->options->limits_only; i++) {
    summary->diverged += mno_store_has_diverged(run->store, rows[i]);
    if (!mno_store_has(run->store, rows[i])) rows[count++] = rows[i];
  }
  summary->skipped = run->options->limits_only ? 0 : planned - count;
  run->limit = mno_alloc(limits, sizeof *run->limit);
  if (!run->limit) return mno_fail_memory(err, limits * sizeof *run->limit, "the limits");
  pthread_mutex_init(&run->lock, NULL);
  mno_status status = limits_then_train(run, rows, count, summary, err);
  pthread_mutex_destroy(&run->lock);
  for (size_t i = 0; i < limits; i++) mno_limit_free(run->limit[i]);
  free(run->limit);
  return status;
}

/* Closing writes what is queued, whatever ended the run; the first failure is the one to report. */
static mno_status close_store(const run_state *run, mno_status status, size_t planned, const mno_run_summary *summary,
                              mno_error *err) {
  bool fine = status == MNO_OK || status == MNO_INTERRUPTED;
  mno_error closing = {0};
  mno_status closed = mno_store_close(run->store, &closing);
  if (closed != MNO_OK && (fine || status == closed)) return mno_fail(err, closed, "%s", closing.message);
  if (closed == MNO_OK && (status == MNO_ERR_IO || status == MNO_ERR_MEMORY)) {
    mno_error why = *err;
    return mno_fail(err, status, "%.4000s\n  what was finished before is kept; the same command with --resume goes on",
                    why.message);
  }
  if (status == MNO_INTERRUPTED)
    return mno_fail(err, status, "interrupted: %zu of %zu instances are in %s; the same command with --resume goes on",
                    summary->skipped + summary->computed, planned, run->options->output);
  return status == MNO_OK && summary->diverged ? MNO_DIVERGED : status;
}

mno_status mno_run(const mno_plan *plan, const mno_run_options *options, mno_run_summary *summary, mno_error *err) {
  *summary = (mno_run_summary){0};
  run_state run = {.plan = plan, .options = options};
  if (options->mode == MNO_FORCE && mno_data_reads(plan->sweep, plan->data_source, options->output))
    return mno_fail(err, MNO_ERR_USAGE, "%s is what this run is read from (configuration or data); choose another output",
                    options->output);
  char device[256];
  size_t planned = 0, *rows = mno_alloc(plan->instance_count, sizeof *rows);
  if (!rows) return mno_fail_memory(err, plan->instance_count * sizeof *rows, "the list of instances");
  mno_status status = find_backend(&run, device, sizeof device, err);
  if (status == MNO_OK) status = mno_limit_check(plan, err);
  if (status == MNO_OK)
    status = mno_plan_shard(plan, options->shard, options->shards > 1 ? options->shards : 1, rows, &planned, err);
  if (status == MNO_OK) status = mno_run_fits(plan, run.backend, rows, planned, options->threads, err);
  if (status == MNO_OK) status = open_files(&run, device, err);
  if (run.store) {
    status = compute(&run, rows, planned, summary, err);
    status = close_store(&run, status, planned, summary, err);
  }
  mno_result_free(run.other);
  free(rows);
  return status;
}
