/* SPDX-License-Identifier: BSD-3-Clause */
/* Samples on lanes, one instance: for many samples. Weights are broadcast, number by number, into tiles of rows by two
 * vectors of samples, so that no product is reduced over lanes; changes of weights, which contract over the samples, put
 * units on lanes through transposed copies of what is kept by unit and sample.
 *   tensors                     as in unit_weights.h
 *   h, b                        [panel][D] rows of two vectors of samples; the last panel may be one vector wide
 *   numbers by unit and sample  [slice][panel][units of the slice] rows likewise
 * What lies in the lanes that pad N never reaches the others. */
#ifndef MNO_CPU_SAMPLES_ON_LANES_H
#define MNO_CPU_SAMPLES_ON_LANES_H

#include "cpu/arrangements/unit_weights.h"

#ifdef MNO_SMALL_TILES
enum { SAMPLES_ROWS = 2 };
#elif VEC_REGISTERS == 32
enum { SAMPLES_ROWS = 12 };
#else
enum { SAMPLES_ROWS = 6 };
#endif
enum { SAMPLES_PANEL = 2 * LANES, SAMPLES_LINES = SAMPLES_ROWS > (int)LANES ? 2 : 1 };

INLINE size_t sample_vectors(const network *n) { return (n->N + LANES - 1) / LANES; }

/* acc[i][c] += sum_k a[i a_row + k a_next] x[k][c], c < width. With fetch not NULL also fetches SAMPLES_LINES lines for each
 * k. */
INLINE void samples_tile(const real *a, size_t a_row, size_t a_next, const vec *x, size_t depth, int rows, int width,
                         const vec *fetch, vec acc[SAMPLES_ROWS][2]) {
  for (size_t k = 0; k < depth; k++, a += a_next, x += width) {
    if (fetch) UNROLL for (int i = 0; i < SAMPLES_LINES; i++) v_prefetch(fetch++);
    vec y0 = x[0], y1 = width > 1 ? x[1] : (vec){0};
    UNROLL for (int i = 0; i < rows; i++) {
      vec w = v_set1(a[(size_t)i * a_row]);
      acc[i][0] += w * y0;
      if (width > 1) acc[i][1] += w * y1;
    }
  }
}

/* The operations differ in how they read the weights and in what happens to a finished tile. */
typedef enum samples_operation {
  SAMPLES_CONTRACT,
  SAMPLES_CONTRACT_SLOPES,
  SAMPLES_EXPAND,
  SAMPLES_CHANGE
} samples_operation;

/* One of them, panel by panel. */
typedef struct samples_pass {
  const product *p;
  size_t rows, depth;
  size_t state_at, unit_at; /* the panel in states, and in numbers by unit and sample, in vectors */
  const vec *fetch;         /* weights that are needed next; NULL after the first panel */
  const vec *turned;        /* of a change: y of one or two vectors of units, from the m-th on */
  size_t m;
} samples_pass;

INLINE void samples_finish(const samples_pass *s, const product *p, samples_operation operation, size_t at, vec sum) {
  const size_t unit = s->unit_at + at, state = s->state_at + at;
  switch (operation) {
  case SAMPLES_CONTRACT:
    p->y[unit] = sum * p->scale;
    v_prefetch_write(p->y + unit + p->net->unit_size / LANES);
    return;
  case SAMPLES_CONTRACT_SLOPES:
    v_prefetch(p->s + unit - p->net->unit_size / LANES);
    times_slopes(p, unit, sum * p->scale);
    return;
  default: p->out[state] = p->base[state] + p->scale * sum; v_prefetch_write(p->out + state + p->net->h_size / LANES);
  }
}

