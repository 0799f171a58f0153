/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening the files of a store: finding what an earlier run left, checking that the plan continues it, and bringing file and
 * journal together. */
#define _GNU_SOURCE

#include "core/file.h"
#include "core/memory.h"
#include "store/additions.h"
#include "store/compare.h"
#include "store/files.h"
#include "store/output.h"
#include "store/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct opening {
  mno_store_files *files;
  mno_output output; /* the file that is asked for */
  const mno_plan *plan;
  const mno_provenance *provenance; /* may be NULL */
  int8_t *status;                   /* [instance_count] of the first version's rows */
  double *seconds;                  /* [instance_count] */
  mno_rows rows;
  /* What an earlier run left. */
  mno_result *base; /* the published file, or NULL */
  bool journal_there;
  mno_journal_reader journal; /* fd < 0: none */
  mno_pending pending;        /* rows and limits of the journal that are not in the file */
  size_t foreign;             /* entries of the journal that are not for this plan */
  size_t *source;             /* [instance_count of the plan] row of the base, SIZE_MAX: none */
  bool same_rows;             /* the base has exactly the plan's rows */
} opening;

static void forget(opening *o) {
  mno_output_free(&o->output);
  mno_result_free(o->base);
  mno_journal_reader_close(&o->journal);
  mno_pending_free(&o->pending);
  free(o->rows.row);
  free(o->source);
}

/* ---- The file of an earlier run */

static bool has_rows(const mno_result *base) {
  bool there = false;
  for (size_t i = 0; i < base->instance_count; i++) there |= base->status[i] != MNO_STATUS_MISSING;
  return there;
}

/* May the plan go on with it? */
static mno_status compare_base(opening *o, mno_error *err) {
  const mno_result *base = o->base;
  const mno_result_file *file = mno_file_of(base);
  const mno_provenance *provenance = o->provenance;
  mno_held held = {.name = o->files->shown,
                   .instance_count = base->instance_count,
                   .id = base->id,
                   .settings = file->settings,
                   .precision = file->precision,
                   .config = base->config,
                   .config_length = strlen(base->config),
                   .result = base};
  bool ids = false;
  for (size_t i = 0; i < base->instance_count; i++) ids |= base->id[i] != 0;
  if (!ids)
    return mno_fail(err, MNO_ERR_INPUT,
                    "%s has no ids (/id), which tell what its rows are; --force begins anew, -o NAME writes "
                    "another",
                    o->files->shown);
  mno_status status = mno_compare(&held, o->plan, err);
  if (status != MNO_OK || !provenance) return status;
  return mno_compare_share(&(mno_share){file->shard, file->shards}, &(mno_share){provenance->shard, provenance->shards},
                           o->files->shown, has_rows(base), err);
}

static mno_status open_base(opening *o, mno_error *err) {
  mno_error why = {0};
  mno_status status = mno_h5_in_use(o->files->path, err); /* what is written there now would be lost */
  if (status != MNO_OK) return status;
  status = mno_result_open(o->files->path, &o->base, &why);
  if (status == MNO_OK) return compare_base(o, err);
  if (status != MNO_ERR_INPUT) return mno_fail(err, status, "%s", why.message);
  if (!o->journal_there)
    return mno_fail(err, status,
                    "%s\n  there is no journal to make it again from; --force begins anew, -o NAME writes another",
                    why.message);
  char *end = strchr(why.message, '\n');
  if (end) *end = 0;
  mno_note(o->files->note, "%s; it is made again from %s", why.message, o->files->journal);
  return MNO_OK;
}

static mno_status take_limit(opening *o, size_t problem, const mno_limit *limit, mno_error *err) {
  mno_limit **place = &o->files->limit[problem * MNO_LIMIT_KINDS + limit->kind];
  return *place ? MNO_OK : mno_limit_copy(limit, place, err);
}

/* Every limit of the base whose problem the plan has: taken, or, with a layout, written. */
static mno_status each_limit(opening *o, mno_layout *layout, mno_error *err) {
  mno_status status = MNO_OK;
  for (size_t i = 0; i < o->base->problem_count; i++) {
    const mno_result_problem *problem = &o->base->problems[i];
    const size_t p = mno_problem_find(o->plan, problem->id);
    for (size_t l = 0; status == MNO_OK && p != SIZE_MAX && l < problem->limit_count; l++)
      status = layout ? mno_layout_limit(layout, p, problem->limit[l], err) : take_limit(o, p, problem->limit[l], err);
  }
  return status;
}

