/* SPDX-License-Identifier: BSD-3-Clause */
/* The Mean ODE against independent references, exact cases and finite differences. */
#include "limit/problems.h"

#include "block/block.h"
#include "limit/ensemble.h"
#include "limit/methods.h"
#include "limit/trajectory.h"
#include "optimizer/optimizer.h"

/* Every output within 4 combined standard errors in the mean square sense, and no single one beyond 6. */
static void against_reference(const char *name, double tolerance) {
  hid_t file = reference_open(name);
  mno_problem p = reference_problem(file);
  double *output = dataset(file, "output", NULL), *spread = dataset(file, "output_stderr", NULL);
  double *embedding = dataset(file, "embedding", NULL), *state = dataset(file, "state", NULL);
  mno_limit *limit = solve_limit(&p, (mno_limit_options){.tolerance = tolerance, .seed = 1});
  assert_true(limit->certified);
  size_t f = p.N * p.d_out, h = p.N * p.D;
  static const size_t steps[] = {1, 5, 15};
  for (size_t s = 0; s < 3; s++) {
    size_t k = steps[s];
    double square = 0;
    for (size_t e = k * f; e < (k + 1) * f; e++) {
      double z = (limit->output[e] - output[e]) / hypot(limit->output_stderr[e], spread[e]);
      square += z * z;
      if (!(fabs(z) < 8)) fail_msg("%s: step %zu: output %zu is %g standard errors off", name, k, e, z);
    }
    double error = rms_difference(limit->output + k * f, output + k * f, f) / rms(output + k * f, f);
    double claimed = hypot(limit->output_error[k], rms(spread + k * f, f) / rms(output + k * f, f));
    print_message("%s k %zu: error %.2e, claimed %.2e, z %.2f (%s; %s; %.2f s)\n", name, k, error, claimed,
                  sqrt(square / (double)f), limit->method, limit->parameters, limit->seconds);
    assert_true(error < 4 * claimed);
    assert_true(rms_difference(limit->embedding + k * h, embedding + k * h, h) <
                4 * (limit->embedding_error[k] + claimed) * rms(embedding + k * h, h));
  }
  free(output);
  free(spread);
  free(embedding);
  free(state);
  mno_limit_free(limit);
  problem_free(&p);
  H5Fclose(file);
}

static void reference_D4(void **state) { against_reference("mean_ode_D4.h5", 2e-3); }
static void reference_D8(void **state) { against_reference("mean_ode_D8.h5", 2e-3); }

/* Step 0: h = W_E x at every depth, f = W_U^T W_E x / D. */
static void initialisation_is_exact(void **state) {
  mno_problem p = random_problem(3, 2, 2, 5, 1);
  mno_limit *limit = solve_limit(&p, (mno_limit_options){.tolerance = 1e-2, .particles = 64, .nodes = 3});
  for (size_t i = 0; i < p.N; i++)
    for (size_t a = 0; a < p.D; a++) {
      double h = 0;
      for (size_t c = 0; c < p.d_in; c++) h += p.w_embed[a * p.d_in + c] * p.x[i * p.d_in + c];
      assert_close(limit->embedding[i * p.D + a], h, 1e-14);
      for (size_t j = 0; j < limit->nodes; j++) assert_close(limit->state[(j * p.N + i) * p.D + a], h, 1e-14);
    }
  assert_close(limit->output_error[0], 0, 1e-15);
  mno_limit_free(limit);
  problem_free(&p);
}

static void threads_do_not_change_bits(void **state) {
  mno_problem p = random_problem(5, 3, 2, 6, 3);
  mno_limit_options options = {.tolerance = 1e-2, .particles = 256, .nodes = 3, .randomisations = 5, .threads = 1};
  mno_limit *one = solve_limit(&p, options);
  options.threads = 4;
  mno_limit *four = solve_limit(&p, options);
  assert_memory_equal(one->output, four->output, (p.K + 1) * p.N * p.d_out * sizeof(double));
  assert_memory_equal(one->adjoint, four->adjoint, (p.K + 1) * one->nodes * p.N * p.D * sizeof(double));
  mno_limit_free(one);
  mno_limit_free(four);
  problem_free(&p);
}

