/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "meanode/store.h"

#include "core/memory.h"
#include "store/next_version.h"
#include "store/output.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Bytes: waiting before those who put wait, too; of a write; of rows that are brought into the next version at once. Larger
 * and smaller buffers of the first two take more and less memory and the same time (bench/choices.py write). */
enum { FULL = 4 << 20, WRITE = 1 << 20, ADD = 32 << 20 };
static const double write_seconds = 0.02; /* between two writes: what a killed process may lose */
static const double add_seconds = 2;      /* until a row in the journal is brought into the next version, for its readers */

/* What is told, and to whom. */
enum {
  FILLED,   /* to the writer */
  EMPTIED,  /* to those who put */
  APPENDED, /* to the publisher: much is new, or all is there */
  UNSYNCED, /* to the syncer */
  SYNCED,   /* to those who wait for the disk */
  CONDITIONS
};

/* Threads that put collect entries in the journal's buffer; the writer appends the buffer to the journal; the syncer waits
 * for the disk; the publisher makes the next version of the file from the journal. */
struct mno_store {
  mno_store_files files; /* paths, lock, what was found; see files.h */
  const mno_plan *plan;
  int8_t *found;       /* [instance_count] status of the rows when the store was opened */
  int8_t *status;      /* [instance_count] */
  double *seconds;     /* [instance_count] */
  mno_version next;    /* the publisher's */
  pthread_t thread[3]; /* writer, syncer, publisher */
  size_t threads;

  pthread_mutex_t lock;                 /* for what follows */
  pthread_cond_t condition[CONDITIONS]; /* see above */
  mno_journal journal;
  mno_pending collected; /* in the journal's buffer */
  mno_pending written;   /* in the journal, not yet the publisher's */
  uint64_t written_bytes, written_end;
  size_t put_rows, written_rows, safe_rows; /* collected since opening; in the journal; on the disk */
  bool closing, last_written, all_published;
  mno_error failure; /* status MNO_OK: none */
};

/* Waits on a condition of the store until a time of mno_now; false if that has passed. */
static bool wait_until(mno_store *store, pthread_cond_t *condition, double when) {
  if (when <= mno_now()) return false;
  struct timespec until = {.tv_sec = (time_t)when, .tv_nsec = (long)((when - (double)(time_t)when) * 1e9)};
  pthread_cond_clockwait(condition, &store->lock, CLOCK_MONOTONIC, &until); /* that of mno_now */
  return true;
}

/* Under the lock: the first failure counts, and everybody hears of it. */
static void fail(mno_store *store, const mno_error *error, mno_status status) {
  if (store->failure.status == MNO_OK) {
    store->failure = *error;
    store->failure.status = status;
  }
  for (size_t i = 0; i < CONDITIONS; i++) pthread_cond_broadcast(&store->condition[i]);
}

/* ---- The writer and the syncer */

/* Under the lock: has the writer to end? */
static bool ending(const mno_store *store) { return store->closing || store->failure.status != MNO_OK; }

