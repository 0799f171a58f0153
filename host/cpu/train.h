/* The training loop, the same for every layout; included into kernels.c.
 *
 * Forward states h and rho(p) of all layers are kept for the backward pass while they fit STATE_BYTES; beyond it the depth
 * is cut into segments: only the state at the start of each is kept and its layers run forward again before they run
 * backward, with the same bits.
 *
 * With few units the states are most of the traffic. Where all would not fit the caches, only rho(p) is kept and the
 * backward pass rebuilds h^{l-1} = h^l - alpha/(L M) sum_j v rho(p): one more product, and states that differ from the
 * forward pass's by rounding. */
#ifndef MNO_CPU_TRAIN_H
#define MNO_CPU_TRAIN_H

#include "cpu/cpu.h"
#include "cpu/vmath.h"
#include "cpu/vrandom.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

enum { STATE_BYTES = 1 << 28, REBUILD_BYTES = 1 << 22, REBUILD_M = 12, PAGE = 64 };

/* How rho'(p) is had in the backward pass: from rho where that is cheap, else stored by the forward pass. */
typedef enum slope { SLOPE_STORED, SLOPE_TANH, SLOPE_STEP, SLOPE_ONE } slope;

static slope slope_kind(mno_activation activation) {
  switch (activation) {
  case MNO_TANH: return SLOPE_TANH;
  case MNO_RELU: return SLOPE_STEP;
  case MNO_IDENTITY: return SLOPE_ONE;
  default: return SLOPE_STORED;
  }
}

INLINE vec slope_of(slope kind, vec rho, vec stored) {
  switch (kind) {
  case SLOPE_TANH: return 1 - rho * rho;
  case SLOPE_STEP: return v_select(v_lt(v_set1(0), rho), v_set1(1), v_set1(0));
  case SLOPE_ONE: return v_set1(1);
  default: return stored;
  }
}

/* p -> rho(p) in place; dt receives rho'(p) where the slope is stored. */
static void activate(mno_activation activation, vec *t, vec *dt, size_t count) {
  switch (activation) {
  case MNO_TANH:
    for (size_t i = 0; i < count; i++) t[i] = v_tanh(t[i]);
    return;
  case MNO_ERF:
    for (size_t i = 0; i < count; i++) t[i] = v_erf(t[i], &dt[i]);
    return;
  case MNO_GELU:
    for (size_t i = 0; i < count; i++) t[i] = v_gelu(t[i], &dt[i]);
    return;
  case MNO_SILU:
    for (size_t i = 0; i < count; i++) t[i] = v_silu(t[i], &dt[i]);
    return;
  case MNO_RELU:
    for (size_t i = 0; i < count; i++) t[i] = v_max(v_set1(0), t[i]);
    return;
  case MNO_SOFTPLUS:
    for (size_t i = 0; i < count; i++) t[i] = v_softplus(t[i], &dt[i]);
    return;
  case MNO_SIN:
    for (size_t i = 0; i < count; i++) t[i] = v_sincos(t[i], &dt[i]);
    return;
  default: return;
  }
}

struct layout;

/* Threads that work on one batch together, in step: each runs the training loop, they share out the units and the rows of
 * a layer and meet at barriers. Sums are never split, so that their number does not show in the bits. */
typedef struct team {
  atomic_int threads; /* 0 until all have been started */
  atomic_int arrived, generation;
  atomic_int halt[2]; /* by parity of the layer, set by thread 0 before a barrier of that layer */
  atomic_int go;      /* another step follows */
} team;

