/* SPDX-License-Identifier: BSD-3-Clause */
/* How far a run is: the file, its journal and its lock, looked at without touching them. */
#define _GNU_SOURCE
#include "core/file.h"
#include "core/memory.h"
#include "store/lock.h"
#include "store/output.h"
#include "store/result_file.h"
#include "store/result_layout.h"
#include "store/seal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_id(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

/* What the file says; *id receives the ids [*count] of the rows that it has, sorted, or NULL. */
static void count_rows(const mno_result *result, mno_result_state *state, uint64_t **id, size_t *count) {
  const mno_result_file *file = mno_file_of(result);
  state->instances = result->instance_count;
  state->shard = file->shard;
  state->shards = file->shards;
  state->shard_instances = file->shards > 1 ? file->shard_instances : result->instance_count;
  *id = mno_alloc(result->instance_count, sizeof **id);
  for (size_t i = 0; i < result->instance_count; i++) {
    state->done += result->status[i] == MNO_DONE;
    state->diverged += result->status[i] == MNO_INSTANCE_DIVERGED;
    if (*id && result->status[i] != MNO_STATUS_MISSING) (*id)[(*count)++] = result->id[i];
  }
  if (*count) qsort(*id, *count, sizeof **id, by_id);
}

/* mark: of the result file. */
static mno_status count_journal(mno_journal_reader *journal, const mno_file_mark *mark, const uint64_t *known,
                                size_t known_count, mno_result_state *state, mno_error *err) {
  mno_entry entry;
  mno_status status = MNO_OK;
  size_t planned = 0;
  for (bool found = true; found;) {
    if ((status = mno_journal_next(journal, &entry, &found, err)) != MNO_OK) break;
    mno_journal_header header;
    mno_journal_record record;
    if (!found) break;
    if (mno_journal_header_decode(&entry, &header)) {
      planned = header.instance_count;
      if (state->instances == 0) state->instances = planned;
    }
    if (mno_journal_replaces(&entry, mark)) {
      *state = (mno_result_state){.instances = planned, .shard_instances = planned};
      snprintf(state->note, sizeof state->note,
               "this is the run that was begun with --force; until it ends the file is still that of the run before");
      known_count = 0;
    }
    if (!mno_journal_record_decode(&entry, &record)) continue;
    if (known_count && bsearch(&record.id, known, known_count, sizeof *known, by_id)) continue;
    state->in_journal++;
    *(record.outcome == MNO_DONE ? &state->done : &state->diverged) += 1;
  }
  if (journal->damaged)
    snprintf(state->note, sizeof state->note, "%.300s is %.250s; what is lost is computed again by --resume", journal->path,
             journal->damage);
  return status;
}

mno_status mno_result_inspect(const char *path, mno_result_state *state, mno_error *err) {
  *state = (mno_result_state){0};
  mno_error why = {0};
  mno_result *result = NULL;
  char *file = mno_output_follow(path), *name; /* journal and lock lie beside what a link leads to */
  if (!file || asprintf(&name, "%s.journal", file) < 0) {
    free(file);
    return mno_fail_memory(err, strlen(path), "a path");
  }
  uint64_t *known = NULL;
  size_t known_count = 0;
  mno_status status = mno_result_open(path, &result, &why);
  if (status == MNO_OK) {
    count_rows(result, state, &known, &known_count);
    mno_result_free(result);
  }
  mno_journal_reader journal;
  mno_error other = {0};
  mno_status journal_status = mno_journal_open(name, &journal, &other);
  if (journal_status == MNO_OK) {
    if (status != MNO_OK) snprintf(state->note, sizeof state->note, "%.500s", why.message);
    mno_file_mark mark;
    mno_file_mark_of(file, &mark);
    journal_status = count_journal(&journal, &mark, known, known_count, state, &other);
    mno_journal_reader_close(&journal);
  } else if (!journal.absent) {
    snprintf(state->note, sizeof state->note, "%.500s", other.message);
  }
  free(known);
  free(name);
  state->running = mno_lock_owner(file, state->owner, sizeof state->owner);
  /* A file that is damaged, or not there yet, is described by its journal; one that cannot be read now is not. */
  bool described = status == MNO_OK || status == MNO_ERR_INPUT || (!mno_exists(file) && errno == ENOENT);
  free(file);
  if (journal_status != MNO_OK && journal_status != MNO_ERR_INPUT && !journal.absent)
    return mno_fail(err, journal_status, "%s", other.message);
  if (status == MNO_OK || (journal_status == MNO_OK && described)) return MNO_OK;
  return mno_fail(err, status, "%s", why.message);
}
