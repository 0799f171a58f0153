/* SPDX-License-Identifier: BSD-3-Clause */
/* The Neural Tangent ODE: kernels against plain quadrature, reference files, and the Mean ODE at large alpha. */
#include "limit/problems.h"

#include "limit/gaussian_kernels.h"

/* E[f(p) g(q)] by a plain two-dimensional trapezoid rule. */
static double plain(mno_activation a, int f, int g, double s, double t, double correlation) {
  const double h = 0.05, root = sqrt(1 - correlation * correlation);
  double sum = 0;
  for (int i = -200; i <= 200; i++)
    for (int j = -200; j <= 200; j++) {
      double x = i * h, y = j * h;
      sum += exp(-(x * x + y * y) / 2) * mno_activation_derivative(a, f, s * x) *
             mno_activation_derivative(a, g, t * (correlation * x + root * y));
    }
  return sum * h * h / (2 * M_PI);
}

static void kernels_match_quadrature(void **state) {
  static const double cases[][3] = {{0.7, 1.1, 0.4}, {1.3, 0.5, -0.8}, {1, 1, 0.99}};
  mno_error err;
  for (int a = 0; a < MNO_ACTIVATION_COUNT; a++) {
    mno_activation activation = (mno_activation)a;
    if (activation == MNO_RELU) continue; /* distributions: below */
    for (size_t i = 0; i < 3; i++) {
      double s = cases[i][0], t = cases[i][1], c = cases[i][2];
      double wanted[] = {plain(activation, 0, 0, s, t, c), plain(activation, 1, 1, s, t, c),
                         plain(activation, 2, 2, s, t, c), plain(activation, 2, 0, s, t, c),
                         plain(activation, 3, 1, s, t, c)};
      mno_gaussian_kernels found[2];
      mno_hermite hermite;
      double *f = malloc(8 * 512 * sizeof(double)), *g = f + 4 * 512;
      assert_ok(mno_hermite_new(activation, 512, 2, &hermite, &err));
      assert_true(mno_hermite_coefficients(&hermite, s, f) < 1e-9);
      assert_true(mno_hermite_coefficients(&hermite, t, g) < 1e-9);
      found[0] = mno_hermite_kernels(&hermite, f, g, c);
      found[1] = mno_kernels_closed(activation) ? mno_kernels_closed_form(activation, s, t, c * s * t) : found[0];
      for (int which = 0; which < 2; which++) {
        const double *k = &found[which].k0;
        for (int e = 0; e < 5; e++) assert_close(k[e], wanted[e], 1e-9);
      }
      mno_hermite_free(&hermite);
      free(f);
    }
  }
}

/* relu: k0 and k1 against plain quadrature (kinks: low accuracy), the others as derivatives of these (heat equation). */
static void relu_kernels(void **state) {
  double s = 0.9, t = 1.2, c = 0.5, step = 1e-5;
  mno_gaussian_kernels k = mno_kernels_closed_form(MNO_RELU, s, t, c);
  assert_close(k.k0, plain(MNO_RELU, 0, 0, s, t, c / (s * t)), 1e-4);
  assert_close(k.k1, plain(MNO_RELU, 1, 1, s, t, c / (s * t)), 1e-2);
  mno_gaussian_kernels up = mno_kernels_closed_form(MNO_RELU, s, t, c + step),
                       down = mno_kernels_closed_form(MNO_RELU, s, t, c - step);
  assert_close(k.k1, (up.k0 - down.k0) / (2 * step), 1e-8);
  assert_close(k.k2, (up.k1 - down.k1) / (2 * step), 1e-8);
  up = mno_kernels_closed_form(MNO_RELU, sqrt(s * s + step), t, c);
  down = mno_kernels_closed_form(MNO_RELU, sqrt(s * s - step), t, c);
  assert_close(k.k20, 2 * (up.k0 - down.k0) / (2 * step), 1e-8);
  assert_close(k.k31, 2 * (up.k1 - down.k1) / (2 * step), 1e-8);
}

/* Largest relative RMS difference over steps, of output and embedding. */
static double apart(const mno_problem *p, const double *output, const double *embedding, const double *output2,
                    const double *embedding2) {
  size_t f = p->N * p->d_out, h = p->N * p->D;
  double worst = 0;
  for (size_t k = 0; k <= p->K; k++) {
    worst = fmax(worst, rms_difference(output + k * f, output2 + k * f, f) / rms(output2 + k * f, f));
    worst = fmax(worst, rms_difference(embedding + k * h, embedding2 + k * h, h) / rms(embedding2 + k * h, h));
  }
  return worst;
}