/* One batch in training. Sizes count reals. */
typedef struct run {
  team *team;
  int thread, threads;
  bool halted;
  const mno_cpu_batch *batch;
  const mno_problem *problem;
  const struct layout *layout;
  size_t D, M, N, L;
  real inv_D, branch;  /* 1/D, alpha/(L M) */
  real rate_u, rate_v; /* eta/alpha */
  slope kind;
  size_t w_size, h_size, t_size, scratch_size; /* one layer's U (or V), h (or b), rho; scratch of the layout */
  bool rebuild;                                /* states of the backward pass come from those after them, see above */
  size_t segment, segments, h_slots;           /* layers per segment, segments, states kept */
  real *u, *v;                                 /* [L][w_size] */
  real *h;                                     /* [h_slots][h_size], states of the current segment */
  real *start;                                 /* [segments][h_size], states at the starts; NULL if one segment */
  real *t, *dt;                                /* [segment][t_size], rho(p), rho'(p) (NULL unless stored) */
  real *b, *b_next;                            /* [h_size] */
  real *scratch;                               /* [scratch_size] */
  double *h_end, *b_end;                       /* [N][D], one instance at the end of the network */
  double *f, *gradient;                        /* [N][d_out] */
} run;

typedef struct layout {
  bool shared;           /* knows how to share a batch between threads */
  void (*sizes)(run *r); /* w_size, h_size, t_size, scratch_size */
  void (*draw)(run *r);  /* initial weights of this thread's share of the layers */
  /* [L][M][D] of one instance, to double */
  void (*weights)(const run *r, size_t lane, const real *w, double *out);
  /* state of one instance <-> [N][D] in double */
  void (*state_get)(const run *r, size_t lane, const real *h, double *out);
  void (*state_set)(const run *r, size_t lane, const double *in, real *h);
  void (*forward)(const run *r, size_t l, const real *h, real *t, real *dt, real *h_next);
  /* h^{l-1} = h^l - alpha/(L M) V rho, from the stored rho; may be NULL */
  void (*rebuild)(const run *r, size_t l, const real *h_next, const real *t, real *h);
  /* from b^l to b^{l-1}, and both updates */
  void (*backward)(run *r, size_t l, const real *h, const real *t, const real *dt, const real *b, real *b_next);
} layout;

static void barrier(const run *r) {
  if (r->threads == 1) return;
  team *t = r->team;
  int generation = atomic_load(&t->generation);
  if (atomic_fetch_add(&t->arrived, 1) + 1 == r->threads) {
    atomic_store(&t->arrived, 0);
    atomic_store(&t->generation, generation + 1);
    return;
  }
  for (int spins = 0; atomic_load_explicit(&t->generation, memory_order_acquire) == generation; spins++) {
    if (spins > 4000) sched_yield(); /* more threads than cores */
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
}

/* This thread's share of `count` things: [*first, *last). */
INLINE void share(const run *r, size_t count, size_t *first, size_t *last) {
  *first = count * (size_t)r->thread / (size_t)r->threads;
  *last = count * ((size_t)r->thread + 1) / (size_t)r->threads;
}

static size_t isqrt(size_t x) {
  size_t root = (size_t)sqrt((double)x);
  return root ? root : 1;
}

/* Places the arrays at arena (NULL: only counts); returns the bytes. */
static size_t place(run *r, char *arena) {
  const mno_problem *p = r->problem;
  size_t used = 0;
  struct {
    void *array;
    size_t bytes;
  } parts[] = {{&r->u, r->L * r->w_size * sizeof(real)},
               {&r->v, r->L * r->w_size * sizeof(real)},
               {&r->h, r->h_slots * r->h_size * sizeof(real)},
               {&r->start, r->segments > 1 ? r->segments * r->h_size * sizeof(real) : 0},
               {&r->t, r->segment * r->t_size * sizeof(real)},
               {&r->dt, r->kind == SLOPE_STORED ? r->segment * r->t_size * sizeof(real) : 0},
               {&r->b, r->h_size * sizeof(real)},
               {&r->b_next, r->h_size * sizeof(real)},
               {&r->scratch, r->scratch_size * sizeof(real)},
               {&r->h_end, p->N * p->D * sizeof(double)},
               {&r->b_end, p->N * p->D * sizeof(double)},
               {&r->f, p->N * p->d_out * sizeof(double)},
               {&r->gradient, p->N * p->d_out * sizeof(double)}};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    void *at = arena && parts[i].bytes ? arena + used : NULL;
    memcpy(parts[i].array, &at, sizeof at);
    used += (parts[i].bytes + PAGE - 1) / PAGE * PAGE;
  }
  return used;
}