/* One coordinate of u (part 0) or v (part 1) of a particle. */
static double get(mno_ensemble *e, size_t node, size_t particle, size_t part, size_t a) {
  mno_error err;
  double *z = malloc(e->holds.particles * 2 * e->holds.r * sizeof *z);
  assert_ok(mno_ensemble_read(e, node, z, &err));
  double value = z[(particle * 2 + part) * e->holds.r + a];
  free(z);
  return value;
}

static void set(mno_ensemble *e, size_t node, size_t particle, size_t part, size_t a, double value) {
  mno_error err;
  double *z = malloc(e->holds.particles * 2 * e->holds.r * sizeof *z);
  assert_ok(mno_ensemble_read(e, node, z, &err));
  z[(particle * 2 + part) * e->holds.r + a] = value;
  assert_ok(mno_ensemble_write(e, node, z, &err));
  free(z);
}

/* The loss of the discretised model, with one unit moved: one gradient step of it is minus the learning rate times the
 * gradient of the discretised loss, so the change of the loss is known from the fields. */
typedef struct model {
  mno_problem problem;
  mno_reduction reduction;
  mno_collocation method;
  mno_ensemble ensemble;
} model;

static void drift(void *context, const double *h, double *F, double *J) {
  mno_ensemble_pass(context, (mno_particle_pass){.h = h, .F = F, .J = J});
}

static double model_loss(model *m, double *h, double *b) {
  size_t n = m->method.m * m->problem.N * m->reduction.r, field = m->problem.N * m->reduction.r;
  double *F = malloc((n * (1 + m->reduction.r) + 2 * field + m->problem.N * m->problem.d_out) * sizeof(double)), *J = F + n;
  double *end = J + n * m->reduction.r, *b1 = end + field, *f = b1 + field;
  for (size_t j = 0; j < m->method.m; j++) memcpy(h + j * field, m->reduction.h0, field * sizeof(double));
  mno_forward_equation equation = {.method = &m->method,
                                   .N = m->problem.N,
                                   .r = m->reduction.r,
                                   .alpha = m->problem.alpha,
                                   .h0 = m->reduction.h0,
                                   .drift = drift,
                                   .context = &m->ensemble,
                                   .tolerance = 1e-11};
  double size = mno_collocation_forward(&equation, h, F, J, end);
  assert_true(size < 1e-8);
  double loss = mno_reduction_output(&m->problem, &m->reduction, end, f, b1);
  if (b) assert_true(mno_collocation_backward(&m->method, m->problem.N, m->reduction.r, m->problem.alpha, b1, J, NULL, b));
  free(F);
  return loss;
}

static void gradient_is_exact(mno_activation activation, mno_loss loss) {
  enum { PARTICLES = 64 };
  mno_error err;
  model m = {.problem = random_problem(3, 2, 3, 4, 1)};
  m.problem.activation = activation;
  m.problem.loss = loss;
  if (loss == MNO_CROSS_ENTROPY)
    for (size_t e = 0; e < 9; e++) m.problem.y[e] = e % 3 == e / 3;
  assert_ok(mno_reduction_new(&m.problem, 0, &m.reduction, &err));
  assert_ok(mno_collocation_new(&m.method, 3, &err));
  size_t r = m.reduction.r, n = 3 * m.problem.N * r;
  assert_ok(mno_ensemble_new(NULL, (mno_particle_request){&m.problem, 3, r, PARTICLES, MNO_F64, 1}, &m.ensemble, &err));
  assert_ok(mno_ensemble_draw(&m.ensemble, &m.reduction, 0, 3, 0, &err));
  /* away from symmetry: another weight law, larger drift */
  for (size_t i = 0; i < PARTICLES; i++)
    for (size_t j = 0; j < 3; j++)
      for (size_t a = 0; a < r; a++)
        set(&m.ensemble, j, i, 1, a, get(&m.ensemble, j, i, 1, a) + sin((double)(i + 3 * j + 5 * a)));
  double *h = malloc(4 * n * sizeof(double)), *b = h + n;
  model_loss(&m, h, b);
  for (size_t trial = 0; trial < 6; trial++) {
    size_t node = trial % 3, particle = 7 * trial + 2, a = trial % r;
    size_t part = trial % 2;
    double z = get(&m.ensemble, node, particle, part, a), step = 1e-4;
    set(&m.ensemble, node, particle, part, a, z + step);
    double up = model_loss(&m, h + 2 * n, NULL);
    set(&m.ensemble, node, particle, part, a, z - step);
    double down = model_loss(&m, h + 2 * n, NULL);
    set(&m.ensemble, node, particle, part, a, z);
    double numeric = (up - down) / (2 * step);
    /* gradient = alpha w / (P D) sum_i ...; the pass makes -(eta/alpha) sum_i ... */
    double normalised = 0;
    for (size_t i = 0; i < m.problem.N; i++) {
      double p = 0, q = 0;
      for (size_t c = 0; c < r; c++) {
        p += get(&m.ensemble, node, particle, 0, c) * h[(node * m.problem.N + i) * r + c] / (double)m.problem.D;
        q += get(&m.ensemble, node, particle, 1, c) * b[(node * m.problem.N + i) * r + c] / (double)m.problem.D;
      }
      normalised += part ? b[(node * m.problem.N + i) * r + a] * mno_activation_derivative(activation, 0, p)
                         : h[(node * m.problem.N + i) * r + a] * mno_activation_derivative(activation, 1, p) * q;
    }
    double exact = m.problem.alpha * m.method.w[node] / PARTICLES / (double)m.problem.D * normalised;
    assert_close(numeric, exact, 1e-6 * fabs(exact) + 1e-11);
  }
  free(h);
  mno_ensemble_free(&m.ensemble);
  mno_collocation_free(&m.method);
  mno_reduction_free(&m.reduction);
  problem_free(&m.problem);
}

