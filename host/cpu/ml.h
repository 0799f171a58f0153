/* Units on lanes, one instance: for wide layers and few samples. Four of the six products need no reduction; the two that
 * contract over the units transpose square blocks of weights in registers and leave the coordinates on lanes.
 *   U, V          as in units.h
 *   rho, rho', g  [vector of units][N] vectors
 *   h, b          [vector of coordinates][N] vectors, zero where they pad D
 * Units that pad the last vector: their rho is set to zero. */
#ifndef MNO_CPU_ML_H
#define MNO_CPU_ML_H

#include "cpu/units.h"

#ifdef MNO_SMALL_TILES
enum { ML_COLUMNS = 2, ML_UPDATE_D = 2, ML_UPDATE_M = 2 };
#elif VEC_REGISTERS == 32
enum { ML_COLUMNS = 10, ML_UPDATE_D = 4, ML_UPDATE_M = 4 };
#else
enum { ML_COLUMNS = 5, ML_UPDATE_D = 2, ML_UPDATE_M = 4 };
#endif

typedef struct ml_pass {
  const run *run;
  units part;
  size_t vectors, D, N;
  ptrdiff_t ahead; /* in vectors: from a weight to that of the block that comes next */
  vec *w;          /* [D][vectors] */
  const real *x;   /* [D / LANES][N] vectors, h or b */
  vec *y;          /* [vectors][N], rho or g */
  const vec *rho, *stored;
  const vec *base; /* [D / LANES][N]; what a state product is added to */
  vec *out;        /* [D / LANES][N] */
  real scale, rate;
} ml_pass;

INLINE size_t ml_rows_at(const ml_pass *s, size_t d0) { return s->D - d0 < LANES ? s->D - d0 : LANES; }

INLINE vec ml_slope(const ml_pass *s, size_t at) {
  return slope_of(s->run->kind, s->rho[at], s->run->kind == SLOPE_STORED ? s->stored[at] : (vec){0});
}

/* y = scale w^T x (times rho' for the gradient), on two or one vectors of units. */
INLINE void ml_columns(const ml_pass *s, bool gradient, size_t m, size_t n0, int two, int columns) {
  vec a[2][ML_COLUMNS];
  UNROLL for (int i = 0; i <= two; i++) UNROLL for (int n = 0; n < columns; n++) a[i][n] = (vec){0};
  const vec *w = s->w + m;
  const real *x = s->x + n0 * LANES;
  for (size_t d0 = 0; d0 < s->D; d0 += LANES, x += s->N * LANES) {
    size_t rows = ml_rows_at(s, d0);
    for (size_t d = 0; d < rows; d++, w += s->vectors) {
      vec w0 = w[0], w1 = two ? w[1] : (vec){0};
      v_prefetch(w + s->ahead);
      if (two) v_prefetch(w + s->ahead + 1);
      UNROLL for (int n = 0; n < columns; n++) {
        vec b = v_set1(x[(size_t)n * LANES + d]);
        a[0][n] += w0 * b;
        if (two) a[1][n] += w1 * b;
      }
    }
  }
  UNROLL for (int i = 0; i <= two; i++) UNROLL for (int n = 0; n < columns; n++) {
    size_t at = (m + (size_t)i) * s->N + n0 + (size_t)n;
    vec value = a[i][n] * s->scale;
    if (gradient) value *= ml_slope(s, at);
    s->y[at] = value;
    if (!gradient) v_prefetch_write(s->y + at + s->run->t_size / LANES);
  }
}

INLINE void ml_product_columns(const ml_pass *s, bool gradient, size_t n0, int columns) {
  size_t m = 0;
  for (; m + 2 <= s->vectors; m += 2) ml_columns(s, gradient, m, n0, 1, columns);
  if (m < s->vectors) ml_columns(s, gradient, m, n0, 0, columns);
}

/* acc[n] += w y on LANES coordinates, from one vector of units. What comes next is fetched line by line between products:
 * all at once would fill the buffers of the cache. */
INLINE void ml_square(const ml_pass *s, const vec *w, size_t rows, const vec *y, int columns, vec *acc) {
  vec v[LANES];
  if (rows == LANES) {
    UNROLL for (size_t i = 0; i < LANES; i++) v[i] = w[i * s->vectors];
  } else {
    UNROLL for (size_t i = 0; i < LANES; i++) v[i] = i < rows ? w[i * s->vectors] : (vec){0};
  }
  v_transpose(v);
  const real *t = (const real *)y;
  UNROLL for (size_t i = 0; i < LANES; i++) {
    v_prefetch(w + i * s->vectors + s->ahead);
    UNROLL for (int n = 0; n < columns; n++) acc[n] += v[i] * t[(size_t)n * LANES + i];
  }
}