/* Fills in the sizes from problem, L, M and layout; returns the bytes of the arena. */
static size_t measure(run *r) {
  r->D = r->problem->D;
  r->N = r->problem->N;
  r->kind = slope_kind(r->problem->activation);
  r->layout->sizes(r);
  size_t layer = r->h_size + r->t_size * (r->kind == SLOPE_STORED ? 2 : 1);
  r->segment = r->L;
  r->rebuild = r->layout->rebuild && r->M <= REBUILD_M && r->L * (layer + 2 * r->w_size) * sizeof(real) > REBUILD_BYTES;
  if (r->L * (r->rebuild ? layer - r->h_size : layer) * sizeof(real) > STATE_BYTES) {
    size_t best = isqrt(r->L * r->h_size / layer) + 1;
    if (best < r->segment) r->segment = best;
    r->rebuild = false;
  }
  r->segments = (r->L + r->segment - 1) / r->segment;
  r->h_slots = r->rebuild ? 2 : r->segment + 1;
  return place(r, NULL);
}

static bool stopped(const run *r) {
  const mno_cpu_batch *b = r->batch;
  return (b->stop && atomic_load_explicit(b->stop, memory_order_relaxed) != 0) ||
         atomic_load_explicit(b->halt, memory_order_relaxed) != 0;
}

/* Thread 0 looks before a layer, all read after it: they leave the loop together. */
INLINE void look(run *r, size_t l) {
  if (r->thread == 0) atomic_store_explicit(&r->team->halt[l & 1], stopped(r), memory_order_relaxed);
}
INLINE void heed(run *r, size_t l) { r->halted = atomic_load_explicit(&r->team->halt[l & 1], memory_order_relaxed) != 0; }

/* State before layer i of the segment. */
static real *state(const run *r, size_t i) { return r->h + (r->rebuild ? i & 1 : i) * r->h_size; }

static void copy(const run *r, real *to, const real *from, size_t count) {
  if (r->thread == 0) memcpy(to, from, count * sizeof(real));
  barrier(r);
}

/* Layers [first, last) of a segment that starts at first. */
static void forward_segment(run *r, size_t first, size_t last) {
  for (size_t l = first; l < last && !r->halted; l++) {
    size_t i = l - first;
    look(r, l);
    r->layout->forward(r, l, state(r, i), r->t + i * r->t_size, r->dt ? r->dt + i * r->t_size : NULL, state(r, i + 1));
    heed(r, l);
  }
}

static void backward_segment(run *r, size_t first, size_t last) {
  for (size_t l = last; l-- > first && !r->halted;) {
    size_t i = l - first;
    look(r, l);
    if (r->rebuild) r->layout->rebuild(r, l, state(r, i + 1), r->t + i * r->t_size, state(r, i));
    r->layout->backward(r, l, state(r, i), r->t + i * r->t_size, r->dt ? r->dt + i * r->t_size : NULL, r->b, r->b_next);
    heed(r, l);
    real *swap = r->b;
    r->b = r->b_next;
    r->b_next = swap;
  }
}

static void embed(run *r) {
  const mno_problem *p = r->problem;
  for (size_t i = 0; i < p->N; i++)
    for (size_t d = 0; d < p->D; d++) {
      double sum = 0;
      for (size_t j = 0; j < p->d_in; j++) sum += p->w_embed[d * p->d_in + j] * p->x[i * p->d_in + j];
      r->h_end[i * p->D + d] = sum;
    }
  for (size_t lane = 0; lane < r->batch->count; lane++) r->layout->state_set(r, lane, r->h_end, r->h);
}

/* Whole forward pass; returns h^L. */
static const real *forward_pass(run *r) {
  if (r->thread == 0) embed(r);
  barrier(r);
  size_t last = 0;
  for (size_t s = 0; s < r->segments && !r->halted; s++) {
    size_t first = s * r->segment;
    if (s > 0) copy(r, r->h, r->h + r->segment * r->h_size, r->h_size);
    if (r->start) copy(r, r->start + s * r->h_size, r->h, r->h_size);
    last = first + r->segment < r->L ? first + r->segment : r->L;
    forward_segment(r, first, last);
  }
  return state(r, last - (r->segments - 1) * r->segment);
}

