/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "store/recover.h"

#include "core/file.h"
#include "core/memory.h"
#include "store/additions.h"
#include "store/compare.h"
#include "store/output.h"
#include "store/publish.h"
#include "store/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- What an earlier run left */

typedef struct found {
  mno_result *base; /* the published file, or NULL */
  bool journal_there;
  mno_journal_reader journal; /* fd < 0: none */
  mno_pending pending;        /* rows and limits of the journal that are not in the file */
  size_t *source;             /* [instance_count of the plan] row of the base, SIZE_MAX: none */
  bool same_rows;             /* the base has exactly the plan's rows */
  size_t extended;            /* rows of the plan that the base does not know */
} found;

static void forget(found *f) {
  mno_result_free(f->base);
  if (f->journal.fd >= 0) mno_journal_reader_close(&f->journal);
  mno_pending_free(&f->pending);
  free(f->source);
}

static mno_status open_base(mno_store_files *files, const mno_plan *plan, const mno_provenance *provenance, found *f,
                            mno_error *err) {
  mno_error why = {0};
  mno_status status = mno_h5_in_use(files->path, err); /* what is written there now would be lost */
  if (status != MNO_OK) return status;
  status = mno_result_open(files->path, &f->base, &why);
  if (status != MNO_OK) {
    if (status != MNO_ERR_INPUT) return mno_fail(err, status, "%s", why.message);
    if (!f->journal_there)
      return mno_fail(err, status,
                      "%s\n  there is no journal to make it again from; --force begins anew, -o NAME writes another",
                      why.message);
    char *end = strchr(why.message, '\n');
    if (end) *end = 0;
    mno_files_note(files, "%s; it is made again from %s", why.message, files->journal);
    return MNO_OK;
  }
  mno_result_file *file = f->base->file;
  mno_held held = {.name = files->shown,
                   .instance_count = f->base->instance_count,
                   .id = f->base->id,
                   .settings = file->settings,
                   .precision = file->precision,
                   .config = f->base->config,
                   .config_length = strlen(f->base->config),
                   .result = f->base};
  bool ids = false;
  for (size_t i = 0; i < f->base->instance_count; i++) ids |= f->base->id[i] != 0;
  if (!ids)
    return mno_fail(err, MNO_ERR_INPUT,
                    "%s has no ids (/id), which tell what its rows are; --force begins anew, -o NAME writes "
                    "another",
                    files->shown);
  status = mno_compare(&held, plan, err);
  if (status != MNO_OK || !provenance) return status;
  bool begun = false;
  for (size_t i = 0; i < f->base->instance_count; i++) begun |= f->base->status[i] != MNO_STATUS_MISSING;
  return mno_compare_share(&(mno_share){file->shard, file->shards}, &(mno_share){provenance->shard, provenance->shards},
                           files->shown, begun, err);
}

static mno_status map_rows(const mno_plan *plan, const mno_rows *rows, found *f, mno_error *err) {
  f->source = mno_alloc(plan->instance_count, sizeof *f->source);
  if (!f->source) return mno_fail_memory(err, plan->instance_count * sizeof *f->source, "the rows");
  for (size_t i = 0; i < plan->instance_count; i++) f->source[i] = SIZE_MAX;
  if (!f->base) return MNO_OK;
  f->same_rows = f->base->instance_count == plan->instance_count;
  for (size_t i = 0; i < f->base->instance_count; i++) {
    size_t row = mno_rows_find(rows, f->base->id[i]);
    f->same_rows &= row == i;
    if (row != SIZE_MAX && f->base->status[i] != MNO_STATUS_MISSING) f->source[row] = i;
  }
  f->extended = plan->instance_count - f->base->instance_count;
  return MNO_OK;
}

static size_t problem_of(const mno_plan *plan, uint64_t id) {
  for (size_t p = 0; p < plan->problem_count; p++)
    if (plan->problem[p].id == id) return p;
  return SIZE_MAX;
}

static mno_status take_limit(mno_store_files *files, size_t problem, const mno_limit *limit, mno_error *err) {
  mno_limit **place = &files->limit[problem * MNO_LIMIT_KINDS + limit->kind];
  return *place ? MNO_OK : mno_limit_copy(limit, place, err);
}

