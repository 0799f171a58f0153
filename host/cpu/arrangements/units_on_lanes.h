/* SPDX-License-Identifier: BSD-3-Clause */
/* Units on lanes, one instance: for wide layers and few samples. Four of the six products need no reduction; the two that
 * contract over the units transpose square blocks of weights in registers and leave the coordinates on lanes.
 *   tensors                     as in unit_weights.h
 *   numbers by unit and sample  [vector of units][N] vectors
 *   h, b                        [vector of coordinates][N] vectors, zero where they pad D
 * Units that pad the last vector: their s is set to zero. */
#ifndef MNO_CPU_UNITS_ON_LANES_H
#define MNO_CPU_UNITS_ON_LANES_H

#include "cpu/arrangements/unit_weights.h"

#ifdef MNO_SMALL_TILES
enum { UNITS_COLUMNS = 2, UNITS_CHANGE_D = 2, UNITS_CHANGE_M = 2 };
#elif VEC_REGISTERS == 32
enum { UNITS_COLUMNS = 10, UNITS_CHANGE_D = 4, UNITS_CHANGE_M = 4 };
#else
enum { UNITS_COLUMNS = 5, UNITS_CHANGE_D = 2, UNITS_CHANGE_M = 4 };
#endif

INLINE size_t units_rows_at(const product *p, size_t d0) { return p->D - d0 < LANES ? p->D - d0 : LANES; }

/* scale w^T x on two or one vectors of units, which become y, or g with the slopes. */
INLINE void units_contract_tile(const product *p, bool slopes, size_t m, size_t n0, int two, int columns) {
  vec a[2][UNITS_COLUMNS];
  UNROLL for (int i = 0; i <= two; i++) UNROLL for (int n = 0; n < columns; n++) a[i][n] = (vec){0};
  const vec *w = p->w + m;
  const real *x = p->x + n0 * LANES;
  for (size_t d0 = 0; d0 < p->D; d0 += LANES, x += p->N * LANES) {
    size_t rows = units_rows_at(p, d0);
    for (size_t d = 0; d < rows; d++, w += p->slice->vectors) {
      vec w0 = w[0], w1 = two ? w[1] : (vec){0};
      v_prefetch(w + p->ahead);
      if (two) v_prefetch(w + p->ahead + 1);
      UNROLL for (int n = 0; n < columns; n++) {
        vec b = v_set1(x[(size_t)n * LANES + d]);
        a[0][n] += w0 * b;
        if (two) a[1][n] += w1 * b;
      }
    }
  }
  UNROLL for (int i = 0; i <= two; i++) UNROLL for (int n = 0; n < columns; n++) {
    size_t at = (m + (size_t)i) * p->N + n0 + (size_t)n;
    vec value = a[i][n] * p->scale;
    if (slopes) {
      times_slopes(p, at, value);
    } else {
      p->y[at] = value;
      v_prefetch_write(p->y + at + p->net->unit_size / LANES);
    }
  }
}

INLINE void units_contract_columns(const product *p, bool slopes, size_t n0, int columns) {
  size_t m = 0;
  for (; m + 2 <= p->slice->vectors; m += 2) units_contract_tile(p, slopes, m, n0, 1, columns);
  if (m < p->slice->vectors) units_contract_tile(p, slopes, m, n0, 0, columns);
}

/* acc[n] += w y on LANES coordinates, from one vector of units. What comes next is fetched line by line between products:
 * all at once would fill the buffers of the cache. */
INLINE void units_square(const product *p, const vec *w, size_t rows, const vec *y, int columns, vec *acc) {
  vec v[LANES];
  if (rows == LANES) {
    UNROLL for (size_t i = 0; i < LANES; i++) v[i] = w[i * p->slice->vectors];
  } else {
    UNROLL for (size_t i = 0; i < LANES; i++) v[i] = i < rows ? w[i * p->slice->vectors] : (vec){0};
  }
  v_transpose(v);
  const real *t = (const real *)y;
  UNROLL for (size_t i = 0; i < LANES; i++) {
    v_prefetch(w + i * p->slice->vectors + p->ahead);
    UNROLL for (int n = 0; n < columns; n++) acc[n] += v[i] * t[(size_t)n * LANES + i];
  }
}

