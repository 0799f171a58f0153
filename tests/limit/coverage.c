/* SPDX-License-Identifier: BSD-3-Clause */
/* Are the claimed errors honest? 100 independent randomisations of problems with a known answer: the claimed 95% interval
 * (Student's t with the limit's degrees of freedom) covers the truth 90 to 99 times of 100 at every step that is looked at.
 * And: the depth constant, the orders of convergence. */
#include "limit/problems.h"

#include "limit/collocation.h"

#include <gsl/gsl_cdf.h>

/* Counts over trials at one step. */
typedef struct tally {
  double outputs;   /* intervals of single outputs that cover */
  double whole[2];  /* RMS error of output, embedding within t times the claim */
  double square[2]; /* mean square of RMS error over claim */
} tally;

/* options: what to solve, in TRIALS randomisations. scalar: one sample, one target, D = 1, so that the claims for output and
 * embedding are intervals of single numbers. */
static void coverage(const mno_problem *p, const mno_limit *truth, mno_limit_options options, const char *name) {
  enum { TRIALS = 100, STEPS = 3 };
  const size_t steps[STEPS] = {1, p->K < 10 ? 2 : 5, p->K};
  size_t f = p->N * p->d_out, h = p->N * p->D;
  int scalar = f == 1 && h == 1;
  tally t[STEPS] = {{0}};
  for (uint64_t seed = 0; seed < TRIALS; seed++) {
    options.seed = 1000 + seed;
    mno_limit *limit = solve_limit(p, options);
    double quantile = gsl_cdf_tdist_Pinv(0.975, (double)limit->degrees);
    for (int s = 0; s < STEPS; s++) {
      size_t k = steps[s];
      for (size_t e = k * f; e < (k + 1) * f; e++)
        t[s].outputs += (fabs(limit->output[e] - truth->output[e]) <= quantile * limit->output_stderr[e]) / (double)f;
      const double *ours[2] = {limit->output + k * f, limit->embedding + k * h},
                   *theirs[2] = {truth->output + k * f, truth->embedding + k * h},
                   claim[2] = {limit->output_error[k], limit->embedding_error[k]};
      for (int which = 0; which < 2; which++) {
        size_t n = which ? h : f;
        double error = rms_difference(ours[which], theirs[which], n) / rms(ours[which], n);
        t[s].whole[which] += error <= quantile * claim[which];
        t[s].square[which] += error * error / (claim[which] * claim[which]) / TRIALS;
      }
    }
    mno_limit_free(limit);
  }
  for (int s = 0; s < STEPS; s++) {
    print_message(
        "%s, k %zu: single outputs covered %.1f%%; output, embedding within t x claim %.0f, %.0f times of %d; mean "
        "square of error/claim %.2f, %.2f\n",
        name, steps[s], t[s].outputs, t[s].whole[0], t[s].whole[1], TRIALS, t[s].square[0], t[s].square[1]);
    int cautious = p->activation == MNO_RELU; /* a small pilot overstates its depth error, up to threefold */
    assert_true(t[s].outputs >= 90 && (cautious || t[s].outputs <= 99));
    for (int which = 0; which < 2; which++) {
      assert_true(t[s].whole[which] >= 90 && (!scalar || t[s].whole[which] <= 99));
      assert_true(t[s].square[which] > (cautious ? 0 : 0.6) &&
                  t[s].square[which] < (scalar ? 2.4 : 1.8)); /* mean of t^2 with 7 degrees: 1.4 */
    }
  }
}

static const mno_limit_options sampling = {.tolerance = 1e-3, .particles = 256, .nodes = 6, .method = MNO_METHOD_SOBOL};

static void identity_covered(void **state) {
  mno_problem p = random_problem(3, 3, 2, 4, COVERAGE_STEPS);
  p.activation = MNO_IDENTITY;
  mno_limit *truth = solve_limit(&p, (mno_limit_options){.tolerance = 1e-10});
  coverage(&p, truth, sampling, "identity, D = 4");
  mno_limit_free(truth);
  problem_free(&p);
}

