/* Units on lanes, one instance: for wide layers. Four of the six products need no reduction; the two that contract over the
 * units end in a tree of shuffles that leaves the samples side by side in one vector.
 *
 * The Mv vectors of units of a layer are cut into blocks of at most ML_BLOCK, worked on one after the other:
 *   U, V          [L][block][D][vectors of the block]     rows of a block are contiguous
 *   rho, rho', g  [block][N][vectors of the block]
 *   h, b          [D][stride], a sample per number, stride = N padded to whole vectors and one more
 * Units that pad the last vector have zero weights and stay so: their rho is set to zero. */
#ifndef MNO_CPU_ML_H
#define MNO_CPU_ML_H

#include "cpu/train.h"

enum { ML_BLOCK = 8 };
#ifdef MNO_SMALL_TILES
enum { ML_COLUMNS = 2, ML_UPDATE_D = 2, ML_UPDATE_M = 2 };
#elif VEC_REGISTERS == 32
enum { ML_COLUMNS = 10, ML_UPDATE_D = 4, ML_UPDATE_M = 4 };
#else
enum { ML_COLUMNS = 5, ML_UPDATE_D = 2, ML_UPDATE_M = 4 };
#endif

typedef struct ml_block {
  size_t first, vectors; /* in vectors of units */
} ml_block;

INLINE size_t ml_vectors(const run *r) { return (r->M + LANES - 1) / LANES; }
INLINE size_t ml_blocks(const run *r) { return (ml_vectors(r) + ML_BLOCK - 1) / ML_BLOCK; }
INLINE ml_block ml_block_at(const run *r, size_t i) {
  size_t blocks = ml_blocks(r), first = i * ml_vectors(r) / blocks;
  return (ml_block){first, (i + 1) * ml_vectors(r) / blocks - first};
}
INLINE size_t ml_stride(const run *r) { return (r->N + LANES - 1) / LANES * LANES + (r->N > ML_COLUMNS ? LANES : 0); }

/* Lane sums of several vectors side by side in one: neighbours are folded pairwise, within 16 bytes, then across. */
/* One folding step each: in[2 i] and in[2 i + 1] become out[i]. Lists are the lanes of (a, b) that are added up. */
#define ML_PAIRS(count, EVEN, ODD)                                                                                          \
  UNROLL for (int i = 0; i < (count); i++) {                                                                                \
    vec a = x[2 * i], b = x[2 * i + 1];                                                                                     \
    x[i] = __builtin_shufflevector(a, b, EVEN) + __builtin_shufflevector(a, b, ODD);                                        \
  }
#define ML_LIST(...) __VA_ARGS__

