#define _GNU_SOURCE
#include "meanode/store.h"

#include "core/memory.h"
#include "store/compare.h"
#include "store/lock.h"
#include "store/publish.h"
#include "store/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { QUEUE_BYTES = 128 << 20, WRITE_BYTES = 4 << 20 };
static const double sync_seconds = 0.02;     /* least time between two waits for the disk */
static const double publish_seconds = 2;     /* least time between two versions of the file ... */
static const double publish_share = 1. / 50; /* ... and the share of the time that making them may take */

/* What waits to be written: a record, or a limit. */
typedef struct item {
  struct item *next;
  mno_record *record;
  mno_limit *limit;
  size_t problem, bytes;
} item;

struct mno_store {
  mno_store_files files; /* paths, lock, what was found; see recover.h */
  const mno_plan *plan;
  bool *there; /* [instance_count] rows found when the store was opened */

  /* Owned by the writer. */
  mno_journal journal;
  mno_journal_reader reader; /* of that journal */
  mno_pending pending;
  uint64_t published_end; /* how much of the journal is in the file */
  int8_t *status;         /* [instance_count] */
  double *seconds;        /* [instance_count] */
  mno_limit **first;      /* [problem_count] what errors refer to, or NULL */
  double last_sync, last_publish, publish_cost;

  /* Shared. */
  pthread_t thread;
  bool running;
  pthread_mutex_t lock;
  pthread_cond_t filled, emptied;
  item *head, **tail;
  size_t queued; /* bytes */
  bool closing;
  mno_error failure; /* status MNO_OK: none */
};

/* ---- The writer */

static double rms(const double *a, const double *b, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sqrt(sum / (double)count);
}

static void measure_errors(const mno_store *store, mno_record *record) {
  size_t p = store->plan->instance[record->row].problem;
  const mno_problem *problem = &store->plan->problem[p];
  const mno_limit *limit = store->first[p];
  size_t out = problem->N * problem->d_out, state = problem->N * problem->D;
  for (size_t s = 0; limit && s < store->plan->step_count; s++) {
    size_t k = (size_t)store->plan->step[s];
    if (k > limit->K) continue;
    if (record->output) record->error_output[s] = rms(record->output + s * out, limit->output + k * out, out);
    if (record->embedding)
      record->error_embedding[s] = rms(record->embedding + s * state, limit->embedding + k * state, state);
  }
}

static mno_status write_item(mno_store *store, const item *it, mno_error *err) {
  uint64_t offset;
  mno_status status;
  if (it->limit) {
    status = mno_journal_put_limit(&store->journal, store->plan->problem[it->problem].id, it->limit, &offset, err);
    if (status == MNO_OK) status = mno_pending_limit(&store->pending, it->problem, offset, err);
    return status;
  }
  mno_record *record = it->record;
  measure_errors(store, record);
  status = mno_journal_put_record(&store->journal, store->plan, record, &offset, err);
  if (status == MNO_OK) status = mno_pending_row(&store->pending, record->row, offset, err);
  if (status != MNO_OK) return status;
  store->status[record->row] = (int8_t)record->outcome;
  store->seconds[record->row] = record->seconds;
  if (store->journal.used >= WRITE_BYTES) status = mno_journal_flush(&store->journal, false, err);
  return status;
}

/* Everything in the queue goes to the journal and to the disk. */
static mno_status drain(void *context, mno_error *err) {
  mno_store *store = context;
  pthread_mutex_lock(&store->lock);
  item *list = store->head;
  store->head = NULL;
  store->tail = &store->head;
  pthread_mutex_unlock(&store->lock);
  mno_lock_beat(&store->files.lock);
  if (!list) return MNO_OK;
  mno_status status = MNO_OK;
  while (list) {
    item *it = list;
    list = it->next;
    if (status == MNO_OK) status = write_item(store, it, err);
    if (it->limit && status == MNO_OK && !store->first[it->problem]) {
      store->first[it->problem] = it->limit;
      it->limit = NULL;
    }
    mno_limit_free(it->limit);
    mno_record_free(it->record);
    pthread_mutex_lock(&store->lock);
    store->queued -= it->bytes;
    pthread_cond_broadcast(&store->emptied);
    pthread_mutex_unlock(&store->lock);
    free(it);
  }
  if (status == MNO_OK) status = mno_journal_flush(&store->journal, true, err);
  store->last_sync = mno_now();
  return status;
}