/* One entry of the journal: what is not in the file yet becomes pending. */
static mno_status take_entry(mno_store_files *files, const mno_plan *plan, const mno_rows *rows, found *f,
                             const mno_entry *entry, int8_t *status, double *seconds, size_t *foreign, mno_error *err) {
  mno_journal_record record;
  mno_stored stored[MNO_STORED_MAX];
  const void *data[MNO_STORED_MAX];
  if (entry->kind == MNO_ENTRY_LIMIT) {
    uint64_t id;
    mno_limit *limit;
    mno_status done = mno_journal_limit_decode(entry, &id, &limit, err);
    size_t p = limit ? problem_of(plan, id) : SIZE_MAX;
    if (done == MNO_OK && p == SIZE_MAX) ++*foreign;
    if (done == MNO_OK && p != SIZE_MAX && !files->limit[p * MNO_LIMIT_KINDS + limit->kind]) {
      done = take_limit(files, p, limit, err);
      if (done == MNO_OK) done = mno_pending_limit(&f->pending, p, entry->offset, err);
    }
    mno_limit_free(limit);
    return done;
  }
  if (entry->kind != MNO_ENTRY_RECORD) return MNO_OK;
  if (!mno_journal_record_decode(entry, &record)) {
    ++*foreign;
    return MNO_OK;
  }
  size_t row = mno_rows_find(rows, record.id);
  if (row == SIZE_MAX || !mno_journal_record_fields(&record, stored, mno_stored_fields(plan, row, stored), data)) {
    ++*foreign;
    return MNO_OK;
  }
  if (status[row] != MNO_STATUS_MISSING) return MNO_OK;
  status[row] = (int8_t)record.outcome;
  seconds[row] = record.seconds;
  return mno_pending_row(&f->pending, row, entry->offset, err);
}

/* A run with --force was to replace the file and did not come to it: the file is whole. */
static void add_way_back(const mno_store_files *files, mno_error *err) {
  size_t used = strlen(err->message);
  snprintf(err->message + used, sizeof err->message - used,
           "\n  %s is still the whole file of the run before that one; to go on from it, remove %s", files->shown,
           files->journal);
}

/* A run that begins anew publishes an empty file first; if it is killed before it has a journal, that of the run before is
 * left beside it. */
static bool is_of_run_before(const found *f) {
  if (!f->base) return false;
  for (size_t i = 0; i < f->base->instance_count; i++)
    if (f->base->status[i] != MNO_STATUS_MISSING) return false;
  return true;
}

/* The first entry: does the journal belong to the plan? *foreign: it does not, and need not. */
static mno_status compare_header(mno_store_files *files, const mno_plan *plan, const found *f,
                                 const mno_journal_header *header, bool *foreign, mno_error *err) {
  char *settings = strndup(header->settings, header->settings_length);
  if (!settings) return mno_fail_memory(err, header->settings_length, "the settings");
  mno_held held = {.name = files->journal,
                   .instance_count = header->instance_count,
                   .id = header->id,
                   .settings = settings,
                   .config = header->config,
                   .config_length = header->config_length};
  mno_status done = mno_compare(&held, plan, err);
  free(settings);
  if (done == MNO_ERR_INPUT && files->replaces) add_way_back(files, err);
  *foreign = done == MNO_ERR_INPUT && is_of_run_before(f);
  if (!*foreign) return done;
  mno_files_note(files, "%s is of the run that was replaced; it is left out", files->journal);
  return MNO_OK;
}

static mno_status read_journal(mno_store_files *files, const mno_plan *plan, const mno_rows *rows, found *f, int8_t *status,
                               double *seconds, mno_error *err) {
  bool missing, more = true;
  mno_error why = {0};
  mno_status done = mno_journal_open(files->journal, &f->journal, &missing, &why);
  if (done == MNO_ERR_INPUT && f->base) {
    mno_files_note(files, "%s; only what is in %s is kept", why.message, files->shown);
    return MNO_OK;
  }
  if (done != MNO_OK) return mno_fail(err, done, "%s", why.message);
  size_t foreign = 0, entries = 0;
  while (done == MNO_OK) {
    mno_entry entry;
    mno_journal_header header;
    done = mno_journal_next(&f->journal, &entry, &more, err);
    if (done != MNO_OK || !more) break;
    if (mno_journal_header_decode(&entry, &header)) {
      bool replaced = false;
      done = compare_header(files, plan, f, &header, &replaced, err);
      if (done == MNO_OK && replaced) return MNO_OK;
    } else {
      done = take_entry(files, plan, rows, f, &entry, status, seconds, &foreign, err);
      entries++;
    }
  }
  if (done == MNO_OK && f->journal.damaged)
    mno_files_note(files, "%s is %s; the %zu entries outside the damage are kept, what is lost is computed again",
                   files->journal, f->journal.damage, entries);
  if (done == MNO_OK && foreign)
    mno_files_note(files, "%s: %zu entries of another run are left out", files->journal, foreign);
  return done;
}