static void quadrature_covered(void **state) {
  mno_problem p = random_problem(3, 3, 2, 2, COVERAGE_STEPS);
  mno_limit *truth =
      solve_limit(&p, (mno_limit_options){.tolerance = COVERAGE_STEPS > 3 ? 3e-3 : 1e-3, .method = MNO_METHOD_QUADRATURE});
  assert_true(truth->certified);
  coverage(&p, truth, sampling, "tanh, D = 2");
  mno_limit_free(truth);
  problem_free(&p);
}

/* relu has kinks in depth when D = 2: algebraic convergence of the depth scheme, whose error is claimed as such. The truth
 * has twice the nodes and other randomisations. */
static void relu_covered(void **state) {
  mno_problem p = random_problem(3, 3, 2, 2, COVERAGE_STEPS);
  p.activation = MNO_RELU;
  mno_limit *truth = solve_limit(
      &p,
      (mno_limit_options){
          .tolerance = 1e-4, .method = MNO_METHOD_SOBOL, .particles = 32768, .nodes = 32, .randomisations = 16, .seed = 77});
  mno_limit_options few_nodes = sampling;
  few_nodes.nodes = 16;
  coverage(&p, truth, few_nodes, "relu, D = 2");
  mno_limit_free(truth);
  problem_free(&p);
}

/* One sample, one target, D = 1: single numbers, embedding included; and sizes chosen by the program. */
static void scalars_covered(void **state) {
  mno_problem p = random_problem(1, 1, 1, 1, COVERAGE_STEPS);
  mno_limit *truth = solve_limit(&p, (mno_limit_options){.tolerance = 1e-7, .method = MNO_METHOD_QUADRATURE});
  assert_true(truth->certified);
  coverage(&p, truth, sampling, "tanh, D = 1, one sample");
  coverage(&p, truth, (mno_limit_options){.tolerance = 1e-4, .method = MNO_METHOD_SOBOL}, "the same by tolerance");
  mno_limit_free(truth);
  problem_free(&p);
}

/* The depth constant of the D = 8 reference problem, against the independently measured .0082, .0525, .077. */
static void depth_constant(void **state) {
  hid_t file = reference_open("mean_ode_D8.h5");
  mno_problem p = reference_problem(file);
  mno_error err;
  double a[2][16];
  assert_ok(mno_limit_depth_bias(&p, &(mno_limit_options){.particles = 512}, 32, a[0], NULL, &err));
  assert_ok(mno_limit_depth_bias(&p, &(mno_limit_options){.particles = 512}, 64, a[1], NULL, &err));
  print_message("a at k = 1, 5, 15: %.4f %.4f %.4f (L = 32), %.4f %.4f %.4f (L = 64)\n", a[0][1], a[0][5], a[0][15], a[1][1],
                a[1][5], a[1][15]);
  assert_close(a[1][1], 0.0082, 0.1 * 0.0082);
  assert_close(a[1][5], 0.0525, 0.1 * 0.0525);
  assert_close(a[1][15], 0.077, 0.1 * 0.077);
  for (size_t k = 1; k <= 15; k++) assert_close(a[0][k], a[1][k], 0.1 * a[1][k]);
  problem_free(&p);
  H5Fclose(file);
}

