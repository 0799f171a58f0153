/* SPDX-License-Identifier: BSD-3-Clause */
/* The pass, compiled once per instruction set, precision and block of units (MNO_PASS_KERNEL names the table, MNO_BLOCK the
 * block, MNO_BLOCK_UNIT its formula). Register tile: TILE vectors of particles times PAIR samples. */
#include "limit/pass.h"

#include "cpu/vector_formula.h"
#include "cpu/optimizers.h"
#include "limit/stop.h"

#include MNO_BLOCK_UNIT

#include <string.h>

#define JOIN_EXPANDED(a, b) a##b
#define JOIN(a, b) JOIN_EXPANDED(a, b)

/* Smaller tiles and chunks are slower, larger ones no faster: bench/choices.py pass-tile, pass-chunk. */
enum { TILE = 4, WIDTH = TILE * LANES, PAIR = 2, CHUNK = 16 };
enum { TENSORS = JOIN(MNO_BLOCK, _tensors), OUTPUT = TENSORS - 1 }; /* inputs come before the output */

/* Fields of the samples, padded with zeros to an even number: padded samples move nothing. */
typedef struct workspace {
  real *old_h, *old_b, *h, *b; /* [padded][r] divided by D: what projections are taken on */
  real *moves[TENSORS]; /* [padded][r] the old fields that move a tensor, times minus its rate if the optimiser fuses */
  vec *gradient;        /* [TENSORS][r][TILE] */
  vec *F, *G;           /* [padded][r] sums over a chunk of tiles */
  vec *J;               /* [PAIR][r][r] */
  real rate[TENSORS], knob[MNO_KNOBS_MOST];
  updater *apply;
} workspace;

static size_t padded(size_t N) { return (N + PAIR - 1) / PAIR * PAIR; }

static size_t in_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

static size_t scratch_bytes(size_t r, size_t N) {
  size_t n = padded(N) * r;
  return (4 + TENSORS) * in_lines(n * sizeof(real)) + in_lines(TENSORS * r * TILE * sizeof(vec)) +
         2 * in_lines(n * sizeof(vec)) + in_lines(PAIR * r * r * sizeof(vec));
}

static void *take(char **block, size_t bytes) {
  void *taken = *block;
  *block += in_lines(bytes);
  return taken;
}

/* to [padded][r] = x [N][r] times a number, zeros where it pads or there is no x */
static void load(real *to, const double *x, size_t N, size_t r, double factor) {
  for (size_t e = 0; e < padded(N) * r; e++) to[e] = (real)(x && e < N * r ? x[e] * factor : 0);
}

/* The same divided by D. */
static void load_scaled(real *to, const double *x, size_t N, size_t r, double D) {
  for (size_t e = 0; e < padded(N) * r; e++) to[e] = (real)(x && e < N * r ? x[e] / D : 0);
}

/* out[s][t] = sum_a x[a][t] y[s][a] */
INLINE void dots(const vec *x, const real *y, size_t r, vec out[PAIR][TILE]) {
  UNROLL for (int s = 0; s < PAIR; s++) UNROLL for (int t = 0; t < TILE; t++) out[s][t] = (vec){0};
  for (size_t a = 0; a < r; a++) UNROLL for (int t = 0; t < TILE; t++) UNROLL for (int s = 0; s < PAIR; s++) {
      out[s][t] += x[a * TILE + (size_t)t] * y[(size_t)s * r + a];
    }
}

/* Projections of the inputs on the states of a pair of samples. */
INLINE void project(const vec *w, const real *h, size_t r, vec p[OUTPUT][PAIR][TILE]) {
  UNROLL for (int in = 0; in < OUTPUT; in++) dots(w + (size_t)in * r * TILE, h, r, p[in]);
}

/* s at projections p, which its slopes replace. */
INLINE void unit(mno_activation activation, vec p[OUTPUT][PAIR][TILE], int s, int t, vec *value) {
  vec at[OUTPUT], slope[OUTPUT];
  UNROLL for (int in = 0; in < OUTPUT; in++) at[in] = p[in][s][t];
  JOIN(MNO_BLOCK, _unit)(activation, at, value, slope);
  UNROLL for (int in = 0; in < OUTPUT; in++) p[in][s][t] = slope[in];
}

