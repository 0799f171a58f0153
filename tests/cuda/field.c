/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernel F on the host: particles and passes against the CPU's and against plain loops, invariance of the bits, whole limits
 * through a twin of a card, and what happens when the card fails. */
#include "test.h"

#include "device_twin.h"
#include "host/particles.h"
#include "limit/ensemble.h"
#include "problem.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static mno_engine twin;

static mno_twin usual(void) { return (mno_twin){.devices = 1, .memory = (size_t)256 << 20, .permutation = 77}; }

static double *random_numbers(size_t count, uint32_t stream, double scale) {
  double *x = malloc(count * sizeof *x);
  mno_normals(5, MNO_TENSOR_X, stream, 0, count, x);
  for (size_t i = 0; i < count; i++) x[i] *= scale;
  return x;
}

static double distance(const double *a, const double *b, size_t count) {
  double worst = 0, sum = 0;
  for (size_t i = 0; i < count; i++) {
    sum += b[i] * b[i];
    if (!(fabs(a[i] - b[i]) <= worst)) worst = fabs(a[i] - b[i]);
  }
  return sum > 0 ? worst / sqrt(sum / (double)count) : worst;
}

/* ---- The initial law */

static size_t row_size;
static int by_bits(const void *a, const void *b) { return memcmp(a, b, row_size); }

/* The particles of every node, sorted: engines may order them as they like. */
static double *sorted(mno_ensemble *e) {
  mno_error err;
  size_t count = e->holds.particles * 2 * e->holds.r;
  double *z = malloc(e->holds.m * count * sizeof *z);
  for (size_t j = 0; j < e->holds.m; j++) assert_ok(mno_ensemble_read(e, j, z + j * count, &err));
  row_size = 2 * e->holds.r * sizeof *z;
  for (size_t j = 0; j < e->holds.m; j++) qsort(z + j * count, e->holds.particles, row_size, by_bits);
  return z;
}

static void drawn_particles_are_the_cpu_s(void **state) {
  static const struct {
    size_t D, particles, m;
    int shared, full;
    mno_precision precision;
  } cases[] = {{4, 64, 3, 0, 0, MNO_F64},   {4, 128, 2, 1, 0, MNO_F32},   {8, 512, 4, 0, 0, MNO_F64},
               {9, 1024, 2, 0, 1, MNO_F32}, {12, 2048, 3, 0, 1, MNO_F64}, {23, 256, 2, 0, 1, MNO_F32},
               {1, 64, 1, 0, 0, MNO_F64},   {131, 64, 2, 0, 1, MNO_F64}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mno_error err;
    mno_problem p = problem_make(cases[i].D, 4, 3, 2, 1, MNO_TANH, MNO_SQUARED);
    mno_reduction reduction;
    assert_ok(mno_reduction_new(&p, cases[i].full, &reduction, &err));
    mno_twin_state = usual();
    if (i % 2) mno_twin_state.shared = 64 << 10; /* work tiles in memory where they are large */
    mno_ensemble e[2];
    double *z[2];
    for (int k = 0; k < 2; k++) {
      assert_ok(mno_ensemble_new(
          k ? &twin : NULL, (mno_particle_request){&p, cases[i].m, reduction.r, cases[i].particles, cases[i].precision, 1},
          &e[k], &err));
      assert_ok(mno_ensemble_draw(&e[k], &reduction, cases[i].shared, 7 + i, (uint32_t)i, &err));
      z[k] = sorted(&e[k]);
    }
    assert_memory_equal(z[0], z[1], cases[i].m * cases[i].particles * 2 * reduction.r * sizeof(double));
    if (!cases[i].shared && cases[i].m > 1) /* blocks differ from node to node */
      assert_memory_not_equal(z[0], z[0] + cases[i].particles * 2 * reduction.r, 8);
    for (int k = 0; k < 2; k++) {
      mno_ensemble_free(&e[k]);
      free(z[k]);
    }
    mno_reduction_free(&reduction);
    problem_free(&p);
  }
}