static mno_status take_base(opening *o, mno_error *err) {
  const mno_result *base = o->base;
  const double *seconds = mno_file_of(base)->seconds;
  o->same_rows = base->instance_count == o->plan->instance_count;
  for (size_t i = 0; i < base->instance_count; i++) {
    const size_t row = mno_rows_find(&o->rows, base->id[i]);
    o->same_rows &= row == i;
    if (row == SIZE_MAX || base->status[i] == MNO_STATUS_MISSING) continue;
    o->source[row] = i;
    o->status[row] = base->status[i];
    o->seconds[row] = seconds ? seconds[i] : NAN;
  }
  return each_limit(o, NULL, err);
}

/* ---- Its journal */

static mno_status take_limit_entry(opening *o, const mno_entry *entry, mno_error *err) {
  uint64_t id;
  mno_limit *limit;
  mno_status status = mno_journal_limit_decode(entry, &id, &limit, err);
  const size_t p = limit ? mno_problem_find(o->plan, id) : SIZE_MAX;
  if (status == MNO_OK && p == SIZE_MAX) o->foreign++;
  if (status == MNO_OK && p != SIZE_MAX && !o->files->limit[p * MNO_LIMIT_KINDS + limit->kind]) {
    status = take_limit(o, p, limit, err);
    if (status == MNO_OK) status = mno_pending_add(&o->pending.limits, p, entry->offset, err);
  }
  mno_limit_free(limit);
  return status;
}

static mno_status take_record_entry(opening *o, const mno_entry *entry, mno_error *err) {
  mno_journal_record record;
  mno_stored stored[MNO_STORED_MAX];
  const void *data[MNO_STORED_MAX];
  const size_t row = mno_journal_record_decode(entry, &record) ? mno_rows_find(&o->rows, record.id) : SIZE_MAX;
  if (row == SIZE_MAX || !mno_journal_record_fields(&record, stored, mno_stored_fields(o->plan, row, stored), data)) {
    o->foreign++;
    return MNO_OK;
  }
  if (o->status[row] != MNO_STATUS_MISSING) return MNO_OK;
  o->status[row] = (int8_t)record.outcome;
  o->seconds[row] = record.seconds;
  return mno_pending_add(&o->pending.rows, row, entry->offset, err);
}

