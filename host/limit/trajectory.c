/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/trajectory.h"

#include "core/memory.h"
#include "limit/stop.h"
#include "math/vectors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double largest_gap = 0.5; /* between fields and what their values at the nodes say */

/* Every how many steps the contraction of the corrections is measured, by a pass more: 2 to 15 take the same time
 * (bench/choices.py measure-every). */
enum { MOST_CORRECTIONS = 30, MEASURE_EVERY = 5 };
_Static_assert(MEASURE_EVERY > 1, "steps 1, 1 + MEASURE_EVERY, ... are measured");

mno_status mno_trajectory_new(const mno_problem *problem, size_t r, size_t m, mno_trajectory *trajectory, mno_error *err) {
  size_t steps = problem->K + 1, fields = steps * m * problem->N * r, ends = steps * problem->N * r;
  *trajectory = (mno_trajectory){.m = m, .N = problem->N, .r = r, .K = problem->K, .failed = -1};
  trajectory->h = mno_alloc(2 * (fields + ends), sizeof(double));
  if (!trajectory->h) return mno_fail_memory(err, 2 * (fields + ends) * sizeof(double), "the fields of the limit");
  for (size_t e = 0; e < 2 * (fields + ends); e++) trajectory->h[e] = NAN;
  trajectory->b = trajectory->h + fields;
  trajectory->h1 = trajectory->b + fields;
  trajectory->b1 = trajectory->h1 + ends;
  return MNO_OK;
}

double mno_trajectory_bytes(const mno_problem *problem, size_t r, size_t m) {
  return 2 * sizeof(double) * ((double)problem->K + 1) * ((double)m + 1) * (double)problem->N * (double)r;
}

double mno_trajectory_work(const mno_problem *problem, size_t r, size_t m) {
  return sizeof(double) * (double)m * (double)problem->N * (double)r * (12 + (double)r);
}

void mno_trajectory_free(mno_trajectory *trajectory) {
  free(trajectory->h);
  *trajectory = (mno_trajectory){0};
}

mno_system mno_system_of(const mno_problem *problem, const mno_reduction *reduction, double tolerance,
                         const atomic_int *stop) {
  return (mno_system){problem, reduction, NULL, problem->alpha, tolerance, stop, 0};
}

void mno_trajectory_start(const mno_system *system, mno_trajectory *t) {
  size_t field = t->N * t->r;
  double *f = mno_alloc(t->N * system->problem->d_out, sizeof(double));
  memcpy(t->h1, system->reduction->h0, field * sizeof(double));
  if (f)
    mno_reduction_output(system->problem, system->reduction, t->h1, f, t->b1);
  else
    t->failed = 0;
  for (size_t j = 0; j < t->m; j++) {
    memcpy(t->h + j * field, t->h1, field * sizeof(double));
    memcpy(t->b + j * field, t->b1, field * sizeof(double));
  }
  free(f);
}

void mno_trajectory_guess(const mno_trajectory *t, size_t k, double *h) {
  size_t n = t->m * t->N * t->r;
  const double *one = t->h + (k - 1) * n, *two = k >= 2 ? one - n : one, *three = k >= 3 ? two - n : NULL;
  for (size_t e = 0; e < n; e++) h[e] = three ? 3 * one[e] - 3 * two[e] + three[e] : 2 * one[e] - two[e];
}

int mno_trajectory_solve(const mno_system *system, mno_trajectory *t, size_t k, const mno_step_drift *with, double *F,
                         double *J) {
  size_t n = t->m * t->N * t->r, field = t->N * t->r;
  mno_forward_equation equation = {.method = system->method,
                                   .N = t->N,
                                   .r = t->r,
                                   .alpha = system->alpha,
                                   .h0 = system->reduction->h0,
                                   .drift = with->drift,
                                   .context = with->context,
                                   .extra = with->extra_F,
                                   .tolerance = with->tolerance};
  double size = mno_collocation_forward(&equation, t->h + k * n, F, J, t->h1 + k * field);
  double *f = isfinite(size) ? mno_alloc(t->N * system->problem->d_out, sizeof(double)) : NULL;
  if (!f) return 0;
  double loss = mno_reduction_output(system->problem, system->reduction, t->h1 + k * field, f, t->b1 + k * field);
  free(f);
  return isfinite(loss) && mno_collocation_backward(system->method, t->N, t->r, system->alpha, t->b1 + k * field, J,
                                                    with->extra_G, t->b + k * n);
}

static double distance(const double *x, const double *y, size_t n) {
  double difference = 0, size = 1e-300;
  for (size_t e = 0; e < n; e++) {
    difference += (x[e] - y[e]) * (x[e] - y[e]);
    size += x[e] * x[e];
  }
  return sqrt(difference / size);
}