/* The map from points to normals, against the distribution function. */
static void normals_invert_the_distribution(void **state) {
  double worst = 0;
  for (uint32_t i = 0; i < 200000; i++) {
    uint32_t x = i < 1000 ? i : i < 2000 ? UINT32_MAX - (i - 1000) : i * 2654435761u;
    double z;
    mno_sobol_normals(&x, 1, &z);
    long double p = ((long double)x + 0.5L) * 0x1p-32L, tail = p < 0.5L ? p : 1 - p,
                found = 0.5L * erfcl(fabsl((long double)z) * sqrtl(0.5L)),
                density = expl(-(long double)z * z / 2) / sqrtl(2 * acosl(-1));
    worst = fmax(worst, (double)(fabsl(found - tail) / density / fmaxl(fabsl((long double)z), 1e-3L)) * 0x1p52);
  }
  print_message("normals: %.2f units in the last place\n", worst);
  assert_true(worst < 6);
}

/* ---- Passes */

typedef struct setting {
  size_t N, r, m, particles;
  mno_activation activation;
  mno_precision precision;
} setting;

typedef struct world {
  setting of;
  mno_problem problem;
  double *z, *weight, *h[2], *b[2]; /* [m][particles][2][r], [particles], [m][N][r] */
} world;

static world world_make(setting s) {
  world w = {.of = s, .problem = problem_make(s.r + 2, s.N, 3, 2, 1, s.activation, MNO_SQUARED)};
  w.z = random_numbers(s.m * s.particles * 2 * s.r, 1, 3);
  w.weight = random_numbers(s.particles, 2, 1);
  double sum = 0;
  for (size_t n = 0; n < s.particles; n++) sum += w.weight[n] = fabs(w.weight[n]);
  for (size_t n = 0; n < s.particles; n++) w.weight[n] /= sum;
  for (uint32_t k = 0; k < 2; k++) {
    w.h[k] = random_numbers(s.m * s.N * s.r, 3 + k, 1);
    w.b[k] = random_numbers(s.m * s.N * s.r, 5 + k, 1);
  }
  return w;
}

static void world_free(world *w) {
  free(w->z);
  free(w->weight);
  for (int k = 0; k < 2; k++) {
    free(w->h[k]);
    free(w->b[k]);
  }
  problem_free(&w->problem);
}

/* What a sequence of passes gives: F, G, F again with J, F alone, and the particles moved. */
typedef struct outcome {
  double *F, *G, *again, *J, *alone, *z;
} outcome;

static void outcome_new(const world *w, outcome *o) {
  size_t n = w->of.m * w->of.N * w->of.r;
  *o = (outcome){malloc(n * sizeof(double)), malloc(n * sizeof(double)),
                 malloc(n * sizeof(double)), malloc(n * w->of.r * sizeof(double)),
                 malloc(n * sizeof(double)), malloc(w->of.m * w->of.particles * 2 * w->of.r * sizeof(double))};
}

static void outcome_free(outcome *o) {
  free(o->F);
  free(o->G);
  free(o->again);
  free(o->J);
  free(o->alone);
  free(o->z);
}

static outcome run(const world *w, const mno_engine *engine) {
  mno_error err;
  mno_ensemble e;
  outcome o;
  outcome_new(w, &o);
  const setting *s = &w->of;
  assert_ok(
      mno_ensemble_new(engine, (mno_particle_request){&w->problem, s->m, s->r, s->particles, s->precision, 2}, &e, &err));
  for (size_t j = 0; j < s->m; j++) assert_ok(mno_ensemble_write(&e, j, w->z + j * s->particles * 2 * s->r, &err));
  assert_ok(mno_ensemble_weigh(&e, w->weight, &err));
  mno_ensemble_pass(&e,
                    (mno_particle_pass){.old_h = w->h[0], .old_b = w->b[0], .h = w->h[1], .b = w->b[1], .F = o.F, .G = o.G});
  mno_ensemble_pass(&e, (mno_particle_pass){.h = w->h[1], .F = o.again, .J = o.J});
  mno_ensemble_pass(&e, (mno_particle_pass){.h = w->h[1], .F = o.alone});
  assert_ok(mno_ensemble_check(&e, &err));
  for (size_t j = 0; j < s->m; j++) assert_ok(mno_ensemble_read(&e, j, o.z + j * s->particles * 2 * s->r, &err));
  mno_ensemble_free(&e);
  return o;
}

