/* SPDX-License-Identifier: BSD-3-Clause */
/* A batch of instances in training, as the kernels see it, and the operations that an arrangement of it in memory offers.
 *
 * A layer's units are worked on in slices, one after the other or by several threads. Arrays of a layer, in numbers:
 *   a tensor of weights, or one of the optimiser's states beside it   [w_size]
 *   a state of the network, h or b                                    [h_size]
 *   a number for every unit and sample                                [unit_size]
 * How indices lie in them is the arrangement's business; pads hold zero weights and stay so. Nothing in here or in an
 * arrangement knows the block's formula, the optimiser or the schedule. */
#ifndef MNO_CPU_NETWORK_H
#define MNO_CPU_NETWORK_H

#include "cpu/cpu.h"
#include "cpu/optimizers.h"

#include "block/block.h"

#include <stdbool.h>

/* bench/choices.py rebuild-bytes, rebuild-units, state-bytes measure them: states that are rebuilt cost 1.1 times the time
 * where all fit the caches, those that are not up to 1.8 times where they do not (bench/results/choices.md). */
enum { STATE_BYTES = 1 << 28, REBUILD_BYTES = 1 << 22, REBUILD_M = 12, PAGE = 64 };

/* s and the slopes, or first the projections. */
enum { OUTPUT = INPUTS, KEPT_MOST = TENSORS };

/* A slice of units. Places and counts of arrays are in vectors. */
typedef struct unit_slice {
  size_t first, count;          /* units of the layer */
  size_t vectors;               /* of units: weights are [D][vectors] */
  size_t weights;               /* place of its weights in a tensor of a layer; there are D vectors */
  size_t numbers, number_count; /* place of its numbers by unit and sample, and how many there are */
} unit_slice;

/* How states are kept between the passes; see train.h. */
typedef struct tuning {
  bool rebuild;
  size_t segment, segments, h_slots; /* layers per segment, segments, states kept */
} tuning;

/* What all threads of a team share; only what the arrays hold changes while they run. */
typedef struct network {
  const mno_cpu_batch *batch;
  const mno_problem *problem;
  const struct arrangement *arrangement;
  size_t D, M, N, L;
  real inv_D, branch;   /* 1/D, alpha/(L M) */
  mno_slope_rule slope; /* how the slopes of the block's formula are had */
  bool fuses;           /* is the optimiser's step a product that is added onto the weights? */
  bool fused;           /* and in the same go as others? Set by the arrangement */
  updater *update;      /* else */
  size_t states;        /* of the optimiser */
  real knob[MNO_KNOBS_MOST];
  size_t slices;                                   /* of units in a layer */
  unit_slice *slice;                               /* [slices] */
  size_t w_size, h_size, unit_size;                /* see above */
  size_t slice_weights, slice_numbers, spare_size; /* of the largest slice, in vectors; of the arrangement's scratch */
  size_t kept_count;
  tuning tuning;
  real *w[TENSORS];                      /* [L][w_size] */
  real *state[TENSORS][MNO_STATES_MOST]; /* [L][w_size] */
  real *kept[KEPT_MOST];                 /* [segment][unit_size] s, then the slopes if they are kept */
} network;

typedef struct team team;

/* A thread's place in the team: it runs the training loop on states of its own. */
typedef struct seat {
  const network *net;
  team *team;
  int thread, threads;
  unsigned barriers; /* that it has passed */
  bool stopped;
  real rate[TENSORS];     /* of the step */
  real *h;                /* [h_slots][h_size], states of the current segment */
  real *start;            /* [segments][h_size], states at the starts; NULL if one segment */
  real *b, *b_next;       /* [h_size] */
  vec *g;                 /* [INPUTS][slice_numbers] */
  vec *gradient;          /* [TENSORS][slice_weights], unless the optimiser fuses */
  real *spare;            /* [spare_size], the arrangement's */
  double *h_end, *b_end;  /* [N][D], one instance at the end of the network */
  double *f, *f_gradient; /* [N][d_out] */
} seat;

