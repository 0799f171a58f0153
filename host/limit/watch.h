/* SPDX-License-Identifier: BSD-3-Clause */
/* A watch over the time budget of a limit: its flag is set when the caller's is (mno_stopped), or at the end of the budget
 * (mno_time_is_up). A watch may look at the flag of another, for a part of its time. */
#ifndef MNO_LIMIT_WATCH_H
#define MNO_LIMIT_WATCH_H

#include "limit/stop.h"

#include <pthread.h>

typedef struct mno_watch {
  atomic_int flag;
  const atomic_int *asked; /* the caller's, may be NULL */
  double deadline;
  int watching, done; /* done: under lock */
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t end;
} mno_watch;

/* The flag to work with until mno_watch_end: without a budget (seconds 0) the caller's own. Errors: MNO_ERR_INTERNAL if
 * there is no thread to be had. */
mno_status mno_watch_begin(mno_watch *watch, const atomic_int *asked, double seconds, const atomic_int **stop,
                           mno_error *err);
void mno_watch_end(mno_watch *watch);

#endif
