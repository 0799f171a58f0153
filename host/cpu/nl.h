/* Samples on lanes, one instance: for many samples. Weights are broadcast, number by number, into tiles of rows by two
 * vectors of samples, so that no product is reduced over lanes; the two updates, which contract over the samples, put units
 * on lanes through transposed copies of rho and g.
 *   U, V          as in units.h
 *   h, b          [panel][D] rows of two vectors of samples; the last panel may be one vector wide
 *   rho, rho', g  [block][panel][units of the block] rows likewise
 * What lies in the lanes that pad N never reaches the others. */
#ifndef MNO_CPU_NL_H
#define MNO_CPU_NL_H

#include "cpu/units.h"

#ifdef MNO_SMALL_TILES
enum { NL_ROWS = 2 };
#elif VEC_REGISTERS == 32
enum { NL_ROWS = 12 };
#else
enum { NL_ROWS = 6 };
#endif
enum { NL_PANEL = 2 * LANES, NL_LINES = NL_ROWS > (int)LANES ? 2 : 1 };

INLINE size_t nl_vectors(const run *r) { return (r->N + LANES - 1) / LANES; }

/* acc[i][c] += sum_k a[i a_row + k a_next] x[k][c], c < width. With fetch not NULL also fetches NL_LINES lines for each k.
 */
INLINE void nl_tile(const real *a, size_t a_row, size_t a_next, const vec *x, size_t depth, int rows, int width,
                    const vec *fetch, vec acc[NL_ROWS][2]) {
  for (size_t k = 0; k < depth; k++, a += a_next, x += width) {
    if (fetch) UNROLL for (int i = 0; i < NL_LINES; i++) v_prefetch(fetch++);
    vec y0 = x[0], y1 = width > 1 ? x[1] : (vec){0};
    UNROLL for (int i = 0; i < rows; i++) {
      vec w = v_set1(a[(size_t)i * a_row]);
      acc[i][0] += w * y0;
      if (width > 1) acc[i][1] += w * y1;
    }
  }
}

/* The products differ in how they read the weights and in what happens to a finished tile. */
typedef enum nl_product { NL_PREACTIVATION, NL_GRADIENT, NL_STATE, NL_UPDATE } nl_product;

typedef struct nl_pass {
  const run *run;
  units part;
  size_t stride; /* numbers in a row of the block's weights */
  real *w;       /* [D][stride] */
  size_t rows, depth;
  const vec *fetch;        /* weights that are needed next; NULL after the first panel */
  ptrdiff_t next;          /* +1 forward, -1 backward */
  const real *x;           /* [depth] rows of a panel */
  vec *out;                /* [rows] rows of a panel */
  const vec *base;         /* state: what the product is added to */
  const vec *rho, *stored; /* gradient */
  real scale;
} nl_pass;

INLINE void nl_finish(const nl_pass *s, nl_product product, size_t row, int rows, int width, vec acc[NL_ROWS][2]) {
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int c = 0; c < width; c++) {
    size_t at = (row + (size_t)i) * (size_t)width + (size_t)c;
    if (product == NL_PREACTIVATION) {
      s->out[at] = acc[i][c] * s->scale;
      v_prefetch_write(s->out + at + s->run->t_size / LANES);
    }
    if (product == NL_STATE) {
      s->out[at] = s->base[at] + s->scale * acc[i][c];
      v_prefetch_write(s->out + at + s->run->h_size / LANES);
    }
    if (product == NL_GRADIENT) {
      v_prefetch(s->rho + at - s->run->t_size / LANES);
      s->out[at] = slope_of(s->run->kind, s->rho[at], s->run->kind == SLOPE_STORED ? s->stored[at] : (vec){0}) *
                   (acc[i][c] * s->scale);
    }
  }
}

/* Preactivation and gradient contract over the rows of the weights, the state over their columns. */
INLINE void nl_rows(const nl_pass *s, nl_product product, size_t row, int rows, int width) {
  vec acc[NL_ROWS][2];
  UNROLL for (int i = 0; i < rows; i++) acc[i][0] = acc[i][1] = (vec){0};
  const vec *fetch = s->fetch ? s->fetch + row / NL_ROWS * NL_LINES * s->depth : NULL;
  if (product == NL_STATE)
    nl_tile(s->w + row * s->stride, s->stride, 1, (const vec *)s->x, s->depth, rows, width, fetch, acc);
  else
    nl_tile(s->w + row, 1, s->stride, (const vec *)s->x, s->depth, rows, width, fetch, acc);
  nl_finish(s, product, row, rows, width, acc);
}

/* Tiles of NL_ROWS rows, then smaller ones for the rest. */
#ifdef MNO_SMALL_TILES
#define NL_TILES(all, call)                                                                                                 \
  for (; row + 2 <= (all); row += 2) call(2);                                                                               \
  for (; row < (all); row++) call(1);
