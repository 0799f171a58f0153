/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/watch.h"

#include "core/memory.h"

#include <math.h>
#include <string.h>
#include <time.h>

static const double look = 0.01; /* seconds between looks at the caller's flag */

static void wait_until(mno_watch *watch, double end) {
  struct timespec t = {.tv_sec = (time_t)floor(end), .tv_nsec = (long)(1e9 * (end - floor(end)))};
  pthread_cond_timedwait(&watch->end, &watch->lock, &t);
}

static void *keep_watch(void *context) {
  mno_watch *watch = context;
  pthread_mutex_lock(&watch->lock);
  for (double now = mno_now(); !watch->done && !mno_stopped(&watch->flag); now = mno_now()) {
    if (mno_stopped(watch->asked))
      atomic_store(&watch->flag, atomic_load(watch->asked));
    else if (now >= watch->deadline)
      atomic_store(&watch->flag, MNO_TIME_IS_UP);
    else
      wait_until(watch, fmin(watch->deadline, now + look));
  }
  pthread_mutex_unlock(&watch->lock);
  return NULL;
}

mno_status mno_watch_begin(mno_watch *watch, const atomic_int *asked, double seconds, const atomic_int **stop,
                           mno_error *err) {
  memset(watch, 0, sizeof *watch);
  *stop = asked;
  if (!(seconds > 0)) return MNO_OK;
  pthread_condattr_t monotonic;
  watch->asked = asked;
  watch->deadline = mno_now() + seconds;
  pthread_mutex_init(&watch->lock, NULL);
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&watch->end, &monotonic);
  pthread_condattr_destroy(&monotonic);
  watch->watching = pthread_create(&watch->thread, NULL, keep_watch, watch) == 0;
  if (!watch->watching) {
    pthread_cond_destroy(&watch->end);
    pthread_mutex_destroy(&watch->lock);
    return mno_fail(err, MNO_ERR_INTERNAL, "no thread to watch over limit.seconds; remove the key or free some threads");
  }
  *stop = &watch->flag;
  return MNO_OK;
}

void mno_watch_end(mno_watch *watch) {
  if (!watch->watching) return;
  pthread_mutex_lock(&watch->lock);
  watch->done = 1;
  pthread_cond_signal(&watch->end);
  pthread_mutex_unlock(&watch->lock);
  pthread_join(watch->thread, NULL);
  pthread_cond_destroy(&watch->end);
  pthread_mutex_destroy(&watch->lock);
  watch->watching = 0;
}
