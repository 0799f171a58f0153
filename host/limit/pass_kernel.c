/* The pass, compiled once per instruction set and precision (MNO_PASS_KERNEL names the table). Register tile: TILE vectors
 * of particles times PAIR samples. */
#include "limit/pass.h"

#include "cpu/simd.h"
#include "cpu/vmath.h"
#include "limit/stop.h"

#include <string.h>

/* Smaller tiles and chunks are slower, larger ones no faster: bench/choices.py pass-tile, pass-chunk. */
enum { TILE = 4, WIDTH = TILE * LANES, PAIR = 2, CHUNK = 16 };

#define EACH(i, n) UNROLL for (int i = 0; i < (n); i++)

/* Fields of the samples, padded with zeros to an even number: padded samples move nothing. */
typedef struct fields {
  real *h, *b;               /* [padded][r] */
  real *h_scaled, *b_scaled; /* divided by D */
} fields;

typedef struct workspace {
  fields last, next;
  vec *move;  /* [2][r][TILE] */
  vec *F, *G; /* [padded][r] sums over a chunk of tiles */
  vec *J;     /* [r][r] */
} workspace;

static size_t padded(size_t N) { return (N + PAIR - 1) / PAIR * PAIR; }

static size_t in_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

static size_t scratch_bytes(size_t r, size_t N) {
  size_t n = padded(N) * r;
  return 8 * in_lines(n * sizeof(real)) + in_lines(2 * r * TILE * sizeof(vec)) + 2 * in_lines(n * sizeof(vec)) +
         in_lines(PAIR * r * r * sizeof(vec));
}

static void *take(char **block, size_t bytes) {
  void *taken = *block;
  *block += in_lines(bytes);
  return taken;
}

static void load_fields(fields *f, const double *h, const double *b, size_t N, size_t r, double D, double scale_h,
                        double scale_b) {
  for (size_t e = 0; e < padded(N) * r; e++) {
    double he = h && e < N * r ? h[e] : 0, be = b && e < N * r ? b[e] : 0;
    f->h[e] = (real)(he * scale_h);
    f->b[e] = (real)(be * scale_b);
    f->h_scaled[e] = (real)(he / D);
    f->b_scaled[e] = (real)(be / D);
  }
}

/* rho and rho' at p; what is not used vanishes in the compiler. */
INLINE void activate(mno_activation activation, const vec p, vec *value, vec *slope) {
  switch (activation) {
  case MNO_TANH:
    *value = v_tanh(p);
    *slope = 1 - *value * *value;
    break;
  case MNO_ERF: *value = v_erf(p, slope); break;
  case MNO_GELU: *value = v_gelu(p, slope); break;
  case MNO_SILU: *value = v_silu(p, slope); break;
  case MNO_RELU:
    *value = v_max(v_set1(0), p);
    *slope = v_select(v_lt(v_set1(0), p), v_set1(1), v_set1(0));
    break;
  case MNO_SOFTPLUS: *value = v_softplus(p, slope); break;
  case MNO_SIN: *value = v_sincos(p, slope); break;
  default: *value = p, *slope = v_set1(1);
  }
}

/* out[s][t] = sum_a x[a][t] y[s][a] */
INLINE void dots(const vec *x, const real *y, size_t r, vec out[PAIR][TILE]) {
  EACH(s, PAIR) EACH(t, TILE) out[s][t] = (vec){0};
  for (size_t a = 0; a < r; a++) EACH(t, TILE) EACH(s, PAIR) out[s][t] += x[a * TILE + (size_t)t] * y[(size_t)s * r + a];
}

INLINE void update(mno_activation activation, size_t r, size_t N, vec *u, vec *v, const workspace *w) {
  vec *du = w->move, *dv = w->move + r * TILE;
  for (size_t e = 0; e < 2 * r * TILE; e++) w->move[e] = (vec){0};
  for (size_t i = 0; i < padded(N); i += PAIR) {
    vec p[PAIR][TILE], q[PAIR][TILE];
    dots(u, w->last.h_scaled + i * r, r, p);
    dots(v, w->last.b_scaled + i * r, r, q);
    EACH(s, PAIR) EACH(t, TILE) {
      vec value, slope;
      activate(activation, p[s][t], &value, &slope);
      p[s][t] = value;
      q[s][t] *= slope;
    }
    const real *h = w->last.h + i * r, *b = w->last.b + i * r;
    for (size_t a = 0; a < r; a++) EACH(t, TILE) {
        size_t e = a * TILE + (size_t)t;
        du[e] += q[0][t] * h[a] + q[1][t] * h[r + a];
        dv[e] += p[0][t] * b[a] + p[1][t] * b[r + a];
      }
  }
  for (size_t e = 0; e < r * TILE; e++) {
    u[e] += du[e];
    v[e] += dv[e];
  }
}