/* What an operation works on: a tensor W of a slice of units, and arrays in vectors. */
typedef struct product {
  const network *net;
  real *spare;
  const unit_slice *slice;
  size_t D, N;
  ptrdiff_t ahead; /* from a weight to the same one of the slice that is worked on next */
  size_t tensor;
  vec *w;                       /* W */
  const real *x;                /* h or b */
  vec *y;                       /* a number by unit and sample */
  const vec *s, *slope[INPUTS]; /* likewise, kept by the forward pass */
  vec *g[INPUTS];               /* likewise */
  const vec *base;              /* a state */
  vec *out;                     /* a state; may be base */
  real scale, rate;
} product;

typedef struct arrangement {
  void (*sizes)(network *n);
  unit_slice (*slice)(const network *n, size_t slice);
  void (*draw)(const network *n, size_t slice);                               /* initial weights of a slice, all layers */
  void (*weights)(const network *n, size_t lane, const real *w, double *out); /* [L][M][D] of one instance, to double */
  /* state of one instance <-> [N][D] in double */
  void (*state_get)(const network *n, size_t lane, const real *h, double *out);
  void (*state_set)(const network *n, size_t lane, const double *in, real *h);
  /* before the slices of a layer run backward from h; may be NULL */
  void (*prepare)(const seat *s, const real *h);

  void (*contract)(const product *p);        /* y = scale W^T x */
  void (*contract_slopes)(const product *p); /* g_a = (slope a) scale W^T x */
  void (*expand)(const product *p);          /* out = base + scale W y */
  void (*change)(const product *p);          /* W -= rate x y^T */
  /* The same with a change by the rate in the same go: of W by x and s; of W by h, as prepared, and y. Where n->fused. */
  void (*contract_slopes_and_change)(const product *p);
  void (*expand_and_change)(const product *p);
  void (*clear_padding)(const product *p); /* y = 0 where units pad; may be NULL */
  size_t instances;                        /* most in a batch */
  bool rebuilds;                           /* may states be rebuilt? Then a layer is one slice. */
} arrangement;

INLINE product product_of(const seat *s, size_t slice, ptrdiff_t direction) {
  const network *n = s->net;
  const unit_slice *u = &n->slice[slice];
  return (product){
      .net = n, .spare = s->spare, .slice = u, .D = n->D, .N = n->N, .ahead = direction * (ptrdiff_t)(n->D * u->vectors)};
}

INLINE vec *weights_at(const network *n, const real *w, size_t l, const product *p) {
  return (vec *)w + l * (n->w_size / LANES) + p->slice->weights;
}

INLINE vec slope_of(mno_slope_rule rule, vec s, vec kept) {
  switch (rule) {
  case MNO_SLOPE_TANH: return 1 - s * s;
  case MNO_SLOPE_STEP: return v_select(v_lt(v_set1(0), s), v_set1(1), v_set1(0));
  case MNO_SLOPE_ONE: return v_set1(1);
  default: return kept;
  }
}

/* g_a = (slope a) q at one place. */
INLINE void times_slopes(const product *p, size_t at, vec q) {
  const mno_slope_rule rule = p->net->slope;
  UNROLL for (int a = 0; a < INPUTS; a++) p->g[a][at] =
      slope_of(rule, p->s[at], rule == MNO_SLOPE_KEPT ? p->slope[a][at] : (vec){0}) * q;
}

static size_t isqrt(size_t x) {
  size_t root = (size_t)sqrt((double)x);
  return root ? root : 1;
}