/* The optimiser moves a tile w [1 + states][TENSORS][r][TILE] whose gradients are there. */
static __attribute__((noinline)) void optimize_tile(const mno_pass *pass, vec *w, const workspace *work) {
  size_t count = pass->r * TILE;
  for (size_t tensor = 0; tensor < TENSORS; tensor++) {
    update u = {.count = count, .w = w + tensor * count};
    for (size_t j = 0; j < pass->problem->optimizer->states; j++) u.state[j] = u.w + (j + 1) * TENSORS * count;
    u.gradient = work->gradient + tensor * count;
    u.rate = work->rate[tensor];
    u.knob = work->knob;
    work->apply(&u);
  }
}

/* Gradients of a tile, and what they do to it. */
INLINE void train_tile(const mno_pass *pass, mno_activation activation, vec *w, const workspace *work) {
  size_t r = pass->r, N = padded(pass->problem->N), numbers = TENSORS * r * TILE;
  vec *g = work->gradient;
  for (size_t e = 0; e < numbers; e++) g[e] = (vec){0};
  for (size_t i = 0; i < N; i += PAIR) {
    vec factor[TENSORS][PAIR][TILE], q[PAIR][TILE];
    project(w, work->old_h + i * r, r, factor);
    dots(w + OUTPUT * r * TILE, work->old_b + i * r, r, q);
    UNROLL for (int s = 0; s < PAIR; s++) UNROLL for (int t = 0; t < TILE; t++) {
      unit(activation, factor, s, t, &factor[OUTPUT][s][t]);
      UNROLL for (int in = 0; in < OUTPUT; in++) factor[in][s][t] *= q[s][t];
    }
    const real *x[TENSORS];
    UNROLL for (int tensor = 0; tensor < TENSORS; tensor++) x[tensor] = work->moves[tensor] + i * r;
    for (size_t a = 0; a < r; a++)
      UNROLL for (int t = 0; t < TILE; t++) UNROLL for (int tensor = 0; tensor < TENSORS; tensor++) {
        g[((size_t)tensor * r + a) * TILE + (size_t)t] +=
            factor[tensor][0][t] * x[tensor][a] + factor[tensor][1][t] * x[tensor][r + a];
      }
  }
  if (pass->problem->optimizer->fuses)
    for (size_t e = 0; e < numbers; e++) w[e] += g[e];
  else
    optimize_tile(pass, w, work);
}

INLINE void evaluate_tile(const mno_pass *pass, mno_activation activation, int adjoint, const vec *w, const vec *weight,
                          const workspace *work) {
  size_t r = pass->r, N = padded(pass->problem->N);
  const vec *v = w + OUTPUT * r * TILE;
  for (size_t i = 0; i < N; i += PAIR) {
    vec p[PAIR][TILE], q[PAIR][TILE], g[OUTPUT][PAIR][TILE];
    project(w, work->h + i * r, r, g);
    if (adjoint) dots(v, work->b + i * r, r, q);
    UNROLL for (int s = 0; s < PAIR; s++) UNROLL for (int t = 0; t < TILE; t++) {
      unit(activation, g, s, t, &p[s][t]);
      p[s][t] *= weight[t];
      UNROLL for (int in = 0; in < OUTPUT; in++) if (adjoint) g[in][s][t] = q[s][t] * (g[in][s][t] * weight[t]);
    }
    vec *F = work->F + i * r, *G = work->G + i * r;
    for (size_t a = 0; a < r; a++) UNROLL for (int s = 0; s < PAIR; s++) {
        size_t e = (size_t)s * r + a;
        vec sum = F[e], adjoint_sum = adjoint ? G[e] : (vec){0};
        UNROLL for (int t = 0; t < TILE; t++) sum += p[s][t] * v[a * TILE + (size_t)t];
        F[e] = sum;
        if (!adjoint) continue;
        UNROLL for (int in = 0; in < OUTPUT; in++) UNROLL for (int t = 0; t < TILE; t++) {
          adjoint_sum += g[in][s][t] * w[((size_t)in * r + a) * TILE + (size_t)t];
        }
        G[e] = adjoint_sum;
      }
  }
}

