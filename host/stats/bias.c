/* E[f_{L,M}] - f_limit = A/L + C/(L M), by least squares over shapes with weight L M n (the inverse of the noise's
 * variance). The weights depend on the design only, so A and C are fixed combinations of the cells' means, hence means over
 * seeds of independent vectors however much the cells of one seed are correlated.
 *
 * The exponent p of A L^p + C/(L M) maximises the explained sum of squares, which needs inner products between cells only;
 * the noise's share of these is subtracted, so that the optimum is consistent at any noise. */
#include "stats/bias.h"

#include "core/memory.h"
#include "stats/interval.h"
#include "stats/least_squares.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { MIN_SEEDS = 3, GOLDEN_STEPS = 60 };

/* z_c = mean of cell c minus limit, e_cs = value of cell c at seed s minus mean of c. */
typedef struct inner {
  const mno_cells *cells;
  double *zz;            /* [count][count] z_c . z_c' */
  double *ze;            /* [count][count][seeds] z_c . e_c's */
  double *ee;            /* [count][count][seeds] e_cs . e_c's */
  double *overlap;       /* [count][count] seeds in both cells */
  double *weight;        /* [count] */
  double *z;             /* [count][size] */
  double *residual;      /* [seeds][size] scratch */
  double *gram, *design; /* [count][count], [count][2] scratch */
  double *map, *along;   /* [2][count], [count] scratch */
  double *leave_out;     /* [seeds] scratch */
} inner;

static void inner_free(inner *p) {
  free(p->zz);
  free(p->ze);
  free(p->ee);
  free(p->overlap);
  free(p->weight);
  free(p->z);
  free(p->residual);
  free(p->gram);
  free(p->design);
  free(p->map);
  free(p->along);
  free(p->leave_out);
}

static mno_status inner_new(const mno_cells *cells, const double *limit, inner *p, mno_error *err) {
  size_t C = cells->count, S = cells->seeds, size = cells->size;
  *p = (inner){.cells = cells};
  p->zz = mno_alloc(C * C, sizeof(double));
  p->ze = mno_alloc(C * C * S, sizeof(double));
  p->ee = mno_alloc(C * C * S, sizeof(double));
  p->overlap = mno_alloc(C * C, sizeof(double));
  p->weight = mno_alloc(C, sizeof(double));
  p->z = mno_alloc(C * size, sizeof(double));
  p->residual = mno_alloc(S * size, sizeof(double));
  p->gram = mno_alloc(C * C, sizeof(double));
  p->design = mno_alloc(C * 2, sizeof(double));
  p->map = mno_alloc(C * 2, sizeof(double));
  p->along = mno_alloc(C, sizeof(double));
  p->leave_out = mno_alloc(S, sizeof(double));
  double *e = mno_alloc(C * size, sizeof(double)); /* [count][size] of one seed */
  if (!p->zz || !p->ze || !p->ee || !p->overlap || !p->weight || !p->z || !p->residual || !p->gram || !p->design ||
      !p->map || !p->along || !p->leave_out || !e) {
    free(e);
    inner_free(p);
    return mno_fail_memory(err, (2 * C * C * S + (2 * C + S) * size) * sizeof(double), "the bias of the fit");
  }
  for (size_t c = 0; c < C; c++) {
    p->weight[c] = cells->L[c] * cells->M[c] * (double)cells->n[c];
    for (size_t x = 0; x < size; x++) p->z[c * size + x] = cells->mean[c * size + x] - limit[x];
  }
  for (size_t c = 0; c < C; c++)
    for (size_t k = 0; k < C; k++) p->zz[c * C + k] = mno_dot(p->z + c * size, p->z + k * size, size);
  for (size_t s = 0; s < S; s++) {
    for (size_t c = 0; c < C; c++) {
      const double *value = cells->value[c * S + s];
      for (size_t x = 0; x < size; x++) e[c * size + x] = value ? value[x] - cells->mean[c * size + x] : 0;
    }
    for (size_t c = 0; c < C; c++)
      for (size_t k = 0; k < C; k++) {
        p->ze[(c * C + k) * S + s] = mno_dot(p->z + c * size, e + k * size, size);
        p->ee[(c * C + k) * S + s] = k < c ? p->ee[(k * C + c) * S + s] : mno_dot(e + c * size, e + k * size, size);
        p->overlap[c * C + k] += cells->value[c * S + s] && cells->value[k * S + s];
      }
  }
  free(e);
  return MNO_OK;
}