INLINE void evaluate(mno_activation activation, int adjoint, size_t r, size_t N, const vec *u, const vec *v,
                     const vec *weight, const workspace *w) {
  for (size_t i = 0; i < padded(N); i += PAIR) {
    vec p[PAIR][TILE], q[PAIR][TILE];
    dots(u, w->next.h_scaled + i * r, r, p);
    if (adjoint) dots(v, w->next.b_scaled + i * r, r, q);
    EACH(s, PAIR) EACH(t, TILE) {
      vec value, slope;
      activate(activation, p[s][t], &value, &slope);
      p[s][t] = value * weight[t];
      if (adjoint) q[s][t] *= slope * weight[t];
    }
    vec *F = w->F + i * r, *G = w->G + i * r;
    for (size_t a = 0; a < r; a++) EACH(s, PAIR) {
        vec f = F[(size_t)s * r + a], g = adjoint ? G[(size_t)s * r + a] : (vec){0};
        EACH(t, TILE) f += p[s][t] * v[a * TILE + (size_t)t];
        F[(size_t)s * r + a] = f;
        if (!adjoint) continue;
        EACH(t, TILE) g += q[s][t] * u[a * TILE + (size_t)t];
        G[(size_t)s * r + a] = g;
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
INLINE void jacobian(const mno_pass *pass, mno_activation activation, const workspace *w) {
  size_t r = pass->r;
  for (size_t i = 0; i < pass->N; i += PAIR)
    for (size_t tile = 0; tile < pass->tiles && !mno_stopped(pass->stop); tile++) {
      const vec *u = (const vec *)pass->state + tile * 2 * r * TILE, *v = u + r * TILE;
      const vec *weight = (const vec *)pass->weight + tile * TILE;
      vec p[PAIR][TILE], slope[PAIR][TILE];
      dots(u, w->next.h_scaled + i * r, r, p);
      EACH(s, PAIR) EACH(t, TILE) {
        vec value;
        activate(activation, p[s][t], &value, &slope[s][t]);
        p[s][t] = value * weight[t];
        slope[s][t] *= weight[t];
      }
      for (size_t s = 0; s < PAIR && i + s < pass->N; s++) {
        vec *F = w->F + (i + s) * r, *J = w->J + s * r * r;
        for (size_t a = 0; a < r; a++) {
          vec c[TILE];
          EACH(t, TILE) F[a] += p[s][t] * v[a * TILE + (size_t)t];
          EACH(t, TILE) c[t] = slope[s][t] * v[a * TILE + (size_t)t];
          for (size_t b = 0; b < r; b++) EACH(t, TILE) J[a * r + b] += c[t] * u[b * TILE + (size_t)t];
        }
      }
      if (tile % CHUNK == CHUNK - 1 || tile == pass->tiles - 1)
        for (size_t s = 0; s < PAIR && i + s < pass->N; s++) {
          flush(w->F + (i + s) * r, r, pass->F + (i + s) * r);
          flush(w->J + s * r * r, r * r, pass->J + (i + s) * r * r);
        }
    }
  for (size_t e = 0; e < pass->N * r * r; e++) pass->J[e] /= pass->D;
}

/* What a pass does with a tile, one function for each activation, whose switch vanishes in the compiler; a function is
 * called once for N r TILE particles or more, so that it need not be inlined into the loops over the tiles. */
typedef struct steps {
  void (*update)(size_t r, size_t N, vec *u, vec *v, const workspace *w);
  void (*state)(size_t r, size_t N, const vec *u, const vec *v, const vec *weight, const workspace *w);
  void (*adjoint)(size_t r, size_t N, const vec *u, const vec *v, const vec *weight, const workspace *w);
  void (*jacobian)(const mno_pass *pass, const workspace *w);
} steps;

#define STEPS(name, text, odd)                                                                                              \
  static __attribute__((noinline)) void update_##name(size_t r, size_t N, vec *u, vec *v, const workspace *w) {             \
    update(name, r, N, u, v, w);                                                                                            \
  }                                                                                                                         \
  static __attribute__((noinline)) void state_##name(size_t r, size_t N, const vec *u, const vec *v, const vec *weight,     \
                                                     const workspace *w) {                                                  \
    evaluate(name, 0, r, N, u, v, weight, w);                                                                               \
  }                                                                                                                         \
  static __attribute__((noinline)) void adjoint_##name(size_t r, size_t N, const vec *u, const vec *v, const vec *weight,   \
                                                       const workspace *w) {                                                \
    evaluate(name, 1, r, N, u, v, weight, w);                                                                               \
  }                                                                                                                         \
  static __attribute__((noinline)) void jacobian_##name(const mno_pass *pass, const workspace *w) {                         \
    jacobian(pass, name, w);                                                                                                \
  }