static void ensemble_drift(void *context, const double *h, double *F, double *J) {
  mno_ensemble_pass(context, (mno_particle_pass){.h = h, .F = F, .J = J});
}

void mno_trajectory_forget(mno_trajectory *t, size_t k, mno_failure failure) {
  size_t n = t->m * t->N * t->r, field = t->N * t->r;
  for (size_t e = k * n; e < (t->K + 1) * n; e++) t->h[e] = t->b[e] = NAN;
  for (size_t e = k * field; e < (t->K + 1) * field; e++) t->h1[e] = t->b1[e] = NAN;
  t->failed = (int64_t)k;
  t->failure = failure;
}

void mno_trajectory_fail(const mno_system *system, mno_trajectory *t, size_t k, mno_failure failure) {
  mno_trajectory_forget(t, k, mno_time_is_up(system->stop) ? MNO_OUT_OF_TIME : failure);
}

mno_status mno_trajectory_settle(const mno_system *system, mno_trajectory *t, mno_status status) {
  if (status != MNO_INTERRUPTED || !mno_time_is_up(system->stop)) return status;
  mno_trajectory_start(system, t);
  if (t->K > 0) mno_trajectory_forget(t, 1, MNO_OUT_OF_TIME);
  return MNO_OK;
}

/* Is value [r] what the polynomial through the nodes is where weight [m] takes it? size: of the field there. */
static int follows(const mno_trajectory *t, const double *weight, const double *nodes, const double *value, double size) {
  double off = 0;
  for (size_t a = 0; a < t->r; a++) {
    double sum = 0;
    for (size_t j = 0; j < t->m; j++) sum += weight[j] * nodes[j * t->N * t->r + a];
    off += (sum - value[a]) * (sum - value[a]);
  }
  return sqrt(off) <= largest_gap * size;
}

static double length(const double *x, size_t n) { return sqrt(mno_dot(x, x, n)); }

int64_t mno_trajectory_unresolved(const mno_system *system, const mno_trajectory *t) {
  size_t r = t->r, field = t->N * r, n = t->m * field, steps = t->failed < 0 ? t->K + 1 : (size_t)t->failed;
  double *at_0 = mno_alloc(2 * t->m, sizeof(double)), *at_1 = at_0 + t->m;
  int64_t first = -1;
  if (!at_0) return 0;
  mno_collocation_extend(system->method, 0, at_0);
  mno_collocation_extend(system->method, 1, at_1);
  for (size_t k = 1; k < steps && first < 0; k++)
    for (size_t e = 0; e < field && first < 0; e += r) {
      const double *h = t->h + k * n + e, *b = t->b + k * n + e, *h0 = system->reduction->h0 + e;
      const double *h1 = t->h1 + k * field + e, *b1 = t->b1 + k * field + e;
      double size = fmax(length(h0, r), length(h1, r));
      if (!follows(t, at_0, h, h0, size) || !follows(t, at_1, h, h1, size) || !follows(t, at_1, b, b1, length(b1, r)))
        first = (int64_t)k;
    }
  free(at_0);
  return first;
}

const char *mno_failure_text(mno_failure failure, int64_t step, char text[64]) {
  long long k = (long long)step;
  switch (failure) {
  case MNO_SOLVED: text[0] = 0; break;
  case MNO_OUT_OF_TIME: snprintf(text, 64, "; stopped at the time budget"); break;
  case MNO_UNSOLVED: snprintf(text, 64, "; no finite solution found"); break;
  case MNO_GREW:
    snprintf(text, 64, "; networks towards it grow by more than %.0e at step %lld", MNO_LARGEST_GROWTH, k);
    break;
  case MNO_UNRESOLVED: snprintf(text, 64, "; it grows or falls too fast for depth nodes at step %lld", k); break;
  }
  return text;
}

static void newton(const mno_system *system, mno_ensemble *fine, mno_trajectory *t, double *work) {
  size_t n = t->m * t->N * t->r;
  double *F = work, *J = work + n;
  mno_step_drift with = {.drift = ensemble_drift, .context = fine, .tolerance = system->tolerance};
  for (size_t k = 1; k <= t->K; k++) {
    mno_particle_pass update = {.step = k - 1, .old_h = t->h + (k - 1) * n, .old_b = t->b + (k - 1) * n};
    mno_ensemble_pass(fine, update);
    mno_trajectory_guess(t, k, t->h + k * n);
    if (!mno_trajectory_solve(system, t, k, &with, F, J)) {
      mno_trajectory_fail(system, t, k, MNO_UNSOLVED);
      break;
    }
  }
}

