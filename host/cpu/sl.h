/* Seeds on lanes: lane i of every vector belongs to instance i of the batch, so that lanes are full for any D, M, N and no
 * product needs a reduction. Best for small layers; the working set is that of LANES instances.
 *   U, V [L][D][M], h, b [D][N], rho, rho', g [M][N], all of vectors. Unused lanes hold zero weights. */
#ifndef MNO_CPU_SL_H
#define MNO_CPU_SL_H

#include "cpu/train.h"

#ifdef MNO_SMALL_TILES
enum { SL_COLUMNS = 2, SL_UPDATE_D = 2, SL_UPDATE_M = 2 };
#elif VEC_REGISTERS == 32
enum { SL_COLUMNS = 10, SL_UPDATE_D = 4, SL_UPDATE_M = 4 };
#else
enum { SL_COLUMNS = 5, SL_UPDATE_D = 2, SL_UPDATE_M = 4 };
#endif
enum { SL_ROWS = 8 };

/* acc[i][n] = sum_k a[i a_row + k a_next] x[k N + n]; ahead: a line of the next layer to fetch for each of a. */
INLINE void sl_tile(const vec *a, size_t a_row, size_t a_next, const vec *x, size_t N, size_t depth, ptrdiff_t ahead,
                    int rows, int columns, vec acc[SL_ROWS][SL_COLUMNS]) {
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int n = 0; n < columns; n++) acc[i][n] = (vec){0};
  for (size_t k = 0; k < depth; k++, a += a_next, x += N) {
    vec w[SL_ROWS];
    UNROLL for (int i = 0; i < rows; i++) {
      w[i] = a[(size_t)i * a_row];
      v_prefetch(a + (size_t)i * a_row + ahead);
    }
    UNROLL for (int n = 0; n < columns; n++) {
      vec y = x[n];
      UNROLL for (int i = 0; i < rows; i++) acc[i][n] += w[i] * y;
    }
  }
}

/* The four products of a layer differ in what happens to a finished tile. */
typedef enum sl_product { SL_PREACTIVATION, SL_STATE, SL_GRADIENT } sl_product;

typedef struct sl_pass {
  const vec *a; /* weights */
  size_t a_row, a_next, rows, depth, N;
  ptrdiff_t ahead;
  const vec *x;         /* [depth][N] */
  vec *out;             /* [rows][N] */
  const vec *rho, *add; /* gradient: rho and the stored slope; state: what the product is added to */
  real scale;
  slope kind;
} sl_pass;

INLINE void sl_rows(const sl_pass *s, sl_product product, size_t row, size_t n0, int rows, int columns) {
  vec acc[SL_ROWS][SL_COLUMNS];
  sl_tile(s->a + row * s->a_row, s->a_row, s->a_next, s->x + n0, s->N, s->depth, s->ahead, rows, columns, acc);
  size_t at = row * s->N + n0;
  UNROLL for (int i = 0; i < rows; i++, at += s->N) UNROLL for (int n = 0; n < columns; n++) {
    size_t j = at + (size_t)n;
    if (product == SL_PREACTIVATION) v_prefetch_write(s->out + j + s->rows * s->N);
    if (product == SL_GRADIENT) v_prefetch(s->rho + j - s->rows * s->N);
    if (product == SL_PREACTIVATION) s->out[j] = acc[i][n] * s->scale;
    if (product == SL_STATE) s->out[j] = s->add[j] + acc[i][n] * s->scale;
    if (product == SL_GRADIENT)
      s->out[j] = slope_of(s->kind, s->rho[j], s->kind == SLOPE_STORED ? s->add[j] : (vec){0}) * (acc[i][n] * s->scale);
  }
}

INLINE void sl_columns(const sl_pass *s, sl_product product, size_t n0, int rows, int columns) {
  size_t row = 0;
  for (; row + (size_t)rows <= s->rows; row += (size_t)rows) sl_rows(s, product, row, n0, rows, columns);
  for (; row < s->rows; row++) sl_rows(s, product, row, n0, 1, columns);
}

