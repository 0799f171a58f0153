/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits that need no sampling: identity activation by moments, D = 1 and 2 by quadrature. */
#include "limit/problems.h"

/* The identity activation in networks of depth L with infinitely many units per layer: units of layer l move linearly, so
 * E[v u^T] follows from a 2 D x 2 D matrix per layer. All D coordinates, no reduction, plain layer recursion. */
static void finite_depth(const mno_problem *p, size_t L, double *output /* [K+1][N][d_out] */) {
  size_t D = p->D, n = 2 * D, N = p->N, field = N * D;
  double *A = calloc(L * n * n, sizeof *A), *C = calloc(L * D * D, sizeof *C), *h = calloc((L + 1) * field, sizeof *h),
         *b = calloc((L + 1) * field, sizeof *b), *next = malloc(n * n * sizeof *next),
         *gradient = malloc(N * p->d_out * sizeof *gradient);
  for (size_t l = 0; l < L; l++)
    for (size_t a = 0; a < n; a++) A[(l * n + a) * n + a] = 1;
  for (size_t k = 0; k <= p->K; k++) {
    for (size_t i = 0; i < N; i++)
      for (size_t a = 0; a < D; a++) {
        h[i * D + a] = 0;
        for (size_t c = 0; c < p->d_in; c++) h[i * D + a] += p->w_embed[a * p->d_in + c] * p->x[i * p->d_in + c];
      }
    double step = p->alpha / (double)L;
    for (size_t l = 0; l < L; l++)
      for (size_t i = 0; i < N; i++)
        for (size_t a = 0; a < D; a++) {
          double sum = h[l * field + i * D + a];
          for (size_t c = 0; c < D; c++) sum += step * C[(l * D + a) * D + c] * h[l * field + i * D + c];
          h[(l + 1) * field + i * D + a] = sum;
        }
    double *f = output + k * N * p->d_out;
    for (size_t i = 0; i < N; i++)
      for (size_t o = 0; o < p->d_out; o++) {
        f[i * p->d_out + o] = 0;
        for (size_t a = 0; a < D; a++)
          f[i * p->d_out + o] += p->w_unembed[a * p->d_out + o] * h[L * field + i * D + a] / (double)D;
      }
    mno_loss_value(p->loss, N, p->d_out, f, p->y, gradient);
    for (size_t i = 0; i < N; i++)
      for (size_t a = 0; a < D; a++) {
        b[L * field + i * D + a] = 0;
        for (size_t o = 0; o < p->d_out; o++)
          b[L * field + i * D + a] += p->w_unembed[a * p->d_out + o] * gradient[i * p->d_out + o];
      }
    for (size_t l = L; l-- > 0;)
      for (size_t i = 0; i < N; i++)
        for (size_t a = 0; a < D; a++) {
          double sum = b[(l + 1) * field + i * D + a];
          for (size_t c = 0; c < D; c++) sum += step * C[(l * D + c) * D + a] * b[(l + 1) * field + i * D + c];
          b[l * field + i * D + a] = sum;
        }
    for (size_t l = 0; l < L; l++) {
      double *Al = A + l * n * n;
      memcpy(next, Al, n * n * sizeof *next);
      for (size_t a = 0; a < D; a++)
        for (size_t c = 0; c < D; c++) {
          double S = 0;
          for (size_t i = 0; i < N; i++) S += h[l * field + i * D + a] * b[(l + 1) * field + i * D + c] / (double)D;
          for (size_t e = 0; e < n; e++) {
            next[a * n + e] -= p->eta[MNO_U] / p->alpha * S * Al[(D + c) * n + e];
            next[(D + c) * n + e] -= p->eta[MNO_V] / p->alpha * S * Al[a * n + e];
          }
        }
      memcpy(Al, next, n * n * sizeof *next);
      for (size_t a = 0; a < D; a++)
        for (size_t c = 0; c < D; c++) {
          double sum = 0;
          for (size_t e = 0; e < n; e++)
            sum += Al[(D + a) * n + e] * Al[c * n + e] *
                   (e < D ? p->sigma[MNO_U] * p->sigma[MNO_U] : p->sigma[MNO_V] * p->sigma[MNO_V]);
          C[(l * D + a) * D + c] = sum;
        }
    }
  }
  free(A);
  free(C);
  free(h);
  free(b);
  free(next);
  free(gradient);
}

/* The depth error of those networks has an expansion in 1/L: extrapolation to L = infinity is a tight, independent solution
 * of the limit. */
