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

/* One batch in training. Sizes count reals. */
typedef struct run {
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
  void (*sizes)(run *r); /* w_size, h_size, t_size, scratch_size */
  void (*draw)(run *r);  /* initial weights */
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

/* State before layer i of the segment. */
static real *state(const run *r, size_t i) { return r->h + (r->rebuild ? i & 1 : i) * r->h_size; }

/* Layers [first, last) of a segment that starts at first. */
static void forward_segment(run *r, size_t first, size_t last) {
  for (size_t l = first; l < last && !stopped(r); l++) {
    size_t i = l - first;
    r->layout->forward(r, l, state(r, i), r->t + i * r->t_size, r->dt ? r->dt + i * r->t_size : NULL, state(r, i + 1));
  }
}

static void backward_segment(run *r, size_t first, size_t last) {
  for (size_t l = last; l-- > first && !stopped(r);) {
    size_t i = l - first;
    if (r->rebuild) r->layout->rebuild(r, l, state(r, i + 1), r->t + i * r->t_size, state(r, i));
    r->layout->backward(r, l, state(r, i), r->t + i * r->t_size, r->dt ? r->dt + i * r->t_size : NULL, r->b, r->b_next);
    real *swap = r->b;
    r->b = r->b_next;
    r->b_next = swap;
  }
}

/* Whole forward pass; returns h^L. */
static const real *forward_pass(run *r) {
  const mno_problem *p = r->problem;
  for (size_t i = 0; i < p->N; i++)
    for (size_t d = 0; d < p->D; d++) {
      double sum = 0;
      for (size_t j = 0; j < p->d_in; j++) sum += p->w_embed[d * p->d_in + j] * p->x[i * p->d_in + j];
      r->h_end[i * p->D + d] = sum;
    }
  for (size_t lane = 0; lane < r->batch->count; lane++) r->layout->state_set(r, lane, r->h_end, r->h);
  size_t last = 0;
  for (size_t s = 0; s < r->segments; s++) {
    size_t first = s * r->segment;
    if (s > 0) memcpy(r->h, r->h + r->segment * r->h_size, r->h_size * sizeof(real));
    if (r->start) memcpy(r->start + s * r->h_size, r->h, r->h_size * sizeof(real));
    last = first + r->segment < r->L ? first + r->segment : r->L;
    forward_segment(r, first, last);
  }
  return state(r, last - (r->segments - 1) * r->segment);
}

static void backward_pass(run *r) {
  for (size_t s = r->segments; s-- > 0 && !stopped(r);) {
    size_t first = s * r->segment, last = first + r->segment < r->L ? first + r->segment : r->L;
    if (s + 1 < r->segments) {
      memcpy(r->h, r->start + s * r->h_size, r->h_size * sizeof(real));
      forward_segment(r, first, last);
    }
    backward_segment(r, first, last);
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

static mno_status train(const mno_cpu_batch *batch, const layout *which) {
  const mno_problem *p = batch->problem;
  run r = {.batch = batch, .problem = p, .layout = which, .L = batch->L, .M = batch->M};
  measure(&r);
  place(&r, batch->arena);
  r.inv_D = (real)(1 / (double)p->D);
  r.branch = (real)(p->alpha / ((double)r.L * (double)r.M));
  r.rate_u = (real)(p->eta_u / p->alpha);
  r.rate_v = (real)(p->eta_v / p->alpha);
  memset(r.h, 0, r.h_slots * r.h_size * sizeof(real)); /* padding must hold numbers */
  memset(r.b, 0, r.h_size * sizeof(real));
  memset(r.b_next, 0, r.h_size * sizeof(real));
  memset(r.scratch, 0, r.scratch_size * sizeof(real));
  which->draw(&r);
  record_weights(&r, false);
  for (size_t k = 0;; k++) {
    const real *end = forward_pass(&r);
    size_t alive = 0;
    for (size_t lane = 0; lane < batch->count && !stopped(&r); lane++) {
      mno_record *record = batch->record[lane];
      if (record->outcome == MNO_INSTANCE_DIVERGED) continue;
      which->state_get(&r, lane, end, r.h_end);
      if (!mno_cpu_step_end(batch->plan, record, k, r.h_end, k < p->K ? r.b_end : NULL, r.f, r.gradient)) continue;
      alive++;
      if (k < p->K) which->state_set(&r, lane, r.b_end, r.b);
    }
    if (stopped(&r)) return MNO_INTERRUPTED;
    if (k == p->K || alive == 0) break;
    backward_pass(&r);
    if (stopped(&r)) return MNO_INTERRUPTED;
  }
  record_weights(&r, true);
  return MNO_OK;
}

#endif
