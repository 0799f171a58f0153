/* SPDX-License-Identifier: BSD-3-Clause */
#include "stats/means.h"

#include "core/memory.h"
#include "math/vectors.h"
#include "stats/interval.h"
#include "stats/least_squares.h"

#include <math.h>
#include <stdlib.h>

enum { GOLDEN_STEPS = 60 };

void mno_means_free(mno_means *p) {
  if (!p) return;
  free(p->zz);
  free(p);
}

/* Is there nothing but rounding between the means and the reference? */
static bool is_rounding(const mno_cells *cells, const double *reference) {
  for (size_t c = 0; c < cells->count; c++)
    if (!mno_same_numbers(reference, cells->mean + c * cells->size, cells->size, cells->n[c])) return false;
  return true;
}

mno_status mno_means_new(const mno_cells *cells, const double *reference, double deviation, mno_means **means,
                         mno_error *err) {
  size_t C = cells->count, S = cells->seeds, size = cells->size;
  size_t count = 3 * C * C + 2 * C * C * S + 2 * C + 2 * C * size + S * size + 2 * C * MNO_DESIGN_MAX + S;
  mno_means *p = mno_alloc(1, sizeof *p);
  double *block = mno_alloc(count, sizeof(double));
  if (!p || !block) {
    free(block);
    free(p);
    return mno_fail_memory(err, count * sizeof(double), "the means of the fit");
  }
  p->cells = cells;
  p->deviation = deviation;
  p->zz = block;
  p->ze = p->zz + C * C;
  p->ee = p->ze + C * C * S;
  p->overlap = p->ee + C * C * S;
  p->gram = p->overlap + C * C;
  p->weight = p->gram + C * C;
  p->along = p->weight + C;
  p->z = p->along + C;
  p->residual = p->z + C * size;
  p->design = p->residual + S * size;
  p->map = p->design + C * MNO_DESIGN_MAX;
  p->leave_out = p->map + C * MNO_DESIGN_MAX;
  double *e = p->leave_out + S; /* [count][size] of one seed */
  for (size_t c = 0; c < C; c++) {
    p->weight[c] = cells->L[c] * cells->M[c] * (double)cells->n[c];
    for (size_t x = 0; x < size; x++) p->z[c * size + x] = cells->mean[c * size + x] - (reference ? reference[x] : 0);
  }
  if (reference && is_rounding(cells, reference))
    for (size_t i = 0; i < C * size; i++) p->z[i] = 0;
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
  *means = p;
  return MNO_OK;
}

/* Unbiased estimate of the inner products of the expected z, without seed `leave` (SIZE_MAX: with all): gram. */
static void debiased_gram(mno_means *p, size_t leave) {
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
      p->gram[c * C + k] = zz - noise - p->deviation * p->deviation * (double)cells->size;
    }
}

bool mno_means_solve(mno_means *p, const mno_design *design, double power) {
  size_t C = p->cells->count;
  mno_cells_design(p->cells, design, power, p->design);
  return mno_least_squares(C, design->columns, p->design, p->weight, p->map);
}

static double explained(mno_means *p, const mno_design *design, double power) {
  if (!mno_means_solve(p, design, power)) return -INFINITY;
  size_t C = p->cells->count, columns = design->columns;
  double sum = 0;
  for (size_t j = 0; j < columns; j++)
    for (size_t k = 0; k < C; k++)
      sum += mno_dot(p->map + j * C, p->gram + k * C, C) * p->weight[k] * p->design[columns * k + j];
  return sum;
}

/* The power with the largest explained sum of squares in [low, high], by golden section. */
static double best_power(mno_means *p, const mno_design *f, double low, double high) {
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

void mno_means_power(mno_means *p, const mno_design *f, double low, double high, mno_estimate *estimate) {
  enum { GRID = 40 };
  const mno_cells *cells = p->cells;
  size_t C = cells->count, S = cells->seeds;
  double step = (high - low) / GRID, best = low, most = -INFINITY;
  debiased_gram(p, SIZE_MAX);
  for (int i = 0; i <= GRID; i++) {
    double value = explained(p, f, low + i * step);
    if (value > most) most = value, best = low + i * step;
  }
  if (best <= low || best >= high) {
    mno_estimate_none(estimate, "no optimum between %g and %g: the bias is lost in noise; take more seeds", low, high);
    return;
  }
  double value = best_power(p, f, best - step, best + step);

  /* An error of the reference along the bias moves every z alike. */
  double reference_variance = 0;
  if (p->deviation > 0 && mno_means_solve(p, f, value)) {
    double square = 0;
    for (size_t c = 0; c < C; c++) square += p->map[c] * mno_dot(p->map, p->gram + c * C, C);
    double norm = sqrt(fmax(square, 0));
    if (norm > 0) {
      for (size_t c = 0; c < C; c++) p->along[c] = mno_dot(p->map, p->gram + c * C, C) / norm;
      for (size_t c = 0; c < C; c++)
        for (size_t k = 0; k < C; k++) p->gram[c * C + k] += p->deviation * (p->along[c] + p->along[k] + p->deviation);
      double moved = best_power(p, f, fmax(value - 10 * step, low), fmin(value + 10 * step, high)) - value;
      reference_variance = moved * moved;
    }
  }
  for (size_t s = 0; s < S; s++) {
    debiased_gram(p, s);
    p->leave_out[s] = best_power(p, f, fmax(value - 4 * step, low), fmin(value + 4 * step, high));
  }
  mno_jackknife_interval(value, p->leave_out, S, reference_variance, estimate);
  if (estimate->high - estimate->low > high - low)
    mno_estimate_warn(estimate, "hardly determined: take more seeds or a wider range");
}

void mno_means_norm(mno_means *p, const double *g, mno_estimate *estimate) {
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
  m.floor = total * total * p->deviation * p->deviation;
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