/* out = base + scale w y on LANES coordinates. */
INLINE void ml_rows(const ml_pass *s, size_t d0, size_t n0, int columns) {
  vec acc[ML_COLUMNS];
  UNROLL for (int n = 0; n < columns; n++) acc[n] = (vec){0};
  const vec *w = s->w + d0 * s->vectors;
  size_t rows = ml_rows_at(s, d0);
  for (size_t q = 0; q < s->vectors; q++) ml_square(s, w + q, rows, s->y + q * s->N + n0, columns, acc);
  UNROLL for (int n = 0; n < columns; n++) {
    size_t at = d0 / LANES * s->N + n0 + (size_t)n;
    s->out[at] = s->base[at] + s->scale * acc[n];
    v_prefetch_write(s->out + at + s->run->h_size / LANES);
  }
}

INLINE void ml_product_rows(const ml_pass *s, size_t n0, int columns) {
  for (size_t d0 = 0; d0 < s->D; d0 += LANES) ml_rows(s, d0, n0, columns);
}

/* Fused, for N in one tile: g = rho' scale w^T x and w -= rate x y^T, each weight read and written once. */
INLINE void ml_sweep_columns(const ml_pass *s, vec *g, int columns) {
  for (size_t m = 0; m < s->vectors; m++) {
    vec q[ML_COLUMNS], t[ML_COLUMNS];
    const vec *rho = s->rho + m * s->N;
    UNROLL for (int n = 0; n < columns; n++) {
      q[n] = (vec){0};
      t[n] = rho[n] * s->rate;
      v_prefetch(rho + n - s->run->t_size / LANES);
    }
    vec *w = s->w + m;
    const real *x = s->x;
    for (size_t d0 = 0; d0 < s->D; d0 += LANES, x += s->N * LANES) {
      size_t rows = ml_rows_at(s, d0);
      for (size_t d = 0; d < rows; d++, w += s->vectors) {
        vec v = *w, change[2] = {v, {0}}; /* two chains, so that neither's latency is felt */
        v_prefetch(w + s->ahead);
        UNROLL for (int n = 0; n < columns; n++) {
          vec b = v_set1(x[(size_t)n * LANES + d]);
          q[n] += v * b;
          change[n & 1] -= t[n] * b;
        }
        *w = change[0] + change[1];
      }
    }
    UNROLL for (int n = 0; n < columns; n++) {
      size_t at = m * s->N + (size_t)n;
      g[at] = ml_slope(s, at) * (q[n] * s->scale);
    }
  }
}

/* w -= x y^T on the rows of one vector of coordinates, x already times the rate, and two or one vectors of units. */
INLINE void ml_change_rows(const ml_pass *s, size_t d0, size_t q, int two, int columns) {
  vec g[2][ML_COLUMNS], *w = s->w + d0 * s->vectors + q;
  const real *x = s->x + d0 * s->N;
  UNROLL for (int i = 0; i <= two; i++) UNROLL for (int n = 0; n < columns; n++) {
    g[i][n] = s->y[(q + (size_t)i) * s->N + (size_t)n];
  }
  size_t rows = ml_rows_at(s, d0);
  for (size_t d = 0; d < rows; d++, w += s->vectors) {
    vec change[2][2] = {{w[0], {0}}, {two ? w[1] : (vec){0}, {0}}};
    UNROLL for (int n = 0; n < columns; n++) {
      vec b = v_set1(x[(size_t)n * LANES + d]);
      change[0][n & 1] -= b * g[0][n];
      if (two) change[1][n & 1] -= b * g[1][n];
    }
    UNROLL for (int i = 0; i <= two; i++) w[i] = change[i][0] + change[i][1];
  }
}

/* Fused: out = base + scale w y and w -= x y^T. */
INLINE void ml_sweep_rows(const ml_pass *s, int columns) {
  for (size_t d0 = 0; d0 < s->D; d0 += LANES) {
    ml_rows(s, d0, 0, columns);
    size_t q = 0;
    for (; q + 2 <= s->vectors; q += 2) ml_change_rows(s, d0, q, 1, columns);
    if (q < s->vectors) ml_change_rows(s, d0, q, 0, columns);
  }
}

#ifdef MNO_SMALL_TILES
#define ML_CASES(call)                                                                                                      \
  case 1: call(1); break;                                                                                                   \
  default:                                                                                                                  \
    call(2);                                                                                                                \
    break;