static void adjoint_is_exact_gradient(void **state) {
  static const mno_activation activations[] = {MNO_TANH, MNO_ERF, MNO_GELU, MNO_SILU, MNO_SOFTPLUS, MNO_SIN, MNO_IDENTITY};
  for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) {
    gradient_is_exact(activations[i], MNO_SQUARED);
    gradient_is_exact(activations[i], MNO_CROSS_ENTROPY);
  }
}

/* A pass: updates, drifts and Jacobian of every activation and precision against plain loops. */
static void passes_match_plain_loops(void **state) {
  enum { N = 3, R = 5, PARTICLES = 150 };
  mno_error err;
  for (int a = 0; a < MNO_ACTIVATION_COUNT; a++)
    for (int precision = 0; precision < 2; precision++) {
      mno_problem p = random_problem(N, 2, 3, R, 1);
      p.activation = (mno_activation)a;
      p.alpha = 0.7;
      p.eta[MNO_U] = 0.6;
      p.eta[MNO_V] = 1.3;
      mno_ensemble e;
      assert_ok(mno_ensemble_new(NULL, (mno_particle_request){&p, 1, R, PARTICLES, (mno_precision)precision, 1}, &e, &err));
      double z[PARTICLES][2][R], w[PARTICLES], h[2][N * R], b[2][N * R], F[N * R], G[N * R], J[N * R * R];
      mno_normals(1, 1, 0, 0, 2 * PARTICLES * R, &z[0][0][0]);
      mno_normals(1, 1, 0, 1, 2 * N * R, &h[0][0]);
      mno_normals(1, 1, 0, 2, 2 * N * R, &b[0][0]);
      for (int i = 0; i < PARTICLES; i++) {
        w[i] = (1 + i % 3) / 300.0;
        for (int c = 0; c < 2 * R; c++) z[i][c / R][c % R] *= 3;
      }
      assert_ok(mno_ensemble_weigh(&e, w, &err));
      assert_ok(mno_ensemble_write(&e, 0, &z[0][0][0], &err));
      double wanted_F[N * R] = {0}, wanted_G[N * R] = {0}, wanted_J[N * R * R] = {0};
      for (int i = 0; i < PARTICLES; i++) {
        double moved[2][R];
        memcpy(moved, z[i], sizeof moved);
        for (int round = 0; round < 2; round++)
          for (int s = 0; s < N; s++) {
            const double(*unit)[R] = round ? (const double(*)[R])moved : (const double(*)[R])z[i];
            double pre = 0, q = 0;
            for (int c = 0; c < R; c++) {
              pre += unit[0][c] * h[round][s * R + c] / R;
              q += unit[1][c] * b[round][s * R + c] / R;
            }
            double value = mno_activation_derivative(p.activation, 0, pre),
                   slope = mno_activation_derivative(p.activation, 1, pre);
            for (int c = 0; c < R; c++) {
              if (round == 0) {
                moved[0][c] -= p.eta[MNO_U] / p.alpha * h[0][s * R + c] * slope * q;
                moved[1][c] -= p.eta[MNO_V] / p.alpha * b[0][s * R + c] * value;
                continue;
              }
              wanted_F[s * R + c] += w[i] * unit[1][c] * value;
              wanted_G[s * R + c] += w[i] * unit[0][c] * slope * q;
              for (int d = 0; d < R; d++) wanted_J[(s * R + c) * R + d] += w[i] * unit[1][c] * slope * unit[0][d] / R;
            }
          }
      }
      double tolerance = precision == MNO_F64 ? 1e-12 : 3e-5;
      mno_ensemble_pass(&e, (mno_particle_pass){.old_h = h[0], .old_b = b[0], .h = h[1], .b = b[1], .F = F, .G = G});
      for (int c = 0; c < N * R; c++) {
        assert_close(F[c], wanted_F[c], tolerance);
        assert_close(G[c], wanted_G[c], tolerance);
      }
      mno_ensemble_pass(&e, (mno_particle_pass){.h = h[1], .F = F, .J = J});
      for (int c = 0; c < N * R; c++) assert_close(F[c], wanted_F[c], tolerance);
      for (int c = 0; c < N * R * R; c++) assert_close(J[c], wanted_J[c], tolerance);
      mno_ensemble_free(&e);
      problem_free(&p);
    }
}