/* N as a sum of nearly equal tiles of at most SL_COLUMNS. */
INLINE void sl_multiply(const sl_pass *s, sl_product product) {
  size_t tiles = (s->N + SL_COLUMNS - 1) / SL_COLUMNS, width = s->N / tiles, wider = s->N % tiles;
  for (size_t i = 0, n0 = 0; i < tiles; i++) {
    size_t columns = width + (i < wider);
    switch (columns) {
#ifdef MNO_SMALL_TILES
    case 1: sl_columns(s, product, n0, 2, 1); break;
    default: sl_columns(s, product, n0, 2, 2); break;
#else
    case 1: sl_columns(s, product, n0, 8, 1); break;
    case 2: sl_columns(s, product, n0, 4, 2); break;
#if VEC_REGISTERS == 32
    case 3: sl_columns(s, product, n0, 4, 3); break;
    case 4: sl_columns(s, product, n0, 4, 4); break;
    case 5: sl_columns(s, product, n0, 4, 5); break;
    case 6: sl_columns(s, product, n0, 4, 6); break;
    case 7: sl_columns(s, product, n0, 2, 7); break;
    case 8: sl_columns(s, product, n0, 2, 8); break;
    case 9: sl_columns(s, product, n0, 2, 9); break;
    default: sl_columns(s, product, n0, 2, 10); break;
#else
    case 3: sl_columns(s, product, n0, 2, 3); break;
    case 4: sl_columns(s, product, n0, 2, 4); break;
    default: sl_columns(s, product, n0, 2, 5); break;
#endif
#endif
    }
    n0 += columns;
  }
}

static void sl_preactivation(const sl_pass *s) { sl_multiply(s, SL_PREACTIVATION); }
static void sl_state(const sl_pass *s) { sl_multiply(s, SL_STATE); }
static void sl_gradient(const sl_pass *s) { sl_multiply(s, SL_GRADIENT); }

/* w[d][m] -= rate sum_n x[d][n] y[m][n] on a tile. */
INLINE void sl_update_tile(vec *w, size_t M, const vec *x, const vec *y, size_t N, real rate, int rows, int columns) {
  vec acc[SL_UPDATE_D][SL_UPDATE_M];
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < columns; j++) acc[i][j] = (vec){0};
  for (size_t n = 0; n < N; n++) {
    vec a[SL_UPDATE_D];
    UNROLL for (int i = 0; i < rows; i++) a[i] = x[(size_t)i * N + n];
    UNROLL for (int j = 0; j < columns; j++) {
      vec b = y[(size_t)j * N + n];
      UNROLL for (int i = 0; i < rows; i++) acc[i][j] += a[i] * b;
    }
  }
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < columns; j++) {
    w[(size_t)i * M + (size_t)j] -= rate * acc[i][j];
  }
}

static void sl_update(vec *w, size_t D, size_t M, const vec *x, const vec *y, size_t N, real rate) {
  size_t d = 0;
  for (; d + SL_UPDATE_D <= D; d += SL_UPDATE_D) {
    size_t m = 0;
    for (; m + SL_UPDATE_M <= M; m += SL_UPDATE_M)
      sl_update_tile(w + d * M + m, M, x + d * N, y + m * N, N, rate, SL_UPDATE_D, SL_UPDATE_M);
    for (; m < M; m++) sl_update_tile(w + d * M + m, M, x + d * N, y + m * N, N, rate, SL_UPDATE_D, 1);
  }
  for (; d < D; d++) {
    size_t m = 0;
    for (; m + SL_UPDATE_M <= M; m += SL_UPDATE_M)
      sl_update_tile(w + d * M + m, M, x + d * N, y + m * N, N, rate, 1, SL_UPDATE_M);
    for (; m < M; m++) sl_update_tile(w + d * M + m, M, x + d * N, y + m * N, N, rate, 1, 1);
  }
}

static void sl_sizes(run *r) {
  r->blocks = 1;
  r->w_size = r->D * r->M * LANES;
  r->h_size = r->D * r->N * LANES;
  r->t_size = r->M * r->N * LANES;
  r->scratch_size = r->t_size; /* g */
}

static void sl_draw(run *r, size_t block) {
  const mno_problem *p = r->problem;
  uvec k0 = {0}, k1 = {0}, layer = {0}, unit = {0};
  uint64_t last[LANES] = {0}, first[LANES] = {0};
  vec scale_u = {0}, scale_v = {0};
  double root = sqrt((double)p->D);
  for (size_t i = 0; i < r->batch->count; i++) {
    const mno_instance *instance = r->batch->instance[i];
    k0[i] = (uint32_t)instance->seed;
    k1[i] = (uint32_t)(instance->seed >> 32);
    first[i] = (uint64_t)instance->draw.offset;
    last[i] = first[i] + (uint64_t)instance->draw.width;
    unit[i] = (uword)first[i];
    scale_u[i] = (real)(p->sigma[MNO_U] * root);
    scale_v[i] = (real)(p->sigma[MNO_V] * root * instance->draw.sign);
  }
  for (size_t l = 0; l < r->L; l++)
    for (size_t m = 0; m < r->M; m++) {
      vec *u = (vec *)(r->u + l * r->w_size) + m, *v = (vec *)(r->v + l * r->w_size) + m;
      for (size_t d = 0; d < r->D; d += 4) {
        vec z[4], y[4];
        v_normals(k0, k1, MNO_TENSOR_U, layer, unit, (uint32_t)(d / 4), z);
        v_normals(k0, k1, MNO_TENSOR_V, layer, unit, (uint32_t)(d / 4), y);
        for (size_t i = 0; i < 4 && d + i < r->D; i++) {
          u[(d + i) * r->M] = z[i] * scale_u;
          v[(d + i) * r->M] = y[i] * scale_v;
        }
      }
      for (size_t i = 0; i < r->batch->count; i++) {
        unit[i]++;
        if (unit[i] == last[i]) {
          unit[i] = (uword)first[i];
          layer[i]++;
        }
      }
    }
}

