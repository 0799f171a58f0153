/* SPDX-License-Identifier: BSD-3-Clause */
/* Shards into one file. */
#define _GNU_SOURCE
#include "core/file.h"
#include "core/memory.h"
#include "store/additions.h"
#include "store/lock.h"
#include "store/missing.h"
#include "store/output.h"
#include "store/publish.h"
#include "store/result_file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct merge {
  size_t count;
  mno_result **input; /* [count] */
  mno_plan *plan;     /* of the first input */
  size_t *owner;      /* [instance_count] the first input that has the row; SIZE_MAX: none */
  size_t repeated;
} merge;

/* ---- Do they belong together? */

/* "meanode 0.1.0, commit abc", without the compiler: the same program. */
static size_t version_length(const char *source) {
  const char *comma = strchr(source, ',');
  comma = comma ? strchr(comma + 1, ',') : NULL;
  return comma ? (size_t)(comma - source) : strlen(source);
}

static mno_status same_version(const mno_result *a, const mno_result *b, mno_error *err) {
  char *x = mno_result_attribute(a, "source"), *y = mno_result_attribute(b, "source");
  mno_status status = MNO_OK;
  size_t n = x ? version_length(x) : 0, m = y ? version_length(y) : 0;
  if (!x || !y || n != m || memcmp(x, y, n) != 0)
    status = mno_fail(err, MNO_ERR_INPUT, "%s and %s were written by different versions:\n  %.*s\n  %.*s", a->path, b->path,
                      (int)n, x ? x : "unknown", (int)m, y ? y : "unknown");
  free(x);
  free(y);
  return status;
}

/* Ids of a row differ: were the data others, although the configuration is the same? */
static mno_status refuse_row(const mno_result *a, const mno_result *b, size_t row, mno_error *err) {
  mno_problem x, y;
  char differ[64] = "";
  bool known = a->problem[row] == b->problem[row] && strcmp(a->config, b->config) == 0 &&
               mno_result_data(a, (size_t)a->problem[row], &x, NULL) == MNO_OK;
  if (known && mno_result_data(b, (size_t)b->problem[row], &y, NULL) == MNO_OK) {
    mno_problem_difference(&x, &y, differ);
    mno_result_data_free(&y);
  }
  if (known) mno_result_data_free(&x);
  return mno_fail(err, MNO_ERR_INPUT, "%s and %s belong to different sweeps: the instances of row %zu differ%s%s%s", a->path,
                  b->path, row, differ[0] ? "; the data file has changed between them: " : "", differ,
                  !differ[0]            ? ""
                  : strchr(differ, ',') ? " differ"
                                        : " differs");
}

static mno_status same_sweep(const mno_result *a, const mno_result *b, mno_error *err) {
  const mno_result_file *x = mno_file_of(a), *y = mno_file_of(b);
  if (!y->settings || !y->precision)
    return mno_fail(err, MNO_ERR_INPUT, "%s does not say what was recorded: it was not written by meanode", b->path);
  if (strcmp(x->precision, y->precision) != 0)
    return mno_fail(err, MNO_ERR_INPUT, "%s holds %s results, %s %s", a->path, x->precision, b->path, y->precision);
  if (a->instance_count != b->instance_count || a->problem_count != b->problem_count)
    return mno_fail(err, MNO_ERR_INPUT, "%s belongs to a sweep of %zu instances, %s to one of %zu", a->path,
                    a->instance_count, b->path, b->instance_count);
  for (size_t i = 0; i < a->instance_count; i++)
    if (a->id[i] != b->id[i]) return refuse_row(a, b, i, err);
  if (strcmp(x->settings, y->settings) != 0)
    return mno_fail(err, MNO_ERR_INPUT, "%s and %s record different things:\n  %s\n  %s", a->path, b->path, x->settings,
                    y->settings);
  if (strcmp(a->config, b->config) != 0)
    return mno_fail(err, MNO_ERR_INPUT, "%s and %s were made from different configuration files", a->path, b->path);
  return same_version(a, b, err);
}