#elif VEC_REGISTERS == 32
#define ML_CASES(call)                                                                                                      \
  case 1: call(1); break;                                                                                                   \
  case 2: call(2); break;                                                                                                   \
  case 3: call(3); break;                                                                                                   \
  case 4: call(4); break;                                                                                                   \
  case 5: call(5); break;                                                                                                   \
  case 6: call(6); break;                                                                                                   \
  case 7: call(7); break;                                                                                                   \
  case 8: call(8); break;                                                                                                   \
  case 9: call(9); break;                                                                                                   \
  default:                                                                                                                  \
    call(10);                                                                                                               \
    break;
#else
#define ML_CASES(call)                                                                                                      \
  case 1: call(1); break;                                                                                                   \
  case 2: call(2); break;                                                                                                   \
  case 3: call(3); break;                                                                                                   \
  case 4: call(4); break;                                                                                                   \
  default:                                                                                                                  \
    call(5);                                                                                                                \
    break;
#endif

/* N as a sum of nearly equal tiles of at most ML_COLUMNS. */
#define ML_TILES(s, call)                                                                                                   \
  size_t tiles_ = ((s)->N + ML_COLUMNS - 1) / ML_COLUMNS, width_ = (s)->N / tiles_, wider_ = (s)->N % tiles_, n0 = 0;       \
  for (size_t tile_ = 0; tile_ < tiles_; tile_++) {                                                                         \
    size_t columns_ = width_ + (tile_ < wider_);                                                                            \
    switch (columns_) { ML_CASES(call) }                                                                                    \
    n0 += columns_;                                                                                                         \
  }

#define ML_CALL(columns) ml_product_columns(s, false, n0, columns)
static void ml_preactivation(const ml_pass *s) { ML_TILES(s, ML_CALL) }
#undef ML_CALL
#define ML_CALL(columns) ml_product_columns(s, true, n0, columns)
static void ml_gradient(const ml_pass *s) { ML_TILES(s, ML_CALL) }
#undef ML_CALL
#define ML_CALL(columns) ml_product_rows(s, n0, columns)
static void ml_state(const ml_pass *s) { ML_TILES(s, ML_CALL) }
#undef ML_CALL
#define ML_CALL(columns) ml_sweep_columns(s, g, columns)
static void ml_gradient_update(const ml_pass *s, vec *g) {
  switch (s->N) { ML_CASES(ML_CALL) }
}
#undef ML_CALL
#define ML_CALL(columns) ml_sweep_rows(s, columns)
static void ml_state_update(const ml_pass *s) {
  switch (s->N) { ML_CASES(ML_CALL) }
}
#undef ML_CALL

/* w[d][m] -= rate sum_n x[d][n] y[n][m] on a tile. */
INLINE void ml_update_tile(const ml_pass *s, size_t d, size_t m, int rows, int columns) {
  vec a[ML_UPDATE_D][ML_UPDATE_M];
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < columns; j++) a[i][j] = (vec){0};
  const real *x = s->x + d / LANES * s->N * LANES + d % LANES;
  const vec *y = s->y + m * s->N;
  for (size_t n = 0; n < s->N; n++, y++, x += LANES) {
    vec g[ML_UPDATE_M];
    UNROLL for (int j = 0; j < columns; j++) g[j] = y[(size_t)j * s->N];
    UNROLL for (int i = 0; i < rows; i++) {
      vec h = v_set1(x[i]);
      UNROLL for (int j = 0; j < columns; j++) a[i][j] += h * g[j];
    }
  }
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < columns; j++) {
    s->w[(d + (size_t)i) * s->vectors + m + (size_t)j] -= s->rate * a[i][j];
  }
}

INLINE void ml_update_rows(const ml_pass *s, size_t d, int rows) {
  size_t m = 0;
  for (; m + ML_UPDATE_M <= s->vectors; m += ML_UPDATE_M) ml_update_tile(s, d, m, rows, ML_UPDATE_M);
  for (; m < s->vectors; m++) ml_update_tile(s, d, m, rows, 1);
}

static void ml_update(const ml_pass *s) {
  _Static_assert(LANES % ML_UPDATE_D == 0, "rows of a tile lie in one vector of coordinates");
  size_t d = 0;
  for (; d + ML_UPDATE_D <= s->D; d += ML_UPDATE_D) ml_update_rows(s, d, ML_UPDATE_D);
  for (; d < s->D; d++) ml_update_rows(s, d, 1);
}

static void ml_sizes(run *r) {
  units_sizes(r);
  r->h_size = (r->D + LANES - 1) / LANES * LANES * r->N;
  r->t_size = units_vectors(r) * LANES * r->N;
  r->scratch_size = (UNITS_BLOCK * LANES) * r->N + r->h_size; /* g of a block, h times the rate */
}