/* Sizes, from the problem, L, M, the arrangement and the most bytes that states may take (0: the default). */
static network network_of(const mno_problem *problem, size_t L, size_t M, const arrangement *a, size_t state_bytes) {
  network n = {.problem = problem, .arrangement = a, .D = problem->D, .M = M, .N = problem->N, .L = L};
  n.inv_D = (real)(1 / (double)n.D);
  n.branch = (real)(problem->alpha / ((double)L * (double)M));
  n.slope = problem->block->slope ? problem->block->slope(problem->activation) : MNO_SLOPE_KEPT;
  n.kept_count = n.slope == MNO_SLOPE_KEPT ? 1 + INPUTS : INPUTS;
  n.states = problem->optimizer->states;
  n.fuses = problem->optimizer->fuses;
  n.update = updater_of(problem->optimizer);
  for (size_t i = 0; i < MNO_KNOBS_MOST; i++) n.knob[i] = (real)problem->knob[i];
  a->sizes(&n);
  const size_t layer = n.h_size + n.kept_count * n.unit_size, weights = TENSORS * (1 + n.states) * n.w_size;
  tuning *t = &n.tuning;
  t->segment = L;
  t->rebuild = a->rebuilds && M <= REBUILD_M && L * (layer + weights) * sizeof(real) > REBUILD_BYTES;
  if (L * (t->rebuild ? layer - n.h_size : layer) * sizeof(real) > (state_bytes ? state_bytes : STATE_BYTES)) {
    size_t best = isqrt(L * n.h_size / layer) + 1;
    if (best < t->segment) t->segment = best;
    t->rebuild = false;
  }
  t->segments = (L + t->segment - 1) / t->segment;
  t->h_slots = t->rebuild ? 2 : t->segment + 1;
  return n;
}

/* Memory that is given out piece by piece; start NULL only counts. */
typedef struct arena {
  char *start;
  size_t used;
} arena;

static void *carve(arena *a, size_t count, size_t size) {
  void *at = a->start && count ? a->start + a->used : NULL;
  a->used += (count * size + PAGE - 1) / PAGE * PAGE;
  return at;
}

static void network_place(network *n, arena *a) {
  for (size_t t = 0; t < TENSORS; t++) {
    n->w[t] = carve(a, n->L * n->w_size, sizeof(real));
    for (size_t i = 0; i < n->states; i++) n->state[t][i] = carve(a, n->L * n->w_size, sizeof(real));
  }
  for (size_t i = 0; i < n->kept_count; i++) n->kept[i] = carve(a, n->tuning.segment * n->unit_size, sizeof(real));
}

/* Behind the arrays, so that weights begin where a page does. */
static void network_place_slices(network *n, arena *a) {
  n->slice = carve(a, n->slices, sizeof *n->slice);
  for (size_t i = 0; n->slice && i < n->slices; i++) n->slice[i] = n->arrangement->slice(n, i);
}

static void network_clear_states(const network *n) {
  for (size_t t = 0; t < TENSORS; t++)
    for (size_t i = 0; i < n->states; i++) memset(n->state[t][i], 0, n->L * n->w_size * sizeof(real));
}

/* What every thread of a team has for itself. */
static void seat_place(seat *s, arena *a) {
  const network *n = s->net;
  const mno_problem *p = n->problem;
  s->h = carve(a, n->tuning.h_slots * n->h_size, sizeof(real));
  s->start = carve(a, n->tuning.segments > 1 ? n->tuning.segments * n->h_size : 0, sizeof(real));
  s->b = carve(a, n->h_size, sizeof(real));
  s->b_next = carve(a, n->h_size, sizeof(real));
  s->g = carve(a, INPUTS * n->slice_numbers, sizeof(vec));
  s->gradient = carve(a, n->fuses ? 0 : TENSORS * n->slice_weights, sizeof(vec));
  s->spare = carve(a, n->spare_size, sizeof(real));
  s->h_end = carve(a, p->N * p->D, sizeof(double));
  s->b_end = carve(a, p->N * p->D, sizeof(double));
  s->f = carve(a, p->N * p->d_out, sizeof(double));
  s->f_gradient = carve(a, p->N * p->d_out, sizeof(double));
}

/* Its arrays hold numbers everywhere, also where they pad. */
static void seat_clear(seat *s) {
  const network *n = s->net;
  memset(s->h, 0, n->tuning.h_slots * n->h_size * sizeof(real));
  memset(s->b, 0, n->h_size * sizeof(real));
  memset(s->b_next, 0, n->h_size * sizeof(real));
  memset(s->g, 0, INPUTS * n->slice_numbers * sizeof(vec));
  if (s->spare) memset(s->spare, 0, n->spare_size * sizeof(real));
}

#endif