/* Errors of rows refer to the first limit of their file, so all files must have the same. */
static mno_status same_limits(const mno_result *a, const mno_result *b, mno_error *err) {
  for (size_t p = 0; p < a->problem_count; p++) {
    const mno_result_problem *x = &a->problems[p], *y = &b->problems[p];
    for (size_t i = 0; i < x->limit_count; i++)
      for (size_t j = 0; j < y->limit_count; j++) {
        const mno_limit *l = x->limit[i], *m = y->limit[j];
        if (l->kind != m->kind) continue;
        const size_t size = (l->K + 1) * l->N * l->d_out;
        if (l->K != m->K || l->N != m->N || l->d_out != m->d_out ||
            memcmp(l->output, m->output, size * sizeof *l->output) != 0)
          return mno_fail(
              err, MNO_ERR_INPUT,
              "%s and %s hold different solutions of the %s limit of %s; compute limits once and give them to all "
              "shards (run --limits FILE)",
              a->path, b->path, mno_limit_kind_name(l->kind), x->name);
      }
  }
  return MNO_OK;
}

static mno_status ended(const char *path, mno_error *err) {
  mno_result_state state;
  mno_status status = mno_result_inspect(path, &state, err);
  if (status != MNO_OK) return status;
  if (state.running) return mno_fail(err, MNO_ERR_INPUT, "%s is still being written by %s", path, state.owner);
  if (state.in_journal)
    return mno_fail(err, MNO_ERR_INPUT,
                    "%s was interrupted and %zu instances are only in its journal; run that shard again with --resume", path,
                    state.in_journal);
  return MNO_OK;
}

/* ---- Rows */

/* One field of a row of an input; free(*data). */
static mno_status read_field(const merge *m, size_t i, size_t row, const mno_stored *stored, void **data, mno_error *err) {
  *data = mno_alloc(1, stored->bytes);
  if (!*data) return mno_fail_memory(err, stored->bytes, "a row");
  return mno_result_read_rows(m->input[i], row, 1, stored, *data, err);
}

/* Two files have the same row: is it the same? (Wall times may differ.) */
static mno_status same_row(const merge *m, size_t a, size_t b, size_t row, mno_error *err) {
  mno_stored stored[MNO_STORED_MAX];
  size_t fields = mno_stored_fields(m->plan, row, stored);
  mno_status status = MNO_OK;
  bool same = m->input[a]->status[row] == m->input[b]->status[row];
  for (size_t i = 0; status == MNO_OK && same && i < fields; i++) {
    void *x = NULL, *y = NULL;
    status = read_field(m, a, row, &stored[i], &x, err);
    if (status == MNO_OK) status = read_field(m, b, row, &stored[i], &y, err);
    if (status == MNO_OK) same = memcmp(x, y, stored[i].bytes) == 0;
    free(x);
    free(y);
  }
  if (status != MNO_OK || same) return status;
  const mno_instance *instance = &m->plan->instance[row];
  return mno_fail(err, MNO_ERR_INPUT, "row %zu (L = %lld, M = %lld, seed %llu) is in %s and in %s with different content",
                  row, (long long)instance->L, (long long)instance->M, (unsigned long long)instance->seed, m->input[a]->path,
                  m->input[b]->path);
}

/* Is all there that belongs to the rows of a file? A sealed one is as it was written; of another, everything is read once.
 */
static mno_status is_whole(const merge *m, size_t i, mno_error *err) {
  mno_result *input = m->input[i];
  mno_stored stored[MNO_STORED_MAX];
  mno_status status = MNO_OK;
  if (mno_file_of(input)->sealed) return status;
  if (!mno_file_of(input)->seconds) return mno_fail(err, MNO_ERR_INPUT, "%s: /seconds: is missing", input->path);
  for (size_t row = 0; row < m->plan->instance_count && status == MNO_OK; row++) {
    if (input->status[row] == MNO_STATUS_MISSING) continue;
    size_t fields = mno_stored_fields(m->plan, row, stored);
    for (size_t f = 0; f < fields && status == MNO_OK; f++) {
      void *data;
      status = read_field(m, i, row, &stored[f], &data, err);
      free(data);
    }
  }
  return status;
}

static mno_status deal(merge *m, mno_error *err) {
  size_t n = m->plan->instance_count;
  m->owner = mno_alloc(n, sizeof *m->owner);
  if (!m->owner) return mno_fail_memory(err, n * sizeof *m->owner, "the rows");
  mno_status status = MNO_OK;
  for (size_t row = 0; row < n; row++) {
    bool counted = false;
    m->owner[row] = SIZE_MAX;
    for (size_t i = 0; i < m->count && status == MNO_OK; i++) {
      if (m->input[i]->status[row] == MNO_STATUS_MISSING) continue;
      if (m->owner[row] == SIZE_MAX) {
        m->owner[row] = i;
        continue;
      }
      status = same_row(m, m->owner[row], i, row, err);
      m->repeated += !counted;
      counted = true;
    }
  }
  return status;
}