/* After a failure of another thread it appends what is collected still: the journal may be well. */
static void *writer(void *context) {
  mno_store *store = context;
  mno_error error = {0};
  mno_journal_block block = {0};
  mno_pending rows = {0};
  double last = mno_now();
  bool over = false;
  pthread_mutex_lock(&store->lock);
  while (!over) {
    double until = mno_now() + 0.5; /* to look after the lock */
    while (!store->journal.used && !ending(store))
      if (!wait_until(store, &store->condition[FILLED], until)) break;
    /* What comes within a short time goes together. */
    while (store->journal.used && store->journal.used < WRITE && !ending(store))
      if (!wait_until(store, &store->condition[FILLED], last + write_seconds)) break;
    over = ending(store);
    size_t put = store->put_rows;
    mno_journal_take(&store->journal, &block);
    mno_status status = mno_pending_move(&store->collected, &rows, &error);
    pthread_cond_broadcast(&store->condition[EMPTIED]);
    pthread_mutex_unlock(&store->lock);

    if (status == MNO_OK) status = mno_lock_seen(store->files.lock, &error);
    if (status == MNO_OK) status = mno_journal_write(&store->journal, &block, &error);
    last = mno_now();

    pthread_mutex_lock(&store->lock);
    if (status == MNO_OK) status = mno_pending_move(&rows, &store->written, &error);
    if (status == MNO_OK) {
      store->written_bytes += block.used;
      store->written_end = block.offset + block.used;
      store->written_rows = put;
    } else {
      fail(store, &error, status);
      over = true;
    }
    if (block.used) pthread_cond_signal(&store->condition[UNSYNCED]);
    if (store->written_bytes >= ADD) pthread_cond_signal(&store->condition[APPENDED]);
  }
  store->last_written = true;
  pthread_cond_broadcast(&store->condition[UNSYNCED]);
  pthread_cond_broadcast(&store->condition[APPENDED]);
  pthread_mutex_unlock(&store->lock);
  free(block.data);
  mno_pending_free(&rows);
  return NULL;
}

/* A thread of its own, so that a slow disk does not hold up the writer. */
static void *syncer(void *context) {
  mno_store *store = context;
  mno_error error = {0};
  uint64_t synced = 0;
  bool over = false;
  pthread_mutex_lock(&store->lock);
  while (!over) {
    while (store->written_end == synced && !store->last_written)
      pthread_cond_wait(&store->condition[UNSYNCED], &store->lock);
    over = store->last_written;
    uint64_t end = store->written_end;
    size_t rows = store->written_rows;
    pthread_mutex_unlock(&store->lock);
    mno_status status = end > synced ? mno_journal_sync(&store->journal, &error) : MNO_OK;
    synced = end;
    pthread_mutex_lock(&store->lock);
    if (status == MNO_OK) {
      store->safe_rows = rows;
      pthread_cond_broadcast(&store->condition[SYNCED]);
    } else {
      fail(store, &error, status);
      over = true;
    }
  }
  pthread_mutex_unlock(&store->lock);
  return NULL;
}

/* ---- The publisher */

static bool anything(const mno_pending *pending) { return pending->rows.count || pending->limits.count; }

/* Ends with the first failure, but for one: when the journal was taken away, the file gets all that it still holds. */
static void *publisher(void *context) {
  mno_store *store = context;
  mno_error error = {0};
  mno_pending rows = {0};
  double last = mno_now();
  bool over = false, gone = false;
  pthread_mutex_lock(&store->lock);
  while (!over) {
    double until = anything(&store->written) ? last + add_seconds : mno_now() + add_seconds;
    while (!store->last_written && (gone || store->failure.status == MNO_OK) && store->written_bytes < ADD)
      if (!wait_until(store, &store->condition[APPENDED], until)) break;
    if (store->failure.status != MNO_OK && !gone) break;
    over = store->last_written;
    uint64_t bytes = store->written_bytes, end = store->written_end;
    mno_status status = mno_pending_move(&store->written, &rows, &error);
    store->written_bytes = 0;
    pthread_mutex_unlock(&store->lock);

    if (status == MNO_OK && anything(&rows)) status = mno_version_add(&store->next, &rows, end, bytes, &error);
    last = mno_now();
    if (status == MNO_OK && (over || mno_version_is_due(&store->next))) status = mno_version_publish(&store->next, &error);
    bool all = over && status == MNO_OK;
    if (status != MNO_OK) {
      over = true;
    } else if (!gone && !mno_files_journal_is_there(&store->files, &store->journal)) {
      gone = true;
      status = mno_fail(&error, MNO_ERR_IO, "%s was removed, renamed or replaced while the run was writing it",
                        store->files.journal);
    }

    pthread_mutex_lock(&store->lock);
    store->all_published = all;
    if (status != MNO_OK) fail(store, &error, status);
  }
  pthread_mutex_unlock(&store->lock);
  mno_version_drop(&store->next); /* here, where signals are blocked */
  mno_pending_free(&rows);
  return NULL;
}

