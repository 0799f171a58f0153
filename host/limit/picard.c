#include "limit/picard.h"

#include "core/memory.h"
#include "limit/stop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ITERATIONS = 80, SETTLED_AFTER = 8, PATIENCE = 4 };
static const double coarsest_steps = 0.05; /* of the staircase, relative to the states */
static const double largest_growth = 1e8;  /* of the states over the depth */

static double norm(const double *x, size_t n) {
  double sum = 0;
  for (size_t e = 0; e < n; e++) sum += x[e] * x[e];
  return sqrt(sum);
}

/* h(c_i) = h(0) + alpha sum_j A_ij F_j to next, where A has m columns. */
static void integrate(const mno_system *system, const double *weight, size_t rows, size_t field, const double *F,
                      double *next) {
  size_t m = system->method->m;
  for (size_t i = 0; i < rows; i++)
    for (size_t e = 0; e < field; e++) {
      double sum = 0;
      for (size_t j = 0; j < m; j++) sum += weight[i * m + j] * F[j * field + e];
      next[i * field + e] = system->reduction->h0[e] + system->alpha * sum;
    }
}

/* Step k from the guess in t->h. old_h, old_b: what the particles are first trained with. */
static mno_failure solve(const mno_system *system, mno_ensemble *ensemble, mno_trajectory *t, size_t k, double *F, double *J,
                         double *next) {
  size_t field = t->N * t->r, n = t->m * field;
  const double *old_h = t->h + (k - 1) * n, *old_b = t->b + (k - 1) * n;
  double *h = t->h + k * n, best = INFINITY, last = INFINITY, damping = 1, start = norm(system->reduction->h0, field);
  int since = 0; /* the best */
  for (int pass = 0;; pass++) {
    mno_ensemble_pass(ensemble, pass ? NULL : old_h, pass ? NULL : old_b, h, NULL, F, NULL, NULL);
    integrate(system, system->method->A, t->m, field, F, next);
    double size = norm(next, n), change = 0;
    if (!isfinite(size) || size > largest_growth * sqrt((double)t->m) * start) return MNO_GREW;
    for (size_t e = 0; e < n; e++) change += (next[e] - h[e]) * (next[e] - h[e]);
    change = sqrt(change) / (size + 1e-300);
    since = change < 0.7 * best ? 0 : since + 1;
    best = fmin(best, change);
    if (change <= system->tolerance || (pass >= SETTLED_AFTER && since >= PATIENCE && change <= coarsest_steps)) break;
    if (pass == ITERATIONS) return MNO_UNSOLVED;
    if (pass >= SETTLED_AFTER && change > 0.7 * last) damping = fmax(0.5 * damping, 0.25);
    last = change;
    for (size_t e = 0; e < n; e++) h[e] += damping * (next[e] - h[e]);
  }
  integrate(system, system->method->w, 1, field, F, t->h1 + k * field);
  mno_ensemble_pass(ensemble, NULL, NULL, h, NULL, F, NULL, J);
  return mno_trajectory_finish(system, t, k, J, NULL) ? MNO_SOLVED : MNO_GREW;
}

mno_status mno_trajectory_picard(const mno_system *system, mno_ensemble *ensemble, mno_trajectory *t, mno_error *err) {
  size_t n = t->m * t->N * t->r, count = n * (2 + t->r);
  double *work = mno_alloc(count, sizeof(double));
  if (!work) return mno_fail_memory(err, count * sizeof(double), "the collocation equations");
  double *F = work, *next = F + n, *J = next + n;
  mno_trajectory_start(system, t);
  ensemble->stop = system->stop;
  for (size_t k = 1; k <= t->K && t->failed < 0 && !mno_stopped(system->stop); k++) {
    memcpy(t->h + k * n, t->h + (k - 1) * n, n * sizeof(double));
    mno_failure failure = solve(system, ensemble, t, k, F, J, next);
    if (failure != MNO_SOLVED) mno_trajectory_forget(t, k, failure);
  }
  free(work);
  mno_status status = mno_interrupted(system->stop, err);
  return status == MNO_OK ? mno_ensemble_check(ensemble, err) : status;
}