/* The files were made with few depth nodes, which they state. Our scheme on the same nodes finds their outputs, embeddings
 * and fields; our converged solution is as far from them as the error that our scheme claims on these nodes. */
static void against_reference(const char *name, size_t nodes) {
  hid_t file = reference_open(name);
  mno_problem p = reference_problem(file);
  hsize_t shape[4];
  double *output = dataset(file, "output", NULL), *embedding = dataset(file, "embedding", NULL),
         *depth = dataset(file, "depth", shape), *state = dataset(file, "state", NULL), claimed = 0;
  assert_int_equal(shape[0], nodes);
  mno_limit_options options = {.kind = MNO_LIMIT_TANGENT_ODE, .tolerance = 1e-8};
  mno_limit *fine = solve_limit(&p, options);
  options.nodes = (int64_t)nodes;
  mno_limit *same = solve_limit(&p, options);
  assert_true(fine->certified);
  assert_true(fine->nodes > nodes);
  for (size_t j = 0; j < nodes; j++) assert_close(same->depth[j], depth[j], 1e-14);
  for (size_t k = 0; k <= p.K; k++) claimed = fmax(claimed, fmax(same->output_error[k], same->embedding_error[k]));
  size_t field = (p.K + 1) * nodes * p.N * p.D;
  double scheme = apart(&p, same->output, same->embedding, output, embedding),
         fields = rms_difference(same->state, state, field) / rms(state, field),
         converged = apart(&p, fine->output, fine->embedding, output, embedding);
  print_message("%s: %.1e on its %zu nodes (fields %.1e); converged %.1e (%s), claimed for its nodes %.1e\n", name, scheme,
                nodes, fields, converged, fine->parameters, claimed);
  assert_true(scheme < 1e-8 && fields < 1e-8);
  assert_true(converged < claimed + 1e-8);
  free(output);
  free(embedding);
  free(depth);
  free(state);
  mno_limit_free(same);
  mno_limit_free(fine);
  problem_free(&p);
  H5Fclose(file);
}

static void reference_D4(void **state) { against_reference("tangent_ode_D4.h5", 5); }
static void reference_D8(void **state) { against_reference("tangent_ode_D8.h5", 6); }

/* Every activation: the Mean ODE approaches the Neural Tangent ODE. Both even in alpha: the difference falls fourfold. */
static void mean_ode_at_large_alpha(void **state) {
  for (int a = 0; a < MNO_ACTIVATION_COUNT; a++) {
    mno_problem p = random_problem(4, 2, 2, 4, 3);
    p.activation = (mno_activation)a;
    p.sigma[MNO_V] = 0.8;
    p.eta[MNO_U] = 0.7;
    p.eta[MNO_V] = 0.5;
    size_t f = p.N * p.d_out;
    mno_limit *tangent = solve_limit(&p, (mno_limit_options){.kind = MNO_LIMIT_TANGENT_ODE, .tolerance = 1e-6});
    double gap[2];
    for (int i = 0; i < 2; i++) {
      p.alpha = i ? 16 : 8;
      mno_limit *mean = solve_limit(&p, (mno_limit_options){.tolerance = 1e-3, .particles = 4096, .randomisations = 4});
      gap[i] = rms_difference(mean->output + p.K * f, tangent->output + p.K * f, f) / rms(tangent->output + p.K * f, f);
      if (!(gap[i] < (i ? 0.004 : 0.016) + 4 * mean->output_error[p.K]))
        fail_msg("%s: alpha %g: %g apart", mno_activation_name(p.activation), p.alpha, gap[i]);
      mno_limit_free(mean);
    }
    print_message("%s: %.2e at alpha 8, %.2e at 16 (%s)\n", mno_activation_name(p.activation), gap[0], gap[1],
                  tangent->parameters);
    mno_limit_free(tangent);
    problem_free(&p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(kernels_match_quadrature), cmocka_unit_test(relu_kernels),
                                     cmocka_unit_test(reference_D4), cmocka_unit_test(reference_D8),
                                     cmocka_unit_test(mean_ode_at_large_alpha)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