/* out = base + scale w y on LANES coordinates. */
INLINE void units_expand_rows(const product *p, size_t d0, size_t n0, int columns) {
  vec acc[UNITS_COLUMNS];
  UNROLL for (int n = 0; n < columns; n++) acc[n] = (vec){0};
  const vec *w = p->w + d0 * p->slice->vectors;
  size_t rows = units_rows_at(p, d0);
  for (size_t q = 0; q < p->slice->vectors; q++) units_square(p, w + q, rows, p->y + q * p->N + n0, columns, acc);
  UNROLL for (int n = 0; n < columns; n++) {
    size_t at = d0 / LANES * p->N + n0 + (size_t)n;
    p->out[at] = p->base[at] + p->scale * acc[n];
    v_prefetch_write(p->out + at + p->net->h_size / LANES);
  }
}

INLINE void units_expand_columns(const product *p, size_t n0, int columns) {
  for (size_t d0 = 0; d0 < p->D; d0 += LANES) units_expand_rows(p, d0, n0, columns);
}

/* Fused, for N in one tile: g with the slopes = scale w^T x and w -= rate x s^T, each weight read and written once. */
INLINE void units_contract_and_change_columns(const product *p, int columns) {
  for (size_t m = 0; m < p->slice->vectors; m++) {
    vec q[UNITS_COLUMNS], t[UNITS_COLUMNS];
    const vec *s = p->s + m * p->N;
    UNROLL for (int n = 0; n < columns; n++) {
      q[n] = (vec){0};
      t[n] = s[n] * p->rate;
      v_prefetch(s + n - p->net->unit_size / LANES);
    }
    vec *w = p->w + m;
    const real *x = p->x;
    for (size_t d0 = 0; d0 < p->D; d0 += LANES, x += p->N * LANES) {
      size_t rows = units_rows_at(p, d0);
      for (size_t d = 0; d < rows; d++, w += p->slice->vectors) {
        vec v = *w, change[2] = {v, {0}}; /* two chains, so that neither's latency is felt */
        v_prefetch(w + p->ahead);
        UNROLL for (int n = 0; n < columns; n++) {
          vec b = v_set1(x[(size_t)n * LANES + d]);
          q[n] += v * b;
          change[n & 1] -= t[n] * b;
        }
        *w = change[0] + change[1];
      }
    }
    UNROLL for (int n = 0; n < columns; n++) times_slopes(p, m * p->N + (size_t)n, q[n] * p->scale);
  }
}

/* w -= x y^T on the rows of one vector of coordinates, x already times the rate, and two or one vectors of units. */
INLINE void units_change_rows(const product *p, const real *x, size_t d0, size_t q, int two, int columns) {
  vec g[2][UNITS_COLUMNS], *w = p->w + d0 * p->slice->vectors + q;
  UNROLL for (int i = 0; i <= two; i++) UNROLL for (int n = 0; n < columns; n++) {
    g[i][n] = p->y[(q + (size_t)i) * p->N + (size_t)n];
  }
  size_t rows = units_rows_at(p, d0);
  for (size_t d = 0; d < rows; d++, w += p->slice->vectors) {
    vec change[2][2] = {{w[0], {0}}, {two ? w[1] : (vec){0}, {0}}};
    UNROLL for (int n = 0; n < columns; n++) {
      vec b = v_set1(x[(size_t)n * LANES + d]);
      change[0][n & 1] -= b * g[0][n];
      if (two) change[1][n & 1] -= b * g[1][n];
    }
    UNROLL for (int i = 0; i <= two; i++) w[i] = change[i][0] + change[i][1];
  }
}

