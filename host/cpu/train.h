/* SPDX-License-Identifier: BSD-3-Clause */
/* The training loop, the same for every arrangement and block; included into kernels.c.
 *
 * Forward states h and what a block keeps (s, slopes) of all layers stay for the backward pass while they fit STATE_BYTES;
 * beyond it the depth is cut into segments: only the state at the start of each is kept and its layers run forward again
 * before they run backward, with the same bits.
 *
 * With few units the states are most of the traffic. Where all would not fit the caches, only the latter stay and the
 * backward pass rebuilds h^{l-1} = h^l - alpha/(L M) sum_j v s: one more product, and states that differ from the
 * forward pass's by rounding. */
#ifndef MNO_CPU_TRAIN_H
#define MNO_CPU_TRAIN_H

#include "cpu/team.h"
#include "readout/readout.h"

#include MNO_BLOCK_BODY

#include <pthread.h>

/* State before layer i of the segment. */
static real *state(const seat *s, size_t i) { return s->h + (s->net->tuning.rebuild ? i & 1 : i) * s->net->h_size; }

static void forward_layer(seat *s, layer at, const real *h, real *h_next) {
  const network *n = s->net;
  poll_stop(s);
  if (s->threads == 1) {
    for (size_t i = 0; i < n->slices; i++) block_forward(s, at, i, h, (sum){i == 0 ? h : h_next, n->branch, h_next});
  } else {
    size_t i, last;
    for (own_slices(s, &i, &last); i < last; i++)
      block_forward(s, at, i, h, (sum){s->team->minus_zero, 1, contribution_of(s, s->barriers + 1, i)});
    barrier(s);
    add_contributions(s, h, false, h_next);
  }
  agree_on_stop(s);
}

/* Slices from the last to the first, as memory is gone through. */
static void backward_layer(seat *s, layer at, const real *h) {
  const network *n = s->net;
  poll_stop(s);
  if (n->arrangement->prepare) n->arrangement->prepare(s, h);
  if (s->threads == 1) {
    for (size_t i = n->slices; i-- > 0;)
      block_backward(s, at, i, h, s->b, (sum){i + 1 == n->slices ? s->b : s->b_next, n->branch, s->b_next});
  } else {
    size_t first, i;
    for (own_slices(s, &first, &i); i-- > first;)
      block_backward(s, at, i, h, s->b, (sum){s->team->minus_zero, 1, contribution_of(s, s->barriers + 1, i)});
    barrier(s);
    add_contributions(s, s->b, true, s->b_next);
  }
  agree_on_stop(s);
  real *swap = s->b;
  s->b = s->b_next;
  s->b_next = swap;
}

/* Layers [first, last) of a segment that starts at first. */
static void forward_segment(seat *s, size_t first, size_t last) {
  for (size_t l = first; l < last && !s->stopped; l++)
    forward_layer(s, (layer){l, l - first}, state(s, l - first), state(s, l - first + 1));
}

static void backward_segment(seat *s, size_t first, size_t last) {
  const network *n = s->net;
  for (size_t l = last; l-- > first && !s->stopped;) {
    size_t i = l - first;
    if (n->tuning.rebuild) block_rebuild(s, (layer){l, i}, 0, (sum){state(s, i + 1), -n->branch, state(s, i)});
    backward_layer(s, (layer){l, i}, state(s, i));
  }
}

static size_t segment_end(const network *n, size_t first) {
  return first + n->tuning.segment < n->L ? first + n->tuning.segment : n->L;
}

static void embed(seat *s) {
  const network *n = s->net;
  mno_readout_embed(n->problem, s->h_end);
  for (size_t lane = 0; lane < n->batch->count; lane++) n->arrangement->state_set(n, lane, s->h_end, s->h);
}

/* Whole forward pass; returns h^L. */
static const real *forward_pass(seat *s) {
  const network *n = s->net;
  const tuning *t = &n->tuning;
  embed(s);
  size_t last = 0, bytes = n->h_size * sizeof(real);
  for (size_t i = 0; i < t->segments && !s->stopped; i++) {
    size_t first = i * t->segment;
    if (i > 0) memcpy(s->h, s->h + t->segment * n->h_size, bytes);
    if (s->start) memcpy(s->start + i * n->h_size, s->h, bytes);
    last = segment_end(n, first);
    forward_segment(s, first, last);
  }
  return state(s, last - (t->segments - 1) * t->segment);
}

static void backward_pass(seat *s) {
  const network *n = s->net;
  const tuning *t = &n->tuning;
  for (size_t i = t->segments; i-- > 0 && !s->stopped;) {
    size_t first = i * t->segment, last = segment_end(n, first);
    if (i + 1 < t->segments) {
      memcpy(s->h, s->start + i * n->h_size, n->h_size * sizeof(real));
      forward_segment(s, first, last);
    }
    if (!s->stopped) backward_segment(s, first, last);
  }
}

