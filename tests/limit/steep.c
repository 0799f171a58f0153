/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits whose equations are steep: those that exist are found all the same, with an error that covers the distance to brute
 * force; of those that grow beyond bounds the program says so, and takes no solution of its equations for one of theirs. */
#include "limit/problems.h"

enum { STEPS = 3 };

static void against_brute_force(void **state) {
  hid_t file = reference_open("mean_ode_steep.h5");
  mno_problem p = reference_problem(file);
  p.K = STEPS;
  static const struct {
    double alpha;
    const char *output, *spread;
  } cases[] = {{1e-3, "alpha_0.001/output", "alpha_0.001/output_stderr"},
               {1e-4, "alpha_0.0001/output", "alpha_0.0001/output_stderr"}};
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    double *output = dataset(file, cases[c].output, NULL), *spread = dataset(file, cases[c].spread, NULL);
    p.alpha = cases[c].alpha;
    mno_limit *limit = solve_limit(&p, (mno_limit_options){.tolerance = 1e-2, .memory = 3e7}); /* for 64 layers */
    assert_true(limit->diverged < 0);
    size_t f = p.N * p.d_out;
    for (size_t k = 1; k <= STEPS; k++) {
      double size = rms(output + k * f, f), error = rms_difference(limit->output + k * f, output + k * f, f) / size;
      double claimed = limit->output_error[k], of_reference = rms(spread + k * f, f) / size;
      print_message("alpha %g, step %zu: distance %.2e, claimed %.2e, reference %.2e (%s)\n", p.alpha, k, error, claimed,
                    of_reference, limit->parameters);
      assert_true(claimed < 0.15);
      assert_true(error < 3 * hypot(claimed, of_reference));
      assert_true(isfinite(rms(limit->embedding + k * p.N * p.D, p.N * p.D)));
      assert_true(isfinite(rms(limit->adjoint + k * limit->nodes * p.N * p.D, limit->nodes * p.N * p.D)));
    }
    mno_limit_free(limit);
    free(output);
    free(spread);
  }
  problem_free(&p);
  H5Fclose(file);
}

/* The state of the identity grows like exp(1/alpha^2) at step 2, or falls; Gauss' equations have a solution all the same,
 * with h(1) = h(0) or -h(0) whatever the number of nodes. */
static void growth_is_not_taken_for_a_limit(void **state) {
  static const struct {
    mno_limit_kind kind;
    mno_activation activation;
    double alpha, eta;
    size_t nodes;
    int64_t known; /* steps */
  } cases[] = {
      {MNO_LIMIT_MEAN_ODE, MNO_IDENTITY, 1e-6, 1, 0, 2}, {MNO_LIMIT_MEAN_ODE, MNO_IDENTITY, 1e-5, 1, 0, 2},
      {MNO_LIMIT_MEAN_ODE, MNO_IDENTITY, 1e-4, 1, 0, 2}, {MNO_LIMIT_MEAN_ODE, MNO_IDENTITY, 1e-3, 1, 0, 2},
      {MNO_LIMIT_MEAN_ODE, MNO_IDENTITY, 1e-5, 1, 6, 2}, {MNO_LIMIT_JOINT, MNO_IDENTITY, 1e-5, 1, 0, 2},
      {MNO_LIMIT_MEAN_ODE, MNO_IDENTITY, 1, 1e6, 0, 1},  {MNO_LIMIT_MEAN_ODE, MNO_RELU, 1e-3, 1, 0, 1},
      {MNO_LIMIT_MEAN_ODE, MNO_SOFTPLUS, 1e-3, 1, 0, 1},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    mno_problem p = random_problem(4, 3, 3, 4, 4);
    p.activation = cases[c].activation;
    p.alpha = cases[c].alpha;
    p.eta[MNO_U] = p.eta[MNO_V] = cases[c].eta;
    mno_limit *limit =
        solve_limit(&p, (mno_limit_options){.kind = cases[c].kind, .tolerance = 1e-2, .nodes = cases[c].nodes});
    print_message("%s, alpha %g, eta %g: %s\n", mno_activation_name(p.activation), p.alpha, p.eta[MNO_U], limit->parameters);
    assert_false(limit->certified);
    assert_int_equal(limit->diverged, cases[c].known);
    for (size_t k = 0; k <= p.K; k++) {
      assert_int_equal(isfinite(limit->loss[k]), k < (size_t)cases[c].known);
      if (k >= (size_t)cases[c].known) assert_true(isnan(limit->output_error[k]));
    }
    assert_true(strstr(limit->parameters, "grow") != NULL);
    mno_limit_free(limit);
    problem_free(&p);
  }
}

/* In one dimension rules of quadrature have a few points along each axis: where they find nothing, sampling does. */
static void one_dimension(void **state) {
  mno_problem p = random_problem(10, 5, 5, 1, 3);
  p.eta[MNO_U] = p.eta[MNO_V] = 30;
  p.alpha = 0.03;
  mno_limit_options options = {.tolerance = 1e-2, .memory = 2e7};
  mno_limit *limit = solve_limit(&p, options);
  print_message("D 1: %s, %s\n", limit->method, limit->parameters);
  assert_string_equal(limit->method, "sobol");
  assert_true(limit->diverged < 0);
  assert_true(isfinite(limit->loss[p.K]));
  mno_limit_free(limit);
  problem_free(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(against_brute_force),
                                     cmocka_unit_test(growth_is_not_taken_for_a_limit), cmocka_unit_test(one_dimension)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