/* The formulas, particle by particle. */
static outcome plain(const world *w) {
  const setting *s = &w->of;
  const mno_problem *p = &w->problem;
  outcome o;
  outcome_new(w, &o);
  size_t r = s->r, D = p->D;
  memset(o.F, 0, s->m * s->N * r * sizeof(double));
  memset(o.G, 0, s->m * s->N * r * sizeof(double));
  memset(o.J, 0, s->m * s->N * r * r * sizeof(double));
  for (size_t j = 0; j < s->m; j++)
    for (size_t n = 0; n < s->particles; n++) {
      const double *old = w->z + (j * s->particles + n) * 2 * r;
      double *z = o.z + (j * s->particles + n) * 2 * r;
      memcpy(z, old, 2 * r * sizeof *z);
      for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < s->N; i++) {
          const double *h = w->h[round] + (j * s->N + i) * r, *b = w->b[round] + (j * s->N + i) * r;
          const double *unit = round ? z : old;
          double pre = 0, q = 0;
          for (size_t a = 0; a < r; a++) pre += unit[a] * h[a] / (double)D, q += unit[r + a] * b[a] / (double)D;
          double value = mno_activation_derivative(s->activation, 0, pre),
                 slope = mno_activation_derivative(s->activation, 1, pre);
          for (size_t a = 0; a < r; a++) {
            size_t at = (j * s->N + i) * r + a;
            if (round == 0) {
              z[a] -= p->eta[MNO_U] / p->alpha * h[a] * slope * q;
              z[r + a] -= p->eta[MNO_V] / p->alpha * b[a] * value;
              continue;
            }
            o.F[at] += w->weight[n] * z[r + a] * value;
            o.G[at] += w->weight[n] * z[a] * slope * q;
            for (size_t c = 0; c < r; c++) o.J[at * r + c] += w->weight[n] * z[r + a] * slope * z[c] / (double)D;
          }
        }
    }
  memcpy(o.again, o.F, s->m * s->N * r * sizeof(double));
  memcpy(o.alone, o.F, s->m * s->N * r * sizeof(double));
  return o;
}

static double apart(const world *w, const outcome *x, const outcome *y) {
  size_t n = w->of.m * w->of.N * w->of.r;
  double d = fmax(distance(x->F, y->F, n), distance(x->G, y->G, n));
  d = fmax(d, fmax(distance(x->again, y->again, n), distance(x->alone, y->alone, n)));
  d = fmax(d, distance(x->J, y->J, n * w->of.r));
  return fmax(d, distance(x->z, y->z, w->of.m * w->of.particles * 2 * w->of.r));
}

static void compare(const world *w, const char *what, const outcome *x, const outcome *y, double tolerance) {
  double d = apart(w, x, y);
  if (!(d <= tolerance))
    fail_msg("N %zu, r %zu, %zu particles, %s, %s: %s differ by %g", w->of.N, w->of.r, w->of.particles,
             mno_activation_name(w->of.activation), mno_precision_name(w->of.precision), what, d);
}

static const double rounding[] = {[MNO_F64] = 1e-13, [MNO_F32] = 2e-5};

