/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/average.h"

#include "core/memory.h"
#include "math/vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

mno_status mno_step_errors_new(const mno_problem *problem, mno_step_errors *errors, mno_error *err) {
  errors->output = mno_alloc(2 * (problem->K + 1), sizeof(double));
  if (!errors->output) return mno_fail_memory(err, 2 * (problem->K + 1) * sizeof(double), "error estimates");
  errors->embedding = errors->output + problem->K + 1;
  return MNO_OK;
}

void mno_step_errors_free(mno_step_errors *errors) { free(errors->output); }

/* Mean of value[0..count-1][e]; *spread receives its standard error (0 if count is 1). */
static double mean_of(const double *const *value, size_t count, size_t e, double *spread) {
  double sum = 0, squares = 0;
  for (size_t i = 0; i < count; i++) sum += value[i][e];
  double mean = sum / (double)count;
  for (size_t i = 0; i < count; i++) squares += (value[i][e] - mean) * (value[i][e] - mean);
  *spread = count > 1 ? sqrt(squares / (double)(count * (count - 1))) : 0;
  return mean;
}

static double ratio(double above, double below) { return above == 0 ? 0 : sqrt(above / below); }

/* RMS of x / RMS of y, 0 if x vanishes. */
static double relative(const double *x, const double *y, size_t n) { return ratio(mno_dot(x, x, n), mno_dot(y, y, n)); }

double mno_relative_difference(const double *x, const double *y, size_t n) {
  double difference = 0;
  for (size_t e = 0; e < n; e++) difference += (x[e] - y[e]) * (x[e] - y[e]);
  return ratio(difference, mno_dot(y, y, n));
}

static void average_step(const mno_problem *problem, const mno_reduction *reduction, size_t m, size_t k, size_t count,
                         const double *const *value[4], double *work, mno_limit *out) {
  size_t N = problem->N, D = problem->D, field = N * reduction->r, f = N * problem->d_out;
  double *mean = work, *spread = work + field, unused;
  for (size_t j = k * m; j < (k + 1) * m; j++)
    for (int which = 0; which < 2; which++) {
      for (size_t e = 0; e < field; e++) mean[e] = mean_of(value[which], count, j * field + e, &unused);
      mno_reduction_expand(reduction, N, D, mean, (which ? out->adjoint : out->state) + j * N * D);
    }
  for (size_t e = 0; e < field; e++) mean[e] = mean_of(value[2], count, k * field + e, &spread[e]);
  out->embedding_error[k] = relative(spread, mean, field); /* norms are the same in the reduced coordinates */
  mno_reduction_expand(reduction, N, D, mean, out->embedding + k * N * D);
  out->loss[k] = mno_reduction_output(problem, reduction, mean, out->output + k * f, NULL);
  for (size_t e = k * f; e < (k + 1) * f; e++) mean_of(value[3], count, e, &out->output_stderr[e]);
  out->output_error[k] = relative(out->output_stderr + k * f, out->output + k * f, f);
}

mno_status mno_average(const mno_problem *problem, const mno_reduction *reduction, const mno_collocation *method,
                       const mno_trajectory *trajectory, size_t count, mno_limit **limit, mno_error *err) {
  size_t K = problem->K, field = problem->N * reduction->r, f = problem->N * problem->d_out, m = method->m;
  mno_status status = mno_limit_new(problem, m, limit, err);
  if (status != MNO_OK) return status;
  mno_limit *out = *limit;
  size_t numbers = count * (K + 1) * f + 2 * field;
  const double **pointers = mno_alloc(4 * count, sizeof *pointers);
  double *outputs = mno_alloc(numbers, sizeof(double));
  if (!pointers || !outputs) {
    status = mno_fail_memory(err, numbers * sizeof(double), "averages over randomisations");
    mno_limit_free(out);
    *limit = NULL;
  } else {
    const double *const *value[4] = {pointers, pointers + count, pointers + 2 * count, pointers + 3 * count};
    for (size_t i = 0; i < count; i++) {
      pointers[i] = trajectory[i].h;
      pointers[count + i] = trajectory[i].b;
      pointers[2 * count + i] = trajectory[i].h1;
      pointers[3 * count + i] = outputs + i * (K + 1) * f;
      for (size_t k = 0; k <= K; k++)
        mno_reduction_output(problem, reduction, trajectory[i].h1 + k * field, outputs + (i * (K + 1) + k) * f, NULL);
      int64_t failed = trajectory[i].failed;
      if (failed >= 0 && (out->diverged < 0 || failed < out->diverged)) out->diverged = failed;
    }
    memcpy(out->depth, method->c, m * sizeof(double));
    out->degrees = (int64_t)count - 1;
    for (size_t k = 0; k <= K; k++) average_step(problem, reduction, m, k, count, value, outputs + count * (K + 1) * f, out);
  }
  free(pointers);
  free(outputs);
  return status;
}

void mno_step_difference(const mno_problem *problem, const mno_reduction *reduction, const mno_trajectory *x,
                         const mno_trajectory *y, mno_step_errors *errors) {
  size_t field = problem->N * reduction->r, f = problem->N * problem->d_out;
  double *outputs = mno_alloc(2 * f, sizeof(double));
  for (size_t k = 0; k <= problem->K; k++) {
    errors->output[k] = errors->embedding[k] = NAN;
    if (!outputs) continue;
    const double *hx = x->h1 + k * field, *hy = y->h1 + k * field;
    mno_reduction_output(problem, reduction, hx, outputs, NULL);
    mno_reduction_output(problem, reduction, hy, outputs + f, NULL);
    errors->output[k] = mno_relative_difference(outputs, outputs + f, f);
    errors->embedding[k] = mno_relative_difference(hx, hy, field);
  }
  free(outputs);
}

void mno_add_errors(mno_limit *limit, const mno_step_errors *errors) {
  size_t f = limit->N * limit->d_out;
  for (size_t k = 0; k <= limit->K; k++) {
    double size = mno_dot(limit->output + k * f, limit->output + k * f, f);
    double absolute = errors->output[k] * sqrt(size / (double)f); /* spread evenly over the outputs */
    for (size_t e = k * f; e < (k + 1) * f; e++) limit->output_stderr[e] = hypot(limit->output_stderr[e], absolute);
    limit->output_error[k] = hypot(limit->output_error[k], errors->output[k]);
    limit->embedding_error[k] = hypot(limit->embedding_error[k], errors->embedding[k]);
  }
}

double mno_largest(const double *x, size_t n) {
  double most = 0;
  for (size_t i = 0; i < n; i++)
    if (x[i] > most) most = x[i];
  return most;
}

int mno_within(const mno_limit *limit, double tolerance) {
  for (size_t k = 0; k <= limit->K; k++)
    if (!(limit->output_error[k] <= tolerance)) return 0;
  return limit->diverged < 0;
}