/* ---- The output */

static char *join(const merge *m, const char *attribute, const char *between) {
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  if (!out) return NULL;
  for (size_t i = 0; i < m->count; i++) {
    char *one = mno_result_attribute(m->input[i], attribute);
    bool again = false;
    for (size_t j = 0; j < i && one && !again; j++) {
      char *other = mno_result_attribute(m->input[j], attribute);
      again = other && strcmp(one, other) == 0;
      free(other);
    }
    if (one && !again) fprintf(out, "%s%s", i ? between : "", one);
    free(one);
  }
  fclose(out);
  return text;
}

static mno_status import_all(const merge *m, mno_layout *layout, mno_error *err) {
  size_t n = m->plan->instance_count;
  size_t *source = mno_alloc(n, sizeof *source);
  int8_t *row_status = mno_alloc(n, sizeof *row_status);
  double *seconds = mno_alloc(n, sizeof *seconds);
  mno_status status =
      source && row_status && seconds ? MNO_OK : mno_fail_memory(err, n * (sizeof *source + 9), "the rows of the output");
  for (size_t i = 1; i < m->count && status == MNO_OK; i++) {
    for (size_t row = 0; row < n; row++) source[row] = m->owner[row] == i ? row : SIZE_MAX;
    status = mno_import_rows(layout, m->plan, m->input[i], source, err);
    for (size_t p = 0; p < m->plan->problem_count; p++)
      for (size_t l = 0; l < m->input[i]->problems[p].limit_count && status == MNO_OK; l++) {
        const mno_limit *limit = m->input[i]->problems[p].limit[l];
        bool there = false;
        for (size_t j = 0; j < i; j++)
          for (size_t k = 0; k < m->input[j]->problems[p].limit_count; k++)
            there |= m->input[j]->problems[p].limit[k]->kind == limit->kind;
        if (!there) status = mno_layout_limit(layout, p, limit, err);
      }
  }
  for (size_t row = 0; row < n && status == MNO_OK; row++) {
    size_t i = m->owner[row];
    const double *from = i == SIZE_MAX ? NULL : mno_file_of(m->input[i])->seconds;
    row_status[row] = i == SIZE_MAX ? MNO_STATUS_MISSING : m->input[i]->status[row];
    seconds[row] = from ? from[row] : NAN;
  }
  if (status == MNO_OK) status = mno_layout_tables(layout, row_status, seconds, err);
  free(source);
  free(row_status);
  free(seconds);
  return status;
}

/* The output is a copy of the first input, with what was added to it; what was added to others stays there. */
static void name_left(const merge *m, size_t i, mno_layout *layout, mno_merge_report *report) {
  mno_names names;
  mno_additions_list(m->input[i], layout, m->plan, &names);
  if (names.count)
    mno_note(report->note, "what was added to %.300s is not in the output (only additions to the first file are): %s",
             m->input[i]->path, names.text);
}

/* All inputs into the layout of the fresh file. */
static mno_status fill(const merge *m, const mno_output *output, const mno_stamp *stamp, mno_layout *layout,
                       mno_merge_report *report, mno_error *err) {
  mno_status status = mno_layout_stamp(layout, stamp, err);
  if (status == MNO_OK) status = import_all(m, layout, err);
  for (size_t i = 1; i < m->count && status == MNO_OK; i++) name_left(m, i, layout, report);
  if (status == MNO_OK && access(output->path, F_OK) == 0) mno_additions_note(output, layout, m->plan, report->note);
  return status;
}

