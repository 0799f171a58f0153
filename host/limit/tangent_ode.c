/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/methods.h"

#include "core/memory.h"
#include "limit/ensemble.h"
#include "limit/gaussian_kernels.h"
#include "limit/parallel.h"
#include "limit/refine.h"
#include "limit/stop.h"
#include "math/vectors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_TERMS = 32, MOST_TERMS = 1024 };

typedef struct tangent {
  const mno_problem *problem;
  mno_trajectory *trajectory; /* its steps before `step` are the history */
  size_t step;
  int closed, threads;
  double tolerance; /* of the truncation of the series */
  double memory;    /* bytes that it and its coefficients may take */
  double deadline;  /* no longer series after this time */
  const char *cut;  /* why it is shorter than the tolerance wants, or NULL */
  const atomic_int *stop;
  mno_hermite hermite;
  size_t terms;        /* of the series; 0 with closed forms */
  double *coefficient; /* [K][m][N][4][terms] of the history */
  double *now;         /* [m][N][4][terms] of the current fields */
  double *tail;        /* [m] truncation of the series, largest so far */
  const double *h;     /* the current fields and where their drift goes */
  double *F, *J;
} tangent;

static double deviation(const tangent *t, const double *h, size_t r) {
  return t->problem->sigma[MNO_U] * sqrt(mno_dot(h, h, r) / (double)t->problem->D);
}

/* The drift of one sample at one node. */
static void drift_sample(const tangent *t, size_t j, size_t i, const double *h, const double *coefficient, double *F,
                         double *J) {
  const mno_problem *problem = t->problem;
  const mno_trajectory *path = t->trajectory;
  size_t r = path->r, N = path->N, node = path->m * N;
  double D = (double)problem->D, variance = problem->sigma[MNO_U] * problem->sigma[MNO_U];
  double s = deviation(t, h, r);
  for (size_t a = 0; a < r; a++) F[a] = 0;
  for (size_t e = 0; e < r * r; e++) J[e] = 0;
  for (size_t k = 0; k < t->step; k++) {
    double eta_v = mno_problem_eta(problem, k, MNO_V),
           eta_u = mno_problem_eta(problem, k, MNO_U) * problem->sigma[MNO_V] * problem->sigma[MNO_V];
    for (size_t other = 0; other < N; other++) {
      size_t place = k * node + j * N + other;
      const double *h2 = path->h + place * r, *b2 = path->b + place * r;
      double overlap = mno_dot(h, h2, r) / D, s2 = deviation(t, h2, r);
      mno_gaussian_kernels g;
      if (t->closed)
        g = mno_kernels_closed_form(problem->activation, s, s2, variance * overlap);
      else
        g = mno_hermite_kernels(&t->hermite, coefficient, t->coefficient + place * 4 * t->terms,
                                s * s2 > 0 ? fmax(-1, fmin(1, variance * overlap / (s * s2))) : 0);
      double value = eta_v * g.k0 + eta_u * g.k1 * overlap;
      /* Stein: derivative of k0 in h = (k20 h + k1 h') sigma_u^2/D, of k1 = (k31 h + k2 h') sigma_u^2/D */
      double along = (eta_v * g.k20 + eta_u * overlap * g.k31) * variance / D;
      double across = (eta_v * g.k1 + eta_u * overlap * g.k2) * variance / D + eta_u * g.k1 / D;
      for (size_t a = 0; a < r; a++) {
        F[a] -= value * b2[a];
        for (size_t c = 0; c < r; c++) J[a * r + c] -= b2[a] * (along * h[c] + across * h2[c]);
      }
    }
  }
}

static void drift_node(void *context, size_t j, int worker) {
  const tangent *t = context;
  size_t r = t->trajectory->r, N = t->trajectory->N;
  for (size_t i = 0; i < N && !mno_stopped(t->stop); i++) {
    size_t place = j * N + i;
    double *coefficient = t->now + place * 4 * t->terms;
    if (!t->closed) {
      double tail = mno_hermite_coefficients(&t->hermite, deviation(t, t->h + place * r, r), coefficient);
      if (!(tail <= t->tail[j])) t->tail[j] = tail;
    }
    drift_sample(t, j, i, t->h + place * r, coefficient, t->F + place * r, t->J + place * r * r);
  }
}

static void drift(void *context, const double *h, double *F, double *J) {
  tangent *t = context;
  t->h = h;
  t->F = F;
  t->J = J;
  mno_parallel(t->threads, t->trajectory->m, drift_node, t);
}

/* Coefficients of the fields of a finished step. */
static void remember(tangent *t, size_t k) {
  const mno_trajectory *path = t->trajectory;
  size_t vectors = path->m * path->N;
  for (size_t e = 0; e < vectors && !t->closed && !mno_stopped(t->stop); e++)
    mno_hermite_coefficients(&t->hermite, deviation(t, path->h + (k * vectors + e) * path->r, path->r),
                             t->coefficient + (k * vectors + e) * 4 * t->terms);
}

static double largest_deviation(const tangent *t) {
  const mno_trajectory *path = t->trajectory;
  double most = 0;
  for (size_t e = 0; e < path->N; e++) most = fmax(most, deviation(t, path->h1 + e * path->r, path->r));
  return most;
}

