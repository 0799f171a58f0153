/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/methods.h"

#include "core/memory.h"
#include "limit/refine.h"
#include "limit/stop.h"

#include <stdlib.h>

typedef struct closure {
  size_t m, N, r;
  double D;
  double *A; /* [m][2r][2r] */
  double *C; /* [m][r][r] E[v u^T] / D */
} closure;

static void drift(void *context, const double *h, double *F, double *J) {
  const closure *c = context;
  size_t r = c->r;
  for (size_t j = 0; j < c->m; j++)
    for (size_t i = 0; i < c->N; i++) {
      const double *C = c->C + j * r * r, *x = h + (j * c->N + i) * r;
      for (size_t a = 0; a < r; a++) {
        double sum = 0;
        for (size_t b = 0; b < r; b++) {
          sum += C[a * r + b] * x[b];
          J[((j * c->N + i) * r + a) * r + b] = C[a * r + b];
        }
        F[(j * c->N + i) * r + a] = sum;
      }
    }
}

/* Gradient step k of every unit of node j, and E[v u^T] / D afterwards. S: [r][r], next: [2 r][2 r] */
static void step(const closure *c, const mno_problem *problem, size_t k, size_t j, const double *h, const double *b,
                 double *S, double *next) {
  size_t r = c->r, n = 2 * r;
  double *A = c->A + j * n * n, rate_u = mno_problem_rate(problem, k, MNO_U), rate_v = mno_problem_rate(problem, k, MNO_V);
  for (size_t a = 0; a < r; a++)
    for (size_t e = 0; e < r; e++) {
      double sum = 0;
      for (size_t i = 0; i < c->N; i++) sum += h[i * r + a] * b[i * r + e];
      S[a * r + e] = sum / c->D;
    }
  for (size_t a = 0; a < r; a++)
    for (size_t col = 0; col < n; col++) {
      double u = A[a * n + col], v = A[(r + a) * n + col];
      for (size_t e = 0; e < r; e++) {
        u -= rate_u * S[a * r + e] * A[(r + e) * n + col];
        v -= rate_v * S[e * r + a] * A[e * n + col];
      }
      next[a * n + col] = u;
      next[(r + a) * n + col] = v;
    }
  for (size_t e = 0; e < n * n; e++) A[e] = next[e];
  for (size_t a = 0; a < r; a++)
    for (size_t e = 0; e < r; e++) {
      double sum = 0;
      for (size_t col = 0; col < n; col++) {
        double sigma = col < r ? problem->sigma[MNO_U] : problem->sigma[MNO_V];
        sum += A[(r + a) * n + col] * A[e * n + col] * sigma * sigma;
      }
      c->C[j * r * r + a * r + e] = sum; /* sigma^2 D / D */
    }
}

static mno_status run(void *context, const mno_system *system, mno_trajectory *t, double *floor, mno_error *err) {
  const mno_problem *problem = system->problem;
  size_t r = t->r, m = t->m, n = m * t->N * r, field = t->N * r, square = 4 * r * r;
  size_t count = m * (square + r * r) + r * r + square + n + n * r;
  double *block = mno_alloc(count, sizeof(double));
  if (!block) return mno_fail_memory(err, count * sizeof(double), "the moment closure");
  closure c = {m, t->N, r, (double)problem->D, block, block + m * square};
  double *S = c.C + m * r * r, *next = S + r * r, *F = next + square, *J = F + n;
  for (size_t j = 0; j < m; j++)
    for (size_t a = 0; a < 2 * r; a++) c.A[j * square + a * 2 * r + a] = 1;
  mno_step_drift with = {.drift = drift, .context = &c, .tolerance = system->tolerance};
  mno_trajectory_start(system, t);
  for (size_t k = 1; k <= t->K && t->failed < 0; k++) {
    for (size_t j = 0; j < m && !mno_stopped(system->stop); j++)
      step(&c, problem, k - 1, j, t->h + (k - 1) * n + j * field, t->b + (k - 1) * n + j * field, S, next);
    mno_trajectory_guess(t, k, t->h + k * n);
    if (!mno_trajectory_solve(system, t, k, &with, F, J)) mno_trajectory_fail(system, t, k, MNO_UNSOLVED);
  }
  free(block);
  return mno_dropped(system->stop, err);
}

mno_status mno_closure_solve(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                             mno_limit **limit, mno_error *err) {
  mno_system system = mno_system_of(problem, reduction, 1e-10, options->stop);
  mno_status status = mno_refine(options, system, reduction->r, run, NULL, NULL, limit, err);
  if (status != MNO_OK) return status;
  mno_limit_describe(*limit, "closure", "nodes %zu, dimension %zu", (*limit)->nodes, reduction->r);
  return MNO_OK;
}