#elif VEC_REGISTERS == 32
#define NL_TILES(all, call)                                                                                                 \
  for (; row + 12 <= (all); row += 12) call(12);                                                                            \
  if (row + 8 <= (all)) {                                                                                                   \
    call(8);                                                                                                                \
    row += 8;                                                                                                               \
  }                                                                                                                         \
  if (row + 4 <= (all)) {                                                                                                   \
    call(4);                                                                                                                \
    row += 4;                                                                                                               \
  }                                                                                                                         \
  for (; row < (all); row++) call(1);
#else
#define NL_TILES(all, call)                                                                                                 \
  for (; row + 6 <= (all); row += 6) call(6);                                                                               \
  if (row + 4 <= (all)) {                                                                                                   \
    call(4);                                                                                                                \
    row += 4;                                                                                                               \
  }                                                                                                                         \
  for (; row < (all); row++) call(1);
#endif

INLINE void nl_panel(const nl_pass *s, nl_product product, int width) {
  size_t row = 0;
#define NL_CALL(rows) nl_rows(s, product, row, rows, width)
  NL_TILES(s->rows, NL_CALL)
#undef NL_CALL
}

/* All panels of a product; x, out, base and rho go on from panel to panel. */
INLINE void nl_multiply(nl_pass s, nl_product product) {
  size_t vectors = nl_vectors(s.run);
  s.fetch = (const vec *)s.w + s.next * (ptrdiff_t)(s.run->D * s.part.vectors);
  for (size_t first = 0; first < vectors; first += 2) {
    size_t width = vectors - first < 2 ? 1 : 2, in = s.depth * width, done = s.rows * width;
    if (width == 2)
      nl_panel(&s, product, 2);
    else
      nl_panel(&s, product, 1);
    s.fetch = NULL;
    s.x += in * LANES;
    s.out += done;
    if (product == NL_STATE) s.base += done;
    if (product == NL_GRADIENT) s.rho += done;
    if (product == NL_GRADIENT && s.stored) s.stored += done;
  }
}

static void nl_preactivation(const nl_pass *s) { nl_multiply(*s, NL_PREACTIVATION); }
static void nl_gradient(const nl_pass *s) { nl_multiply(*s, NL_GRADIENT); }
static void nl_state(const nl_pass *s) { nl_multiply(*s, NL_STATE); }

/* y, in panels over `rows` units -> [pair of vectors of units][N] rows of two vectors (one, if it is the last of an odd
 * number); zero where units pad a vector. */
static void nl_turn(const run *r, const vec *y, size_t rows, vec *out) {
  size_t all = nl_vectors(r), N = r->N;
  for (size_t m = 0; m < rows; m += LANES) {
    size_t used = rows - m < LANES ? rows - m : LANES, pair = m / NL_PANEL * NL_PANEL;
    size_t wide = rows - pair > LANES ? 2 : 1;
    vec *to = out + pair / LANES * N + (m - pair) / LANES;
    for (size_t v = 0; v < all; v++) {
      size_t width = all - (v & ~(size_t)1) < 2 ? 1 : 2;
      const vec *from = y + (v & ~(size_t)1) * rows + m * width + (v & 1);
      vec x[LANES];
      UNROLL for (size_t i = 0; i < LANES; i++) x[i] = i < used ? from[i * width] : (vec){0};
      v_transpose(x);
      size_t last = N - v * LANES < LANES ? N - v * LANES : LANES;
      for (size_t n = 0; n < last; n++) to[(v * LANES + n) * wide] = x[n];
    }
  }
}

/* w -= rate x y^T on a tile: rows of x [panel][D], one or two vectors of units of y. */
INLINE void nl_update_rows(const nl_pass *s, size_t m, const vec *y, size_t row, int rows, int width) {
  const run *r = s->run;
  size_t all = nl_vectors(r);
  vec acc[NL_ROWS][2];
  UNROLL for (int i = 0; i < rows; i++) acc[i][0] = acc[i][1] = (vec){0};
  const real *x = s->x;
  for (size_t v = 0; v < all; v += 2) {
    size_t panel = (all - v < 2 ? 1 : 2) * LANES, left = r->N - v * LANES, depth = left < panel ? left : panel;
    nl_tile(x + row * panel, panel, 1, y, depth, rows, width, NULL, acc);
    x += r->D * panel;
    y += depth * (size_t)width;
  }
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int c = 0; c < width; c++) {
    vec *w = (vec *)(s->w + (row + (size_t)i) * s->stride) + m + (size_t)c;
    *w -= s->scale * acc[i][c];
  }
}