static void record_weights(const network *n, bool final) {
  for (size_t lane = 0; lane < n->batch->count; lane++) {
    mno_record *record = n->batch->record[lane];
    double *const *out = final ? record->final : record->initial;
    if (record->outcome == MNO_INSTANCE_DIVERGED) continue;
    for (size_t t = 0; t < n->problem->block->tensors; t++)
      if (out[t]) n->arrangement->weights(n, lane, n->w[t], out[t]);
  }
}

/* Ends step k for every instance still alive; returns how many are. */
static size_t end_step(seat *s, size_t k, const real *end) {
  const network *n = s->net;
  const mno_cpu_batch *batch = n->batch;
  size_t alive = 0, K = n->problem->K;
  for (size_t lane = 0; lane < batch->count; lane++) {
    mno_record *record = batch->record[lane];
    if (record->outcome == MNO_INSTANCE_DIVERGED) continue;
    n->arrangement->state_get(n, lane, end, s->h_end);
    if (!mno_cpu_step_end(batch->plan, record, k, s->h_end, k < K ? s->b_end : NULL, s->f, s->f_gradient)) continue;
    alive++;
    if (k < K) n->arrangement->state_set(n, lane, s->b_end, s->b);
  }
  return alive;
}

/* What each thread of a team runs. */
static void train_thread(seat *s) {
  const network *n = s->net;
  size_t i, last;
  for (own_slices(s, &i, &last); i < last; i++) n->arrangement->draw(n, i);
  barrier(s);
  if (s->thread == 0) record_weights(n, false);
  for (size_t k = 0;; k++) {
    const real *end = forward_pass(s);
    if (s->stopped) return;
    if (s->thread == 0) {
      atomic_store(&s->team->go, end_step(s, k, end) > 0 && k < n->problem->K);
      s->team->b = s->b;
    }
    barrier(s);
    if (!atomic_load(&s->team->go)) break;
    if (s->thread > 0) memcpy(s->b, s->team->b, n->h_size * sizeof(real));
    for (size_t t = 0; t < TENSORS; t++) s->rate[t] = (real)mno_problem_rate(n->problem, k, t);
    backward_pass(s);
    if (s->stopped) return;
  }
  if (s->thread == 0) record_weights(n, true);
}

static void *train_helper(void *context) {
  seat *s = context;
  while ((s->threads = atomic_load(&s->team->threads)) == 0) sched_yield();
  train_thread(s);
  return NULL;
}

typedef struct helper {
  seat seat;
  pthread_t thread;
  void *own;
  size_t bytes;
} helper;

static bool helper_start(helper *h, const seat *first, int thread) {
  h->seat = *first;
  h->seat.thread = thread;
  arena count = {0};
  seat_place(&h->seat, &count);
  h->bytes = count.used;
  h->own = mno_cpu_pages_new(&h->bytes);
  if (!h->own) return false;
  seat_place(&h->seat, &(arena){.start = h->own});
  seat_clear(&h->seat);
  if (pthread_create(&h->thread, NULL, train_helper, &h->seat) == 0) return true;
  mno_cpu_pages_free(h->own, h->bytes);
  return false;
}

/* Starts up to `wanted` helpers; returns how many. The first seat's threads are set. */
static int team_start(team *t, seat *first, helper *helpers, int wanted, void **shared, size_t *bytes) {
  const network *n = first->net;
  int count = 0;
  *bytes = (2 * n->slices + 1) * n->h_size * sizeof(real);
  *shared = wanted > 0 ? mno_cpu_pages_new(bytes) : NULL;
  if (*shared) {
    t->minus_zero = *shared;
    t->contribution = t->minus_zero + n->h_size;
    for (size_t i = 0; i < n->h_size; i++) t->minus_zero[i] = REAL_C(-0.0);
    while (count < wanted && helper_start(&helpers[count], first, count + 1)) count++;
  }
  first->threads = count + 1;
  atomic_store(&t->threads, count + 1);
  return count;
}

static mno_status train(const mno_cpu_batch *batch, const arrangement *which) {
  network n = network_of(batch->problem, batch->L, batch->M, which, batch->state_bytes);
  team t = {.threads = 0};
  helper helpers[TEAM_MOST];
  seat first = {.net = &n, .team = &t};
  n.batch = batch;
  arena a = {.start = batch->arena};
  network_place(&n, &a);
  seat_place(&first, &a);
  network_place_slices(&n, &a);
  network_clear_states(&n);
  seat_clear(&first);
  int most = n.slices < TEAM_MOST ? (int)n.slices : TEAM_MOST;
  void *shared;
  size_t bytes;
  int count = team_start(&t, &first, helpers, (batch->threads < most ? batch->threads : most) - 1, &shared, &bytes);
  train_thread(&first);
  for (int i = 0; i < count; i++) {
    pthread_join(helpers[i].thread, NULL);
    mno_cpu_pages_free(helpers[i].own, helpers[i].bytes);
  }
  mno_cpu_pages_free(shared, bytes);
  return first.stopped ? MNO_INTERRUPTED : MNO_OK;
}

#endif