static void passes_equal_the_cpu_s_and_plain_loops(void **state) {
  static const struct {
    size_t N, r, m, particles;
  } shapes[] = {{10, 8, 2, 700},  {1, 1, 1, 5},    {3, 2, 3, 130},   {5, 5, 1, 128},  {13, 4, 2, 257}, {25, 10, 1, 300},
                {10, 17, 1, 150}, {7, 33, 1, 140}, {10, 70, 1, 129}, {2, 130, 1, 40}, {12, 3, 1, 2500}};
  double worst[2] = {0, 0};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    for (int precision = 0; precision < 2; precision++)
      for (int activation = 0; activation < (i < 2 ? MNO_ACTIVATION_COUNT : 1); activation++) {
        world w = world_make((setting){shapes[i].N, shapes[i].r, shapes[i].m, shapes[i].particles,
                                       (mno_activation)activation, (mno_precision)precision});
        mno_twin_state = usual();
        outcome ours = run(&w, &twin), cpu = run(&w, NULL), exact = plain(&w);
        compare(&w, "twin and CPU", &ours, &cpu, rounding[precision]);
        compare(&w, "twin and plain loops", &ours, &exact, rounding[precision]);
        worst[precision] = fmax(worst[precision], apart(&w, &ours, &exact));
        assert_int_equal(mno_twin_state.live, 0);
        outcome_free(&ours);
        outcome_free(&cpu);
        outcome_free(&exact);
        world_free(&w);
      }
  print_message("largest difference to plain loops: f64 %.1e, f32 %.1e\n", worst[MNO_F64], worst[MNO_F32]);
}

/* Teams, order of lanes, work tiles in memory: the same bits. */
static void resources_change_nothing(void **state) {
  static const setting settings[] = {
      {10, 8, 3, 3000, MNO_TANH, MNO_F64}, {13, 9, 2, 2200, MNO_GELU, MNO_F32}, {21, 12, 1, 1100, MNO_TANH, MNO_F64}};
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    world w = world_make(settings[i]);
    mno_twin_state = usual();
    outcome expected = run(&w, &twin);
    for (int k = 0; k < 4; k++) {
      mno_twin_state = usual();
      if (k == 0) mno_twin_state.field_teams = 1;
      if (k == 1) mno_twin_state.field_teams = 3;
      if (k == 2) mno_twin_state.permutation = 4711;
      if (k == 3) mno_twin_state.shared = 56 << 10;
      outcome o = run(&w, &twin);
      compare(&w, "runs", &o, &expected, 0);
      outcome_free(&o);
    }
    outcome_free(&expected);
    world_free(&w);
  }
}

/* Nodes alone or together, particles drawn before a pass or in it: the same bits. */
static void nodes_and_draws_change_nothing(void **state) {
  enum { M = 3, PARTICLES = 2048 };
  mno_error err;
  mno_problem p = problem_make(9, 11, 4, 3, 1, MNO_TANH, MNO_SQUARED);
  mno_reduction reduction;
  assert_ok(mno_reduction_new(&p, 0, &reduction, &err));
  size_t r = reduction.r, n = p.N * r;
  double *h = random_numbers(M * n, 1, 1), *b = random_numbers(M * n, 2, 1);
  double *drawn = malloc(2 * M * n * sizeof *drawn), *moved = malloc(2 * M * n * sizeof *moved); /* F, G */
  double *x = malloc(2 * M * n * sizeof *x);
  mno_twin_state = usual();
  for (int way = 0; way < 3; way++) {
    mno_ensemble e;
    assert_ok(mno_ensemble_new(&twin, (mno_particle_request){&p, M, r, PARTICLES, MNO_F64, 1}, &e, &err));
    assert_ok(mno_ensemble_draw(&e, &reduction, 0, 1, 2, &err));
    if (way == 0) { /* everything at once */
      mno_ensemble_pass(&e, (mno_particle_pass){.h = h, .b = b, .F = drawn, .G = drawn + M * n});
      mno_ensemble_pass(&e, (mno_particle_pass){.old_h = h, .old_b = b, .h = h, .b = b, .F = moved, .G = moved + M * n});
      assert_memory_not_equal(drawn, moved, 2 * M * n * sizeof *x);
    } else { /* node by node; second way: particles in memory from the start */
      if (way == 2) free(sorted(&e));
      for (size_t j = 0; j < M; j++) {
        mno_particle_pass one = {
            .first = j, .count = 1, .h = h + j * n, .b = b + j * n, .F = x + j * n, .G = x + (M + j) * n};
        mno_ensemble_pass(&e, one);
      }
      assert_memory_equal(x, drawn, 2 * M * n * sizeof *x);
      for (size_t j = M; j-- > 0;) {
        mno_particle_pass one = {.first = j, .count = 1, .old_h = h + j * n, .old_b = b + j * n};
        mno_ensemble_pass(&e, one);
      }
      mno_ensemble_pass(&e, (mno_particle_pass){.h = h, .b = b, .F = x, .G = x + M * n});
      assert_memory_equal(x, moved, 2 * M * n * sizeof *x);
    }
    assert_ok(mno_ensemble_check(&e, &err));
    mno_ensemble_free(&e);
  }
  free(h);
  free(b);
  free(drawn);
  free(moved);
  free(x);
  mno_reduction_free(&reduction);
  problem_free(&p);
}

