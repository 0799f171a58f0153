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

enum { ML_BLOCK = 8, ML_GROUPS = 16 / LANES > 1 ? 16 / LANES : 1 };
#if VEC_REGISTERS == 32
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

/* Lane sums of `count` <= 16 vectors, side by side in out. Neighbours are folded pairwise: within 16 bytes, then across. */
#ifdef __clang__ /* has no shuffle by a vector of indices; the loop unrolls into one */
INLINE vec ml_shuffle(vec a, vec b, ivec index) {
  vec out = a;
  UNROLL for (int i = 0; i < LANES; i++) out[i] = index[i] < LANES ? a[index[i]] : b[index[i] - LANES];
  return out;
}
#else
#define ml_shuffle __builtin_shuffle
#endif
#define ML_FOLD(a, b, even, odd) (ml_shuffle(a, b, even) + ml_shuffle(a, b, odd))
#if VEC_BYTES == 64 && defined(MNO_SIMD_F32)
#define ML_EVERY(a0, a1, a2, a3)                                                                                            \
  (ivec) {                                                                                                                  \
    a0, a1, a2, a3, a0 + 4, a1 + 4, a2 + 4, a3 + 4, a0 + 8, a1 + 8, a2 + 8, a3 + 8, a0 + 12, a1 + 12, a2 + 12, a3 + 12      \
  }
#define ML_CROSS(o)                                                                                                         \
  (ivec) {                                                                                                                  \
    o, o + 1, o + 2, o + 3, o + 8, o + 9, o + 10, o + 11, o + 16, o + 17, o + 18, o + 19, o + 24, o + 25, o + 26, o + 27    \
  }
#elif VEC_BYTES == 64
#define ML_EVERY(a0, a1)                                                                                                    \
  (ivec) { a0, a1, a0 + 2, a1 + 2, a0 + 4, a1 + 4, a0 + 6, a1 + 6 }
#define ML_CROSS(o)                                                                                                         \
  (ivec) { o, o + 1, o + 4, o + 5, o + 8, o + 9, o + 12, o + 13 }
#elif VEC_BYTES == 32 && defined(MNO_SIMD_F32)
#define ML_EVERY(a0, a1, a2, a3)                                                                                            \
  (ivec) { a0, a1, a2, a3, a0 + 4, a1 + 4, a2 + 4, a3 + 4 }
#define ML_CROSS(o)                                                                                                         \
  (ivec) { o, o + 1, o + 2, o + 3, o + 8, o + 9, o + 10, o + 11 }
#elif VEC_BYTES == 32
#define ML_EVERY(a0, a1)                                                                                                    \
  (ivec) { a0, a1, a0 + 2, a1 + 2 }
#define ML_CROSS(o)                                                                                                         \
  (ivec) { o, o + 1, o + 4, o + 5 }
#elif defined(MNO_SIMD_F32)
#define ML_EVERY(a0, a1, a2, a3)                                                                                            \
  (ivec) { a0, a1, a2, a3 }
#else
#define ML_EVERY(a0, a1)                                                                                                    \
  (ivec) { a0, a1 }
#endif

/* Sums of LANES vectors a[0..LANES); those at or beyond count are taken as zero. */
INLINE vec ml_fold(const vec *a, int count) {
  vec x[LANES];
  UNROLL for (int i = 0; i < LANES; i++) x[i] = i < count ? a[i] : (vec){0};
  int n = LANES;
#ifdef MNO_SIMD_F32
  UNROLL for (int i = 0; i < LANES / 2; i++) {
    x[i] = 2 * i < count
               ? ML_FOLD(x[2 * i], x[2 * i + 1], ML_EVERY(0, LANES, 1, LANES + 1), ML_EVERY(2, LANES + 2, 3, LANES + 3))
               : (vec){0};
  }
  UNROLL for (int i = 0; i < LANES / 4; i++) {
    x[i] = 4 * i < count
               ? ML_FOLD(x[2 * i], x[2 * i + 1], ML_EVERY(0, 1, LANES, LANES + 1), ML_EVERY(2, 3, LANES + 2, LANES + 3))
               : (vec){0};
  }
  n /= 4;
  int width = 4;
#else
  UNROLL for (int i = 0; i < LANES / 2; i++) {
    x[i] = 2 * i < count ? ML_FOLD(x[2 * i], x[2 * i + 1], ML_EVERY(0, LANES), ML_EVERY(1, LANES + 1)) : (vec){0};
  }
  n /= 2;
  int width = 2;
#endif
#if VEC_BYTES > 16
  UNROLL for (; n > 1; n /= 2) {
    width *= 2;
    UNROLL for (int i = 0; i < n / 2; i++) {
      x[i] = i * width < count ? ML_FOLD(x[2 * i], x[2 * i + 1], ML_CROSS(0), ML_CROSS(16 / (int)sizeof(real))) : (vec){0};
    }
  }
#endif
  (void)n;
  (void)width;
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
  size_t vectors, D, N, stride;
  ptrdiff_t ahead; /* in vectors: from a weight to that of the block that comes next */
  vec *w;          /* [D][vectors] */
  const real *x;   /* [D][stride], h or b */
  vec *y;          /* [N][vectors], rho or g */
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
  size_t m = 0;
  for (; m + 2 <= s->vectors; m += 2) ml_columns(s, gradient, m, n0, 1, columns);
  if (m < s->vectors) ml_columns(s, gradient, m, n0, 0, columns);
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
  size_t d = 0;
  for (; d + 2 <= s->D; d += 2) ml_rows(s, d, n0, 2, columns);
  if (d < s->D) ml_rows(s, d, n0, 1, columns);
}