INLINE void nl_update_columns(const nl_pass *s, size_t m, const vec *y, int width) {
  size_t row = 0;
#define NL_CALL(rows) nl_update_rows(s, m, y, row, rows, width)
  NL_TILES(s->run->D, NL_CALL)
#undef NL_CALL
}

/* w -= scale x y^T, y as nl_turn leaves it. */
static void nl_update(const nl_pass *s, const vec *y) {
  for (size_t m = 0; m < s->part.vectors; m += 2, y += 2 * s->run->N) {
    if (s->part.vectors - m < 2)
      nl_update_columns(s, m, y, 1);
    else
      nl_update_columns(s, m, y, 2);
  }
}

static void nl_sizes(run *r) {
  size_t samples = nl_vectors(r) * LANES;
  units_sizes(r);
  r->h_size = r->D * samples;
  r->t_size = r->M * samples;
  r->scratch_size = UNITS_BLOCK * LANES * (samples + r->N); /* g of a block; turned rho or g */
}

/* Place of h_d of sample n. */
INLINE size_t nl_place(const run *r, size_t n, size_t d) {
  size_t panel = n / NL_PANEL, width = r->N - panel * NL_PANEL > LANES ? NL_PANEL : LANES;
  return panel * NL_PANEL * r->D + d * width + n % NL_PANEL;
}

static void nl_state_get(const run *r, size_t lane, const real *h, double *out) {
  for (size_t n = 0; n < r->N; n++)
    for (size_t d = 0; d < r->D; d++) out[n * r->D + d] = (double)h[nl_place(r, n, d)];
}

static void nl_state_set(const run *r, size_t lane, const double *in, real *h) {
  for (size_t n = 0; n < r->N; n++)
    for (size_t d = 0; d < r->D; d++) h[nl_place(r, n, d)] = (real)in[n * r->D + d];
}

INLINE nl_pass nl_pass_of(const run *r, size_t block, ptrdiff_t next) {
  units part = units_at(r, block);
  return (nl_pass){.run = r, .part = part, .stride = part.vectors * LANES, .next = next};
}

INLINE real *nl_weights_at(const nl_pass *s, real *w, size_t l) { return w + l * s->run->w_size + s->part.weights * LANES; }

static void nl_forward(const run *r, size_t l, size_t block, const real *h, real *t, real *dt, const real *base, real scale,
                       real *out) {
  nl_pass s = nl_pass_of(r, block, 1);
  size_t at = s.part.first * LANES * nl_vectors(r);
  vec *rho = (vec *)t + at;
  s.w = nl_weights_at(&s, r->u, l);
  s.rows = s.part.count;
  s.depth = r->D;
  s.x = h;
  s.out = rho;
  s.scale = r->inv_D;
  nl_preactivation(&s);
  activate(r->problem->activation, rho, dt ? (vec *)dt + at : NULL, s.rows * nl_vectors(r));
  s.w = nl_weights_at(&s, r->v, l);
  s.rows = r->D;
  s.depth = s.part.count;
  s.x = (const real *)rho;
  s.base = (const vec *)base;
  s.out = (vec *)out;
  s.scale = scale;
  nl_state(&s);
}

static void nl_prepare(run *r, const real *h) {
  for (size_t i = 0; i < r->h_size; i += LANES) v_prefetch(h + i - r->h_size);
}

static void nl_backward(run *r, size_t l, size_t block, const real *h, const real *t, const real *dt, const real *b,
                        const real *base, real scale, real *out) {
  nl_pass s = nl_pass_of(r, block, -1);
  size_t at = s.part.first * LANES * nl_vectors(r), units = s.part.count;
  real *u = nl_weights_at(&s, r->u, l), *v = nl_weights_at(&s, r->v, l);
  vec *g = (vec *)r->scratch, *turned = g + units * nl_vectors(r);
  s.w = v;
  s.rows = units;
  s.depth = r->D;
  s.x = b;
  s.out = g;
  s.rho = (const vec *)t + at;
  s.stored = dt ? (const vec *)dt + at : NULL;
  s.scale = r->inv_D;
  nl_gradient(&s);
  nl_turn(r, s.rho, units, turned);
  s.scale = r->rate_v;
  nl_update(&s, turned);
  s.w = u;
  s.rows = r->D;
  s.depth = units;
  s.x = (const real *)g;
  s.base = (const vec *)base;
  s.out = (vec *)out;
  s.scale = scale;
  nl_state(&s);
  nl_turn(r, g, units, turned);
  s.x = h;
  s.scale = r->rate_u;
  nl_update(&s, turned);
}

static const layout layout_nl = {
    .sizes = nl_sizes,
    .draw = units_draw,
    .weights = units_weights,
    .state_get = nl_state_get,
    .state_set = nl_state_set,
    .forward = nl_forward,
    .prepare = nl_prepare,
    .backward = nl_backward,
};

#endif