/* A new version of the file with everything that is in the journal. */
static mno_status publish(mno_store *store, mno_error *err) {
  double start = mno_now();
  mno_pending pending = store->pending; /* what arrives meanwhile is for the next version */
  store->pending = (mno_pending){0};
  size_t n = store->plan->instance_count;
  int8_t *status_then = malloc(n);
  double *seconds_then = malloc(n * sizeof *seconds_then);
  mno_layout *layout = NULL;
  mno_status status = status_then && seconds_then ? MNO_OK : mno_fail_memory(err, 9 * n, "the status of all rows");
  if (status == MNO_OK) {
    memcpy(status_then, store->status, n);
    memcpy(seconds_then, store->seconds, n * sizeof *seconds_then);
    store->reader.size = store->journal.end;
    status = mno_copy_unsealed(store->files.published, true, store->files.fresh, drain, store, err);
  }
  if (status == MNO_OK) status = mno_files_reserve(&store->files, store->reader.size - store->published_end, err);
  if (status == MNO_OK) status = mno_layout_open(store->files.fresh, store->plan, &layout, err);
  if (status == MNO_OK) status = mno_apply_pending(layout, store->plan, &store->reader, &pending, drain, store, err);
  if (status == MNO_OK) status = mno_layout_tables(layout, status_then, seconds_then, err);
  mno_status closed = mno_layout_close(layout, status == MNO_OK ? err : NULL);
  if (status == MNO_OK) status = closed;
  if (status == MNO_OK) status = mno_files_replace(&store->files, err);
  if (status == MNO_OK) store->published_end = store->reader.size;
  if (status != MNO_OK) unlink(store->files.fresh);
  mno_pending_free(&pending);
  free(status_then);
  free(seconds_then);
  store->last_publish = mno_now();
  store->publish_cost = store->last_publish - start;
  return status;
}

static bool publish_is_due(const mno_store *store) {
  double wait = store->publish_cost / publish_share;
  if (wait < publish_seconds) wait = publish_seconds;
  return (store->pending.count || store->pending.limit_count) && mno_now() - store->last_publish >= wait;
}

static void wait_until(mno_store *store, double seconds) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += (long)(seconds * 1e9);
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  pthread_cond_timedwait(&store->filled, &store->lock, &until);
}

static void *writer(void *context) {
  mno_store *store = context;
  mno_error error = {0};
  mno_status status = MNO_OK;
  bool closing = false;
  while (status == MNO_OK && !closing) {
    pthread_mutex_lock(&store->lock);
    if (!store->head && !store->closing) wait_until(store, 0.5);
    /* Waits for the disk are shared: records that come within a short time of the last one go together. */
    double since = mno_now() - store->last_sync;
    if (!store->closing && since < sync_seconds && store->queued < QUEUE_BYTES / 4) wait_until(store, sync_seconds - since);
    closing = store->closing;
    pthread_mutex_unlock(&store->lock);
    status = drain(store, &error);
    bool due = closing || publish_is_due(store);
    if (status == MNO_OK && due && (store->pending.count || store->pending.limit_count)) status = publish(store, &error);
    if (status == MNO_OK && due) status = mno_files_check(&store->files, &store->journal, &error);
  }
  pthread_mutex_lock(&store->lock);
  store->failure = error;
  store->failure.status = status;
  pthread_cond_broadcast(&store->emptied);
  pthread_mutex_unlock(&store->lock);
  return NULL;
}

/* ---- Opening */

static void release(mno_store *store) {
  mno_files_close(&store->files);
  mno_journal_close(&store->journal);
  mno_journal_reader_close(&store->reader);
  mno_pending_free(&store->pending);
  for (size_t p = 0; store->first && p < store->plan->problem_count; p++) mno_limit_free(store->first[p]);
  while (store->head) {
    item *next = store->head->next;
    mno_record_free(store->head->record);
    mno_limit_free(store->head->limit);
    free(store->head);
    store->head = next;
  }
  free(store->first);
  free(store->status);
  free(store->seconds);
  free(store->there);
  pthread_mutex_destroy(&store->lock);
  pthread_cond_destroy(&store->filled);
  pthread_cond_destroy(&store->emptied);
  free(store);
}

static mno_status start_journal(mno_store *store, mno_error *err) {
  bool missing;
  mno_status status = mno_journal_create(store->files.journal, store->plan, store->files.settings, &store->journal, err);
  if (status == MNO_OK) status = mno_journal_open(store->files.journal, &store->reader, &missing, err);
  return status;
}