/* Geometric convergence in the number of nodes, and error estimates that are the errors. */
static void depth_converges(void **state) {
  mno_problem p = random_problem(4, 3, 2, 4, 3);
  size_t f = p.N * p.d_out;
  double last = INFINITY;
  p.activation = MNO_IDENTITY;
  mno_limit *fine = solve_limit(&p, (mno_limit_options){.tolerance = 1e-12});
  for (int64_t nodes = 1; nodes <= 5; nodes++) {
    mno_limit *limit = solve_limit(&p, (mno_limit_options){.tolerance = 1, .nodes = nodes});
    double error = rms_difference(limit->output + p.K * f, fine->output + p.K * f, f) / rms(fine->output + p.K * f, f);
    print_message("nodes %d: %.1e, claimed %.1e\n", (int)nodes, error, limit->output_error[p.K]);
    assert_true(error < 0.2 * last);
    assert_true(error < 2 * limit->output_error[p.K] && error > 0.3 * limit->output_error[p.K]); /* the claim is the error */
    last = error;
    mno_limit_free(limit);
  }
  mno_limit_free(fine);
  problem_free(&p);
}

/* dh/ds = h + 0.3 h^2 over a step of length H, and the sensitivity of h(1): errors of one step fall like H^(2 m + 1). */
static void bernoulli(void *context, const double *h, double *F, double *J) {
  for (size_t j = 0; j < *(size_t *)context; j++) {
    F[j] = h[j] + 0.3 * h[j] * h[j];
    J[j] = 1 + 0.6 * h[j];
  }
}

static void scheme_has_order_2m(void **state) {
  const double h0 = 0.5;
  for (size_t m = 1; m <= 3; m++) {
    mno_collocation method;
    mno_error err;
    double forward[2], backward[2];
    assert_ok(mno_collocation_new(&method, m, &err));
    for (int i = 0; i < 2; i++) {
      double h[4] = {h0, h0, h0, h0}, F[4], J[4], b[4], end, b1 = 1, H = 0.07 * (double)m / (i + 1), e = exp(H),
             q = 1 / h0 + 0.3 - 0.3 * e;
      mno_forward_equation equation = {&method, 1, 1, H, &h0, bernoulli, &m, NULL, 1e-15};
      mno_collocation_forward(&equation, h, F, J, &end);
      bernoulli(&m, h, F, J);
      assert_true(mno_collocation_backward(&method, 1, 1, H, &b1, J, NULL, b));
      double start = b1; /* b(0) = b(1) + H sum_j w_j J_j b_j = dh(1)/dh(0) */
      for (size_t j = 0; j < m; j++) start += H * method.w[j] * J[j] * b[j];
      forward[i] = fabs(end - e / q);
      backward[i] = fabs(start - e / (h0 * h0 * q * q));
    }
    double slopes[2] = {log2(forward[0] / forward[1]), log2(backward[0] / backward[1])};
    print_message("m %zu: slopes %.2f forward, %.2f backward\n", m, slopes[0], slopes[1]);
    for (int i = 0; i < 2; i++) assert_close(slopes[i], (double)(2 * m + 1), 0.4);
    mno_collocation_free(&method);
  }
}

/* The average of networks. */
static void largest_is_an_average(void **state) {
  mno_problem p = random_problem(1, 1, 1, 1, 0);
  double f[3] = {1, 2, 6}, h[3] = {3, 3, 6};
  const double *outputs[] = {f, f + 1, f + 2}, *embeddings[] = {h, h + 1, h + 2};
  mno_error err;
  mno_limit *limit;
  assert_ok(mno_limit_largest(&p, 3, outputs, embeddings, 10, 20, &limit, &err));
  assert_close(limit->output[0], 3, 1e-15);
  assert_close(limit->embedding[0], 4, 1e-15);
  assert_close(limit->output_error[0], sqrt(7.0 / 3) / 3, 1e-14); /* sample variance 7 */
  assert_close(limit->embedding_error[0], 1 / 4.0, 1e-14);
  mno_limit_free(limit);
  problem_free(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(largest_is_an_average), cmocka_unit_test(scheme_has_order_2m),
                                     cmocka_unit_test(depth_converges),       cmocka_unit_test(depth_constant),
                                     cmocka_unit_test(scalars_covered),       cmocka_unit_test(quadrature_covered),
                                     cmocka_unit_test(relu_covered),          cmocka_unit_test(identity_covered)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