static void backward_pass(run *r) {
  for (size_t s = r->segments; s-- > 0 && !r->halted;) {
    size_t first = s * r->segment, last = first + r->segment < r->L ? first + r->segment : r->L;
    if (s + 1 < r->segments) {
      copy(r, r->h, r->start + s * r->h_size, r->h_size);
      forward_segment(r, first, last);
    }
    if (!r->halted) backward_segment(r, first, last);
  }
}

static void record_weights(const run *r, bool final) {
  for (size_t lane = 0; lane < r->batch->count; lane++) {
    mno_record *record = r->batch->record[lane];
    double *u = final ? record->u : record->u0, *v = final ? record->v : record->v0;
    if (record->outcome == MNO_INSTANCE_DIVERGED) continue;
    if (u) r->layout->weights(r, lane, r->u, u);
    if (v) r->layout->weights(r, lane, r->v, v);
  }
}

/* Ends step k for every instance still alive; returns how many are. */
static size_t end_step(run *r, size_t k, const real *end) {
  const mno_cpu_batch *batch = r->batch;
  size_t alive = 0, K = r->problem->K;
  for (size_t lane = 0; lane < batch->count; lane++) {
    mno_record *record = batch->record[lane];
    if (record->outcome == MNO_INSTANCE_DIVERGED) continue;
    r->layout->state_get(r, lane, end, r->h_end);
    if (!mno_cpu_step_end(batch->plan, record, k, r->h_end, k < K ? r->b_end : NULL, r->f, r->gradient)) continue;
    alive++;
    if (k < K) r->layout->state_set(r, lane, r->b_end, r->b);
  }
  return alive;
}

/* What each thread of a team runs. */
static void train_thread(run *r) {
  r->layout->draw(r);
  barrier(r);
  if (r->thread == 0) record_weights(r, false);
  for (size_t k = 0;; k++) {
    const real *end = forward_pass(r);
    if (r->halted) return;
    if (r->thread == 0) atomic_store(&r->team->go, end_step(r, k, end) > 0 && k < r->problem->K);
    barrier(r);
    if (!atomic_load(&r->team->go)) break;
    backward_pass(r);
    if (r->halted) return;
    barrier(r);
  }
  if (r->thread == 0) record_weights(r, true);
}

static void *train_helper(void *context) {
  run *r = context;
  while ((r->threads = atomic_load(&r->team->threads)) == 0) sched_yield();
  train_thread(r);
  return NULL;
}

static mno_status train(const mno_cpu_batch *batch, const layout *which) {
  enum { MOST = 64 };
  const mno_problem *p = batch->problem;
  team t = {.threads = 0};
  run r[MOST] = {{.team = &t, .batch = batch, .problem = p, .layout = which, .L = batch->L, .M = batch->M}};
  run *first = &r[0];
  measure(first);
  place(first, batch->arena);
  first->inv_D = (real)(1 / (double)p->D);
  first->branch = (real)(p->alpha / ((double)batch->L * (double)batch->M));
  first->rate_u = (real)(p->eta_u / p->alpha);
  first->rate_v = (real)(p->eta_v / p->alpha);
  memset(first->h, 0, first->h_slots * first->h_size * sizeof(real)); /* padding must hold numbers */
  memset(first->b, 0, first->h_size * sizeof(real));
  memset(first->b_next, 0, first->h_size * sizeof(real));
  memset(first->scratch, 0, first->scratch_size * sizeof(real));
  pthread_t helper[MOST];
  int threads = 1, wanted = batch->threads < MOST ? batch->threads : MOST;
  for (; threads < wanted && which->shared; threads++) {
    r[threads] = *first;
    r[threads].thread = threads;
    if (pthread_create(&helper[threads], NULL, train_helper, &r[threads]) != 0) break;
  }
  first->threads = threads;
  atomic_store(&t.threads, threads);
  train_thread(first);
  for (int i = 1; i < threads; i++) pthread_join(helper[i], NULL);
  return first->halted ? MNO_INTERRUPTED : MNO_OK;
}

#endif