/* ---- The first version of this run's file */

static char *new_history(const mno_provenance *provenance, const char *before) {
  char *text, when[32];
  time_t now = time(NULL);
  struct tm utc;
  gmtime_r(&now, &utc);
  strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
  const char *command = provenance && provenance->command ? provenance->command : "libmeanode";
  if (asprintf(&text, "%s%s%s: %s", before ? before : "", before && *before ? "\n" : "", when, command) < 0) return NULL;
  return text;
}

static mno_status import_base(mno_layout *layout, const mno_plan *plan, found *f, mno_error *err) {
  mno_status status = mno_import_rows(layout, plan, f->base, f->source, err);
  for (size_t i = 0; status == MNO_OK && i < f->base->problem_count; i++) {
    const mno_result_problem *problem = &f->base->problems[i];
    size_t p = problem_of(plan, problem->id);
    for (size_t l = 0; status == MNO_OK && p != SIZE_MAX && l < problem->limit_count; l++)
      status = mno_layout_limit(layout, p, problem->limit[l], err);
  }
  return status;
}

static mno_status count_shard(const mno_plan *plan, mno_stamp *stamp, mno_error *err) {
  if (stamp->shards <= 1) return MNO_OK;
  size_t *rows = mno_alloc(plan->instance_count, sizeof *rows);
  if (!rows) return mno_fail_memory(err, plan->instance_count * sizeof *rows, "the rows of a shard");
  mno_status status = mno_plan_shard(plan, stamp->shard, stamp->shards, rows, &stamp->shard_instances, err);
  free(rows);
  return status;
}

/* What was cut out of the file by hand cannot be imported. */
static void add_remedy(mno_error *err) {
  size_t used = strlen(err->message);
  snprintf(
      err->message + used, sizeof err->message - used,
      "\n  another program has changed the file; put back what is missing, or --force begins anew, -o NAME writes another");
}

static void note_names(mno_store_files *files, const char *words, const mno_names *names) {
  if (names->count) mno_files_note(files, "%s %s: %s", files->shown, words, names->text);
}

static void keep_additions(mno_store_files *files, const mno_plan *plan, const found *f, mno_layout *layout) {
  mno_names left;
  mno_additions_copy(f->base, layout, plan, &left);
  note_names(files, "does not keep in its new version", &left);
}

/* A run that begins anew says what it will not keep of the file before, if that can be read. */
static void name_dropped(mno_store_files *files, const mno_plan *plan, mno_layout *layout) {
  mno_error why;
  mno_result *before = NULL;
  mno_names names;
  if (mno_result_open(files->path, &before, &why) == MNO_OK) {
    mno_additions_list(before, layout, plan, &names);
    note_names(files, "is made anew, without what was added to it", &names);
  }
  mno_result_free(before);
}

