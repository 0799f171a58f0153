/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/parallel.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MOST_THREADS = 256 };

typedef struct crew {
  atomic_size_t next;
  size_t count;
  void (*work)(void *context, size_t piece, int worker);
  void *context;
} crew;

typedef struct member {
  crew *crew;
  int worker;
} member;

static void *labour(void *argument) {
  member *self = argument;
  crew *crew = self->crew;
  for (size_t piece; (piece = atomic_fetch_add(&crew->next, 1)) < crew->count;)
    crew->work(crew->context, piece, self->worker);
  return NULL;
}

void mno_parallel(int threads, size_t count, void (*work)(void *context, size_t piece, int worker), void *context) {
  crew all = {.count = count, .work = work, .context = context};
  member members[MOST_THREADS];
  pthread_t thread[MOST_THREADS];
  int started = 1;
  if (threads > MOST_THREADS) threads = MOST_THREADS;
  if ((size_t)threads > count) threads = (int)count;
  for (; started < threads; started++) { /* the caller is worker 0; a thread that cannot start is done without */
    members[started] = (member){&all, started};
    if (pthread_create(&thread[started], NULL, labour, &members[started]) != 0) break;
  }
  members[0] = (member){&all, 0};
  labour(&members[0]);
  for (int i = 1; i < started; i++) pthread_join(thread[i], NULL);
}