/* Behind a message. */
static void add_remedy(mno_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_remedy(mno_error *err, const char *format, ...) {
  const size_t used = strlen(err->message);
  va_list args;
  va_start(args, format);
  vsnprintf(err->message + used, sizeof err->message - used, format, args);
  va_end(args);
}

/* The first entry: does the journal belong to the plan? *foreign: it does not, and need not. */
static mno_status compare_header(opening *o, const mno_journal_header *header, bool *foreign, mno_error *err) {
  mno_store_files *files = o->files;
  char *settings = strndup(header->settings, header->settings_length);
  if (!settings) return mno_fail_memory(err, header->settings_length, "the settings");
  mno_held held = {.name = files->journal,
                   .instance_count = header->instance_count,
                   .id = header->id,
                   .settings = settings,
                   .config = header->config,
                   .config_length = header->config_length};
  mno_status status = mno_compare(&held, o->plan, err);
  free(settings);
  if (status == MNO_ERR_INPUT && files->replaces) /* a run with --force did not come to it: the file is whole */
    add_remedy(err, "\n  %s is still the whole file of the run before that one; to go on from it, remove %s", files->shown,
               files->journal);
  /* A run that begins anew publishes an empty file first; if it is killed before it has a journal, that of the run before is
   * left beside it. */
  *foreign = status == MNO_ERR_INPUT && o->base && !has_rows(o->base);
  if (!*foreign) return status;
  mno_note(files->note, "%s is of the run that was replaced; it is left out", files->journal);
  return MNO_OK;
}

/* What is not in the file yet becomes pending. */
static mno_status read_journal(opening *o, mno_error *err) {
  mno_store_files *files = o->files;
  bool more = true, replaced = false;
  mno_error why = {0};
  mno_status status = mno_journal_open(files->journal, &o->journal, &why);
  if (status == MNO_ERR_INPUT && o->base) {
    mno_note(files->note, "%s; only what is in %s is kept", why.message, files->shown);
    return MNO_OK;
  }
  if (status != MNO_OK) return mno_fail(err, status, "%s", why.message);
  size_t entries = 0;
  while (status == MNO_OK) {
    mno_entry entry;
    mno_journal_header header;
    status = mno_journal_next(&o->journal, &entry, &more, err);
    if (status != MNO_OK || !more) break;
    if (mno_journal_header_decode(&entry, &header)) {
      status = compare_header(o, &header, &replaced, err);
      if (replaced) return status;
      continue;
    }
    entries++;
    if (entry.kind == MNO_ENTRY_LIMIT) status = take_limit_entry(o, &entry, err);
    if (entry.kind == MNO_ENTRY_RECORD) status = take_record_entry(o, &entry, err);
  }
  if (status == MNO_OK && o->journal.damaged)
    mno_note(files->note, "%s is %s; the %zu entries outside the damage are kept, what is lost is computed again",
             files->journal, o->journal.damage, entries);
  if (status == MNO_OK && o->foreign)
    mno_note(files->note, "%s: %zu entries of another run are left out", files->journal, o->foreign);
  return status;
}

/* ---- The first version of this run's file */

static mno_status count_shard(const mno_plan *plan, mno_stamp *stamp, mno_error *err) {
  if (stamp->shards <= 1) return MNO_OK;
  size_t *rows = mno_alloc(plan->instance_count, sizeof *rows);
  if (!rows) return mno_fail_memory(err, plan->instance_count * sizeof *rows, "the rows of a shard");
  mno_status status = mno_plan_shard(plan, stamp->shard, stamp->shards, rows, &stamp->shard_instances, err);
  free(rows);
  return status;
}

/* Rows, limits and additions of the base. */
static mno_status import_base(opening *o, mno_layout *layout, mno_error *err) {
  mno_status status = mno_import_rows(layout, o->plan, o->base, o->source, err);
  if (status == MNO_OK) status = each_limit(o, layout, err);
  if (status == MNO_ERR_INPUT) /* what was cut out of the file by hand cannot be imported */
    add_remedy(err, "\n  another program has changed the file; put back what is missing, or --force begins anew, -o NAME "
                    "writes another");
  if (status != MNO_OK) return status;
  mno_names left;
  mno_additions_copy(o->base, layout, o->plan, &left);
  if (left.count) mno_note(o->files->note, "%s does not keep in its new version: %s", o->files->shown, left.text);
  return status;
}

/* A file of the same rows is copied as it is; of another, a new one takes what belongs to the plan. */
static mno_status begin_first(opening *o, const mno_stamp *stamp, mno_layout **layout, mno_error *err) {
  mno_store_files *files = o->files;
  mno_status status;
  if (o->base && o->same_rows && mno_file_of(o->base)->sealed) {
    status = mno_open_copy(files->path, true, files->fresh, files->path, o->plan, layout, err);
    return status == MNO_OK ? mno_layout_stamp(*layout, stamp, err) : status;
  }
  int fd = mno_output_aside(files->fresh, files->path); /* HDF5 would make it for everybody to read */
  if (fd < 0) return mno_fail(err, MNO_ERR_IO, "cannot write %s: %s", files->fresh, strerror(errno));
  close(fd);
  status = mno_layout_create(files->fresh, o->plan, stamp, layout, err);
  if (status == MNO_OK && o->base) status = import_base(o, *layout, err);
  if (status == MNO_OK && files->replaces) mno_additions_note(&o->output, *layout, o->plan, files->note);
  return status;
}

static mno_status make_first(opening *o, mno_error *err) {
  mno_store_files *files = o->files;
  const mno_provenance from = o->provenance ? *o->provenance : (mno_provenance){0};
  char *history = mno_history(o->base ? mno_file_of(o->base)->history : NULL, from.command ? from.command : "libmeanode");
  if (!history) return mno_fail_memory(err, 256, "the history");
  mno_stamp stamp = {.backend = from.backend,
                     .device = from.device,
                     .history = history,
                     .settings = files->settings,
                     .shard = from.shard,
                     .shards = from.shards};
  mno_layout *layout = NULL;
  mno_status status = count_shard(o->plan, &stamp, err);
  if (status == MNO_OK) status = begin_first(o, &stamp, &layout, err);
  if (status == MNO_OK) status = mno_apply_pending(layout, o->plan, &o->journal, &o->pending, o->status, o->seconds, err);
  if (status == MNO_OK) status = mno_layout_tables(layout, o->status, o->seconds, err);
  mno_status closed = mno_layout_close(layout, status == MNO_OK ? err : NULL);
  if (status == MNO_OK) status = closed;
  if (status == MNO_OK) status = files->replaces ? mno_files_keep_aside(files, err) : mno_files_replace(files, err);
  if (status != MNO_OK) mno_files_drop(files);
  free(history);
  return status;
}

/* ---- Opening */

static mno_status name_files(opening *o, const char *path, mno_error *err) {
  mno_store_files *files = o->files;
  mno_status status = mno_output_find(path, &o->output, err);
  if (status != MNO_OK) return status;
  files->path = strdup(o->output.path);
  files->shown = strdup(o->output.shown);
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
  bool more = true;
  *is = false;
  if (!mno_file_mark_of(files->path, &mark)) return mno_fail(err, MNO_ERR_IO, "cannot read %s", files->shown);
  mno_status status = mno_journal_open(files->journal, &reader, err);
  if (status == MNO_OK) {
    for (int i = 0; i < 2 && !*is && more && status == MNO_OK; i++) {
      status = mno_journal_next(&reader, &entry, &more, err);
      *is = status == MNO_OK && more && mno_journal_replaces(&entry, &mark);
    }
    mno_journal_reader_close(&reader);
  }
  return status == MNO_ERR_INPUT ? MNO_OK : status; /* what a damaged journal says is told later */
}

/* What is there may be kept, replaced or refused, as the mode says; *file_there: this run goes on from the file. */
static mno_status look(opening *o, mno_open_mode mode, bool *file_there, mno_error *err) {
  mno_store_files *files = o->files;
  /* What cannot be asked for now may be there. */
  if (!(*file_there = mno_exists(files->path)) && errno != ENOENT)
    return mno_fail(err, MNO_ERR_IO, "cannot read %s: %s", files->shown, strerror(errno));
  if (!(o->journal_there = mno_exists(files->journal)) && errno != ENOENT)
    return mno_fail(err, MNO_ERR_IO, "cannot read %s: %s", files->journal, strerror(errno));
  if (mode == MNO_CREATE && (*file_there || o->journal_there))
    return mno_fail(err, MNO_ERR_USAGE, "%s exists; --resume continues it, --force replaces it, -o NAME writes another",
                    *file_there ? files->shown : files->journal);
  mno_status status = mno_output_may_replace(&o->output, err);
  if (status != MNO_OK) return status;
  size_t others = mno_output_other_names(&o->output);
  if (others)
    mno_note(files->note,
             "%s has %zu other name%s (hard links); the results take this one, and what has the other%s keeps its content",
             files->shown, others, others == 1 ? "" : "s", others == 1 ? "" : "s");
  if (mode == MNO_FORCE) {
    if ((status = mno_h5_locked(files->path, err)) != MNO_OK) return status;
    files->replaces = *file_there;
    mno_file_mark_of(files->path, &files->replaced);
    if (o->journal_there)
      mno_note(files->note, "%s, of an earlier run, is dropped with what was not yet in its file", files->journal);
    *file_there = o->journal_there = false;
  } else if (*file_there && o->journal_there) {
    status = find_replaced(files, &files->replaces, err);
    *file_there = !files->replaces;
  }
  return status;
}

/* With the lock held. */
static mno_status open_locked(opening *o, mno_open_mode mode, mno_error *err) {
  mno_store_files *files = o->files;
  const size_t count = o->plan->instance_count;
  files->settings = mno_settings(o->plan);
  files->limit = mno_alloc(o->plan->problem_count * MNO_LIMIT_KINDS, sizeof(mno_limit *));
  o->source = mno_alloc(count, sizeof *o->source);
  if (!files->settings || !files->limit || !o->source)
    return mno_fail_memory(err, count * sizeof *o->source, "the rows of the file");
  files->limits = o->plan->problem_count * MNO_LIMIT_KINDS;
  for (size_t i = 0; i < count; i++) {
    o->source[i] = SIZE_MAX;
    o->status[i] = MNO_STATUS_MISSING;
    o->seconds[i] = NAN;
  }
  bool file_there;
  mno_status status = look(o, mode, &file_there, err);
  if (status == MNO_OK) status = mno_rows_of(o->plan, &o->rows, err);
  if (status == MNO_OK && file_there) status = open_base(o, err);
  if (status == MNO_OK && o->base) status = take_base(o, err);
  if (status == MNO_OK && o->journal_there) status = read_journal(o, err);
  if (mode != MNO_FORCE) files->replaces = false; /* what the journal holds is published at once */
  if (status == MNO_OK) status = make_first(o, err);
  if (status == MNO_OK) mno_note_lost(files->note, files->lost, files->shown);
  return status;
}

mno_status mno_files_open(mno_store_files *files, const char *path, const mno_plan *plan, const mno_provenance *provenance,
                          mno_open_mode mode, int8_t *row_status, double *seconds, mno_error *err) {
  opening o = {.files = files,
               .plan = plan,
               .provenance = provenance,
               .status = row_status,
               .seconds = seconds,
               .journal = {.fd = -1}};
  mno_status status = name_files(&o, path, err);
  if (status == MNO_OK) status = mno_lock_take(files->path, files->shown, &files->lock, err);
  if (status == MNO_OK) status = open_locked(&o, mode, err);
  forget(&o);
  return status;
}