/* Full-dimensional integration agrees with the reduced one: r = 4 of D = 9, every activation and loss. */
static void reduction_matches_full(void **state) {
  mno_problem p = random_problem(4, 2, 2, 9, 5);
  const char *why;
  p.sigma[MNO_U] = 0.8;
  p.sigma[MNO_V] = 1.2;
  p.eta[MNO_U] = 0.7;
  mno_limit_options options = {.tolerance = 1e-2, .particles = 4096, .nodes = 4, .randomisations = 8, .seed = 5};
  for (int loss = 0; loss < 2; loss++)
    for (int a = 0; a < MNO_ACTIVATION_COUNT; a++) {
      p.activation = (mno_activation)a;
      p.loss = (mno_loss)loss;
      if (p.loss == MNO_CROSS_ENTROPY)
        for (size_t e = 0; e < 8; e++) p.y[e] = e % 2 == e / 2 % 2;
      assert_true(mno_reduction_valid(&p, &why));
      options.method = MNO_METHOD_SOBOL;
      mno_limit *reduced = solve_limit(&p, options);
      options.method = MNO_METHOD_SOBOL_FULL;
      mno_limit *full = solve_limit(&p, options);
      size_t f = p.N * p.d_out, e = p.K * f;
      double error = rms_difference(reduced->output + e, full->output + e, f) / rms(full->output + e, f);
      double claimed = hypot(reduced->output_error[p.K], full->output_error[p.K]);
      if (!(error < 4 * claimed) || !(claimed < 0.02))
        fail_msg("%s, %s: reduced and full differ by %g, claimed %g", mno_activation_name(p.activation),
                 mno_loss_name(p.loss), error, claimed);
      mno_limit_free(reduced);
      mno_limit_free(full);
    }
  problem_free(&p);
}

/* What the reduction does not know it does not reduce: every coordinate is integrated. */
static void reduction_falls_back(void **state) {
  mno_problem p = random_problem(4, 2, 2, 9, 2);
  mno_reduction reduction;
  mno_error err;
  const char *why;
  assert_ok(mno_reduction_new(&p, 0, &reduction, &err));
  assert_int_equal(reduction.r, 4);
  mno_reduction_free(&reduction);
  static const mno_optimizer signs = {.name = "signs", .solvers = MNO_BY_PARTICLES};
  p.optimizer = &signs;
  assert_false(mno_reduction_valid(&p, &why));
  assert_non_null(strstr(why, "coordinate by coordinate"));
  assert_ok(mno_reduction_new(&p, 0, &reduction, &err));
  assert_int_equal(reduction.r, 9);
  mno_reduction_free(&reduction);
  problem_free(&p);
}