static double lane_sum(const vec *x) {
  double sum = 0;
  for (int lane = 0; lane < LANES; lane++) sum += (double)(*x)[lane];
  return sum;
}

static void flush(vec *sums, size_t count, double *out) {
  for (size_t e = 0; e < count; e++) {
    out[e] += lane_sum(&sums[e]);
    sums[e] = (vec){0};
  }
}

/* J, sample by sample so that one matrix of sums stays in cache; F comes along. */
INLINE void jacobian(const mno_pass *pass, mno_activation activation, const workspace *work) {
  size_t r = pass->r, N = pass->problem->N, tile_size = (1 + pass->problem->optimizer->states) * TENSORS * r * TILE;
  for (size_t i = 0; i < N; i += PAIR)
    for (size_t tile = 0; tile < pass->tiles && !mno_stopped(pass->stop); tile++) {
      const vec *w = (const vec *)pass->state + tile * tile_size, *v = w + OUTPUT * r * TILE;
      const vec *weight = (const vec *)pass->weight + tile * TILE;
      vec p[PAIR][TILE], slope[OUTPUT][PAIR][TILE];
      project(w, work->h + i * r, r, slope);
      UNROLL for (int s = 0; s < PAIR; s++) UNROLL for (int t = 0; t < TILE; t++) {
        unit(activation, slope, s, t, &p[s][t]);
        p[s][t] *= weight[t];
        UNROLL for (int in = 0; in < OUTPUT; in++) slope[in][s][t] *= weight[t];
      }
      for (size_t s = 0; s < PAIR && i + s < N; s++) {
        vec *F = work->F + (i + s) * r, *J = work->J + s * r * r;
        for (size_t a = 0; a < r; a++) {
          UNROLL for (int t = 0; t < TILE; t++) F[a] += p[s][t] * v[a * TILE + (size_t)t];
          UNROLL for (int in = 0; in < OUTPUT; in++) {
            vec c[TILE];
            UNROLL for (int t = 0; t < TILE; t++) c[t] = slope[in][s][t] * v[a * TILE + (size_t)t];
            for (size_t b = 0; b < r; b++) UNROLL for (int t = 0; t < TILE; t++) {
                J[a * r + b] += c[t] * w[((size_t)in * r + b) * TILE + (size_t)t];
              }
          }
        }
      }
      if (tile % CHUNK == CHUNK - 1 || tile == pass->tiles - 1)
        for (size_t s = 0; s < PAIR && i + s < N; s++) {
          flush(work->F + (i + s) * r, r, pass->F + (i + s) * r);
          flush(work->J + s * r * r, r * r, pass->J + (i + s) * r * r);
        }
    }
  for (size_t e = 0; e < N * r * r; e++) pass->J[e] /= (double)pass->problem->D;
}

/* What a pass does with a tile, one function for each activation, whose switch vanishes in the compiler; a function is
 * called once for N r TILE particles or more, so that it need not be inlined into the loops over the tiles. */
typedef struct tile_work {
  void (*train)(const mno_pass *pass, vec *w, const workspace *work);
  void (*state)(const mno_pass *pass, const vec *w, const vec *weight, const workspace *work);
  void (*adjoint)(const mno_pass *pass, const vec *w, const vec *weight, const workspace *work);
  void (*jacobian)(const mno_pass *pass, const workspace *work);
} tile_work;

#define INSTANTIATE(name, text, odd)                                                                                        \
  static __attribute__((noinline)) void train_##name(const mno_pass *pass, vec *w, const workspace *work) {                 \
    train_tile(pass, name, w, work);                                                                                        \
  }                                                                                                                         \
  static __attribute__((noinline)) void state_##name(const mno_pass *pass, const vec *w, const vec *weight,                 \
                                                     const workspace *work) {                                               \
    evaluate_tile(pass, name, 0, w, weight, work);                                                                          \
  }                                                                                                                         \
  static __attribute__((noinline)) void adjoint_##name(const mno_pass *pass, const vec *w, const vec *weight,               \
                                                       const workspace *work) {                                             \
    evaluate_tile(pass, name, 1, w, weight, work);                                                                          \
  }                                                                                                                         \
  static __attribute__((noinline)) void jacobian_##name(const mno_pass *pass, const workspace *work) {                      \
    jacobian(pass, name, work);                                                                                             \
  }