MNO_ACTIVATION_LIST(STEPS)
#undef STEPS

static const steps steps_of[] = {
#define STEPS(name, text, odd) [name] = {update_##name, state_##name, adjoint_##name, jacobian_##name},
    MNO_ACTIVATION_LIST(STEPS)
#undef STEPS
};

static void sweep(const mno_pass *pass, const steps *step, const workspace *w) {
  size_t r = pass->r, N = pass->N;
  int updating = pass->old_h != NULL, evaluating = pass->h && !pass->J, adjoint = pass->G != NULL;
  for (size_t tile = 0; tile < pass->tiles && !mno_stopped(pass->stop); tile++) {
    vec *u = (vec *)pass->state + tile * 2 * r * TILE, *v = u + r * TILE;
    const vec *weight = (const vec *)pass->weight + tile * TILE;
    if (updating) step->update(r, N, u, v, w);
    if (!evaluating) continue;
    (adjoint ? step->adjoint : step->state)(r, N, u, v, weight, w);
    if (tile % CHUNK == CHUNK - 1 || tile == pass->tiles - 1) { /* sums of chunks in double precision */
      flush(w->F, N * r, pass->F);
      if (adjoint) flush(w->G, N * r, pass->G);
    }
  }
}

static void run(const mno_pass *pass) {
  size_t r = pass->r, n = padded(pass->N) * r;
  char *block = pass->scratch;
  workspace w;
  fields *all[] = {&w.last, &w.next};
  for (int i = 0; i < 2; i++) {
    all[i]->h = take(&block, n * sizeof(real));
    all[i]->b = take(&block, n * sizeof(real));
    all[i]->h_scaled = take(&block, n * sizeof(real));
    all[i]->b_scaled = take(&block, n * sizeof(real));
  }
  w.move = take(&block, 2 * r * TILE * sizeof(vec));
  w.F = take(&block, n * sizeof(vec));
  w.G = take(&block, n * sizeof(vec));
  w.J = take(&block, PAIR * r * r * sizeof(vec));
  for (size_t e = 0; e < n; e++) w.F[e] = w.G[e] = (vec){0};
  for (size_t e = 0; e < PAIR * r * r; e++) w.J[e] = (vec){0};
  load_fields(&w.last, pass->old_h, pass->old_b, pass->N, r, pass->D, pass->step_u, pass->step_v);
  load_fields(&w.next, pass->h, pass->b, pass->N, r, pass->D, 1, 1);
  if (pass->F) memset(pass->F, 0, pass->N * r * sizeof(double));
  if (pass->G) memset(pass->G, 0, pass->N * r * sizeof(double));
  if (pass->J) memset(pass->J, 0, pass->N * r * r * sizeof(double));
  const steps *step = &steps_of[pass->activation];
  if (pass->old_h || (pass->h && !pass->J)) sweep(pass, step, &w);
  if (pass->h && pass->J) step->jacobian(pass, &w);
}

const mno_kernel MNO_PASS_KERNEL = {WIDTH, sizeof(real), scratch_bytes, run};