static void ml_state_get(const run *r, size_t lane, const real *h, double *out) {
  for (size_t n = 0; n < r->N; n++)
    for (size_t d = 0; d < r->D; d++) out[n * r->D + d] = (double)h[(d / LANES * r->N + n) * LANES + d % LANES];
}

static void ml_state_set(const run *r, size_t lane, const double *in, real *h) {
  for (size_t n = 0; n < r->N; n++)
    for (size_t d = 0; d < r->D; d++) h[(d / LANES * r->N + n) * LANES + d % LANES] = (real)in[n * r->D + d];
}

INLINE ml_pass ml_pass_of(const run *r, size_t block, ptrdiff_t direction) {
  units part = units_at(r, block);
  return (ml_pass){.run = r,
                   .part = part,
                   .vectors = part.vectors,
                   .D = r->D,
                   .N = r->N,
                   .ahead = direction * (ptrdiff_t)(r->D * part.vectors)};
}

INLINE vec *ml_weights_at(const real *w, const run *r, size_t l, const ml_pass *s) {
  return (vec *)w + l * r->w_size / LANES + s->part.weights;
}

/* The units that pad the last vector: rho = 0, so that their v is never moved (softplus has rho(0) != 0). */
INLINE void ml_clear_padding(const ml_pass *s) {
  size_t used = s->part.count - (s->vectors - 1) * LANES;
  if (used >= LANES) return;
  vec keep = {0};
  for (size_t lane = 0; lane < used; lane++) keep[lane] = 1;
  for (size_t n = 0; n < s->N; n++) s->y[(s->vectors - 1) * s->N + n] *= keep;
}

static void ml_forward(const run *r, size_t l, size_t block, const real *h, real *t, real *dt, const real *base, real scale,
                       real *out) {
  ml_pass s = ml_pass_of(r, block, 1);
  size_t at = s.part.first * r->N;
  s.w = ml_weights_at(r->u, r, l, &s);
  s.x = h;
  s.y = (vec *)t + at;
  s.scale = r->inv_D;
  ml_preactivation(&s);
  activate(r->problem->activation, s.y, dt ? (vec *)dt + at : NULL, s.vectors * r->N);
  ml_clear_padding(&s);
  s.w = ml_weights_at(r->v, r, l, &s);
  s.base = (const vec *)base;
  s.out = (vec *)out;
  s.scale = scale;
  ml_state(&s);
}

INLINE bool ml_fused(const run *r) { return r->N <= ML_COLUMNS; }
INLINE real *ml_scaled(const run *r) { return r->scratch + r->scratch_size - r->h_size; }

static void ml_prepare(run *r, const real *h) {
  if (!ml_fused(r)) return;
  real *scaled = ml_scaled(r);
  for (size_t i = 0; i < r->h_size; i += LANES) {
    v_prefetch(h + i - r->h_size);
    *(vec *)(scaled + i) = *(const vec *)(h + i) * r->rate_u;
  }
}

static void ml_backward(run *r, size_t l, size_t block, const real *h, const real *t, const real *dt, const real *b,
                        const real *base, real scale, real *out) {
  ml_pass s = ml_pass_of(r, block, -1);
  size_t at = s.part.first * r->N;
  vec *u = ml_weights_at(r->u, r, l, &s), *v = ml_weights_at(r->v, r, l, &s), *rho = (vec *)t + at, *g = (vec *)r->scratch;
  s.w = v;
  s.x = b;
  s.y = g;
  s.rho = rho;
  s.stored = dt ? (const vec *)dt + at : NULL;
  s.scale = r->inv_D;
  s.rate = r->rate_v;
  if (ml_fused(r))
    ml_gradient_update(&s, g);
  else
    ml_gradient(&s);
  s.w = u;
  s.base = (const vec *)base;
  s.out = (vec *)out;
  s.scale = scale;
  s.x = ml_scaled(r);
  if (ml_fused(r)) {
    ml_state_update(&s);
    return;
  }
  ml_state(&s);
  s.x = h;
  s.rate = r->rate_u;
  ml_update(&s);
  s.w = v;
  s.x = b;
  s.y = rho;
  s.rate = r->rate_v;
  ml_update(&s);
}

static const layout layout_ml = {
    .sizes = ml_sizes,
    .draw = units_draw,
    .weights = units_weights,
    .state_get = ml_state_get,
    .state_set = ml_state_set,
    .forward = ml_forward,
    .prepare = ml_prepare,
    .backward = ml_backward,
};

#endif
