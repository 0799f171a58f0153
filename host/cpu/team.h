/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads that work on one batch together. Each runs the training loop on its own copy of the states and owns some slices of
 * units, whose weights no other thread touches. What crosses are the contributions of slices to the next state: once a
 * layer, behind a barrier, each thread adds them up, in the order of one thread, so that the number of threads does not show
 * in the bits. */
#ifndef MNO_CPU_TEAM_H
#define MNO_CPU_TEAM_H

#include "cpu/network.h"

#include <sched.h>

enum { TEAM_MOST = 64 };

struct team {
  struct {
    _Alignas(PAGE) atomic_uint barriers; /* that this thread has come to */
  } arrival[TEAM_MOST];
  atomic_int threads; /* 0 until all have been started */
  atomic_int stop[2]; /* by parity of the barrier, set by thread 0 before it */
  atomic_int go;      /* another step follows */
  real *contribution; /* [2][slices][h_size], of the slices, by parity of the barrier */
  real *minus_zero;   /* [h_size], of -0: what a contribution is added to */
  const real *b;      /* [h_size], b^L of thread 0 */
};

/* Waits for the whole team. */
static void barrier(seat *s) {
  if (s->threads == 1) return;
  unsigned passed = ++s->barriers;
  atomic_store_explicit(&s->team->arrival[s->thread].barriers, passed, memory_order_release);
  for (int i = 0; i < s->threads; i++)
    for (int spins = 0; (int)(atomic_load_explicit(&s->team->arrival[i].barriers, memory_order_acquire) - passed) < 0;
         spins++) {
      if (spins > 4000) sched_yield(); /* more threads than cores */
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
}

/* This thread's slices: [*first, *last). */
INLINE void own_slices(const seat *s, size_t *first, size_t *last) {
  *first = s->net->slices * (size_t)s->thread / (size_t)s->threads;
  *last = s->net->slices * ((size_t)s->thread + 1) / (size_t)s->threads;
}

/* Where a slice's contribution lies that goes through that barrier. */
INLINE real *contribution_of(const seat *s, unsigned barrier, size_t slice) {
  return s->team->contribution + ((barrier & 1) * s->net->slices + slice) * s->net->h_size;
}

/* next = from + alpha/(L M) (the contributions of slices, one after the other). */
static void add_contributions(const seat *s, const real *from, bool downwards, real *next) {
  const size_t slices = s->net->slices, count = s->net->h_size / LANES;
  for (size_t j = 0; j < slices; j++) {
    const vec *add = (const vec *)contribution_of(s, s->barriers, downwards ? slices - 1 - j : j),
              *x = (const vec *)(j == 0 ? from : next);
    vec *y = (vec *)next;
    for (size_t i = 0; i < count; i++) y[i] = x[i] + s->net->branch * add[i];
  }
}

/* Thread 0 polls before a layer, all read after it what it found: they leave the loop together. */
INLINE void poll_stop(seat *s) {
  if (s->thread != 0) return;
  const mno_cpu_batch *b = s->net->batch;
  bool stop = (b->stop && atomic_load_explicit(b->stop, memory_order_relaxed) != 0) ||
              atomic_load_explicit(b->halt, memory_order_relaxed) != 0;
  atomic_store_explicit(&s->team->stop[(s->barriers + 1) & 1], stop, memory_order_relaxed);
}
INLINE void agree_on_stop(seat *s) {
  s->stopped = atomic_load_explicit(&s->team->stop[(s->barriers + (s->threads == 1)) & 1], memory_order_relaxed) != 0;
}

#endif