/* Unbiased estimate of the inner products of the expected z, without seed `leave` (SIZE_MAX: with all): gram. */
static void debiased_gram(inner *p, size_t leave, double limit_deviation) {
  const mno_cells *cells = p->cells;
  size_t C = cells->count, S = cells->seeds;
  bool all = leave == SIZE_MAX;
  for (size_t c = 0; c < C; c++)
    for (size_t k = 0; k < C; k++) {
      const double *ee = p->ee + (c * C + k) * S;
      double shared = p->overlap[c * C + k], noise = 0;
      for (size_t s = 0; s < S; s++) noise += ee[s];
      double n = (double)cells->n[c], m = (double)cells->n[k], zz = p->zz[c * C + k];
      if (!all) {
        bool in_c = cells->value[c * S + leave], in_k = cells->value[k * S + leave];
        double gc = in_c ? 1 / (n - 1) : 0, gk = in_k ? 1 / (m - 1) : 0;
        zz += gc * gk * ee[leave] - gk * p->ze[(c * C + k) * S + leave] - gc * p->ze[(k * C + c) * S + leave];
        if (in_c && in_k) {
          noise -= ee[leave] * shared / (shared - 1);
          shared--;
        }
        n -= in_c;
        m -= in_k;
      }
      if (shared > 1) noise *= shared / (shared - 1) / (n * m);
      p->gram[c * C + k] = zz - noise - limit_deviation * limit_deviation * (double)cells->size;
    }
}

typedef void (*family)(const mno_cells *cells, size_t c, double p, double *x /* [2] */);

static void depth_power(const mno_cells *cells, size_t c, double p, double *x) {
  x[0] = pow(cells->L[c], p);
  x[1] = 1 / (cells->L[c] * cells->M[c]);
}

static void width_power(const mno_cells *cells, size_t c, double p, double *x) {
  x[0] = pow(cells->M[c], p) / cells->L[c];
  x[1] = 1 / (cells->L[c] * cells->M[c]);
}

/* False if the two columns cannot be told apart. */
static bool solve(inner *p, family f, double power) {
  size_t C = p->cells->count;
  for (size_t c = 0; c < C; c++) f(p->cells, c, power, p->design + 2 * c);
  return mno_least_squares(C, 2, p->design, p->weight, p->map);
}

static double explained(inner *p, family f, double power) {
  if (!solve(p, f, power)) return -INFINITY;
  size_t C = p->cells->count;
  double sum = 0;
  for (size_t j = 0; j < 2; j++)
    for (size_t k = 0; k < C; k++) sum += mno_dot(p->map + j * C, p->gram + k * C, C) * p->weight[k] * p->design[2 * k + j];
  return sum;
}

/* The power with the largest explained sum of squares in [low, high], by golden section. */
static double best_power(inner *p, family f, double low, double high) {
  const double golden = 0.6180339887498949;
  double x = high - golden * (high - low), y = low + golden * (high - low);
  double at_x = explained(p, f, x), at_y = explained(p, f, y);
  for (int i = 0; i < GOLDEN_STEPS; i++)
    if (at_x > at_y) {
      high = y;
      y = x;
      at_y = at_x;
      x = high - golden * (high - low);
      at_x = explained(p, f, x);
    } else {
      low = x;
      x = y;
      at_x = at_y;
      y = low + golden * (high - low);
      at_y = explained(p, f, y);
    }
  return (low + high) / 2;
}

static void fit_power(inner *p, family f, double low, double high, double limit_deviation, mno_estimate *estimate) {
  enum { GRID = 40 };
  const mno_cells *cells = p->cells;
  size_t C = cells->count, S = cells->seeds;
  double step = (high - low) / GRID, best = low, most = -INFINITY;
  debiased_gram(p, SIZE_MAX, limit_deviation);
  for (int i = 0; i <= GRID; i++) {
    double value = explained(p, f, low + i * step);
    if (value > most) most = value, best = low + i * step;
  }
  if (best <= low || best >= high) {
    mno_estimate_none(estimate, "no optimum between %g and %g: the bias is lost in noise; take more seeds", low, high);
    return;
  }
  double value = best_power(p, f, best - step, best + step);

  /* An error of the limit along the bias moves every z alike. */
  double limit_variance = 0;
  if (limit_deviation > 0 && solve(p, f, value)) {
    double square = 0;
    for (size_t c = 0; c < C; c++) square += p->map[c] * mno_dot(p->map, p->gram + c * C, C);
    double norm = sqrt(fmax(square, 0));
    if (norm > 0) {
      for (size_t c = 0; c < C; c++) p->along[c] = mno_dot(p->map, p->gram + c * C, C) / norm;
      for (size_t c = 0; c < C; c++)
        for (size_t k = 0; k < C; k++) p->gram[c * C + k] += limit_deviation * (p->along[c] + p->along[k] + limit_deviation);
      double moved = best_power(p, f, fmax(value - 10 * step, low), fmin(value + 10 * step, high)) - value;
      limit_variance = moved * moved;
    }
  }
  for (size_t s = 0; s < S; s++) {
    debiased_gram(p, s, limit_deviation);
    p->leave_out[s] = best_power(p, f, fmax(value - 4 * step, low), fmin(value + 4 * step, high));
  }
  mno_jackknife_interval(value, p->leave_out, S, limit_variance, estimate);
  if (estimate->high - estimate->low > high - low)
    mno_estimate_warn(estimate, "hardly determined: take more seeds or a wider range");
}