/* ---- Whole limits */

static mno_limit *solve(const mno_problem *p, mno_limit_options options, const mno_engine *engine) {
  mno_error err;
  mno_limit *limit;
  options.engine = engine;
  assert_ok(mno_limit_solve(p, &options, &limit, &err));
  return limit;
}

static void limits_equal(const mno_problem *p, mno_limit_options options, double tolerance, const char *where) {
  mno_twin_state = usual();
  mno_limit *ours = solve(p, options, &twin), *cpu = solve(p, options, NULL);
  size_t S = p->K + 1, f = S * p->N * p->d_out, h = S * p->N * p->D;
  assert_string_equal(ours->method, cpu->method);
  assert_int_equal(ours->nodes, cpu->nodes);
  assert_int_equal(ours->diverged, cpu->diverged);
  assert_null(strstr(cpu->parameters, "cuda"));
  if (where && !strstr(ours->parameters, where)) fail_msg("parameters: %s", ours->parameters);
  double d = fmax(distance(ours->output, cpu->output, f), distance(ours->embedding, cpu->embedding, h));
  d = fmax(d,
           fmax(distance(ours->state, cpu->state, ours->nodes * h), distance(ours->adjoint, cpu->adjoint, cpu->nodes * h)));
  print_message("%s (%s): apart %.1e\n", ours->method, ours->parameters, d);
  assert_true(d <= tolerance);
  assert_close(ours->output_error[p->K], cpu->output_error[p->K], 1e-3 * cpu->output_error[p->K] + tolerance);
  assert_int_equal(mno_twin_state.live, 0);
  mno_limit_free(ours);
  mno_limit_free(cpu);
}

/* Every way to a limit. Where sizes are given the tolerance is so small that the collocation equations
 * are solved to 1e-10. */
