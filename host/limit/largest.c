/* SPDX-License-Identifier: BSD-3-Clause */
#include "meanode/limit.h"

#include <math.h>
#include <stdio.h>

mno_status mno_limit_largest(const mno_problem *problem, size_t count, const double *const *output,
                             const double *const *embedding, int64_t L, int64_t M, mno_limit **limit, mno_error *err) {
  size_t K = problem->K, f = problem->N * problem->d_out, h = problem->N * problem->D;
  *limit = NULL;
  if (count == 0)
    return mno_fail(err, MNO_ERR_INPUT, "limit largest needs at least one finished network of the largest size");
  mno_status status = mno_limit_new(problem, 0, limit, err);
  if (status != MNO_OK) return status;
  mno_limit *out = *limit;
  out->kind = MNO_LIMIT_LARGEST;
  out->degrees = (int64_t)count - 1;
  for (size_t k = 0; k <= K; k++) {
    double spread[2] = {0, 0}, size[2] = {0, 0};
    for (int which = 0; which < 2; which++) {
      size_t n = which ? h : f;
      const double *const *value = which ? embedding : output;
      double *mean = (which ? out->embedding : out->output) + k * n;
      for (size_t e = 0; e < n; e++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < count; i++) sum += value[i][k * n + e];
        mean[e] = sum / (double)count;
        for (size_t i = 0; i < count; i++) {
          double d = value[i][k * n + e] - mean[e];
          squares += d * d;
        }
        double variance = count > 1 ? squares / (double)(count * (count - 1)) : NAN;
        if (!which) out->output_stderr[k * n + e] = sqrt(variance);
        spread[which] += variance;
        size[which] += mean[e] * mean[e];
      }
    }
    out->output_error[k] = sqrt(spread[0] / size[0]);
    out->embedding_error[k] = sqrt(spread[1] / size[1]);
    out->loss[k] = mno_loss_value(problem->loss, problem->N, problem->d_out, out->output + k * f, problem->y, NULL);
    if (!isfinite(out->loss[k]) && out->diverged < 0) out->diverged = (int64_t)k;
  }
  snprintf(out->method, sizeof out->method, "average");
  snprintf(out->parameters, sizeof out->parameters, "L %lld, M %lld, networks %zu; errors are over seeds, bias not included",
           (long long)L, (long long)M, count);
  return MNO_OK;
}
