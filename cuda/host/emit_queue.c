/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/emit_queue.h"

#include "core/memory.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct entry {
  struct entry *next;
  mno_record *record;
  size_t bytes;
} entry;

struct mno_emit_queue {
  const mno_job *job;
  size_t room;
  pthread_mutex_t lock;
  pthread_cond_t filled, emptied;
  entry *first, **last;
  size_t bytes, emitted; /* waiting or being emitted; done */
  bool closing;
  mno_status status;
  mno_error err;
  int threads;
  pthread_t thread[];
};

static void *work(void *argument) {
  mno_emit_queue *o = argument;
  pthread_mutex_lock(&o->lock);
  for (;;) {
    while (!o->first && !o->closing) pthread_cond_wait(&o->filled, &o->lock);
    entry *l = o->first;
    if (!l) break;
    o->first = l->next;
    if (!o->first) o->last = &o->first;
    const bool drop = o->status != MNO_OK;
    pthread_mutex_unlock(&o->lock);
    mno_error err = {0};
    mno_status status = MNO_OK;
    if (drop)
      mno_record_free(l->record);
    else
      status = o->job->emit(o->job->context, l->record, &err);
    pthread_mutex_lock(&o->lock);
    o->emitted += !drop && status == MNO_OK;
    o->bytes -= l->bytes;
    if (status != MNO_OK && o->status == MNO_OK) {
      o->status = status;
      o->err = err;
    }
    pthread_cond_broadcast(&o->emptied);
    free(l);
  }
  pthread_mutex_unlock(&o->lock);
  return NULL;
}

mno_status mno_emit_queue_open(mno_emit_queue **queue, const mno_job *job, int threads, size_t room, mno_error *err) {
  const size_t bytes = sizeof(mno_emit_queue) + (size_t)threads * sizeof(pthread_t);
  mno_emit_queue *o = *queue = mno_alloc(1, bytes);
  if (!o) return mno_fail_memory(err, bytes, "the list of threads");
  o->job = job;
  o->room = room;
  o->last = &o->first;
  pthread_mutex_init(&o->lock, NULL);
  pthread_cond_init(&o->filled, NULL);
  pthread_cond_init(&o->emptied, NULL);
  int why = 0;
  while (o->threads < threads && (why = pthread_create(&o->thread[o->threads], NULL, work, o)) == 0) o->threads++;
  if (o->threads) return MNO_OK;
  mno_emit_queue_close(o, NULL, NULL);
  *queue = NULL;
  return mno_fail_thread(err, "a thread for the results", why);
}

mno_status mno_emit_queue_put(mno_emit_queue *o, mno_record *record, mno_error *err) {
  entry *l = mno_alloc(1, sizeof *l);
  if (!l) {
    mno_record_free(record);
    return mno_fail_memory(err, sizeof *l, "a result");
  }
  *l = (entry){.record = record, .bytes = mno_record_bytes(o->job->plan, record->row)};
  pthread_mutex_lock(&o->lock);
  while (o->bytes && o->bytes + l->bytes > o->room && o->status == MNO_OK) pthread_cond_wait(&o->emptied, &o->lock);
  const mno_status status = o->status;
  if (status == MNO_OK) {
    o->bytes += l->bytes;
    *o->last = l;
    o->last = &l->next;
    pthread_cond_signal(&o->filled);
  } else {
    *err = o->err;
  }
  pthread_mutex_unlock(&o->lock);
  if (status != MNO_OK) {
    mno_record_free(record);
    free(l);
  }
  return status;
}

bool mno_emit_queue_failed(mno_emit_queue *o) {
  pthread_mutex_lock(&o->lock);
  const bool failed = o->status != MNO_OK;
  pthread_mutex_unlock(&o->lock);
  return failed;
}

mno_status mno_emit_queue_close(mno_emit_queue *o, size_t *emitted, mno_error *err) {
  if (emitted) *emitted = 0;
  if (!o) return MNO_OK;
  pthread_mutex_lock(&o->lock);
  o->closing = true;
  pthread_cond_broadcast(&o->filled);
  pthread_mutex_unlock(&o->lock);
  for (int i = 0; i < o->threads; i++) pthread_join(o->thread[i], NULL);
  const mno_status status = o->status;
  if (status != MNO_OK && err) *err = o->err;
  if (emitted) *emitted = o->emitted;
  pthread_mutex_destroy(&o->lock);
  pthread_cond_destroy(&o->filled);
  pthread_cond_destroy(&o->emptied);
  free(o);
  return status;
}