static void limits_equal_the_cpu_s(void **state) {
  mno_problem p = problem_make(6, 5, 3, 2, 4, MNO_TANH, MNO_SQUARED);
  mno_limit_options fixed = {
      .tolerance = 1e-9, .method = MNO_METHOD_SOBOL, .particles = 256, .nodes = 3, .randomisations = 2, .threads = 2};
  limits_equal(&p, fixed, 1e-12, "f64, on cuda"); /* Newton's method on one ensemble */
  fixed.particles = 2048;
  limits_equal(&p, fixed, 1e-12, "f64, on cuda"); /* two ensembles */
  fixed.method = MNO_METHOD_SOBOL_FULL;
  fixed.particles = 1024;
  limits_equal(&p, fixed, 1e-12, "f64, on cuda");
  fixed.tolerance = 1e-2; /* single precision: agreement within the tolerance of the equations */
  limits_equal(&p, fixed, 1e-5, "f32, on cuda");
  problem_free(&p);
  p = problem_make(5, 6, 2, 2, 3, MNO_GELU, MNO_CROSS_ENTROPY);
  fixed =
      (mno_limit_options){.tolerance = 1e-9, .method = MNO_METHOD_SOBOL, .particles = 1024, .nodes = 3, .randomisations = 1};
  limits_equal(&p, fixed, 1e-12, "on cuda");
  /* sizes chosen by the program */
  limits_equal(&p, (mno_limit_options){.tolerance = 3e-2, .method = MNO_METHOD_SOBOL, .randomisations = 4}, 1e-4,
               "f32, on cuda");
  problem_free(&p);
  p = problem_make(1, 4, 2, 2, 3, MNO_TANH, MNO_SQUARED);
  limits_equal(&p, (mno_limit_options){.tolerance = 1e-2}, 1e-12, "on cuda"); /* quadrature: weighted particles */
  p.activation = MNO_IDENTITY;
  limits_equal(&p, (mno_limit_options){.tolerance = 1e-8}, 0, NULL); /* closure stays on the host */
  limits_equal(&p, (mno_limit_options){.kind = MNO_LIMIT_TANGENT_ODE, .tolerance = 1e-8}, 0, NULL);
  problem_free(&p);
}

static void divergence_is_the_cpu_s(void **state) {
  mno_problem p = problem_make(4, 3, 2, 2, 3, MNO_TANH, MNO_SQUARED);
  p.eta[MNO_U] = p.eta[MNO_V] = 1e200;
  mno_limit_options options = {.tolerance = 1e-1, .method = MNO_METHOD_SOBOL, .particles = 256, .nodes = 3};
  mno_twin_state = usual();
  mno_limit *ours = solve(&p, options, &twin), *cpu = solve(&p, options, NULL);
  assert_true(cpu->diverged > 0);
  assert_int_equal(ours->diverged, cpu->diverged);
  assert_true(distance(ours->output, cpu->output, (size_t)cpu->diverged * p.N * p.d_out) <= 1e-6);
  assert_true(isnan(ours->loss[p.K]));
  mno_limit_free(ours);
  mno_limit_free(cpu);
  problem_free(&p);
}

static void depth_bias_equals_the_cpu_s(void **state) {
  mno_problem p = problem_make(5, 4, 2, 2, 3, MNO_TANH, MNO_SQUARED);
  mno_error err;
  double a[2][4];
  mno_twin_state = usual();
  assert_ok(mno_limit_depth_bias(&p, &(mno_limit_options){.particles = 256, .nodes = 4}, 8, a[0], NULL, &err));
  assert_ok(
      mno_limit_depth_bias(&p, &(mno_limit_options){.particles = 256, .nodes = 4, .engine = &twin}, 8, a[1], NULL, &err));
  assert_true(mno_twin_state.launches > 50);
  assert_true(distance(a[1], a[0], 4) <= 1e-10);
  problem_free(&p);
}

/* ---- Failures and limits of the card */