/* ---- Opening */

static void release(mno_store *store) {
  mno_version_close(&store->next);
  mno_files_close(&store->files);
  mno_journal_close(&store->journal);
  mno_pending_free(&store->collected);
  mno_pending_free(&store->written);
  free(store->status);
  free(store->seconds);
  free(store->found);
  pthread_mutex_destroy(&store->lock);
  for (size_t i = 0; i < CONDITIONS; i++) pthread_cond_destroy(&store->condition[i]);
  free(store);
}

/* Lets the writer end, then the others. */
static void end_threads(mno_store *store) {
  pthread_mutex_lock(&store->lock);
  store->closing = true;
  if (store->threads == 0) store->last_written = true;
  pthread_cond_broadcast(&store->condition[FILLED]);
  pthread_cond_broadcast(&store->condition[APPENDED]);
  pthread_cond_broadcast(&store->condition[UNSYNCED]);
  pthread_mutex_unlock(&store->lock);
  for (size_t i = 0; i < store->threads; i++) pthread_join(store->thread[i], NULL);
  store->threads = 0;
}

static mno_status start_threads(mno_store *store, mno_error *err) {
  /* Signals are for the main thread; a write beyond a file size limit shall return an error, not end the process. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int why = 0;
  void *(*const task[])(void *) = {writer, syncer, publisher};
  while (store->threads < 3 && !(why = pthread_create(&store->thread[store->threads], NULL, task[store->threads], store)))
    store->threads++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!why) return MNO_OK;
  end_threads(store);
  return mno_fail_thread(err, "the threads of the store", why);
}

mno_status mno_store_open(const char *path, const mno_plan *plan, const mno_provenance *provenance, mno_open_mode mode,
                          mno_store **store, mno_error *err) {
  *store = NULL;
  if (plan->instance_count == 0) return mno_fail(err, MNO_ERR_INTERNAL, "a plan without instances has no result file");
  mno_store *made = mno_alloc(1, sizeof *made);
  if (!made) return mno_fail_memory(err, sizeof *made, "a store");
  made->plan = plan;
  made->journal.fd = made->next.reader.fd = -1;
  mno_files_init(&made->files);
  pthread_mutex_init(&made->lock, NULL);
  for (size_t i = 0; i < CONDITIONS; i++) pthread_cond_init(&made->condition[i], NULL);
  size_t n = plan->instance_count;
  made->found = mno_alloc(n, sizeof *made->found);
  made->status = mno_alloc(n, sizeof *made->status);
  made->seconds = mno_alloc(n, sizeof *made->seconds);
  mno_status status =
      made->found && made->status && made->seconds ? MNO_OK : mno_fail_memory(err, n * 10, "the status of all rows");
  sigset_t limit, before;
  sigemptyset(&limit);
  sigaddset(&limit, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &limit, &before);
  if (status == MNO_OK)
    status = mno_files_open(&made->files, path, plan, provenance, mode, made->status, made->seconds, err);
  if (status == MNO_OK)
    status = mno_journal_create(made->files.journal, plan, made->files.settings, made->files.path,
                                made->files.replaces ? &made->files.replaced : NULL, &made->journal, err);
  if (status == MNO_OK) status = mno_sync_folder(made->files.journal, err);
  if (status == MNO_OK) memcpy(made->found, made->status, n);
  if (status == MNO_OK) status = mno_version_open(&made->next, &made->files, plan, made->status, made->seconds, err);
  if (status == MNO_OK) status = start_threads(made, err);
  sigtimedwait(&limit, NULL, &(struct timespec){0}); /* the signal of a write that has been reported */
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (status == MNO_OK)
    *store = made;
  else
    release(made);
  return status;
}