/* Contractions are over the rows of the weights, an expansion is over their columns. */
INLINE void samples_product_rows(const samples_pass *s, samples_operation operation, size_t row, int rows, int width) {
  vec acc[SAMPLES_ROWS][2];
  UNROLL for (int i = 0; i < rows; i++) acc[i][0] = acc[i][1] = (vec){0};
  const product *p = s->p;
  const real *w = (const real *)p->w;
  const size_t stride = p->slice->vectors * LANES;
  const vec *fetch = s->fetch ? s->fetch + row / SAMPLES_ROWS * SAMPLES_LINES * s->depth : NULL;
  if (operation == SAMPLES_EXPAND)
    samples_tile(w + row * stride, stride, 1, p->y + s->unit_at, s->depth, rows, width, fetch, acc);
  else
    samples_tile(w + row, 1, stride, (const vec *)p->x + s->state_at, s->depth, rows, width, fetch, acc);
  const product own = *p; /* not read again behind every store */
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int c = 0; c < width; c++) {
    samples_finish(s, &own, operation, (row + (size_t)i) * (size_t)width + (size_t)c, acc[i][c]);
  }
}

/* w -= rate x y^T: rows of x [panel][D], one or two vectors of units of y. */
INLINE void samples_change_rows(const samples_pass *s, size_t row, int rows, int width) {
  const product *p = s->p;
  size_t all = sample_vectors(p->net);
  vec acc[SAMPLES_ROWS][2];
  UNROLL for (int i = 0; i < rows; i++) acc[i][0] = acc[i][1] = (vec){0};
  const real *x = p->x;
  const vec *y = s->turned;
  for (size_t v = 0; v < all; v += 2) {
    size_t panel = (all - v < 2 ? 1 : 2) * LANES, left = p->N - v * LANES, depth = left < panel ? left : panel;
    samples_tile(x + row * panel, panel, 1, y, depth, rows, width, NULL, acc);
    x += p->D * panel;
    y += depth * (size_t)width;
  }
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int c = 0; c < width; c++) {
    p->w[(row + (size_t)i) * p->slice->vectors + s->m + (size_t)c] -= p->rate * acc[i][c];
  }
}

INLINE void samples_rows(const samples_pass *s, samples_operation operation, size_t row, int rows, int width) {
  if (operation == SAMPLES_CHANGE)
    samples_change_rows(s, row, rows, width);
  else
    samples_product_rows(s, operation, row, rows, width);
}

/* Tiles of SAMPLES_ROWS rows, then smaller ones for the rest. */
INLINE void samples_tiles(const samples_pass *s, samples_operation operation, int width) {
  size_t row = 0;
  for (; row + SAMPLES_ROWS <= s->rows; row += SAMPLES_ROWS) samples_rows(s, operation, row, SAMPLES_ROWS, width);
#ifndef MNO_SMALL_TILES
#if VEC_REGISTERS == 32
  if (row + 8 <= s->rows) {
    samples_rows(s, operation, row, 8, width);
    row += 8;
  }
#endif
  if (row + 4 <= s->rows) {
    samples_rows(s, operation, row, 4, width);
    row += 4;
  }
#endif
  for (; row < s->rows; row++) samples_rows(s, operation, row, 1, width);
}

/* All panels of a product. */
INLINE void samples_multiply(const product *p, samples_operation operation) {
  const bool expand = operation == SAMPLES_EXPAND;
  const size_t vectors = sample_vectors(p->net), units = p->slice->count;
  samples_pass s = {.p = p, .rows = expand ? p->D : units, .depth = expand ? units : p->D, .fetch = p->w + p->ahead};
  for (size_t first = 0; first < vectors; first += 2) {
    s.state_at = first * p->D;
    s.unit_at = first * units;
    if (vectors - first < 2)
      samples_tiles(&s, operation, 1);
    else
      samples_tiles(&s, operation, 2);
    s.fetch = NULL;
  }
}

static void samples_contract(const product *p) { samples_multiply(p, SAMPLES_CONTRACT); }
static void samples_contract_slopes(const product *p) { samples_multiply(p, SAMPLES_CONTRACT_SLOPES); }
static void samples_expand(const product *p) { samples_multiply(p, SAMPLES_EXPAND); }