static mno_status write_output(const merge *m, const mno_output *output, mno_lock *lock, const char *command,
                               mno_merge_report *report, mno_error *err) {
  const mno_result_file *first = mno_file_of(m->input[0]);
  const char *path = output->path;
  unsigned lost = 0;
  size_t others = mno_output_other_names(output);
  char *fresh = NULL, *backend = join(m, "backend", "; "), *device = join(m, "device", "; ");
  char *before = join(m, "history", "\n"), *history = mno_history(before, command ? command : "libmeanode merge");
  mno_status status = MNO_OK;
  if (asprintf(&fresh, "%s.new", path) < 0) fresh = NULL;
  if (!fresh || !history || !backend || !device) status = mno_fail_memory(err, 1024, "the history");
  const mno_stamp stamp = {.backend = backend, .device = device, .history = history, .settings = first->settings};
  mno_layout *layout = NULL;
  if (status == MNO_OK) status = mno_open_copy(m->input[0]->path, first->sealed, fresh, path, m->plan, &layout, err);
  if (status == MNO_OK) status = fill(m, output, &stamp, layout, report, err);
  mno_status closed = mno_layout_close(layout, status == MNO_OK ? err : NULL);
  if (status == MNO_OK) status = closed;
  if (status == MNO_OK) status = mno_lock_check(lock, err);
  if (status == MNO_OK) status = mno_output_publish(fresh, path, path, &lost, NULL, err);
  if (status == MNO_OK) mno_note_lost(report->note, lost, output->shown);
  if (status == MNO_OK && others)
    mno_note(report->note, "%s had other names (hard links); they keep its content of before", output->shown);
  if (status != MNO_OK && fresh) unlink(fresh);
  free(fresh);
  free(backend);
  free(device);
  free(before);
  free(history);
  return status;
}

static mno_status check_output(const mno_output *output, const char *const *inputs, size_t count, bool force,
                               mno_error *err) {
  struct stat out, in;
  if (TEMP_FAILURE_RETRY(stat(output->path, &out)) != 0)
    return errno == ENOENT ? MNO_OK : mno_fail(err, MNO_ERR_IO, "cannot write %s: %s", output->shown, strerror(errno));
  for (size_t i = 0; i < count; i++) {
    if (TEMP_FAILURE_RETRY(stat(inputs[i], &in)) != 0)
      return mno_fail(err, MNO_ERR_IO, "cannot open %s: %s", inputs[i], strerror(errno));
    if (in.st_dev == out.st_dev && in.st_ino == out.st_ino)
      return mno_fail(err, MNO_ERR_USAGE, "%s is both the output and an input", output->shown);
  }
  if (!force) return mno_fail(err, MNO_ERR_USAGE, "%s exists; --force replaces it", output->shown);
  mno_status status = mno_output_may_replace(output, err);
  return status == MNO_OK ? mno_h5_locked(output->path, err) : status;
}

static mno_status merge_into(merge *m, const mno_output *output, mno_lock *lock, const char *const *inputs,
                             const mno_merge_options *options, mno_merge_report *report, mno_error *err) {
  mno_status status = check_output(output, inputs, m->count, options->force, err);
  for (size_t i = 0; i < m->count && status == MNO_OK; i++) {
    status = ended(inputs[i], err);
    if (status == MNO_OK) status = mno_result_open(inputs[i], &m->input[i], err);
    if (status == MNO_OK && i == 0) status = mno_plan_of_result(m->input[0], &m->plan, err);
    if (status == MNO_OK && i > 0) status = same_sweep(m->input[0], m->input[i], err);
    if (status == MNO_OK) status = is_whole(m, i, err);
    for (size_t j = 0; j < i && status == MNO_OK; j++) status = same_limits(m->input[j], m->input[i], err);
  }
  if (status == MNO_OK) status = deal(m, err);
  if (status != MNO_OK) return status;
  *report = (mno_merge_report){.instances = m->plan->instance_count, .repeated = m->repeated};
  for (size_t row = 0; row < report->instances; row++) report->missing += m->owner[row] == SIZE_MAX;
  report->there = report->instances - report->missing;
  if (report->missing && !options->partial) return mno_report_missing(m->input, m->count, report->missing, err);
  return write_output(m, output, lock, options->command, report, err);
}

mno_status mno_merge(const char *output, const char *const *inputs, size_t count, const mno_merge_options *options,
                     mno_merge_report *report, mno_error *err) {
  *report = (mno_merge_report){0};
  if (count == 0) return mno_fail(err, MNO_ERR_USAGE, "nothing to merge");
  merge m = {.count = count, .input = mno_alloc(count, sizeof(mno_result *))};
  if (!m.input) return mno_fail_memory(err, count * sizeof(mno_result *), "the files to merge");
  mno_lock *lock;
  mno_output file = {0};
  mno_status status = mno_output_find(output, &file, err);
  if (status == MNO_OK) status = mno_lock_take(file.path, file.shown, &lock, err);
  if (status == MNO_OK) {
    status = merge_into(&m, &file, lock, inputs, options, report, err);
    mno_lock_release(lock);
  }
  mno_output_free(&file);
  mno_plan_of_result_free(m.plan);
  for (size_t i = 0; i < count; i++) mno_result_free(m.input[i]);
  free(m.owner);
  free(m.input);
  return status;
}