/* Fused, for N in one tile: out = base + scale w y and w -= rate x y^T, from the scaled x. */
INLINE void units_expand_and_change_columns(const product *p, int columns) {
  const real *scaled = p->spare + p->tensor * p->net->h_size;
  for (size_t d0 = 0; d0 < p->D; d0 += LANES) {
    units_expand_rows(p, d0, 0, columns);
    size_t q = 0;
    for (; q + 2 <= p->slice->vectors; q += 2) units_change_rows(p, scaled + d0 * p->N, d0, q, 1, columns);
    if (q < p->slice->vectors) units_change_rows(p, scaled + d0 * p->N, d0, q, 0, columns);
  }
}

/* The operations on a tile of samples, whose width is a constant for each case. */
typedef enum units_operation {
  UNITS_CONTRACT,
  UNITS_CONTRACT_SLOPES,
  UNITS_EXPAND,
  UNITS_CONTRACT_AND_CHANGE, /* one tile only, likewise below */
  UNITS_EXPAND_AND_CHANGE
} units_operation;

INLINE void units_columns(const product *p, units_operation operation, size_t n0, int columns) {
  switch (operation) {
  case UNITS_CONTRACT: units_contract_columns(p, false, n0, columns); return;
  case UNITS_CONTRACT_SLOPES: units_contract_columns(p, true, n0, columns); return;
  case UNITS_EXPAND: units_expand_columns(p, n0, columns); return;
  case UNITS_CONTRACT_AND_CHANGE: units_contract_and_change_columns(p, columns); return;
  case UNITS_EXPAND_AND_CHANGE: units_expand_and_change_columns(p, columns); return;
  }
}

/* N as a sum of nearly equal tiles of at most UNITS_COLUMNS. */
INLINE void units_tiles(const product *p, units_operation operation) {
  size_t tiles = (p->N + UNITS_COLUMNS - 1) / UNITS_COLUMNS, width = p->N / tiles, wider = p->N % tiles, n0 = 0;
  for (size_t i = 0; i < tiles; i++) {
    size_t columns = width + (i < wider);
    switch (columns) {
    case 1: units_columns(p, operation, n0, 1); break;
#ifndef MNO_SMALL_TILES
    case 2: units_columns(p, operation, n0, 2); break;
    case 3: units_columns(p, operation, n0, 3); break;
    case 4: units_columns(p, operation, n0, 4); break;
#if VEC_REGISTERS == 32
    case 5: units_columns(p, operation, n0, 5); break;
    case 6: units_columns(p, operation, n0, 6); break;
    case 7: units_columns(p, operation, n0, 7); break;
    case 8: units_columns(p, operation, n0, 8); break;
    case 9: units_columns(p, operation, n0, 9); break;
#endif
#endif
    default: units_columns(p, operation, n0, UNITS_COLUMNS); break;
    }
    n0 += columns;
  }
}

static void units_contract(const product *p) { units_tiles(p, UNITS_CONTRACT); }
static void units_contract_slopes(const product *p) { units_tiles(p, UNITS_CONTRACT_SLOPES); }
static void units_expand(const product *p) { units_tiles(p, UNITS_EXPAND); }
static void units_contract_slopes_and_change(const product *p) { units_tiles(p, UNITS_CONTRACT_AND_CHANGE); }
static void units_expand_and_change(const product *p) { units_tiles(p, UNITS_EXPAND_AND_CHANGE); }

/* w[d][m] -= rate sum_n x[d][n] y[n][m] on a tile. */
INLINE void units_change_tile(const product *p, size_t d, size_t m, int rows, int columns) {
  vec a[UNITS_CHANGE_D][UNITS_CHANGE_M];
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < columns; j++) a[i][j] = (vec){0};
  const real *x = p->x + d / LANES * p->N * LANES + d % LANES;
  const vec *y = p->y + m * p->N;
  for (size_t n = 0; n < p->N; n++, y++, x += LANES) {
    vec g[UNITS_CHANGE_M];
    UNROLL for (int j = 0; j < columns; j++) g[j] = y[(size_t)j * p->N];
    UNROLL for (int i = 0; i < rows; i++) {
      vec h = v_set1(x[i]);
      UNROLL for (int j = 0; j < columns; j++) a[i][j] += h * g[j];
    }
  }
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < columns; j++) {
    p->w[(d + (size_t)i) * p->slice->vectors + m + (size_t)j] -= p->rate * a[i][j];
  }
}