/* y, in panels over `rows` units -> [pair of vectors of units][N] rows of two vectors (one, if it is the last of an odd
 * number); zero where units pad a vector. */
static void samples_turn(const network *n, const vec *y, size_t rows, vec *out) {
  size_t all = sample_vectors(n), N = n->N;
  for (size_t m = 0; m < rows; m += LANES) {
    size_t used = rows - m < LANES ? rows - m : LANES, pair = m / SAMPLES_PANEL * SAMPLES_PANEL;
    size_t wide = rows - pair > LANES ? 2 : 1;
    vec *to = out + pair / LANES * N + (m - pair) / LANES;
    for (size_t v = 0; v < all; v++) {
      size_t width = all - (v & ~(size_t)1) < 2 ? 1 : 2;
      const vec *from = y + (v & ~(size_t)1) * rows + m * width + (v & 1);
      vec x[LANES];
      UNROLL for (size_t i = 0; i < LANES; i++) x[i] = i < used ? from[i * width] : (vec){0};
      v_transpose(x);
      size_t last = N - v * LANES < LANES ? N - v * LANES : LANES;
      for (size_t i = 0; i < last; i++) to[(v * LANES + i) * wide] = x[i];
    }
  }
}

static void samples_change(const product *p) {
  vec *turned = (vec *)p->spare;
  samples_turn(p->net, p->y, p->slice->count, turned);
  samples_pass s = {.p = p, .rows = p->D, .turned = turned};
  for (; s.m < p->slice->vectors; s.m += 2, s.turned += 2 * p->N) {
    if (p->slice->vectors - s.m < 2)
      samples_tiles(&s, SAMPLES_CHANGE, 1);
    else
      samples_tiles(&s, SAMPLES_CHANGE, 2);
  }
}

static void samples_sizes(network *n) {
  size_t samples = sample_vectors(n) * LANES;
  unit_weights_sizes(n);
  n->h_size = n->D * samples;
  n->unit_size = n->M * samples;
  n->slice_numbers = UNITS_SLICE * samples;
  n->spare_size = UNITS_SLICE * LANES * n->N; /* turned s or g */
}

static unit_slice samples_slice(const network *n, size_t slice) {
  unit_slice u = unit_weights_slice(n, slice);
  u.numbers = u.first * sample_vectors(n);
  u.number_count = u.count * sample_vectors(n);
  return u;
}

/* Place of h_d of sample i. */
INLINE size_t samples_place(const network *n, size_t i, size_t d) {
  size_t panel = i / SAMPLES_PANEL, width = n->N - panel * SAMPLES_PANEL > LANES ? SAMPLES_PANEL : LANES;
  return panel * SAMPLES_PANEL * n->D + d * width + i % SAMPLES_PANEL;
}

static void samples_state_get(const network *n, size_t lane, const real *h, double *out) {
  for (size_t i = 0; i < n->N; i++)
    for (size_t d = 0; d < n->D; d++) out[i * n->D + d] = (double)h[samples_place(n, i, d)];
}

static void samples_state_set(const network *n, size_t lane, const double *in, real *h) {
  for (size_t i = 0; i < n->N; i++)
    for (size_t d = 0; d < n->D; d++) h[samples_place(n, i, d)] = (real)in[i * n->D + d];
}

static void samples_prepare(const seat *s, const real *h) {
  for (size_t i = 0; i < s->net->h_size; i += LANES) v_prefetch(h + i - s->net->h_size);
}

static const arrangement samples_on_lanes = {
    .instances = 1,
    .sizes = samples_sizes,
    .slice = samples_slice,
    .draw = unit_weights_draw,
    .weights = unit_weights_export,
    .state_get = samples_state_get,
    .state_set = samples_state_set,
    .prepare = samples_prepare,
    .contract = samples_contract,
    .contract_slopes = samples_contract_slopes,
    .expand = samples_expand,
    .change = samples_change,
};

#endif