static void identity_closure(mno_loss loss) {
  enum { LEVELS = 7 };
  mno_problem p = random_problem(3, 2, 2, 5, 4);
  p.activation = MNO_IDENTITY;
  p.loss = loss;
  p.alpha = 0.8;
  p.sigma[MNO_U] = 0.9;
  p.sigma[MNO_V] = 1.1;
  p.eta[MNO_U] = 0.4;
  p.eta[MNO_V] = 0.6;
  if (loss == MNO_CROSS_ENTROPY)
    for (size_t e = 0; e < 6; e++) p.y[e] = e % 2 == e / 2 % 2;
  size_t count = (p.K + 1) * p.N * p.d_out;
  double *table[LEVELS];
  for (size_t i = 0; i < LEVELS; i++) {
    table[i] = malloc(count * sizeof(double));
    finite_depth(&p, (size_t)16 << i, table[i]);
  }
  mno_limit *limit = solve_limit(&p, (mno_limit_options){.tolerance = 1e-11});
  assert_string_equal(limit->method, "closure");
  assert_true(limit->certified);
  double last = rms_difference(table[LEVELS - 1], limit->output, count),
         before = rms_difference(table[LEVELS - 2], limit->output, count);
  assert_true(last > 1e-6); /* the networks themselves are still far */
  assert_close(before / last, 2, 0.05);
  for (size_t order = 1; order < LEVELS; order++)
    for (size_t i = LEVELS - 1; i >= order; i--)
      for (size_t e = 0; e < count; e++) table[i][e] += (table[i][e] - table[i - 1][e]) / ((double)(1 << order) - 1);
  double error = rms_difference(table[LEVELS - 1], limit->output, count) / rms(limit->output, count);
  print_message("identity, %s: %.1e from the extrapolated networks, claimed %.1e\n", mno_loss_name(loss), error,
                limit->output_error[p.K]);
  assert_close(error, 0, 1e-10);
  for (size_t i = 0; i < LEVELS; i++) free(table[i]);
  mno_limit_free(limit);
  problem_free(&p);
}

static void identity_squared(void **state) { identity_closure(MNO_SQUARED); }
static void identity_cross_entropy(void **state) { identity_closure(MNO_CROSS_ENTROPY); }

/* The closure switched off: sampling finds the same limit. */
static void identity_by_sampling(void **state) {
  mno_problem p = random_problem(5, 3, 2, 4, 6);
  p.activation = MNO_IDENTITY;
  mno_limit *exact = solve_limit(&p, (mno_limit_options){.tolerance = 1e-10});
  mno_limit *sampled = solve_limit(&p, (mno_limit_options){.tolerance = 2e-3, .method = MNO_METHOD_SOBOL, .seed = 3});
  size_t f = p.N * p.d_out;
  for (size_t k = 1; k <= p.K; k++)
    assert_true(rms_difference(exact->output + k * f, sampled->output + k * f, f) <
                4 * sampled->output_error[k] * rms(exact->output + k * f, f));
  mno_limit_free(exact);
  mno_limit_free(sampled);
  problem_free(&p);
}

static void quadrature_against_sampling(void **state) {
  static const mno_activation activations[] = {MNO_TANH, MNO_GELU};
  for (size_t D = 1; D <= 2; D++)
    for (size_t i = 0; i < 2; i++) {
      mno_problem p = random_problem(4, 2, 3, D, 5);
      p.activation = activations[i];
      mno_limit *quadrature =
          solve_limit(&p, (mno_limit_options){.tolerance = D == 1 ? 1e-5 : 2e-3,
                                              .method = D == 1 ? MNO_METHOD_AUTO : MNO_METHOD_QUADRATURE});
      assert_string_equal(quadrature->method, "quadrature");
      assert_true(quadrature->certified);
      mno_limit *sampled = solve_limit(&p, (mno_limit_options){.tolerance = 1e-3, .method = MNO_METHOD_SOBOL, .seed = 4});
      size_t f = p.N * p.d_out;
      for (size_t k = 1; k <= p.K; k++) {
        double error =
            rms_difference(quadrature->output + k * f, sampled->output + k * f, f) / rms(quadrature->output + k * f, f);
        if (!(error < 4 * sampled->output_error[k]))
          fail_msg("D %zu, step %zu: %g apart, sampling claims %g", D, k, error, sampled->output_error[k]);
      }
      print_message("D %zu: %s (%s) %.2f s; %s %.2f s\n", D, quadrature->method, quadrature->parameters, quadrature->seconds,
                    sampled->parameters, sampled->seconds);
      mno_limit_free(quadrature);
      mno_limit_free(sampled);
      problem_free(&p);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(identity_squared), cmocka_unit_test(identity_cross_entropy),
                                     cmocka_unit_test(identity_by_sampling), cmocka_unit_test(quadrature_against_sampling)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