bool mno_store_has(const mno_store *store, size_t row) { return store->found[row] != MNO_STATUS_MISSING; }

bool mno_store_has_diverged(const mno_store *store, size_t row) { return store->found[row] == MNO_INSTANCE_DIVERGED; }

const char *mno_store_note(const mno_store *store) { return store->files.note[0] ? store->files.note : NULL; }

const mno_limit *mno_store_limit(const mno_store *store, size_t problem, mno_limit_kind kind) {
  return store->files.limit[problem * MNO_LIMIT_KINDS + kind];
}

/* ---- Putting */

/* Under the lock: waits for room in the buffer. */
static mno_status wait_for_room(mno_store *store, mno_error *err) {
  while (store->failure.status == MNO_OK && store->journal.used > FULL)
    pthread_cond_wait(&store->condition[EMPTIED], &store->lock);
  mno_status status = store->failure.status;
  return status == MNO_OK ? status : mno_fail(err, status, "%s", store->failure.message);
}

/* Under the lock: the writer sleeps until there is something, then until there is much. */
static void tell_writer(mno_store *store, size_t before) {
  if (!before || (before < WRITE && store->journal.used >= WRITE)) pthread_cond_signal(&store->condition[FILLED]);
}

mno_status mno_store_put(mno_store *store, mno_record *record, mno_error *err) {
  pthread_mutex_lock(&store->lock);
  mno_status status = wait_for_room(store, err);
  size_t before = store->journal.used;
  uint64_t offset;
  if (status == MNO_OK) status = mno_journal_put_record(&store->journal, store->plan, record, &offset, err);
  if (status == MNO_OK) status = mno_pending_add(&store->collected.rows, record->row, offset, err);
  if (status == MNO_OK) store->put_rows++;
  tell_writer(store, before);
  pthread_mutex_unlock(&store->lock);
  mno_record_free(record);
  return status;
}

mno_status mno_store_put_limit(mno_store *store, size_t problem, const mno_limit *limit, mno_error *err) {
  pthread_mutex_lock(&store->lock);
  mno_status status = wait_for_room(store, err);
  size_t before = store->journal.used;
  uint64_t offset;
  if (status == MNO_OK)
    status = mno_journal_put_limit(&store->journal, store->plan->problem[problem].id, limit, &offset, err);
  if (status == MNO_OK) status = mno_pending_add(&store->collected.limits, problem, offset, err);
  tell_writer(store, before);
  pthread_mutex_unlock(&store->lock);
  return status;
}

size_t mno_store_safe(mno_store *store) {
  pthread_mutex_lock(&store->lock);
  size_t rows = store->safe_rows;
  pthread_mutex_unlock(&store->lock);
  return rows;
}

mno_status mno_store_wait(mno_store *store, mno_error *err) {
  pthread_mutex_lock(&store->lock);
  size_t put = store->put_rows;
  while (store->failure.status == MNO_OK && store->safe_rows < put)
    pthread_cond_wait(&store->condition[SYNCED], &store->lock);
  mno_status status = store->failure.status;
  if (status != MNO_OK) mno_fail(err, status, "%s", store->failure.message);
  pthread_mutex_unlock(&store->lock);
  return status;
}

mno_status mno_store_close(mno_store *store, mno_error *err) {
  if (!store) return MNO_OK;
  end_threads(store);
  mno_status status = store->failure.status;
  /* What another run that took the file over did to it looks like all sorts of failures. */
  bool lost = status == MNO_ERR_IO && mno_lock_check(store->files.lock, err) != MNO_OK;
  if (status != MNO_OK && !lost) {
    char remains[2048];
    mno_files_remains(&store->files, &store->journal, store->all_published, remains, sizeof remains);
    mno_fail(err, status, "%.2000s\n  %.2000s", store->failure.message, remains);
  }
  if (status == MNO_OK) mno_files_done(&store->files);
  release(store);
  return status;
}
