/* SPDX-License-Identifier: BSD-3-Clause */
#include "prototype.h"

#include "limit/collocation.h"
#include "limit/ensemble.h"
#include "limit/reduction.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BLOCK = 64, MOST_SWEEPS = 100 };

/* Units [nodes][blocks][2][r][BLOCK]: u then v. */
typedef struct prototype {
  const mno_problem *problem;
  size_t r, N, nodes, blocks;
  double *unit;
  prototype_cost *cost;
} prototype;

static double processor_time(void) { return (double)clock() / CLOCKS_PER_SEC; }

static void dots(const double *restrict x, const double *restrict y, size_t r, double scale, double *restrict out) {
  for (size_t n = 0; n < BLOCK; n++) out[n] = 0;
  for (size_t a = 0; a < r; a++)
    for (size_t n = 0; n < BLOCK; n++) out[n] += x[a * BLOCK + n] * (y[a] * scale);
}

/* F_i = E[v tanh(p_i)] at every node. */
static void drift(const prototype *t, const double *h, double *F) {
  double start = processor_time(), scale = 1 / (double)t->problem->D, weight = 1 / (double)(t->blocks * BLOCK), p[BLOCK];
  memset(F, 0, t->nodes * t->N * t->r * sizeof *F);
  for (size_t j = 0; j < t->nodes; j++)
    for (size_t block = 0; block < t->blocks; block++) {
      const double *u = t->unit + (j * t->blocks + block) * 2 * t->r * BLOCK, *v = u + t->r * BLOCK;
      for (size_t i = 0; i < t->N; i++) {
        dots(u, h + (j * t->N + i) * t->r, t->r, scale, p);
        for (size_t n = 0; n < BLOCK; n++) p[n] = tanh(p[n]);
        for (size_t a = 0; a < t->r; a++) {
          double sum = 0;
          for (size_t n = 0; n < BLOCK; n++) sum += v[a * BLOCK + n] * p[n];
          F[(j * t->N + i) * t->r + a] += weight * sum;
        }
      }
    }
  t->cost->evaluations++;
  t->cost->seconds_evaluating += processor_time() - start;
}

/* G_i = E[u tanh'(p_i) q_i] at every node. */
static void adjoint(const prototype *t, const double *h, const double *b, double *G) {
  double start = processor_time(), scale = 1 / (double)t->problem->D, weight = 1 / (double)(t->blocks * BLOCK), p[BLOCK],
         q[BLOCK];
  memset(G, 0, t->nodes * t->N * t->r * sizeof *G);
  for (size_t j = 0; j < t->nodes; j++)
    for (size_t block = 0; block < t->blocks; block++) {
      const double *u = t->unit + (j * t->blocks + block) * 2 * t->r * BLOCK, *v = u + t->r * BLOCK;
      for (size_t i = 0; i < t->N; i++) {
        dots(u, h + (j * t->N + i) * t->r, t->r, scale, p);
        dots(v, b + (j * t->N + i) * t->r, t->r, scale, q);
        for (size_t n = 0; n < BLOCK; n++) {
          double value = tanh(p[n]);
          q[n] *= 1 - value * value;
        }
        for (size_t a = 0; a < t->r; a++) {
          double sum = 0;
          for (size_t n = 0; n < BLOCK; n++) sum += u[a * BLOCK + n] * q[n];
          G[(j * t->N + i) * t->r + a] += weight * sum;
        }
      }
    }
  t->cost->evaluations++;
  t->cost->seconds_evaluating += processor_time() - start;
}

/* One gradient step of every unit. move: [2][r][BLOCK] */
static void update(const prototype *t, const double *h, const double *b, double *move) {
  const mno_problem *problem = t->problem;
  double scale = 1 / (double)problem->D, p[BLOCK], q[BLOCK];
  size_t r = t->r;
  for (size_t j = 0; j < t->nodes; j++)
    for (size_t block = 0; block < t->blocks; block++) {
      double *u = t->unit + (j * t->blocks + block) * 2 * r * BLOCK, *v = u + r * BLOCK;
      memset(move, 0, 2 * r * BLOCK * sizeof *move);
      for (size_t i = 0; i < t->N; i++) {
        const double *hi = h + (j * t->N + i) * r, *bi = b + (j * t->N + i) * r;
        dots(u, hi, r, scale, p);
        dots(v, bi, r, scale, q);
        for (size_t n = 0; n < BLOCK; n++) {
          p[n] = tanh(p[n]);
          q[n] *= 1 - p[n] * p[n];
        }
        for (size_t a = 0; a < r; a++)
          for (size_t n = 0; n < BLOCK; n++) {
            move[a * BLOCK + n] += hi[a] * q[n];
            move[(r + a) * BLOCK + n] += bi[a] * p[n];
          }
      }
      for (size_t e = 0; e < r * BLOCK; e++) {
        u[e] -= problem->eta[MNO_U] / problem->alpha * move[e];
        v[e] -= problem->eta[MNO_V] / problem->alpha * move[r * BLOCK + e];
      }
    }
}