static mno_status start_thread(mno_store *store, mno_error *err) {
  /* Signals are for the main thread; a write beyond a file size limit shall return an error, not end the process. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int why = pthread_create(&store->thread, NULL, writer, store);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (why) return mno_fail(err, MNO_ERR_INTERNAL, "cannot start the writer: %s", strerror(why));
  store->running = true;
  return MNO_OK;
}

mno_status mno_store_open(const char *path, const mno_plan *plan, const mno_provenance *provenance, mno_open_mode mode,
                          mno_store **store, mno_error *err) {
  *store = NULL;
  if (plan->instance_count == 0) return mno_fail(err, MNO_ERR_INTERNAL, "a plan without instances has no result file");
  mno_store *made = mno_alloc(1, sizeof *made);
  if (!made) return mno_fail_memory(err, sizeof *made, "a store");
  made->plan = plan;
  made->tail = &made->head;
  made->journal.fd = made->reader.fd = -1;
  mno_files_init(&made->files);
  pthread_mutex_init(&made->lock, NULL);
  pthread_cond_init(&made->filled, NULL);
  pthread_cond_init(&made->emptied, NULL);
  size_t n = plan->instance_count;
  made->there = mno_alloc(n, sizeof *made->there);
  made->status = mno_alloc(n, sizeof *made->status);
  made->seconds = mno_alloc(n, sizeof *made->seconds);
  made->first = mno_alloc(plan->problem_count, sizeof(mno_limit *));
  mno_status status = made->there && made->status && made->seconds && made->first
                          ? MNO_OK
                          : mno_fail_memory(err, n * 10, "the status of all rows");
  sigset_t limit, before;
  sigemptyset(&limit);
  sigaddset(&limit, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &limit, &before);
  if (status == MNO_OK)
    status = mno_files_open(&made->files, path, plan, provenance, mode, made->status, made->seconds, made->first, err);
  if (status == MNO_OK) status = start_journal(made, err);
  for (size_t row = 0; status == MNO_OK && row < n; row++) made->there[row] = made->status[row] != MNO_STATUS_MISSING;
  made->last_publish = made->last_sync = mno_now();
  if (status == MNO_OK) status = start_thread(made, err);
  sigtimedwait(&limit, NULL, &(struct timespec){0}); /* the signal of a write that has been reported */
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (status != MNO_OK) {
    release(made);
  } else {
    *store = made;
  }
  return status;
}

bool mno_store_has(const mno_store *store, size_t row) { return store->there[row]; }

const char *mno_store_note(const mno_store *store) { return store->files.note[0] ? store->files.note : NULL; }

const mno_limit *mno_store_limit(const mno_store *store, size_t problem, mno_limit_kind kind) {
  return store->files.limit[problem * MNO_LIMIT_KINDS + kind];
}

/* ---- Putting */

static mno_status enqueue(mno_store *store, item *it, mno_error *err) {
  pthread_mutex_lock(&store->lock);
  while (store->failure.status == MNO_OK && store->queued && store->queued + it->bytes > QUEUE_BYTES)
    pthread_cond_wait(&store->emptied, &store->lock);
  mno_status status = store->failure.status;
  if (status != MNO_OK) {
    mno_fail(err, status, "%s", store->failure.message);
  } else {
    *store->tail = it;
    store->tail = &it->next;
    store->queued += it->bytes;
    pthread_cond_signal(&store->filled);
  }
  pthread_mutex_unlock(&store->lock);
  if (status != MNO_OK) {
    mno_record_free(it->record);
    mno_limit_free(it->limit);
    free(it);
  }
  return status;
}

mno_status mno_store_put(mno_store *store, mno_record *record, mno_error *err) {
  item *it = calloc(1, sizeof *it);
  if (!it) {
    mno_record_free(record);
    return mno_fail_memory(err, sizeof *it, "the queue");
  }
  it->record = record;
  it->bytes = mno_record_bytes(store->plan, record->row);
  return enqueue(store, it, err);
}

mno_status mno_store_put_limit(mno_store *store, size_t problem, const mno_limit *limit, mno_error *err) {
  item *it = calloc(1, sizeof *it);
  if (!it) return mno_fail_memory(err, sizeof *it, "the queue");
  mno_status status = mno_limit_copy(limit, &it->limit, err);
  if (status != MNO_OK) {
    free(it);
    return status;
  }
  it->problem = problem;
  it->bytes = sizeof *it;
  return enqueue(store, it, err);
}

mno_status mno_store_close(mno_store *store, mno_error *err) {
  if (!store) return MNO_OK;
  pthread_mutex_lock(&store->lock);
  store->closing = true;
  pthread_cond_broadcast(&store->filled);
  pthread_mutex_unlock(&store->lock);
  pthread_join(store->thread, NULL);
  mno_status status = store->failure.status;
  if (status != MNO_OK) mno_fail(err, status, "%s", store->failure.message);
  if (status == MNO_OK) mno_files_done(&store->files);
  release(store);
  return status;
}