/* Fused, for N in one tile: g = rho' scale w^T x and w -= rate x y^T, each weight read and written once. */
INLINE void ml_sweep_columns(const ml_pass *s, vec *g, int columns) {
  for (size_t m = 0; m < s->vectors; m++) {
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
  vec *w = s->w;
  const real *x = s->x;
  for (size_t d = 0; d < s->D; d++, w += s->vectors, x += s->stride) {
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

#if VEC_REGISTERS == 32
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
  size_t d = 0;
  for (; d + ML_UPDATE_D <= s->D; d += ML_UPDATE_D) ml_update_rows(s, d, ML_UPDATE_D);
  for (; d < s->D; d++) ml_update_rows(s, d, 1);
}

static void ml_sizes(run *r) {
  r->w_size = r->D * ml_vectors(r) * LANES;
  r->h_size = (r->D * ml_stride(r) + LANES - 1) / LANES * LANES;
  r->t_size = r->N * ml_vectors(r) * LANES;
  r->scratch_size = r->N * ML_BLOCK * LANES + r->h_size; /* g of a block, h times the rate */
}

static void ml_draw(run *r) {
  const mno_problem *p = r->problem;
  const mno_instance *instance = r->batch->instance[0];
  uvec k0 = v_uset1((uint32_t)instance->seed), k1 = v_uset1((uint32_t)(instance->seed >> 32));
  double root = sqrt((double)p->D);
  for (size_t l = 0; l < r->L; l++)
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

/* The units that pad the last vector: rho = 0, so that their v is never moved (softplus and others have rho(0) != 0). */
INLINE void ml_clear_padding(const run *r, ml_block block, vec *t) {
  size_t used = r->M - (block.first + block.vectors - 1) * LANES;
  if (used >= LANES) return;
  vec keep = {0};
  for (size_t lane = 0; lane < used; lane++) keep[lane] = 1;
  for (size_t n = 0; n < r->N; n++) t[n * block.vectors + block.vectors - 1] *= keep;
}

static void ml_forward(const run *r, size_t l, const real *h, real *t, real *dt, real *h_next) {
  for (size_t i = 0; i < ml_blocks(r); i++) {
    ml_block block = ml_block_at(r, i);
    size_t w = l * r->w_size / LANES + block.first * r->D, at = block.first * r->N;
    ml_pass s = {.run = r,
                 .vectors = block.vectors,
                 .D = r->D,
                 .N = r->N,
                 .stride = ml_stride(r),
                 .ahead = (ptrdiff_t)(r->D * block.vectors),
                 .w = (vec *)r->u + w,
                 .x = h,
                 .y = (vec *)t + at,
                 .base = i == 0 ? h : h_next,
                 .out = h_next,
                 .scale = r->inv_D};
    ml_preactivation(&s);
    activate(r->problem->activation, s.y, dt ? (vec *)dt + at : NULL, block.vectors * r->N);
    ml_clear_padding(r, block, s.y);
    s.w = (vec *)r->v + w;
    s.scale = r->branch;
    ml_state(&s);
  }
}

static void ml_backward(run *r, size_t l, const real *h, const real *t, const real *dt, const real *b, real *b_next) {
  vec *g = (vec *)r->scratch;
  real *scaled = r->scratch + r->N * ML_BLOCK * LANES;
  bool fused = r->N <= ML_COLUMNS;
  if (fused)
    for (size_t i = 0; i < r->h_size; i += LANES) {
      v_prefetch(h + i - r->h_size);
      *(vec *)(scaled + i) = *(const vec *)(h + i) * r->rate_u;
    }
  size_t blocks = ml_blocks(r);
  for (size_t i = blocks; i-- > 0;) { /* downwards, as memory is gone through */
    ml_block block = ml_block_at(r, i);
    size_t w = l * r->w_size / LANES + block.first * r->D, at = block.first * r->N;
    ml_pass v = {.run = r,
                 .vectors = block.vectors,
                 .D = r->D,
                 .N = r->N,
                 .stride = ml_stride(r),
                 .ahead = -(ptrdiff_t)(r->D * block.vectors),
                 .w = (vec *)r->v + w,
                 .x = b,
                 .y = g,
                 .rho = (const vec *)t + at,
                 .stored = dt ? (const vec *)dt + at : NULL,
                 .scale = r->inv_D,
                 .rate = r->rate_v};
    ml_pass u = v;
    u.w = (vec *)r->u + w;
    u.base = i + 1 == blocks ? b : b_next;
    u.out = b_next;
    u.scale = r->branch;
    if (fused) {
      u.x = scaled;
      ml_gradient_update(&v, g);
      ml_state_update(&u);
      continue;
    }
    ml_gradient(&v);
    ml_state(&u);
    u.x = h;
    u.rate = r->rate_u;
    ml_update(&u);
    v.y = (vec *)t + at;
    ml_update(&v);
  }
}

static const layout layout_ml = {
    .sizes = ml_sizes,
    .draw = ml_draw,
    .weights = ml_weights,
    .state_get = ml_state_get,
    .state_set = ml_state_set,
    .forward = ml_forward,
    .backward = ml_backward,
};

#endif