/* x_i = start + alpha sum_j K_ij F_j; returns the relative RMS change of x. end, or NULL: the same with the weights w. */
static double sweep(const prototype *t, const double *start, const double *K, const double *F, double *x) {
  size_t field = t->N * t->r;
  double change = 0, size = 0;
  for (size_t i = 0; i < t->nodes; i++)
    for (size_t e = 0; e < field; e++) {
      double sum = 0;
      for (size_t j = 0; j < t->nodes; j++) sum += K[i * t->nodes + j] * F[j * field + e];
      double next = start[e] + t->problem->alpha * sum, d = next - x[i * field + e];
      change += d * d;
      size += next * next;
      x[i * field + e] = next;
    }
  return sqrt(change / size);
}

/* Quadratic extrapolation in k of fields [K+1][n]. */
static void extrapolate(const double *fields, size_t n, size_t k, double *x) {
  const double *one = fields + (k - 1) * n, *two = k >= 2 ? one - n : one, *three = k >= 3 ? two - n : NULL;
  for (size_t e = 0; e < n; e++) x[e] = three ? 3 * one[e] - 3 * two[e] + three[e] : 2 * one[e] - two[e];
}

static int draw(const prototype *t, const mno_reduction *reduction, size_t particles, uint64_t seed,
                uint32_t randomisation) {
  mno_ensemble points;
  mno_error err;
  size_t r = t->r;
  double *z = malloc(particles * 2 * r * sizeof *z); /* [particles][2][r] */
  if (!z || mno_ensemble_new(NULL, (mno_particle_request){t->problem, t->nodes, r, particles, MNO_F64, 1}, &points, &err) !=
                MNO_OK)
    return 0;
  int done = mno_ensemble_draw(&points, reduction, 0, seed, randomisation, &err) == MNO_OK;
  for (size_t j = 0; done && j < t->nodes; j++) {
    done = mno_ensemble_read(&points, j, z, &err) == MNO_OK;
    for (size_t n = 0; n < particles; n++)
      for (size_t e = 0; e < 2 * r; e++)
        t->unit[((j * t->blocks + n / BLOCK) * 2 * r + e) * BLOCK + n % BLOCK] = z[n * 2 * r + e];
  }
  mno_ensemble_free(&points);
  free(z);
  return done;
}

int prototype_solve(const mno_problem *problem, size_t nodes, size_t particles, uint64_t seed, uint32_t randomisation,
                    double tolerance, double *output, prototype_cost *cost) {
  double begin = processor_time();
  *cost = (prototype_cost){0};
  mno_reduction reduction;
  mno_collocation method;
  mno_error err;
  if (mno_reduction_new(problem, 0, &reduction, &err) != MNO_OK || mno_collocation_new(&method, nodes, &err) != MNO_OK)
    return 0;
  size_t r = reduction.r, N = problem->N, field = N * r, n = nodes * field, S = problem->K + 1;
  prototype t = {.problem = problem, .r = r, .N = N, .nodes = nodes, .blocks = particles / BLOCK, .cost = cost};
  t.unit = malloc(nodes * particles * 2 * r * sizeof(double));
  double *h = malloc((2 * S * n + n + 2 * field + nodes * nodes + 2 * r * BLOCK) * sizeof(double)), *b = h + S * n,
         *F = b + S * n, *end = F + n, *b1 = end + field, *transposed = b1 + field, *move = transposed + nodes * nodes;
  int done = t.unit && h && draw(&t, &reduction, particles, seed, randomisation);
  for (size_t e = 0; done && e < nodes * nodes; e++) transposed[e] = method.w[e % nodes] - method.A[e];
  for (size_t k = 0; done && k < S; k++) {
    double *hk = h + k * n, *bk = b + k * n;
    if (k == 0) {
      for (size_t j = 0; j < nodes; j++) memcpy(hk + j * field, reduction.h0, field * sizeof(double));
    } else {
      update(&t, hk - n, bk - n, move);
      extrapolate(h, n, k, hk);
    }
    for (int i = 0; i < MOST_SWEEPS; i++) {
      drift(&t, hk, F);
      if (sweep(&t, reduction.h0, method.A, F, hk) < tolerance) break;
    }
    memcpy(end, reduction.h0, field * sizeof(double));
    for (size_t j = 0; j < nodes; j++)
      for (size_t e = 0; e < field; e++) end[e] += problem->alpha * method.w[j] * F[j * field + e];
    mno_reduction_output(problem, &reduction, end, output + k * N * problem->d_out, b1);
    if (k == 0)
      for (size_t j = 0; j < nodes; j++) memcpy(bk + j * field, b1, field * sizeof(double));
    else
      extrapolate(b, n, k, bk);
    for (int i = 0; k + 1 < S && i < MOST_SWEEPS; i++) {
      adjoint(&t, hk, bk, F);
      if (sweep(&t, b1, transposed, F, bk) < tolerance) break;
    }
  }
  cost->evaluations /= (double)S;
  cost->seconds = processor_time() - begin;
  free(t.unit);
  free(h);
  mno_collocation_free(&method);
  mno_reduction_free(&reduction);
  return done;
}