/* Whatever fails, first, last or in between: its message, nothing left open. */
static void failures_are_reported(void **state) {
  mno_error err;
  mno_problem p = problem_make(4, 3, 2, 2, 3, MNO_TANH, MNO_SQUARED);
  mno_limit_options options = {
      .tolerance = 1e-2, .method = MNO_METHOD_SOBOL, .particles = 2048, .nodes = 3, .randomisations = 2, .threads = 2};
  mno_twin_state = usual();
  mno_limit_free(solve(&p, options, &twin));
  const mno_twin whole = mno_twin_state;
  options.engine = &twin;
  for (int what = 0; what < 4; what++)
    for (int when = 0; when < 3; when++) {
      mno_twin failing = usual();
      int *const knob[] = {&failing.fail_open, &failing.fail_launch, &failing.fail_send, &failing.fail_wait};
      const int count[] = {whole.opens, whole.launches, whole.sends, whole.waits};
      static const char *const message[] = {"open failed", "launch failed", "copy failed", "illegal memory access"};
      assert_true(count[what] >= 3);
      *knob[what] = when == 0 ? 1 : when == 1 ? count[what] / 2 : count[what];
      mno_twin_state = failing;
      mno_limit *limit = NULL;
      mno_status status = mno_limit_solve(&p, &options, &limit, &err);
      assert_int_equal(status, what == 0 ? MNO_ERR_MEMORY : MNO_ERR_BACKEND);
      if (!strstr(err.message, message[what])) fail_msg("%s instead of %s", err.message, message[what]);
      assert_null(limit);
      assert_int_equal(mno_twin_state.live, 0);
    }
  mno_twin_state = usual();
  mno_twin_state.devices = 0;
  mno_limit *limit = NULL;
  assert_int_equal(mno_limit_solve(&p, &options, &limit, &err), MNO_ERR_BACKEND);
  assert_int_equal(mno_status_exit_code(MNO_ERR_BACKEND), 69);
  problem_free(&p);
}

