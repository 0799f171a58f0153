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

/* bench/choices.py rebuild-bytes, rebuild-units, state-bytes measure them: states that are rebuilt cost 1.1 times the time
 * where all fit the caches, those that are not up to 1.8 times where they do not (bench/results/choices.md). */
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

enum { TEAM_MOST = 64 };

/* Threads that work on one batch together. Each runs the training loop on its own copy of the states and owns some blocks of
 * units, whose weights no other thread touches. What crosses are the blocks' contributions to the next state: once a layer,
 * after all have met, each thread adds them up, in the order of one thread, so that the number of threads does not show in
 * the bits. */
typedef struct team {
  struct {
    _Alignas(PAGE) atomic_uint passed; /* meetings that this thread has come to */
  } seat[TEAM_MOST];
  atomic_int threads; /* 0 until all have been started */
  atomic_int halt[2]; /* by parity of the meeting, set by thread 0 before it */
  atomic_int go;      /* another step follows */
  real *parts;        /* [2][blocks][h_size], contributions of the blocks, by parity of the meeting */
  real *nothing;      /* [h_size], of -0: what a contribution is added to */
  const real *b;      /* [h_size], b^L of thread 0 */
} team;

/* One batch in training. Sizes count reals. */
typedef struct run {
  team *team;
  int thread, threads;
  unsigned passed; /* meetings of the team */
  bool halted;
  const mno_cpu_batch *batch;
  const mno_problem *problem;
  const struct layout *layout;
  size_t D, M, N, L;
  real inv_D, branch;  /* 1/D, alpha/(L M) */
  real rate_u, rate_v; /* eta/alpha */
  slope kind;
  size_t blocks;                               /* of units in a layer */
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

/* A layer is gone through in blocks of units: block i adds its part of a product over the units to `base`, scaled, in `out`
 * (which may be the same array). */
typedef struct layout {
  void (*sizes)(run *r);              /* blocks, w_size, h_size, t_size, scratch_size */
  void (*draw)(run *r, size_t block); /* initial weights of a block, all layers */
  /* [L][M][D] of one instance, to double */
  void (*weights)(const run *r, size_t lane, const real *w, double *out);
  /* state of one instance <-> [N][D] in double */
  void (*state_get)(const run *r, size_t lane, const real *h, double *out);
  void (*state_set)(const run *r, size_t lane, const double *in, real *h);
  void (*forward)(const run *r, size_t l, size_t block, const real *h, real *t, real *dt, const real *base, real scale,
                  real *out);
  /* h^{l-1} = h^l - alpha/(L M) V rho, from the stored rho; may be NULL */
  void (*rebuild)(const run *r, size_t l, const real *h_next, const real *t, real *h);
  /* before the blocks of a layer run backward; may be NULL */
  void (*prepare)(run *r, const real *h);
  /* the block's part of b^{l-1}, and its updates */
  void (*backward)(run *r, size_t l, size_t block, const real *h, const real *t, const real *dt, const real *b,
                   const real *base, real scale, real *out);
} layout;

/* Waits for the whole team. */
static void meet(run *r) {
  if (r->threads == 1) return;
  unsigned passed = ++r->passed;
  atomic_store_explicit(&r->team->seat[r->thread].passed, passed, memory_order_release);
  for (int i = 0; i < r->threads; i++)
    for (int spins = 0; (int)(atomic_load_explicit(&r->team->seat[i].passed, memory_order_acquire) - passed) < 0; spins++) {
      if (spins > 4000) sched_yield(); /* more threads than cores */
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
}

/* This thread's blocks: [*first, *last). */
INLINE void share(const run *r, size_t *first, size_t *last) {
  *first = r->blocks * (size_t)r->thread / (size_t)r->threads;
  *last = r->blocks * ((size_t)r->thread + 1) / (size_t)r->threads;
}

/* Where a block's contribution goes until the next meeting. */
INLINE real *part(const run *r, unsigned meeting, size_t block) {
  return r->team->parts + ((meeting & 1) * r->blocks + block) * r->h_size;
}

static size_t isqrt(size_t x) {
  size_t root = (size_t)sqrt((double)x);
  return root ? root : 1;
}

typedef struct array {
  void *pointer;
  size_t bytes;
} array;

/* Places arrays at arena (NULL: only counts); returns the bytes. */
static size_t place_arrays(const array *arrays, size_t count, char *arena) {
  size_t used = 0;
  for (size_t i = 0; i < count; i++) {
    void *at = arena && arrays[i].bytes ? arena + used : NULL;
    memcpy(arrays[i].pointer, &at, sizeof at);
    used += (arrays[i].bytes + PAGE - 1) / PAGE * PAGE;
  }
  return used;
}

/* What every thread of a team has for itself. */
static size_t place_own(run *r, char *arena) {
  const mno_problem *p = r->problem;
  const array arrays[] = {{&r->h, r->h_slots * r->h_size * sizeof(real)},
                          {&r->start, r->segments > 1 ? r->segments * r->h_size * sizeof(real) : 0},
                          {&r->b, r->h_size * sizeof(real)},
                          {&r->b_next, r->h_size * sizeof(real)},
                          {&r->scratch, r->scratch_size * sizeof(real)},
                          {&r->h_end, p->N * p->D * sizeof(double)},
                          {&r->b_end, p->N * p->D * sizeof(double)},
                          {&r->f, p->N * p->d_out * sizeof(double)},
                          {&r->gradient, p->N * p->d_out * sizeof(double)}};
  return place_arrays(arrays, sizeof arrays / sizeof *arrays, arena);
}

static size_t place(run *r, char *arena) {
  const array arrays[] = {{&r->u, r->L * r->w_size * sizeof(real)},
                          {&r->v, r->L * r->w_size * sizeof(real)},
                          {&r->t, r->segment * r->t_size * sizeof(real)},
                          {&r->dt, r->kind == SLOPE_STORED ? r->segment * r->t_size * sizeof(real) : 0}};
  size_t used = place_arrays(arrays, sizeof arrays / sizeof *arrays, arena);
  return used + place_own(r, arena ? arena + used : NULL);
}

/* Fills in the sizes from problem, L, M and layout; returns the bytes of the arena. */
static size_t measure(run *r, size_t state_bytes) {
  r->D = r->problem->D;
  r->N = r->problem->N;
  r->kind = slope_kind(r->problem->activation);
  r->layout->sizes(r);
  size_t layer = r->h_size + r->t_size * (r->kind == SLOPE_STORED ? 2 : 1);
  r->segment = r->L;
  r->rebuild = r->layout->rebuild && r->M <= REBUILD_M && r->L * (layer + 2 * r->w_size) * sizeof(real) > REBUILD_BYTES;
  if (r->L * (r->rebuild ? layer - r->h_size : layer) * sizeof(real) > (state_bytes ? state_bytes : STATE_BYTES)) {
    size_t best = isqrt(r->L * r->h_size / layer) + 1;
    if (best < r->segment) r->segment = best;
    r->rebuild = false;
  }
  r->segments = (r->L + r->segment - 1) / r->segment;
  r->h_slots = r->rebuild ? 2 : r->segment + 1;
  return place(r, NULL);
}

/* What a further thread of the team takes, with some of what the team shares; 0 where there is nothing to share. */
static size_t measure_helper(run *r) {
  measure(r, 0);
  return r->blocks < 2 ? 0 : place_own(r, NULL) + 3 * r->h_size * sizeof(real);
}

static bool stopped(const run *r) {
  const mno_cpu_batch *b = r->batch;
  return (b->stop && atomic_load_explicit(b->stop, memory_order_relaxed) != 0) ||
         atomic_load_explicit(b->halt, memory_order_relaxed) != 0;
}

/* Thread 0 looks before a layer, all read after it: they leave the loop together. */
INLINE void look(run *r) {
  if (r->thread == 0) atomic_store_explicit(&r->team->halt[(r->passed + 1) & 1], stopped(r), memory_order_relaxed);
}
INLINE void heed(run *r) {
  r->halted = atomic_load_explicit(&r->team->halt[(r->passed + (r->threads == 1)) & 1], memory_order_relaxed) != 0;
}

/* State before layer i of the segment. */
static real *state(const run *r, size_t i) { return r->h + (r->rebuild ? i & 1 : i) * r->h_size; }

/* next = from + scale * (the blocks' contributions, one after the other). */
static void gather(const run *r, const real *from, bool downwards, real *next) {
  const size_t blocks = r->blocks, count = r->h_size / LANES;
  for (size_t j = 0; j < blocks; j++) {
    const vec *add = (const vec *)part(r, r->passed, downwards ? blocks - 1 - j : j),
              *x = (const vec *)(j == 0 ? from : next);
    vec *y = (vec *)next;
    for (size_t i = 0; i < count; i++) y[i] = x[i] + r->branch * add[i];
  }
}

static void forward_layer(run *r, size_t l, const real *h, real *t, real *dt, real *h_next) {
  look(r);
  if (r->threads == 1) {
    for (size_t i = 0; i < r->blocks; i++) r->layout->forward(r, l, i, h, t, dt, i == 0 ? h : h_next, r->branch, h_next);
  } else {
    size_t i, last;
    for (share(r, &i, &last); i < last; i++)
      r->layout->forward(r, l, i, h, t, dt, r->team->nothing, 1, part(r, r->passed + 1, i));
    meet(r);
    gather(r, h, false, h_next);
  }
  heed(r);
}

/* Blocks from the last to the first, as memory is gone through. */
static void backward_layer(run *r, size_t l, const real *h, const real *t, const real *dt, const real *b, real *b_next) {
  look(r);
  if (r->layout->prepare) r->layout->prepare(r, h);
  if (r->threads == 1) {
    for (size_t i = r->blocks; i-- > 0;)
      r->layout->backward(r, l, i, h, t, dt, b, i + 1 == r->blocks ? b : b_next, r->branch, b_next);
  } else {
    size_t first, i;
    for (share(r, &first, &i); i-- > first;)
      r->layout->backward(r, l, i, h, t, dt, b, r->team->nothing, 1, part(r, r->passed + 1, i));
    meet(r);
    gather(r, b, true, b_next);
  }
  heed(r);
}

/* Layers [first, last) of a segment that starts at first. */
static void forward_segment(run *r, size_t first, size_t last) {
  for (size_t l = first; l < last && !r->halted; l++) {
    size_t i = l - first;
    forward_layer(r, l, state(r, i), r->t + i * r->t_size, r->dt ? r->dt + i * r->t_size : NULL, state(r, i + 1));
  }
}

static void backward_segment(run *r, size_t first, size_t last) {
  for (size_t l = last; l-- > first && !r->halted;) {
    size_t i = l - first;
    if (r->rebuild) r->layout->rebuild(r, l, state(r, i + 1), r->t + i * r->t_size, state(r, i));
    backward_layer(r, l, state(r, i), r->t + i * r->t_size, r->dt ? r->dt + i * r->t_size : NULL, r->b, r->b_next);
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
  embed(r);
  size_t last = 0, bytes = r->h_size * sizeof(real);
  for (size_t s = 0; s < r->segments && !r->halted; s++) {
    size_t first = s * r->segment;
    if (s > 0) memcpy(r->h, r->h + r->segment * r->h_size, bytes);
    if (r->start) memcpy(r->start + s * r->h_size, r->h, bytes);
    last = first + r->segment < r->L ? first + r->segment : r->L;
    forward_segment(r, first, last);
  }
  return state(r, last - (r->segments - 1) * r->segment);
}

static void backward_pass(run *r) {
  for (size_t s = r->segments; s-- > 0 && !r->halted;) {
    size_t first = s * r->segment, last = first + r->segment < r->L ? first + r->segment : r->L;
    if (s + 1 < r->segments) {
      memcpy(r->h, r->start + s * r->h_size, r->h_size * sizeof(real));
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
  size_t i, last;
  for (share(r, &i, &last); i < last; i++) r->layout->draw(r, i);
  meet(r);
  if (r->thread == 0) record_weights(r, false);
  for (size_t k = 0;; k++) {
    const real *end = forward_pass(r);
    if (r->halted) return;
    if (r->thread == 0) {
      atomic_store(&r->team->go, end_step(r, k, end) > 0 && k < r->problem->K);
      r->team->b = r->b;
    }
    meet(r);
    if (!atomic_load(&r->team->go)) break;
    if (r->thread > 0) memcpy(r->b, r->team->b, r->h_size * sizeof(real));
    backward_pass(r);
    if (r->halted) return;
  }
  if (r->thread == 0) record_weights(r, true);
}

static void *train_helper(void *context) {
  run *r = context;
  while ((r->threads = atomic_load(&r->team->threads)) == 0) sched_yield();
  train_thread(r);
  return NULL;
}

/* A thread's own arrays hold numbers everywhere, also where they pad. */
static void clear_own(run *r) {
  memset(r->h, 0, r->h_slots * r->h_size * sizeof(real));
  memset(r->b, 0, r->h_size * sizeof(real));
  memset(r->b_next, 0, r->h_size * sizeof(real));
  memset(r->scratch, 0, r->scratch_size * sizeof(real));
}

typedef struct helper {
  run run;
  pthread_t thread;
  void *own;
  size_t bytes;
} helper;

static bool helper_start(helper *h, const run *first, int thread) {
  h->run = *first;
  h->run.thread = thread;
  h->bytes = place_own(&h->run, NULL);
  h->own = mno_cpu_pages_new(&h->bytes);
  if (!h->own) return false;
  place_own(&h->run, h->own);
  clear_own(&h->run);
  if (pthread_create(&h->thread, NULL, train_helper, &h->run) == 0) return true;
  mno_cpu_pages_free(h->own, h->bytes);
  return false;
}

/* Starts up to `wanted` helpers; returns how many. The first run's threads are set. */
static int team_start(team *t, run *first, helper *helpers, int wanted, void **shared, size_t *bytes) {
  int count = 0;
  *bytes = (2 * first->blocks + 1) * first->h_size * sizeof(real);
  *shared = wanted > 0 ? mno_cpu_pages_new(bytes) : NULL;
  if (*shared) {
    t->nothing = *shared;
    t->parts = t->nothing + first->h_size;
    for (size_t i = 0; i < first->h_size; i++) t->nothing[i] = REAL_C(-0.0);
    while (count < wanted && helper_start(&helpers[count], first, count + 1)) count++;
  }
  first->threads = count + 1;
  atomic_store(&t->threads, count + 1);
  return count;
}

static mno_status train(const mno_cpu_batch *batch, const layout *which) {
  const mno_problem *p = batch->problem;
  team t = {.threads = 0};
  helper helpers[TEAM_MOST];
  run first = {.team = &t, .batch = batch, .problem = p, .layout = which, .L = batch->L, .M = batch->M};
  measure(&first, batch->state_bytes);
  place(&first, batch->arena);
  first.inv_D = (real)(1 / (double)p->D);
  first.branch = (real)(p->alpha / ((double)batch->L * (double)batch->M));
  first.rate_u = (real)(p->eta_u / p->alpha);
  first.rate_v = (real)(p->eta_v / p->alpha);
  clear_own(&first);
  int most = first.blocks < TEAM_MOST ? (int)first.blocks : TEAM_MOST;
  void *shared;
  size_t bytes;
  int count = team_start(&t, &first, helpers, (batch->threads < most ? batch->threads : most) - 1, &shared, &bytes);
  train_thread(&first);
  for (int i = 0; i < count; i++) {
    pthread_join(helpers[i].thread, NULL);
    mno_cpu_pages_free(helpers[i].own, helpers[i].bytes);
  }
  mno_cpu_pages_free(shared, bytes);
  return first.halted ? MNO_INTERRUPTED : MNO_OK;
}

#endif