/* extra = fine - coarse at the fields h, b, where the coarse drift is F and its Jacobian J. */
static void difference(const mno_trajectory *t, const double *fine_F, const double *fine_G, const double *F, const double *J,
                       const double *b, double *extra_F, double *extra_G) {
  size_t r = t->r;
  for (size_t i = 0; i < t->m * t->N; i++)
    for (size_t a = 0; a < r; a++) {
      double adjoint = 0;
      for (size_t c = 0; c < r; c++) adjoint += J[(i * r + c) * r + a] * b[i * r + c];
      extra_F[i * r + a] = fine_F[i * r + a] - F[i * r + a];
      extra_G[i * r + a] = fine_G[i * r + a] - adjoint;
    }
}

static void two_ensembles(const mno_system *system, mno_ensemble *fine, mno_ensemble *coarse, mno_trajectory *t,
                          double *work) {
  size_t n = t->m * t->N * t->r;
  double *F = work, *fine_F = F + n, *fine_G = fine_F + n, *extra_F = fine_G + n, *extra_G = extra_F + n,
         *before_F = extra_G + n, *before_G = before_F + n, *at_h = before_G + n, *at_b = at_h + n, *J = at_b + n;
  /* Newton's error is the square of the last correction, so a correction below the root of the tolerance is the last one;
   * not so across a kink. */
  double contraction = 0, tight = 1e-2 * (mno_system_is_kinked(system) ? system->tolerance : sqrt(system->tolerance));
  mno_step_drift with = {ensemble_drift, coarse, extra_F, extra_G, tight};
  for (size_t k = 1; k <= t->K; k++) {
    mno_particle_pass update = {.step = k - 1, .old_h = t->h + (k - 1) * n, .old_b = t->b + (k - 1) * n};
    double *h = t->h + k * n, *b = t->b + k * n, last = NAN;
    mno_ensemble_pass(coarse, update);
    for (size_t e = 0; e < n; e++) { /* the difference of the ensembles is smooth in k: extrapolate it */
      double now_F = 2 * extra_F[e] - before_F[e], now_G = 2 * extra_G[e] - before_G[e];
      before_F[e] = extra_F[e];
      before_G[e] = extra_G[e];
      extra_F[e] = now_F;
      extra_G[e] = now_G;
    }
    mno_trajectory_guess(t, k, h);
    int solved = mno_trajectory_solve(system, t, k, &with, F, J);
    for (int pass = 0; solved; pass++) {
      memcpy(at_h, h, n * sizeof(double));
      memcpy(at_b, b, n * sizeof(double));
      mno_particle_pass at_solution = pass ? (mno_particle_pass){0} : update;
      at_solution.h = h;
      at_solution.b = b;
      at_solution.F = fine_F;
      at_solution.G = fine_G;
      mno_ensemble_pass(fine, at_solution);
      t->fine_passes++;
      difference(t, fine_F, fine_G, F, J, b, extra_F, extra_G);
      solved = mno_trajectory_solve(system, t, k, &with, F, J);
      double change = fmax(distance(h, at_h, n), distance(b, at_b, n));
      if (!solved || !isfinite(change)) {
        solved = 0;
      } else if (pass == 0) {
        /* The remaining error is change times the contraction, which is measured now and then. */
        if (change <= system->tolerance || (k % MEASURE_EVERY != 1 && 3 * contraction * change <= system->tolerance)) break;
      } else {
        contraction = pass == 1 ? fmin(change / last, 1) : contraction;
        if (3 * contraction * change <= system->tolerance) break;
        if (pass == MOST_CORRECTIONS) solved = 0;
      }
      last = change;
    }
    if (!solved) {
      mno_trajectory_fail(system, t, k, MNO_UNSOLVED);
      break;
    }
  }
}

mno_status mno_trajectory_particles(const mno_system *system, mno_ensemble *fine, mno_ensemble *coarse, mno_trajectory *t,
                                    mno_error *err) {
  size_t n = t->m * t->N * t->r, count = 9 * n + n * t->r;
  double *work = mno_alloc(count, sizeof(double));
  if (!work) return mno_fail_memory(err, count * sizeof(double), "the collocation equations");
  mno_trajectory_start(system, t);
  fine->stop = system->stop;
  if (coarse) coarse->stop = system->stop;
  if (t->failed < 0) {
    if (coarse)
      two_ensembles(system, fine, coarse, t, work);
    else
      newton(system, fine, t, work);
  }
  mno_status status = mno_ensemble_check(fine, err);
  if (status == MNO_OK && coarse) status = mno_ensemble_check(coarse, err);
  free(work);
  return status;
}