/* Lane sums of count <= LANES vectors, in order; zero in the lanes beyond. */
INLINE vec ml_fold(const vec *acc, int count) {
  vec x[LANES];
  UNROLL for (int i = 0; i < LANES; i++) x[i] = i < count ? acc[i] : (vec){0};
#if VEC_BYTES == 64 && defined(MNO_SIMD_F32)
  ML_PAIRS(LANES / 2, ML_LIST(0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29),
           ML_LIST(2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31))
  ML_PAIRS(LANES / 4, ML_LIST(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
           ML_LIST(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
#define ML_CROSS0 ML_LIST(0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
#define ML_CROSS1 ML_LIST(4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)
  ML_PAIRS(LANES / 8, ML_CROSS0, ML_CROSS1)
  ML_PAIRS(1, ML_CROSS0, ML_CROSS1)
#elif VEC_BYTES == 64
  ML_PAIRS(LANES / 2, ML_LIST(0, 8, 2, 10, 4, 12, 6, 14), ML_LIST(1, 9, 3, 11, 5, 13, 7, 15))
#define ML_CROSS0 ML_LIST(0, 1, 4, 5, 8, 9, 12, 13)
#define ML_CROSS1 ML_LIST(2, 3, 6, 7, 10, 11, 14, 15)
  ML_PAIRS(LANES / 4, ML_CROSS0, ML_CROSS1)
  ML_PAIRS(1, ML_CROSS0, ML_CROSS1)
#elif VEC_BYTES == 32 && defined(MNO_SIMD_F32)
  ML_PAIRS(LANES / 2, ML_LIST(0, 8, 1, 9, 4, 12, 5, 13), ML_LIST(2, 10, 3, 11, 6, 14, 7, 15))
  ML_PAIRS(LANES / 4, ML_LIST(0, 1, 8, 9, 4, 5, 12, 13), ML_LIST(2, 3, 10, 11, 6, 7, 14, 15))
  ML_PAIRS(1, ML_LIST(0, 1, 2, 3, 8, 9, 10, 11), ML_LIST(4, 5, 6, 7, 12, 13, 14, 15))
#elif VEC_BYTES == 32
  ML_PAIRS(LANES / 2, ML_LIST(0, 4, 2, 6), ML_LIST(1, 5, 3, 7))
  ML_PAIRS(1, ML_LIST(0, 1, 4, 5), ML_LIST(2, 3, 6, 7))
#elif defined(MNO_SIMD_F32)
  ML_PAIRS(LANES / 2, ML_LIST(0, 4, 1, 5), ML_LIST(2, 6, 3, 7))
  ML_PAIRS(1, ML_LIST(0, 1, 4, 5), ML_LIST(2, 3, 6, 7))
#else
  ML_PAIRS(1, ML_LIST(0, 2), ML_LIST(1, 3))
#endif
  return x[0];
}

/* out[n] = base[n] + scale * (lane sum of acc[n]), n < columns, and lanes of padding after them. */
INLINE void ml_fold_add(const vec *acc, int columns, const real *base, real *out, real scale) {
  UNROLL for (int i = 0; i < columns; i += LANES) {
    vec sums = ml_fold(acc + i, columns - i < LANES ? columns - i : LANES);
    v_storeu(out + i, v_loadu(base + i) + scale * sums);
  }
}

typedef struct ml_pass {
  const run *run;
  size_t first, weights; /* of the block: its first vector, its place in U and V */
  size_t vectors, D, N, stride;
  size_t m_first, m_last, d_first, d_last; /* this thread's vectors of the block and rows */
  ptrdiff_t ahead;                         /* in vectors: from a weight to that of the block that comes next */
  vec *w;                                  /* [D][vectors] */
  const real *x;                           /* [D][stride], h or b */
  vec *y;                                  /* [N][vectors], rho or g */
  const vec *rho, *stored;
  const real *base; /* [D][stride]; what a state product is added to */
  real *out;        /* [D][stride] */
  real scale, rate;
} ml_pass;

/* y = scale w^T x (times rho' for the gradient), on two or one vectors of units. */
INLINE void ml_columns(const ml_pass *s, bool gradient, size_t m, size_t n0, int two, int columns) {
  vec a[2][ML_COLUMNS];
  UNROLL for (int i = 0; i <= two; i++) UNROLL for (int n = 0; n < columns; n++) a[i][n] = (vec){0};
  const vec *w = s->w + m;
  const real *x = s->x + n0;
  for (size_t d = 0; d < s->D; d++, w += s->vectors, x += s->stride) {
    vec w0 = w[0], w1 = two ? w[1] : (vec){0};
    v_prefetch(w + s->ahead);
    if (two) v_prefetch(w + s->ahead + 1);
    UNROLL for (int n = 0; n < columns; n++) {
      vec b = v_set1(x[n]);
      a[0][n] += w0 * b;
      if (two) a[1][n] += w1 * b;
    }
  }
  UNROLL for (int i = 0; i <= two; i++) UNROLL for (int n = 0; n < columns; n++) {
    size_t at = (n0 + (size_t)n) * s->vectors + m + (size_t)i;
    vec value = a[i][n] * s->scale;
    if (gradient) value *= slope_of(s->run->kind, s->rho[at], s->run->kind == SLOPE_STORED ? s->stored[at] : (vec){0});
    s->y[at] = value;
    if (!gradient) v_prefetch_write(s->y + at + s->run->t_size / LANES);
  }
}

INLINE void ml_product_columns(const ml_pass *s, bool gradient, size_t n0, int columns) {
  size_t m = s->m_first;
  for (; m + 2 <= s->m_last; m += 2) ml_columns(s, gradient, m, n0, 1, columns);
  if (m < s->m_last) ml_columns(s, gradient, m, n0, 0, columns);
}

/* out = base + scale w y on `rows` rows. */
INLINE void ml_rows(const ml_pass *s, size_t d, size_t n0, int rows, int columns) {
  vec a[2][ML_COLUMNS];
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int n = 0; n < columns; n++) a[i][n] = (vec){0};
  const vec *w = s->w + d * s->vectors, *y = s->y + n0 * s->vectors;
  for (size_t q = 0; q < s->vectors; q++) {
    vec v[2];
    UNROLL for (int i = 0; i < rows; i++) {
      v[i] = w[(size_t)i * s->vectors + q];
      v_prefetch(w + (size_t)i * s->vectors + q + s->ahead);
    }
    UNROLL for (int n = 0; n < columns; n++) {
      vec t = y[(size_t)n * s->vectors + q];
      UNROLL for (int i = 0; i < rows; i++) a[i][n] += v[i] * t;
    }
  }
  UNROLL for (int i = 0; i < rows; i++) {
    size_t at = (d + (size_t)i) * s->stride + n0;
    ml_fold_add(a[i], columns, s->base + at, s->out + at, s->scale);
    v_prefetch_write(s->out + at + s->run->h_size);
  }
}

INLINE void ml_product_rows(const ml_pass *s, size_t n0, int columns) {
  size_t d = s->d_first;
  for (; d + 2 <= s->d_last; d += 2) ml_rows(s, d, n0, 2, columns);
  if (d < s->d_last) ml_rows(s, d, n0, 1, columns);
}

/* Fused, for N in one tile: g = rho' scale w^T x and w -= rate x y^T, each weight read and written once. */
INLINE void ml_sweep_columns(const ml_pass *s, vec *g, int columns) {
  for (size_t m = s->m_first; m < s->m_last; m++) {
    vec q[ML_COLUMNS], t[ML_COLUMNS];
    UNROLL for (int n = 0; n < columns; n++) {
      q[n] = (vec){0};
      t[n] = s->rho[(size_t)n * s->vectors + m] * s->rate;
      v_prefetch(s->rho + (size_t)n * s->vectors + m - s->run->t_size / LANES);
    }
    vec *w = s->w + m;
    const real *x = s->x;
    for (size_t d = 0; d < s->D; d++, w += s->vectors, x += s->stride) {
      vec v = *w, change[2] = {v, {0}}; /* two chains, so that neither's latency is felt */
      v_prefetch(w + s->ahead);
      UNROLL for (int n = 0; n < columns; n++) {
        vec b = v_set1(x[n]);
        q[n] += v * b;
        change[n & 1] -= t[n] * b;
      }
      *w = change[0] + change[1];
    }
    UNROLL for (int n = 0; n < columns; n++) {
      size_t at = (size_t)n * s->vectors + m;
      g[at] =
          slope_of(s->run->kind, s->rho[at], s->run->kind == SLOPE_STORED ? s->stored[at] : (vec){0}) * (q[n] * s->scale);
    }
  }
}

/* Fused: out = base + scale w y and w -= x y^T, with x already times the rate. */
INLINE void ml_sweep_rows(const ml_pass *s, int columns) {
  vec *w = s->w + s->d_first * s->vectors;
  const real *x = s->x + s->d_first * s->stride;
  for (size_t d = s->d_first; d < s->d_last; d++, w += s->vectors, x += s->stride) {
    vec a[ML_COLUMNS], h[ML_COLUMNS];
    UNROLL for (int n = 0; n < columns; n++) {
      a[n] = (vec){0};
      h[n] = v_set1(x[n]);
    }
    for (size_t q = 0; q < s->vectors; q++) {
      vec v = w[q], change[2] = {v, {0}};
      v_prefetch(w + q + s->ahead);
      UNROLL for (int n = 0; n < columns; n++) {
        vec g = s->y[(size_t)n * s->vectors + q];
        a[n] += v * g;
        change[n & 1] -= h[n] * g;
      }
      w[q] = change[0] + change[1];
    }
    ml_fold_add(a, columns, s->base + d * s->stride, s->out + d * s->stride, s->scale);
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
  const real *x = s->x + d * s->stride;
  const vec *y = s->y + m;
  for (size_t n = 0; n < s->N; n++, y += s->vectors) {
    vec g[ML_UPDATE_M];
    UNROLL for (int j = 0; j < columns; j++) g[j] = y[j];
    UNROLL for (int i = 0; i < rows; i++) {
      vec h = v_set1(x[(size_t)i * s->stride + n]);
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
  size_t d = s->d_first;
  for (; d + ML_UPDATE_D <= s->d_last; d += ML_UPDATE_D) ml_update_rows(s, d, ML_UPDATE_D);
  for (; d < s->d_last; d++) ml_update_rows(s, d, 1);
}

static void ml_sizes(run *r) {
  r->w_size = r->D * ml_vectors(r) * LANES;
  r->h_size = (r->D * ml_stride(r) + LANES - 1) / LANES * LANES;
  r->t_size = r->N * ml_vectors(r) * LANES;
  r->scratch_size = r->t_size + r->h_size; /* g, h times the rate */
}

static void ml_draw(run *r) {
  const mno_problem *p = r->problem;
  const mno_instance *instance = r->batch->instance[0];
  uvec k0 = v_uset1((uint32_t)instance->seed), k1 = v_uset1((uint32_t)(instance->seed >> 32));
  double root = sqrt((double)p->D);
  size_t l, last;
  for (share(r, r->L, &l, &last); l < last; l++)
    for (size_t i = 0; i < ml_blocks(r); i++) {
      ml_block block = ml_block_at(r, i);
      for (size_t q = 0; q < block.vectors; q++) {
        uvec layer = {0}, unit = {0};
        vec scale_u = {0}, scale_v = {0};
        for (size_t lane = 0; lane < LANES; lane++) {
          int64_t j = (int64_t)((block.first + q) * LANES + lane);
          if (j >= (int64_t)r->M) break;
          layer[lane] = (uword)mno_draw_layer(instance->draw, (int64_t)r->M, (int64_t)l, j);
          unit[lane] = (uword)mno_draw_unit(instance->draw, (int64_t)r->M, (int64_t)l, j);
          scale_u[lane] = (real)(p->sigma_u * root);
          scale_v[lane] = (real)(p->sigma_v * root * instance->draw.sign);
        }
        size_t at = l * r->w_size / LANES + block.first * r->D + q;
        vec *u = (vec *)r->u + at, *v = (vec *)r->v + at;
        for (size_t d = 0; d < r->D; d += 4) {
          vec z[4], y[4];
          v_normals(k0, k1, MNO_TENSOR_U, layer, unit, (uint32_t)(d / 4), z);
          v_normals(k0, k1, MNO_TENSOR_V, layer, unit, (uint32_t)(d / 4), y);
          for (size_t c = 0; c < 4 && d + c < r->D; c++) {
            u[(d + c) * block.vectors] = z[c] * scale_u;
            v[(d + c) * block.vectors] = y[c] * scale_v;
          }
        }
      }
    }
}

static void ml_weights(const run *r, size_t lane, const real *w, double *out) {
  for (size_t l = 0; l < r->L; l++)
    for (size_t i = 0; i < ml_blocks(r); i++) {
      ml_block block = ml_block_at(r, i);
      const real *from = w + l * r->w_size + block.first * r->D * LANES;
      for (size_t j = 0; j < block.vectors * LANES && block.first * LANES + j < r->M; j++)
        for (size_t d = 0; d < r->D; d++)
          out[(l * r->M + block.first * LANES + j) * r->D + d] = (double)from[d * block.vectors * LANES + j];
    }
}

static void ml_state_get(const run *r, size_t lane, const real *h, double *out) {
  for (size_t n = 0; n < r->N; n++)
    for (size_t d = 0; d < r->D; d++) out[n * r->D + d] = (double)h[d * ml_stride(r) + n];
}

static void ml_state_set(const run *r, size_t lane, const double *in, real *h) {
  for (size_t n = 0; n < r->N; n++)
    for (size_t d = 0; d < r->D; d++) h[d * ml_stride(r) + n] = (real)in[n * r->D + d];
}

/* Part of a layer in block i that is this thread's. */
INLINE ml_pass ml_pass_of(const run *r, size_t l, size_t i, ptrdiff_t direction) {
  ml_block block = ml_block_at(r, i);
  ml_pass s = {.run = r,
               .vectors = block.vectors,
               .D = r->D,
               .N = r->N,
               .stride = ml_stride(r),
               .ahead = direction * (ptrdiff_t)(r->D * block.vectors),
               .first = block.first,
               .weights = l * r->w_size / LANES + block.first * r->D};
  size_t first, last;
  share(r, ml_vectors(r), &first, &last);
  s.m_first = first < block.first ? 0 : first - block.first < block.vectors ? first - block.first : block.vectors;
  s.m_last = last < block.first ? 0 : last - block.first < block.vectors ? last - block.first : block.vectors;
  share(r, r->D, &s.d_first, &s.d_last);
  return s;
}

/* The units that pad the last vector: rho = 0, so that their v is never moved (softplus has rho(0) != 0). */
INLINE void ml_clear_padding(const ml_pass *s) {
  size_t used = s->run->M - (s->first + s->vectors - 1) * LANES;
  if (used >= LANES || s->m_last < s->vectors) return;
  vec keep = {0};
  for (size_t lane = 0; lane < used; lane++) keep[lane] = 1;
  for (size_t n = 0; n < s->N; n++) s->y[n * s->vectors + s->vectors - 1] *= keep;
}

static void ml_forward_units(const run *r, size_t l, size_t i, const real *h, real *t, real *dt) {
  ml_pass s = ml_pass_of(r, l, i, 1);
  size_t at = s.first * r->N, count = s.m_last - s.m_first;
  if (count == 0) return;
  s.w = (vec *)r->u + s.weights;
  s.x = h;
  s.y = (vec *)t + at;
  s.scale = r->inv_D;
  ml_preactivation(&s);
  mno_activation activation = r->problem->activation;
  if (count == s.vectors) {
    activate(activation, s.y, dt ? (vec *)dt + at : NULL, count * r->N);
  } else {
    for (size_t n = 0; n < r->N; n++) {
      size_t j = n * s.vectors + s.m_first;
      activate(activation, s.y + j, dt ? (vec *)dt + at + j : NULL, count);
    }
  }
  ml_clear_padding(&s);
}

static void ml_forward_rows(const run *r, size_t l, size_t i, const real *h, real *t, real *h_next) {
  ml_pass s = ml_pass_of(r, l, i, 1);
  s.w = (vec *)r->v + s.weights;
  s.y = (vec *)t + s.first * r->N;
  s.base = i == 0 ? h : h_next;
  s.out = h_next;
  s.scale = r->branch;
  ml_state(&s);
}

/* One thread goes through U and V of a block before the next, a team through all U first: the sums are the same. */
static void ml_forward(const run *r, size_t l, const real *h, real *t, real *dt, real *h_next) {
  size_t blocks = ml_blocks(r);
  for (size_t i = 0; i < blocks; i++) {
    ml_forward_units(r, l, i, h, t, dt);
    if (r->threads == 1) ml_forward_rows(r, l, i, h, t, h_next);
  }
  if (r->threads == 1) return;
  barrier(r);
  for (size_t i = 0; i < blocks; i++) ml_forward_rows(r, l, i, h, t, h_next);
  barrier(r);
}

INLINE bool ml_fused(const run *r) { return r->N <= ML_COLUMNS; }

static void ml_backward_units(const run *r, size_t l, size_t i, const real *t, const real *dt, const real *b, vec *g) {
  ml_pass s = ml_pass_of(r, l, i, -1);
  size_t at = s.first * r->N;
  s.w = (vec *)r->v + s.weights;
  s.x = b;
  s.y = g;
  s.rho = (const vec *)t + at;
  s.stored = dt ? (const vec *)dt + at : NULL;
  s.scale = r->inv_D;
  s.rate = r->rate_v;
  if (ml_fused(r))
    ml_gradient_update(&s, g);
  else
    ml_gradient(&s);
}

static void ml_backward_rows(const run *r, size_t l, size_t i, const real *h, const real *scaled, const real *t,
                             const real *b, real *b_next, vec *g) {
  ml_pass s = ml_pass_of(r, l, i, -1);
  s.w = (vec *)r->u + s.weights;
  s.x = scaled;
  s.y = g;
  s.base = i + 1 == ml_blocks(r) ? b : b_next;
  s.out = b_next;
  s.scale = r->branch;
  if (ml_fused(r)) {
    ml_state_update(&s);
    return;
  }
  ml_state(&s);
  s.x = h;
  s.rate = r->rate_u;
  ml_update(&s);
  s.w = (vec *)r->v + s.weights;
  s.x = b;
  s.y = (vec *)t + s.first * r->N;
  s.rate = r->rate_v;
  ml_update(&s);
}

static void ml_backward(run *r, size_t l, const real *h, const real *t, const real *dt, const real *b, real *b_next) {
  vec *g = (vec *)r->scratch;
  real *scaled = r->scratch + r->t_size;
  size_t blocks = ml_blocks(r);
  if (ml_fused(r)) {
    size_t first, last, row = ml_stride(r);
    share(r, r->D, &first, &last);
    for (size_t i = first * row; i < last * row; i += LANES) {
      v_prefetch(h + i - r->h_size);
      *(vec *)(scaled + i) = *(const vec *)(h + i) * r->rate_u;
    }
  }
  for (size_t i = blocks; i-- > 0;) { /* downwards, as memory is gone through */
    vec *part = r->threads == 1 ? g : g + ml_block_at(r, i).first * r->N;
    ml_backward_units(r, l, i, t, dt, b, part);
    if (r->threads == 1) ml_backward_rows(r, l, i, h, scaled, t, b, b_next, part);
  }
  if (r->threads == 1) return;
  barrier(r);
  for (size_t i = blocks; i-- > 0;) ml_backward_rows(r, l, i, h, scaled, t, b, b_next, g + ml_block_at(r, i).first * r->N);
  barrier(r);
}

static const layout layout_ml = {
    .shared = true,
    .sizes = ml_sizes,
    .draw = ml_draw,
    .weights = ml_weights,
    .state_get = ml_state_get,
    .state_set = ml_state_set,
    .forward = ml_forward,
    .backward = ml_backward,
};

#endif