static void too_many_particles_are_refused_with_numbers(void **state) {
  mno_error err;
  mno_problem p = problem_make(4, 3, 2, 2, 3, MNO_TANH, MNO_SQUARED);
  mno_limit_options options = {
      .tolerance = 1e-6, .method = MNO_METHOD_SOBOL, .particles = 1 << 16, .nodes = 4, .randomisations = 1, .engine = &twin};
  mno_twin_state = usual();
  mno_twin_state.memory = 4 << 20;
  mno_limit *limit = NULL;
  assert_int_equal(mno_limit_solve(&p, &options, &limit, &err), MNO_ERR_MEMORY);
  static const char *const parts[] = {"65536 particles", "4 depth nodes", "GiB are free", "limit.particles",
                                      "--backend cpu"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (!strstr(err.message, parts[i])) fail_msg("\"%s\" is not in: %s", parts[i], err.message);
  assert_null(limit);
  /* sizes chosen by the program stay within the card's memory, and within the user's */
  for (int user = 0; user < 2; user++) {
    mno_limit_options free_size = {
        .tolerance = 3e-4, .method = MNO_METHOD_SOBOL, .randomisations = 4, .memory = user ? 1 << 20 : 0};
    mno_twin_state = usual();
    if (!user) mno_twin_state.memory = 1 << 20;
    limit = solve(&p, free_size, &twin);
    if (!strstr(limit->parameters, "on cuda; stopped at the memory budget")) fail_msg("%s", limit->parameters);
    assert_false(limit->certified);
    mno_limit_free(limit);
  }
  problem_free(&p);
}

/* Several cards share the randomisations: the same bits. */
static void devices_change_nothing(void **state) {
  mno_problem p = problem_make(4, 3, 2, 2, 2, MNO_TANH, MNO_SQUARED);
  mno_limit_options options = {
      .tolerance = 1e-2, .method = MNO_METHOD_SOBOL, .particles = 2048, .nodes = 3, .randomisations = 4, .threads = 4};
  mno_twin_state = usual();
  mno_limit *one = solve(&p, options, &twin);
  mno_twin_state = usual();
  mno_twin_state.devices = 3;
  mno_limit *three = solve(&p, options, &twin);
  assert_memory_equal(one->output, three->output, (p.K + 1) * p.N * p.d_out * sizeof(double));
  assert_memory_equal(one->adjoint, three->adjoint, (p.K + 1) * one->nodes * p.N * p.D * sizeof(double));
  mno_limit_free(one);
  mno_limit_free(three);
  problem_free(&p);
}

static mno_status run_sweep(const mno_plan *plan, const char *output, mno_open_mode mode, mno_run_summary *summary,
                            mno_error *err) {
  extern const mno_backend mno_backend_cpu;
  mno_backend backend = mno_backend_cpu;
  backend.engine = &twin;
  const mno_run_options options = {.output = output, .use = &backend, .mode = mode, .threads = 1};
  return mno_run(plan, &options, summary, err);
}

/* The card fails in the limit of the second problem: the first is in the file, and a resumed run goes on from there. */
static void what_was_finished_is_kept(void **state) {
  static const char text[] = "data: {kind: gaussian, samples: 3, inputs: 2, targets: 2}\n"
                             "model: {D: [3, 5]}\n"
                             "training: {steps: 2}\n"
                             "limit: {method: sobol, particles: 1024, nodes: 3, randomisations: 2, tolerance: 1e-2}\n"
                             "sweep: {L: 2, M: 2, seeds: 2}\n";
  char folder[] = "/tmp/meanode-field-XXXXXX", config[64], whole[64], broken[64];
  assert_non_null(mkdtemp(folder));
  snprintf(config, sizeof config, "%s/sweep.yaml", folder);
  snprintf(whole, sizeof whole, "%s/whole.h5", folder);
  snprintf(broken, sizeof broken, "%s/broken.h5", folder);
  FILE *file = fopen(config, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
  mno_error err = {0};
  mno_sweep *sweep;
  mno_plan *plan;
  mno_run_summary summary;
  assert_ok(mno_sweep_load(config, &sweep, &err));
  assert_ok(mno_plan_build(sweep, MNO_F64, &plan, &err));
  mno_twin_state = usual();
  assert_ok(run_sweep(plan, whole, MNO_CREATE, &summary, &err));
  assert_int_equal(summary.limits_computed, 2);
  int launches = mno_twin_state.launches;
  mno_twin_state = usual();
  mno_twin_state.fail_launch = launches;
  assert_int_equal(run_sweep(plan, broken, MNO_CREATE, &summary, &err), MNO_ERR_BACKEND);
  assert_string_equal(err.message, "twin: launch failed");
  mno_twin_state = usual();
  assert_ok(run_sweep(plan, broken, MNO_RESUME, &summary, &err));
  assert_int_equal(summary.limits_reused, 1);
  assert_int_equal(summary.limits_computed, 1);
  assert_true(mno_twin_state.launches < launches);
  mno_result *a, *b;
  assert_ok(mno_result_open(whole, &a, &err));
  assert_ok(mno_result_open(broken, &b, &err));
  for (size_t i = 0; i < 2; i++) {
    const mno_limit *x = a->problems[i].limit[0], *y = b->problems[i].limit[0];
    assert_memory_equal(x->output, y->output, (x->K + 1) * x->N * x->d_out * sizeof(double));
    assert_memory_equal(x->state, y->state, (x->K + 1) * x->nodes * x->N * x->D * sizeof(double));
    assert_non_null(strstr(x->parameters, "on cuda"));
  }
  mno_result_free(a);
  mno_result_free(b);
  mno_plan_free(plan);
  mno_sweep_free(sweep);
  remove(config);
  remove(whole);
  remove(broken);
  rmdir(folder);
}

int main(void) {
  twin = mno_cuda_engine(&mno_device_twin);
  const struct CMUnitTest tests[] = {cmocka_unit_test(drawn_particles_are_the_cpu_s),
                                     cmocka_unit_test(normals_invert_the_distribution),
                                     cmocka_unit_test(passes_equal_the_cpu_s_and_plain_loops),
                                     cmocka_unit_test(resources_change_nothing),
                                     cmocka_unit_test(nodes_and_draws_change_nothing),
                                     cmocka_unit_test(limits_equal_the_cpu_s),
                                     cmocka_unit_test(divergence_is_the_cpu_s),
                                     cmocka_unit_test(depth_bias_equals_the_cpu_s),
                                     cmocka_unit_test(failures_are_reported),
                                     cmocka_unit_test(too_many_particles_are_refused_with_numbers),
                                     cmocka_unit_test(devices_change_nothing),
                                     cmocka_unit_test(what_was_finished_is_kept)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
