/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/layers.h"

#include "core/memory.h"
#include "limit/stop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The drift of one layer at h, or its adjoint drift at h and b. */
static void evaluate(mno_ensemble *ensemble, size_t l, const double *h, const double *b, double *F, double *G) {
  mno_ensemble_pass(ensemble, (mno_particle_pass){.first = l, .count = 1, .h = h, .b = b, .F = F, .G = G});
}

mno_status mno_layers_train(const mno_problem *problem, const mno_reduction *reduction, mno_ensemble *ensemble,
                            mno_layers_sink sink, void *context, mno_error *err) {
  size_t L = ensemble->holds.m, field = problem->N * reduction->r, outputs = problem->N * problem->d_out;
  size_t count = 2 * (L + 1) * field + 2 * field + outputs;
  double *h = mno_alloc(count, sizeof(double)), step = problem->alpha / (double)L;
  if (!h) return mno_fail_memory(err, count * sizeof(double), "the layers");
  double *b = h + (L + 1) * field, *drift = b + (L + 1) * field, *unused = drift + field, *output = unused + field;
  memcpy(h, reduction->h0, field * sizeof(double));
  for (size_t k = 0; k <= problem->K && !mno_stopped(ensemble->stop); k++) {
    for (size_t l = 0; l < L; l++) {
      const double *below = h + l * field;
      evaluate(ensemble, l, below, NULL, drift, NULL);
      for (size_t i = 0; i < field; i++) h[(l + 1) * field + i] = below[i] + step * drift[i];
    }
    mno_reduction_output(problem, reduction, h + L * field, output, b + L * field);
    for (size_t l = L; l-- > 0;) {
      const double *above = b + (l + 1) * field;
      evaluate(ensemble, l, h + l * field, above, unused, drift);
      for (size_t i = 0; i < field; i++) b[l * field + i] = above[i] + step * drift[i];
    }
    if (mno_stopped(ensemble->stop) || !sink(context, k, h, b) || k == problem->K) break;
    /* layer l is driven by h below it and b above it */
    mno_ensemble_pass(ensemble, (mno_particle_pass){.step = k, .old_h = h, .old_b = b + field});
  }
  free(h);
  return mno_ensemble_check(ensemble, err);
}

typedef struct nodes {
  const mno_system *system;
  mno_trajectory *trajectory;
  size_t L;
  size_t known; /* steps */
} nodes;

static void interpolate(const nodes *to, const double *layers, double *out) {
  const mno_trajectory *t = to->trajectory;
  size_t field = t->N * t->r;
  for (size_t j = 0; j < t->m; j++) {
    double s = to->system->method->c[j] * (double)to->L, below = floor(s);
    const double *x = layers + (size_t)below * field;
    for (size_t e = 0; e < field; e++) out[j * field + e] = x[e] + (s - below) * (x[field + e] - x[e]);
  }
}

static double largest(const double *x, size_t n) {
  double most = 0;
  for (size_t e = 0; e < n; e++) {
    if (isnan(x[e])) return NAN;
    most = fmax(most, fabs(x[e]));
  }
  return most;
}

static int keep(void *context, size_t k, const double *h, const double *b) {
  nodes *to = context;
  mno_trajectory *t = to->trajectory;
  size_t field = t->N * t->r, all = (to->L + 1) * field;
  if (!(largest(h, all) <= MNO_LARGEST_GROWTH * largest(h, field)) || !isfinite(largest(b, all))) {
    mno_trajectory_forget(t, k, MNO_GREW);
    return 0;
  }
  interpolate(to, h, t->h + k * t->m * field);
  interpolate(to, b, t->b + k * t->m * field);
  memcpy(t->h1 + k * field, h + to->L * field, field * sizeof(double));
  memcpy(t->b1 + k * field, b + to->L * field, field * sizeof(double));
  to->known = k + 1;
  return 1;
}

mno_status mno_trajectory_layers(const mno_system *system, mno_ensemble *ensemble, mno_trajectory *t, mno_error *err) {
  nodes to = {system, t, ensemble->holds.m, 1};
  ensemble->stop = system->stop;
  mno_trajectory_start(system, t);
  mno_status status = mno_layers_train(system->problem, system->reduction, ensemble, keep, &to, err);
  if (status == MNO_OK && mno_stopped(system->stop) && t->failed < 0 && to.known <= t->K)
    mno_trajectory_forget(t, to.known, MNO_OUT_OF_TIME);
  return status;
}