static mno_status make_first(mno_store_files *files, const mno_plan *plan, const mno_provenance *provenance, found *f,
                             int8_t *row_status, double *seconds, mno_error *err) {
  const mno_result_file *file = f->base ? f->base->file : NULL;
  char *history = new_history(provenance, file ? file->history : NULL);
  if (!history) return mno_fail_memory(err, 256, "the history");
  mno_stamp stamp = {.backend = provenance ? provenance->backend : NULL,
                     .device = provenance ? provenance->device : NULL,
                     .history = history,
                     .settings = files->settings,
                     .shard = provenance ? provenance->shard : 0,
                     .shards = provenance ? provenance->shards : 0};
  mno_layout *layout = NULL;
  mno_status status = count_shard(plan, &stamp, err);
  if (status != MNO_OK) {
    free(history);
    return status;
  }
  if (f->base && f->same_rows && file->sealed) {
    int fd = TEMP_FAILURE_RETRY(open(files->path, O_RDONLY | O_CLOEXEC));
    status = fd < 0 ? mno_fail(err, MNO_ERR_IO, "cannot open %s: %s", files->path, strerror(errno))
                    : mno_copy_unsealed(fd, true, files->fresh, files->path, err);
    if (fd >= 0) close(fd);
    if (status == MNO_OK) status = mno_layout_open(files->fresh, plan, &layout, err);
    if (status == MNO_OK) status = mno_layout_stamp(layout, &stamp, err);
  } else {
    int fd = mno_output_aside(files->fresh, files->path); /* HDF5 would make it for everybody to read */
    status = fd < 0 ? mno_fail(err, MNO_ERR_IO, "cannot write %s: %s", files->fresh, strerror(errno)) : MNO_OK;
    if (fd >= 0) close(fd);
    if (status == MNO_OK) status = mno_layout_create(files->fresh, plan, &stamp, &layout, err);
    if (status == MNO_OK && f->base) status = import_base(layout, plan, f, err);
    if (status == MNO_ERR_INPUT && f->base) add_remedy(err);
    if (status == MNO_OK && f->base) keep_additions(files, plan, f, layout);
    if (status == MNO_OK && files->replaces) name_dropped(files, plan, layout);
  }
  if (status == MNO_OK) status = mno_apply_pending(layout, plan, &f->journal, &f->pending, row_status, seconds, err);
  if (status == MNO_OK) status = mno_layout_tables(layout, row_status, seconds, err);
  mno_status closed = mno_layout_close(layout, status == MNO_OK ? err : NULL);
  if (status == MNO_OK) status = closed;
  if (status == MNO_OK) status = files->replaces ? mno_files_keep_aside(files, err) : mno_files_replace(files, err);
  if (status != MNO_OK) mno_files_drop(files);
  free(history);
  return status;
}

/* ---- Opening */

static mno_status name_files(mno_store_files *files, const char *path, mno_output *output, mno_error *err) {
  mno_status status = mno_output_find(path, output, err);
  if (status != MNO_OK) return status;
  files->path = strdup(output->path);
  files->shown = strdup(output->shown);
  if (!files->path || !files->shown || asprintf(&files->journal, "%s.journal", files->path) < 0 ||
      asprintf(&files->fresh, "%s.new", files->path) < 0)
    return mno_fail_memory(err, strlen(path), "a path");
  return MNO_OK;
}

/* Is the file in place still that of an earlier run, which the journal's run replaces when it ends? */
static mno_status find_replaced(const mno_store_files *files, bool *is, mno_error *err) {
  mno_journal_reader reader;
  mno_entry entry;
  mno_file_mark mark;
  bool missing, more = true;
  *is = false;
  if (!mno_file_mark_of(files->path, &mark)) return mno_fail(err, MNO_ERR_IO, "cannot read %s", files->shown);
  mno_status status = mno_journal_open(files->journal, &reader, &missing, err);
  if (status == MNO_OK) {
    for (int i = 0; i < 2 && !*is && more && status == MNO_OK; i++) {
      status = mno_journal_next(&reader, &entry, &more, err);
      *is = status == MNO_OK && more && mno_journal_replaces(&entry, &mark);
    }
    mno_journal_reader_close(&reader);
  }
  return status == MNO_ERR_INPUT ? MNO_OK : status; /* what a damaged journal says is told later */
}