static mno_status train(tangent *t, const mno_system *system, mno_error *err) {
  mno_trajectory *path = t->trajectory;
  size_t n = path->m * path->N * path->r;
  mno_step_drift with = {.drift = drift, .context = t, .tolerance = system->tolerance};
  double *F = mno_alloc(n * (1 + path->r), sizeof(double));
  if (!F) return mno_fail_memory(err, n * (1 + path->r) * sizeof(double), "the Neural Tangent ODE");
  double *J = F + n;
  for (size_t k = 1; k <= path->K && path->failed < 0; k++) {
    remember(t, k - 1);
    t->step = k;
    mno_trajectory_guess(path, k, path->h + k * n);
    if (!mno_trajectory_solve(system, path, k, &with, F, J)) mno_trajectory_fail(system, path, k, MNO_UNSOLVED);
  }
  free(F);
  return mno_dropped(system->stop, err);
}

/* Runs with more and more terms of the series until what they leave out is far below the tolerance. */
static mno_status run(void *context, const mno_system *system, mno_trajectory *trajectory, double *floor, mno_error *err) {
  tangent *t = context;
  const mno_problem *problem = system->problem;
  t->trajectory = trajectory;
  t->problem = problem;
  t->closed = mno_kernels_closed(problem->activation);
  mno_status status = MNO_OK;
  for (;; t->terms *= 2) {
    double start = mno_now();
    trajectory->failed = -1;
    mno_trajectory_start(system, trajectory);
    size_t vectors = trajectory->m * trajectory->N, count = (problem->K + 1) * vectors * 4 * t->terms + trajectory->m;
    double *block = mno_alloc(count, sizeof(double));
    if (!block) return mno_fail_memory(err, count * sizeof(double), "the history of the Neural Tangent ODE");
    t->coefficient = block;
    t->now = block + problem->K * vectors * 4 * t->terms;
    t->tail = block + count - trajectory->m;
    if (!t->closed) status = mno_hermite_new(problem->activation, t->terms, 2 * largest_deviation(t), &t->hermite, err);
    if (status == MNO_OK) status = train(t, system, err);
    size_t points = t->hermite.points;
    mno_hermite_free(&t->hermite);
    *floor = 0;
    for (size_t j = 0; j < trajectory->m; j++)
      if (!(t->tail[j] <= *floor)) *floor = t->tail[j];
    free(block);
    if (status != MNO_OK || t->closed || *floor <= t->tolerance || mno_trajectory_is_cut(trajectory)) return status;
    double longer = 2.0 * sizeof(double) * ((double)count + (double)(points * t->terms));
    double end = mno_now(), next = end + 3 * (end - start); /* twice the terms cost two to four times as much */
    t->cut = 2 * t->terms > MOST_TERMS ? "; stopped at the longest series"
             : longer > t->memory      ? "; stopped at the memory budget"
             : next > t->deadline      ? "; stopped at the time budget"
                                       : NULL;
    if (t->cut) return status;
  }
}

/* The coefficients of the history; longer series look at the memory themselves. */
static double bytes(const void *context, const mno_system *system, size_t nodes) {
  const tangent *t = context;
  if (mno_kernels_closed(system->problem->activation)) return 0;
  return 4 * sizeof(double) * (double)t->terms * ((double)system->problem->K + 1) * (double)nodes *
         (double)system->problem->N;
}

mno_status mno_tangent_ode_solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit,
                                 mno_error *err) {
  if (options->method != MNO_METHOD_AUTO)
    return mno_fail(err, MNO_ERR_INPUT, "limit method %s is for mean-ode; tangent-ode has a single method",
                    mno_limit_method_name(options->method));
  tangent context = {.threads = mno_limit_threads(options),
                     .tolerance = 0.1 * options->tolerance,
                     .memory = mno_limit_memory(options),
                     .deadline = options->seconds > 0 ? mno_now() + options->seconds / 4 : INFINITY,
                     .terms = FIRST_TERMS,
                     .stop = options->stop};
  mno_reduction reduction;
  mno_status status = mno_reduction_new(problem, 0, &reduction, err);
  if (status != MNO_OK) return status;
  mno_system system = mno_system_of(problem, &reduction, fmin(1e-3 * options->tolerance, 1e-6), options->stop);
  system.tolerance = fmax(system.tolerance, 1e-12);
  system.alpha = 1;
  status = mno_refine(options, system, reduction.r, run, bytes, &context, limit, err);
  if (status == MNO_OK) {
    mno_limit *out = *limit;
    int closed = mno_kernels_closed(problem->activation);
    char terms[64] = "";
    if (context.cut && !out->certified && out->diverged < 0)
      snprintf(out->parameters, sizeof out->parameters, "%s", context.cut);
    if (!closed) snprintf(terms, sizeof terms, ", terms %zu", context.terms);
    mno_limit_describe(out, "kernels", "%s, nodes %zu, dimension %zu%s", closed ? "closed forms" : "Hermite series",
                       out->nodes, reduction.r, terms);
  }
  mno_reduction_free(&reduction);
  return status;
}