/* Methods whose equations are others' refuse by name, and auto takes none of them. */
static void methods_refuse_what_they_do_not_know(void **state) {
  static const mno_optimizer heavy = {.name = "heavy", .turns = true, .solvers = MNO_BY_PARTICLES};
  static const mno_optimizer signs = {.name = "signs", .solvers = MNO_BY_PARTICLES};
  static const mno_block coupled = {.name = "coupled", .tensors = 4};
  mno_problem p = random_problem(2, 1, 1, 2, 1);
  char text[128];
  p.optimizer = &heavy;
  p.activation = MNO_IDENTITY;
  assert_null(mno_limit_objection(&p, MNO_LIMIT_MEAN_ODE, MNO_METHOD_AUTO, text, sizeof text));
  assert_null(mno_limit_objection(&p, MNO_LIMIT_MEAN_ODE, MNO_METHOD_SOBOL, text, sizeof text));
  assert_null(mno_limit_objection(&p, MNO_LIMIT_JOINT, MNO_METHOD_AUTO, text, sizeof text));
  assert_string_equal(mno_limit_objection(&p, MNO_LIMIT_MEAN_ODE, MNO_METHOD_CLOSURE, text, sizeof text),
                      "closure is not known for optimizer heavy");
  assert_string_equal(mno_limit_objection(&p, MNO_LIMIT_MEAN_ODE, MNO_METHOD_QUADRATURE, text, sizeof text),
                      "quadrature is not known for optimizer heavy");
  mno_limit *limit;
  mno_error err;
  assert_int_equal(mno_limit_solve(&p, &(mno_limit_options){.kind = MNO_LIMIT_TANGENT_ODE, .tolerance = 0.1}, &limit, &err),
                   MNO_ERR_INPUT);
  assert_string_equal(err.message, "limit kind tangent-ode is not known for optimizer heavy");
  p.optimizer = &signs;
  assert_non_null(mno_limit_objection(&p, MNO_LIMIT_JOINT, MNO_METHOD_AUTO, text, sizeof text));
  p.optimizer = mno_optimizer_named("gd");
  p.block = &coupled;
  assert_string_equal(mno_limit_objection(&p, MNO_LIMIT_MEAN_ODE, MNO_METHOD_AUTO, text, sizeof text),
                      "mean-ode is not known for block coupled");
  assert_string_equal(mno_limit_objection(&p, MNO_LIMIT_JOINT, MNO_METHOD_AUTO, text, sizeof text),
                      "joint is not known for block coupled");
  assert_null(mno_limit_objection(&p, MNO_LIMIT_LARGEST, MNO_METHOD_AUTO, text, sizeof text));
  problem_free(&p);
}

static void divergence_is_reported(void **state) {
  mno_problem p = random_problem(3, 2, 2, 3, 8);
  p.activation = MNO_IDENTITY;
  p.eta[MNO_U] = p.eta[MNO_V] = 1e9;
  mno_limit *limit = solve_limit(&p, (mno_limit_options){.tolerance = 1e-3});
  assert_true(limit->diverged > 0);
  assert_false(limit->certified);
  assert_true(isnan(limit->loss[p.K]));
  assert_true(isfinite(limit->loss[limit->diverged - 1]));
  mno_limit_free(limit);
  p.activation = MNO_TANH;
  p.eta[MNO_U] = p.eta[MNO_V] = 1e200;
  limit = solve_limit(&p, (mno_limit_options){.tolerance = 1e-1, .particles = 256, .nodes = 3});
  assert_true(limit->diverged > 0);
  mno_limit_free(limit);
  /* The search for sizes ends: no ensemble is large enough. */
  limit = solve_limit(&p, (mno_limit_options){.tolerance = 1e-3});
  assert_true(limit->diverged > 0);
  assert_non_null(strstr(limit->parameters, "networks towards it grow"));
  mno_limit_free(limit);
  problem_free(&p);
}