/* RMS of sum_c g_c z_c. */
static void fit_norm(inner *p, const double *g, double limit_deviation, mno_estimate *estimate) {
  const mno_cells *cells = p->cells;
  size_t C = cells->count, S = cells->seeds, size = cells->size, most = 0;
  mno_norm_moments m = {.size = size};
  double total = 0;
  for (size_t c = 0; c < C; c++) {
    total += g[c];
    if (cells->n[c] > most) most = cells->n[c];
    for (size_t k = 0; k < C; k++) m.square += g[c] * g[k] * p->zz[c * C + k];
  }
  double n = (double)most, correction = n / (n - 1);
  m.seeds = most;
  m.floor = total * total * limit_deviation * limit_deviation;
  for (size_t s = 0; s < S; s++) {
    double *r = p->residual + s * size, along = 0;
    for (size_t x = 0; x < size; x++) r[x] = 0;
    for (size_t k = 0; k < C; k++) {
      const double *value = cells->value[k * S + s];
      if (!value) continue;
      double share = g[k] / (double)cells->n[k];
      for (size_t x = 0; x < size; x++) r[x] += share * (value[x] - cells->mean[k * size + x]);
      for (size_t c = 0; c < C; c++) along += g[c] * share * p->ze[(c * C + k) * S + s];
    }
    m.trace += correction * mno_dot(r, r, size);
    m.along += correction * along * along;
  }
  /* tr S^2 through the smaller of the two Gram matrices. */
  double square = 0;
  if (S <= size) {
    for (size_t s = 0; s < S; s++)
      for (size_t t = 0; t <= s; t++) {
        double dot = mno_dot(p->residual + s * size, p->residual + t * size, size);
        square += (s == t ? 1 : 2) * dot * dot;
      }
  } else {
    for (size_t x = 0; x < size; x++)
      for (size_t y = 0; y <= x; y++) {
        double dot = 0;
        for (size_t s = 0; s < S; s++) dot += p->residual[s * size + x] * p->residual[s * size + y];
        square += (x == y ? 1 : 2) * dot * dot;
      }
  }
  square *= correction * correction;
  m.trace2 = (n - 1) * (n - 1) / ((n + 1) * (n - 2)) * (square - m.trace * m.trace / (n - 1));
  m.trace2 = fmax(m.trace2, m.trace * m.trace / (double)size);
  mno_norm_interval(&m, estimate);
}

static void all_none(mno_fit *fit, const char *why) {
  mno_estimate_none(&fit->a, "%s", why);
  mno_estimate_none(&fit->c, "%s", why);
  mno_estimate_none(&fit->slope_bias, "%s", why);
  mno_estimate_none(&fit->slope_bias_M, "%s", why);
}

static double largest(const double *v, size_t count) {
  double most = 0;
  for (size_t i = 0; i < count; i++) most = fmax(most, v[i]);
  return most;
}

mno_status mno_fit_bias(const mno_cells *cells, const double *limit, double limit_deviation, mno_fit *fit, mno_error *err) {
  size_t fewest = SIZE_MAX, most = 0;
  for (size_t c = 0; c < cells->count; c++) {
    if (cells->n[c] < fewest) fewest = cells->n[c];
    if (cells->n[c] > most) most = cells->n[c];
  }
  if (!limit)
    all_none(fit, "needs a limit: add limit: {kind: mean-ode} to the configuration");
  else if (cells->count == 0 || fewest < MIN_SEEDS)
    all_none(fit, "needs at least 3 seeds of every shape");
  else if (mno_distinct(cells->M, cells->count) < 2)
    all_none(fit, "needs at least two values of M, to tell depth bias from width bias");
  if (fit->a.warning[0]) return MNO_OK;

  inner p;
  mno_status status = inner_new(cells, limit, &p, err);
  if (status != MNO_OK) return status;
  if (!solve(&p, depth_power, -1)) {
    all_none(fit, "the shapes do not tell depth bias from width bias");
  } else {
    double *g = p.map;
    fit_norm(&p, g, limit_deviation, &fit->a);
    fit_norm(&p, g + cells->count, limit_deviation, &fit->c);
    double gap = fit->a.value / largest(cells->L, cells->count);
    if (fit->a.low > 0 && limit_deviation > 0.1 * gap)
      mno_estimate_warn(&fit->a, "the limit's own error is %.0f%% of the depth bias at the largest L: lower its tolerance",
                        100 * limit_deviation / gap);
    mno_estimate *both[] = {&fit->a, &fit->c};
    for (int i = 0; i < 2; i++)
      if (both[i]->low == 0) mno_estimate_warn(both[i], "on the noise floor");

    if (mno_distinct(cells->L, cells->count) < 2)
      mno_estimate_none(&fit->slope_bias, "needs at least two values of L");
    else if (fit->a.low == 0)
      mno_estimate_none(&fit->slope_bias, "the depth bias is on the noise floor: take more seeds");
    else
      fit_power(&p, depth_power, -3, 1, limit_deviation, &fit->slope_bias);
    if (mno_distinct(cells->M, cells->count) < 3)
      mno_estimate_none(&fit->slope_bias_M, "needs at least three values of M");
    else if (fit->a.low == 0)
      mno_estimate_none(&fit->slope_bias_M, "the depth bias is on the noise floor: take more seeds");
    else
      fit_power(&p, width_power, -0.8, 0.8, limit_deviation, &fit->slope_bias_M);
  }
  inner_free(&p);
  return MNO_OK;
}
