/* SPDX-License-Identifier: BSD-3-Clause */
/* Seeds on lanes: lane i of every vector belongs to instance i of the batch, so that lanes are full for any D, M, N and no
 * product needs a reduction. Best for small layers; the working set is that of LANES instances. A layer is one slice.
 *   tensors [L][D][M], h, b [D][N], numbers by unit and sample [M][N], all of vectors. Unused lanes hold zero weights. */
#ifndef MNO_CPU_SEEDS_ON_LANES_H
#define MNO_CPU_SEEDS_ON_LANES_H

#include "cpu/network.h"
#include "cpu/vrandom.h"

#ifdef MNO_SMALL_TILES
enum { SEEDS_COLUMNS = 2, SEEDS_CHANGE_D = 2, SEEDS_CHANGE_M = 2 };
#elif VEC_REGISTERS == 32
enum { SEEDS_COLUMNS = 10, SEEDS_CHANGE_D = 4, SEEDS_CHANGE_M = 4 };
#else
enum { SEEDS_COLUMNS = 5, SEEDS_CHANGE_D = 2, SEEDS_CHANGE_M = 4 };
#endif
enum { SEEDS_ROWS = 8 };

/* acc[i][n] = sum_k a[i a_row + k a_next] x[k N + n]; ahead: a line of the next layer to fetch for each of a. */
INLINE void seeds_tile(const vec *a, size_t a_row, size_t a_next, const vec *x, size_t N, size_t depth, ptrdiff_t ahead,
                       int rows, int columns, vec acc[SEEDS_ROWS][SEEDS_COLUMNS]) {
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int n = 0; n < columns; n++) acc[i][n] = (vec){0};
  for (size_t k = 0; k < depth; k++, a += a_next, x += N) {
    vec w[SEEDS_ROWS];
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

/* The operations differ in how they read the weights and in what happens to a finished tile. */
typedef enum seeds_operation { SEEDS_CONTRACT, SEEDS_CONTRACT_SLOPES, SEEDS_EXPAND } seeds_operation;

INLINE void seeds_finish(const product *p, seeds_operation operation, size_t at, vec sum) {
  switch (operation) {
  case SEEDS_CONTRACT:
    v_prefetch_write(p->y + at + p->net->M * p->N);
    p->y[at] = sum * p->scale;
    return;
  case SEEDS_CONTRACT_SLOPES:
    v_prefetch(p->s + at - p->net->M * p->N);
    times_slopes(p, at, sum * p->scale);
    return;
  case SEEDS_EXPAND: p->out[at] = p->base[at] + sum * p->scale; return;
  }
}

INLINE void seeds_rows(const product *p, seeds_operation operation, size_t row, size_t n0, int rows, int columns) {
  vec acc[SEEDS_ROWS][SEEDS_COLUMNS];
  const size_t M = p->net->M;
  if (operation == SEEDS_EXPAND)
    seeds_tile(p->w + row * M, M, 1, p->y + n0, p->N, M, p->ahead, rows, columns, acc);
  else
    seeds_tile(p->w + row, 1, M, (const vec *)p->x + n0, p->N, p->D, p->ahead, rows, columns, acc);
  const product own = *p; /* not read again behind every store */
  size_t at = row * own.N + n0;
  UNROLL for (int i = 0; i < rows; i++, at += own.N) UNROLL for (int n = 0; n < columns; n++) {
    seeds_finish(&own, operation, at + (size_t)n, acc[i][n]);
  }
}

INLINE void seeds_columns(const product *p, seeds_operation operation, size_t n0, int rows, int columns) {
  const size_t all = operation == SEEDS_EXPAND ? p->D : p->net->M;
  size_t row = 0;
  for (; row + (size_t)rows <= all; row += (size_t)rows) seeds_rows(p, operation, row, n0, rows, columns);
  for (; row < all; row++) seeds_rows(p, operation, row, n0, 1, columns);
}

/* N as a sum of nearly equal tiles of at most SEEDS_COLUMNS. */
INLINE void seeds_multiply(const product *p, seeds_operation operation) {
  size_t tiles = (p->N + SEEDS_COLUMNS - 1) / SEEDS_COLUMNS, width = p->N / tiles, wider = p->N % tiles;
  for (size_t i = 0, n0 = 0; i < tiles; i++) {
    size_t columns = width + (i < wider);
    switch (columns) {
#ifdef MNO_SMALL_TILES
    case 1: seeds_columns(p, operation, n0, 2, 1); break;
    default: seeds_columns(p, operation, n0, 2, 2); break;
#else
    case 1: seeds_columns(p, operation, n0, 8, 1); break;
    case 2: seeds_columns(p, operation, n0, 4, 2); break;
#if VEC_REGISTERS == 32
    case 3: seeds_columns(p, operation, n0, 4, 3); break;
    case 4: seeds_columns(p, operation, n0, 4, 4); break;
    case 5: seeds_columns(p, operation, n0, 4, 5); break;
    case 6: seeds_columns(p, operation, n0, 4, 6); break;
    case 7: seeds_columns(p, operation, n0, 2, 7); break;
    case 8: seeds_columns(p, operation, n0, 2, 8); break;
    case 9: seeds_columns(p, operation, n0, 2, 9); break;
    default: seeds_columns(p, operation, n0, 2, 10); break;
#else
    case 3: seeds_columns(p, operation, n0, 2, 3); break;
    case 4: seeds_columns(p, operation, n0, 2, 4); break;
    default: seeds_columns(p, operation, n0, 2, 5); break;
#endif
#endif
    }
    n0 += columns;
  }
}

static void seeds_contract(const product *p) { seeds_multiply(p, SEEDS_CONTRACT); }
static void seeds_contract_slopes(const product *p) { seeds_multiply(p, SEEDS_CONTRACT_SLOPES); }
static void seeds_expand(const product *p) { seeds_multiply(p, SEEDS_EXPAND); }

/* w[d][m] -= rate sum_n x[d][n] y[m][n] on a tile. */
INLINE void seeds_change_tile(const product *p, size_t d, size_t m, int rows, int columns) {
  const size_t M = p->net->M, N = p->N;
  const real rate = p->rate;
  const vec *x = (const vec *)p->x + d * N, *y = p->y + m * N;
  vec acc[SEEDS_CHANGE_D][SEEDS_CHANGE_M], *w = p->w + d * M + m;
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < columns; j++) acc[i][j] = (vec){0};
  for (size_t n = 0; n < N; n++) {
    vec a[SEEDS_CHANGE_D];
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

INLINE void seeds_change_tiles(const product *p, size_t d, int rows) {
  size_t m = 0;
  for (; m + SEEDS_CHANGE_M <= p->net->M; m += SEEDS_CHANGE_M) seeds_change_tile(p, d, m, rows, SEEDS_CHANGE_M);
  for (; m < p->net->M; m++) seeds_change_tile(p, d, m, rows, 1);
}

static void seeds_change(const product *p) {
  size_t d = 0;
  for (; d + SEEDS_CHANGE_D <= p->D; d += SEEDS_CHANGE_D) seeds_change_tiles(p, d, SEEDS_CHANGE_D);
  for (; d < p->D; d++) seeds_change_tiles(p, d, 1);
}

static void seeds_sizes(network *n) {
  n->slices = 1;
  n->w_size = n->D * n->M * LANES;
  n->h_size = n->D * n->N * LANES;
  n->unit_size = n->M * n->N * LANES;
  n->slice_weights = n->D * n->M;
  n->slice_numbers = n->M * n->N;
}

static unit_slice seeds_slice(const network *n, size_t slice) {
  return (unit_slice){.count = n->M, .vectors = n->M, .number_count = n->M * n->N};
}

static void seeds_draw(const network *n, size_t slice) {
  const mno_problem *p = n->problem;
  const mno_tensor_spec *tensor = p->block->tensor;
  uvec k0 = {0}, k1 = {0}, layer = {0}, unit = {0};
  uint64_t last[LANES] = {0}, first[LANES] = {0};
  vec scale[TENSORS] = {{0}};
  double root = sqrt((double)p->D);
  for (size_t i = 0; i < n->batch->count; i++) {
    const mno_instance *instance = n->batch->instance[i];
    k0[i] = (uint32_t)instance->seed;
    k1[i] = (uint32_t)(instance->seed >> 32);
    first[i] = (uint64_t)instance->draw.offset;
    last[i] = first[i] + (uint64_t)instance->draw.width;
    unit[i] = (uword)first[i];
    for (size_t t = 0; t < TENSORS; t++)
      scale[t][i] = (real)(p->sigma[t] * root * (tensor[t].flips ? instance->draw.sign : 1));
  }
  for (size_t l = 0; l < n->L; l++)
    for (size_t m = 0; m < n->M; m++) {
      for (size_t d = 0; d < n->D; d += 4) UNROLL for (size_t t = 0; t < TENSORS; t++) {
          vec z[4], *w = (vec *)(n->w[t] + l * n->w_size) + m;
          v_normals(k0, k1, tensor[t].draw, layer, unit, (uint32_t)(d / 4), z);
          for (size_t i = 0; i < 4 && d + i < n->D; i++) w[(d + i) * n->M] = z[i] * scale[t];
        }
      for (size_t i = 0; i < n->batch->count; i++) {
        unit[i]++;
        if (unit[i] == last[i]) {
          unit[i] = (uword)first[i];
          layer[i]++;
        }
      }
    }
}

static void seeds_weights(const network *n, size_t lane, const real *w, double *out) {
  for (size_t l = 0; l < n->L; l++)
    for (size_t m = 0; m < n->M; m++)
      for (size_t d = 0; d < n->D; d++)
        out[(l * n->M + m) * n->D + d] = (double)w[l * n->w_size + (d * n->M + m) * LANES + lane];
}

static void seeds_state_get(const network *n, size_t lane, const real *h, double *out) {
  for (size_t i = 0; i < n->N; i++)
    for (size_t d = 0; d < n->D; d++) out[i * n->D + d] = (double)h[(d * n->N + i) * LANES + lane];
}

static void seeds_state_set(const network *n, size_t lane, const double *in, real *h) {
  for (size_t i = 0; i < n->N; i++)
    for (size_t d = 0; d < n->D; d++) h[(d * n->N + i) * LANES + lane] = (real)in[i * n->D + d];
}

static const arrangement seeds_on_lanes = {
    .instances = LANES,
    .sizes = seeds_sizes,
    .slice = seeds_slice,
    .draw = seeds_draw,
    .weights = seeds_weights,
    .state_get = seeds_state_get,
    .state_set = seeds_state_set,
    .contract = seeds_contract,
    .contract_slopes = seeds_contract_slopes,
    .expand = seeds_expand,
    .change = seeds_change,
    .rebuilds = true,
};

#endif