MNO_ACTIVATION_LIST(INSTANTIATE)
#undef INSTANTIATE

static const tile_work work_of[] = {
#define INSTANCE(name, text, odd) [name] = {train_##name, state_##name, adjoint_##name, jacobian_##name},
    MNO_ACTIVATION_LIST(INSTANCE)
#undef INSTANCE
};

static void over_tiles(const mno_pass *pass, const tile_work *tile_work, const workspace *work) {
  size_t r = pass->r, N = pass->problem->N, tile_size = (1 + pass->problem->optimizer->states) * TENSORS * r * TILE;
  int updating = pass->old_h != NULL, evaluating = pass->h && !pass->J, adjoint = pass->G != NULL;
  for (size_t tile = 0; tile < pass->tiles && !mno_stopped(pass->stop); tile++) {
    vec *w = (vec *)pass->state + tile * tile_size;
    const vec *weight = (const vec *)pass->weight + tile * TILE;
    if (updating) tile_work->train(pass, w, work);
    if (!evaluating) continue;
    (adjoint ? tile_work->adjoint : tile_work->state)(pass, w, weight, work);
    if (tile % CHUNK == CHUNK - 1 || tile == pass->tiles - 1) { /* sums of chunks in double precision */
      flush(work->F, N * r, pass->F);
      if (adjoint) flush(work->G, N * r, pass->G);
    }
  }
}

static void load_update(const mno_pass *pass, workspace *work) {
  const mno_problem *problem = pass->problem;
  size_t N = problem->N, r = pass->r;
  load_scaled(work->old_h, pass->old_h, N, r, (double)problem->D);
  load_scaled(work->old_b, pass->old_b, N, r, (double)problem->D);
  for (size_t t = 0; t < TENSORS; t++) {
    double rate = mno_problem_rate(problem, pass->step, t);
    load(work->moves[t], t == OUTPUT ? pass->old_b : pass->old_h, N, r, problem->optimizer->fuses ? -rate : 1);
    work->rate[t] = (real)rate;
  }
  for (size_t i = 0; i < MNO_KNOBS_MOST; i++) work->knob[i] = (real)problem->knob[i];
  work->apply = updater_of(problem->optimizer);
}

static void run(const mno_pass *pass) {
  const mno_problem *problem = pass->problem;
  size_t r = pass->r, N = problem->N, n = padded(N) * r;
  char *block = pass->scratch;
  workspace work;
  real **fields[] = {&work.old_h, &work.old_b, &work.h, &work.b};
  for (int i = 0; i < 4; i++) *fields[i] = take(&block, n * sizeof(real));
  for (int t = 0; t < TENSORS; t++) work.moves[t] = take(&block, n * sizeof(real));
  work.gradient = take(&block, TENSORS * r * TILE * sizeof(vec));
  work.F = take(&block, n * sizeof(vec));
  work.G = take(&block, n * sizeof(vec));
  work.J = take(&block, PAIR * r * r * sizeof(vec));
  for (size_t e = 0; e < n; e++) work.F[e] = work.G[e] = (vec){0};
  for (size_t e = 0; e < PAIR * r * r; e++) work.J[e] = (vec){0};
  if (pass->old_h) load_update(pass, &work);
  load_scaled(work.h, pass->h, N, r, (double)problem->D);
  load_scaled(work.b, pass->b, N, r, (double)problem->D);
  if (pass->F) memset(pass->F, 0, N * r * sizeof(double));
  if (pass->G) memset(pass->G, 0, N * r * sizeof(double));
  if (pass->J) memset(pass->J, 0, N * r * r * sizeof(double));
  const tile_work *tile_work = &work_of[problem->activation];
  if (pass->old_h || (pass->h && !pass->J)) over_tiles(pass, tile_work, &work);
  if (pass->h && pass->J) tile_work->jacobian(pass, &work);
}

const mno_kernel MNO_PASS_KERNEL = {WIDTH, sizeof(real), scratch_bytes, run};