static void sl_weights(const run *r, size_t lane, const real *w, double *out) {
  for (size_t l = 0; l < r->L; l++)
    for (size_t m = 0; m < r->M; m++)
      for (size_t d = 0; d < r->D; d++)
        out[(l * r->M + m) * r->D + d] = (double)w[l * r->w_size + (d * r->M + m) * LANES + lane];
}

static void sl_state_get(const run *r, size_t lane, const real *h, double *out) {
  for (size_t n = 0; n < r->N; n++)
    for (size_t d = 0; d < r->D; d++) out[n * r->D + d] = (double)h[(d * r->N + n) * LANES + lane];
}

static void sl_state_set(const run *r, size_t lane, const double *in, real *h) {
  for (size_t n = 0; n < r->N; n++)
    for (size_t d = 0; d < r->D; d++) h[(d * r->N + n) * LANES + lane] = (real)in[n * r->D + d];
}

static void sl_forward(const run *r, size_t l, size_t block, const real *h, real *t, real *dt, const real *base, real scale,
                       real *out) {
  const vec *u = (const vec *)(r->u + l * r->w_size), *v = (const vec *)(r->v + l * r->w_size);
  ptrdiff_t ahead = (ptrdiff_t)(r->D * r->M);
  sl_pass p = {.a = u,
               .a_row = 1,
               .a_next = r->M,
               .rows = r->M,
               .depth = r->D,
               .N = r->N,
               .ahead = ahead,
               .x = (const vec *)h,
               .out = (vec *)t,
               .scale = r->inv_D};
  sl_preactivation(&p);
  activate(r->problem->activation, (vec *)t, (vec *)dt, r->M * r->N);
  sl_pass s = {.a = v,
               .a_row = r->M,
               .a_next = 1,
               .rows = r->D,
               .depth = r->M,
               .N = r->N,
               .ahead = ahead,
               .x = (const vec *)t,
               .out = (vec *)out,
               .add = (const vec *)base,
               .scale = scale};
  sl_state(&s);
}

static void sl_rebuild(const run *r, size_t l, const real *h_next, const real *t, real *h) {
  sl_pass s = {.a = (const vec *)(r->v + l * r->w_size),
               .a_row = r->M,
               .a_next = 1,
               .rows = r->D,
               .depth = r->M,
               .N = r->N,
               .ahead = -(ptrdiff_t)(r->D * r->M),
               .x = (const vec *)t,
               .out = (vec *)h,
               .add = (const vec *)h_next,
               .scale = -r->branch};
  sl_state(&s);
}

static void sl_backward(run *r, size_t l, size_t block, const real *h, const real *t, const real *dt, const real *b,
                        const real *base, real scale, real *out) {
  vec *u = (vec *)(r->u + l * r->w_size), *v = (vec *)(r->v + l * r->w_size), *g = (vec *)r->scratch;
  ptrdiff_t ahead = -(ptrdiff_t)(r->D * r->M);
  sl_pass q = {.a = v,
               .a_row = 1,
               .a_next = r->M,
               .rows = r->M,
               .depth = r->D,
               .N = r->N,
               .ahead = ahead,
               .x = (const vec *)b,
               .out = g,
               .rho = (const vec *)t,
               .add = (const vec *)dt,
               .scale = r->inv_D,
               .kind = r->kind};
  sl_gradient(&q);
  sl_pass s = {.a = u,
               .a_row = r->M,
               .a_next = 1,
               .rows = r->D,
               .depth = r->M,
               .N = r->N,
               .ahead = ahead,
               .x = g,
               .out = (vec *)out,
               .add = (const vec *)base,
               .scale = scale};
  sl_state(&s);
  sl_update(u, r->D, r->M, (const vec *)h, g, r->N, r->rate_u);
  sl_update(v, r->D, r->M, (const vec *)b, (const vec *)t, r->N, r->rate_v);
}

static const layout layout_sl = {
    .sizes = sl_sizes,
    .draw = sl_draw,
    .weights = sl_weights,
    .state_get = sl_state_get,
    .state_set = sl_state_set,
    .forward = sl_forward,
    .rebuild = sl_rebuild,
    .backward = sl_backward,
};

#endif