static mno_status look(mno_store_files *files, const mno_plan *plan, const mno_provenance *provenance, found *f,
                       bool file_there, int8_t *status, double *seconds, mno_error *err) {
  mno_rows rows = {0};
  mno_status done = mno_rows_of(plan, &rows, err);
  if (done == MNO_OK && file_there) done = open_base(files, plan, provenance, f, err);
  if (done == MNO_OK) done = map_rows(plan, &rows, f, err);
  for (size_t i = 0; done == MNO_OK && i < plan->instance_count; i++) {
    if (f->source[i] == SIZE_MAX) continue;
    const mno_result_file *file = f->base->file;
    status[i] = f->base->status[f->source[i]];
    seconds[i] = file->seconds ? file->seconds[f->source[i]] : NAN;
  }
  for (size_t i = 0; done == MNO_OK && f->base && i < f->base->problem_count; i++) {
    const mno_result_problem *problem = &f->base->problems[i];
    size_t p = problem_of(plan, problem->id);
    for (size_t l = 0; done == MNO_OK && p != SIZE_MAX && l < problem->limit_count; l++)
      done = take_limit(files, p, problem->limit[l], err);
  }
  if (done == MNO_OK && f->journal_there) done = read_journal(files, plan, &rows, f, status, seconds, err);
  free(rows.row);
  return done;
}

/* With the lock held. */
static mno_status open_locked(mno_store_files *files, const mno_output *output, const mno_plan *plan,
                              const mno_provenance *provenance, mno_open_mode mode, int8_t *status, double *seconds,
                              mno_error *err) {
  for (size_t i = 0; i < plan->instance_count; i++) {
    status[i] = MNO_STATUS_MISSING;
    seconds[i] = NAN;
  }
  files->settings = mno_settings(plan);
  files->limit = mno_alloc(plan->problem_count * MNO_LIMIT_KINDS, sizeof(mno_limit *));
  if (!files->settings || !files->limit) return mno_fail_memory(err, 256, "the settings");
  files->limits = plan->problem_count * MNO_LIMIT_KINDS;

  found f = {.journal = {.fd = -1}};
  bool file_there;
  /* What cannot be asked for now may be there. */
  if (!(file_there = mno_exists(files->path)) && errno != ENOENT)
    return mno_fail(err, MNO_ERR_IO, "cannot read %s: %s", files->shown, strerror(errno));
  if (!(f.journal_there = mno_exists(files->journal)) && errno != ENOENT)
    return mno_fail(err, MNO_ERR_IO, "cannot read %s: %s", files->journal, strerror(errno));
  if (mode == MNO_CREATE && (file_there || f.journal_there))
    return mno_fail(err, MNO_ERR_USAGE, "%s exists; --resume continues it, --force replaces it, -o NAME writes another",
                    file_there ? files->shown : files->journal);
  mno_status done = mno_output_may_replace(output, err);
  if (done != MNO_OK) return done;
  size_t others = mno_output_other_names(output);
  if (others)
    mno_files_note(
        files, "%s has %zu other name%s (hard links); the results take this one, and what has the other%s keeps its content",
        files->shown, others, others == 1 ? "" : "s", others == 1 ? "" : "s");
  if (mode == MNO_FORCE && (done = mno_h5_locked(files->path, err)) != MNO_OK) return done;
  if (mode == MNO_FORCE) {
    files->replaces = file_there;
    mno_file_mark_of(files->path, &files->replaced);
    if (f.journal_there)
      mno_files_note(files, "%s, of an earlier run, is dropped with what was not yet in its file", files->journal);
    file_there = f.journal_there = false;
  } else if (file_there && f.journal_there) {
    if ((done = find_replaced(files, &files->replaces, err)) != MNO_OK) return done;
    file_there = !files->replaces;
  }
  done = look(files, plan, provenance, &f, file_there, status, seconds, err);
  if (mode != MNO_FORCE) files->replaces = false; /* what the journal holds is published at once */
  if (done == MNO_OK) done = make_first(files, plan, provenance, &f, status, seconds, err);
  if (done == MNO_OK && files->lost) {
    char what[80];
    mno_output_lost(files->lost, what, sizeof what);
    mno_files_note(files, "the %s of %s could not be kept", what, files->shown);
  }
  forget(&f);
  return done;
}

mno_status mno_files_open(mno_store_files *files, const char *path, const mno_plan *plan, const mno_provenance *provenance,
                          mno_open_mode mode, int8_t *status, double *seconds, mno_error *err) {
  mno_output output = {0};
  mno_status done = name_files(files, path, &output, err);
  if (done == MNO_OK) done = mno_lock_take(files->path, files->shown, &files->lock, err);
  if (done == MNO_OK) done = open_locked(files, &output, plan, provenance, mode, status, seconds, err);
  mno_output_free(&output);
  return done;
}