INLINE void units_change_tiles(const product *p, size_t d, int rows) {
  size_t m = 0;
  for (; m + UNITS_CHANGE_M <= p->slice->vectors; m += UNITS_CHANGE_M) units_change_tile(p, d, m, rows, UNITS_CHANGE_M);
  for (; m < p->slice->vectors; m++) units_change_tile(p, d, m, rows, 1);
}

static void units_change(const product *p) {
  _Static_assert(LANES % UNITS_CHANGE_D == 0, "rows of a tile lie in one vector of coordinates");
  size_t d = 0;
  for (; d + UNITS_CHANGE_D <= p->D; d += UNITS_CHANGE_D) units_change_tiles(p, d, UNITS_CHANGE_D);
  for (; d < p->D; d++) units_change_tiles(p, d, 1);
}

/* Spare: h times the rate of each input. */
static void units_prepare(const seat *s, const real *h) {
  const network *n = s->net;
  if (!n->fused) return;
  for (size_t i = 0; i < n->h_size; i += LANES) {
    v_prefetch(h + i - n->h_size);
    for (size_t t = 0; t < INPUTS; t++) *(vec *)(s->spare + t * n->h_size + i) = *(const vec *)(h + i) * s->rate[t];
  }
}

static void units_sizes(network *n) {
  unit_weights_sizes(n);
  n->h_size = (n->D + LANES - 1) / LANES * LANES * n->N;
  n->unit_size = unit_vectors(n) * LANES * n->N;
  n->slice_numbers = UNITS_SLICE * n->N;
  n->fused = n->fuses && n->N <= UNITS_COLUMNS;
  n->spare_size = n->fused ? INPUTS * n->h_size : 0;
}

static unit_slice units_slice(const network *n, size_t slice) {
  unit_slice u = unit_weights_slice(n, slice);
  u.numbers = u.first / LANES * n->N;
  u.number_count = u.vectors * n->N;
  return u;
}

/* Place of h_d of sample i. */
INLINE size_t units_place(const network *n, size_t i, size_t d) { return (d / LANES * n->N + i) * LANES + d % LANES; }

static void units_state_get(const network *n, size_t lane, const real *h, double *out) {
  for (size_t i = 0; i < n->N; i++)
    for (size_t d = 0; d < n->D; d++) out[i * n->D + d] = (double)h[units_place(n, i, d)];
}

static void units_state_set(const network *n, size_t lane, const double *in, real *h) {
  for (size_t i = 0; i < n->N; i++)
    for (size_t d = 0; d < n->D; d++) h[units_place(n, i, d)] = (real)in[i * n->D + d];
}

/* So that the output weights of units that pad are never moved (softplus has rho(0) != 0). */
static void units_clear_padding(const product *p) {
  size_t used = p->slice->count - (p->slice->vectors - 1) * LANES;
  if (used >= LANES) return;
  vec keep = {0};
  for (size_t lane = 0; lane < used; lane++) keep[lane] = 1;
  for (size_t n = 0; n < p->N; n++) p->y[(p->slice->vectors - 1) * p->N + n] *= keep;
}

static const arrangement units_on_lanes = {
    .instances = 1,
    .sizes = units_sizes,
    .slice = units_slice,
    .draw = unit_weights_draw,
    .weights = unit_weights_export,
    .state_get = units_state_get,
    .state_set = units_state_set,
    .prepare = units_prepare,
    .contract = units_contract,
    .contract_slopes = units_contract_slopes,
    .expand = units_expand,
    .change = units_change,
    .contract_slopes_and_change = units_contract_slopes_and_change,
    .expand_and_change = units_expand_and_change,
    .clear_padding = units_clear_padding,
};

#endif