/* A budget that ends the search is named, and what was reached is honest. */
static void budgets_are_named(void **state) {
  mno_problem p = random_problem(6, 3, 3, 6, 8);
  mno_limit *limit = solve_limit(&p, (mno_limit_options){.tolerance = 1e-6, .seconds = 0.3});
  assert_false(limit->certified);
  assert_non_null(strstr(limit->parameters, "stopped at the time budget"));
  /* a busy machine may not get to the last step, or to a second solution */
  double error = limit->output_error[p.K];
  assert_true(isnan(error) || (error > 1e-6 && error < 0.1));
  mno_limit_free(limit);
  limit = solve_limit(&p, (mno_limit_options){.tolerance = 1e-4, .memory = 4e6});
  assert_false(limit->certified);
  assert_non_null(strstr(limit->parameters, "stopped at the memory budget"));
  mno_limit_free(limit);
  limit = solve_limit(&p, (mno_limit_options){.kind = MNO_LIMIT_TANGENT_ODE, .tolerance = 1e-11, .seconds = 1e-3});
  assert_false(limit->certified);
  assert_non_null(strstr(limit->parameters, "stopped at the time budget"));
  mno_limit_free(limit);
  limit = solve_limit(&p, (mno_limit_options){.kind = MNO_LIMIT_TANGENT_ODE, .tolerance = 1e-13, .memory = 4e5});
  assert_false(limit->certified);
  assert_non_null(strstr(limit->parameters, "stopped at the memory"));
  mno_limit_free(limit);
  problem_free(&p);
}

/* Where the depth scheme cannot reach the tolerance, sampling still becomes as accurate as it: a tighter tolerance does not
 * make a worse limit. */
static void depth_error_does_not_end_sampling(void **state) {
  mno_problem p = random_problem(6, 3, 3, 2, 5);
  p.activation = MNO_RELU;
  mno_limit_options options = {.tolerance = 1e-6, .nodes = 12, .particles = 1 << 18, .randomisations = 1, .seed = 2};
  mno_limit *depth = solve_limit(&p, options); /* no spread: the depth error alone */
  options.particles = options.randomisations = 0;
  mno_limit *limit = solve_limit(&p, options);
  double of_depth = 0, both = 0;
  for (size_t k = 0; k <= p.K; k++) {
    of_depth = fmax(of_depth, depth->output_error[k]);
    both = fmax(both, limit->output_error[k]);
  }
  print_message("depth error %.1e, with sampling %.1e (%s)\n", of_depth, both, limit->parameters);
  assert_false(limit->certified);
  assert_non_null(strstr(limit->parameters, "depth nodes"));
  assert_true(both >= of_depth && both < 1.2 * of_depth);
  mno_limit_free(depth);
  mno_limit_free(limit);
  problem_free(&p);
}

static void methods_are_checked(void **state) {
  mno_problem p = random_problem(3, 2, 2, 3, 1);
  mno_error err;
  mno_limit *limit;
  assert_int_equal(mno_limit_solve(&p, &(mno_limit_options){.tolerance = 1, .method = MNO_METHOD_CLOSURE}, &limit, &err),
                   MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "identity"));
  assert_int_equal(mno_limit_solve(&p, &(mno_limit_options){.tolerance = 1, .method = MNO_METHOD_QUADRATURE}, &limit, &err),
                   MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "not 3"));
  assert_int_equal(
      mno_limit_solve(&p, &(mno_limit_options){.kind = MNO_LIMIT_TANGENT_ODE, .tolerance = 1, .method = MNO_METHOD_SOBOL},
                      &limit, &err),
      MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "mean-ode"));
  /* before anything is computed */
  assert_int_equal(
      mno_limit_solve(&p, &(mno_limit_options){.tolerance = 1, .particles = 1 << 20, .memory = 1e6}, &limit, &err),
      MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "limit.memory"));
  atomic_int stop = 1;
  assert_int_equal(mno_limit_solve(&p, &(mno_limit_options){.tolerance = 1, .stop = &stop}, &limit, &err), MNO_INTERRUPTED);
  problem_free(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(passes_match_plain_loops),
                                     cmocka_unit_test(adjoint_is_exact_gradient),
                                     cmocka_unit_test(initialisation_is_exact),
                                     cmocka_unit_test(threads_do_not_change_bits),
                                     cmocka_unit_test(reference_D4),
                                     cmocka_unit_test(reference_D8),
                                     cmocka_unit_test(reduction_matches_full),
                                     cmocka_unit_test(reduction_falls_back),
                                     cmocka_unit_test(methods_refuse_what_they_do_not_know),
                                     cmocka_unit_test(divergence_is_reported),
                                     cmocka_unit_test(budgets_are_named),
                                     cmocka_unit_test(depth_error_does_not_end_sampling),
                                     cmocka_unit_test(methods_are_checked)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
