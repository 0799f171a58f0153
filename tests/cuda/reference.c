/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernels G and F on the twin of a card, for the first block and optimiser that there are kernels for, and rates that change
 * from step to step: networks against the reference, particles against plain loops. Built twice: with the program's lists,
 * and with a block and an optimiser that only the tests have. */
#include "test.h"

#include "host/particles.h"
#include "host/shape.h"
#include "host/trainers.h"
#include "jobs.h"
#include "reference/reference.h"

static const double SCHEDULE[] = {1, 0.3, 2}, ONES[] = {1, 1, 1};

static void of_the_first_trainer(mno_problem *p, const double *schedule) {
  const mno_trainer *trainer = mno_trainer_at(0);
  p->block = trainer->block;
  p->optimizer = trainer->optimizer;
  p->schedule = schedule;
  for (size_t t = 0; t < p->block->tensors; t++) p->sigma[t] = 0.5 + 0.1 * (double)t, p->eta[t] = 0.05 - 0.01 * (double)t;
  p->knob[0] = 0.8;
}

/* ---- Networks */

static catch train(sweep *s, mno_precision precision, mno_activation activation, const double *schedule, mno_twin twin) {
  sweep_make(s, precision, MNO_WEIGHTS_NONE);
  s->options.candidate = candidate_with(MNO_KERNEL_GEMM);
  for (int p = 0; p < 2; p++) {
    of_the_first_trainer(&s->problem[p], schedule);
    s->problem[p].activation = activation;
  }
  catch c = run_twin(s, twin);
  assert_true(mno_twin_state.products > 0 && mno_twin_state.launches == 0);
  return c;
}

static double apart(const sweep *s, const mno_record *record) {
  const mno_problem *p = &s->problem[s->instance[record->row].problem];
  const size_t outputs = p->N * p->d_out, states = p->N * p->D;
  double *output = malloc((p->K + 1) * outputs * sizeof *output), *embedding = malloc((p->K + 1) * states * sizeof *output);
  const mno_reference_results results = {.output = output, .embedding = embedding};
  mno_error err;
  assert_ok(mno_reference_train(p, &s->instance[record->row], results, &err));
  double worst = 0;
  for (size_t k = 0; k < s->plan.step_count; k++) {
    const size_t at = (size_t)s->step[k];
    worst = fmax(worst, distance(record->output + k * outputs, output + at * outputs, outputs));
    worst = fmax(worst, distance(record->embedding + k * states, embedding + at * states, states));
  }
  free(output);
  free(embedding);
  return worst;
}

static void networks_equal_the_reference(void **state) {
  static const mno_activation activations[] = {MNO_TANH, MNO_GELU};
  for (int precision = 0; precision < 2; precision++)
    for (int a = 0; a < 2; a++)
      for (int scheduled = 0; scheduled < 2; scheduled++) {
        sweep s;
        catch c = train(&s, (mno_precision)precision, activations[a], scheduled ? SCHEDULE : NULL, usual());
        for (size_t i = 0; i < s.plan.instance_count; i++)
          assert_close(apart(&s, c.record[i]), 0, precision == MNO_F64 ? 1e-13 : 2e-5);
        catch_free(&c);
        sweep_free(&s);
      }
}

/* Rates that are written down step by step, little memory, several devices: the same bits. */
static void schedules_and_resources_change_nothing(void **state) {
  sweep s;
  catch expected = train(&s, MNO_F64, MNO_TANH, NULL, usual());
  sweep_free(&s);
  for (int k = 0; k < 3; k++) {
    mno_twin twin = usual();
    if (k == 1) twin.memory = 60 << 10;
    if (k == 2) twin.devices = 2;
    catch c = train(&s, MNO_F64, MNO_TANH, ONES, twin);
    for (size_t i = 0; i < s.plan.instance_count; i++) compare(&s, c.record[i], expected.record[i], 0);
    catch_free(&c);
    sweep_free(&s);
  }
  catch_free(&expected);
}

/* ---- Particles */

enum { NODES = 2, STEPS = 3 };

/* Particles of a node with their states, what is known of them exactly, and fields of all steps. */
typedef struct world {
  mno_problem problem;
  size_t r, particles, tensors, states;
  double *z, *kept, *weight;           /* [NODES][particles][tensors][r], the same [states], [particles] */
  double *h[STEPS + 1], *b[STEPS + 1]; /* [NODES][N][r] */
  double *F, *G, *J, *exact_F, *exact_G, *exact_J;
} world;

static double *random_numbers(size_t count, uint32_t stream, double scale) {
  double *x = malloc(count * sizeof *x);
  mno_normals(5, MNO_TENSOR_X, stream, 0, count, x);
  for (size_t i = 0; i < count; i++) x[i] *= scale;
  return x;
}

static world world_make(size_t N, size_t r, size_t particles) {
  world w = {.problem = problem_make(r + 2, N, 3, 2, STEPS, MNO_TANH, MNO_SQUARED), .r = r, .particles = particles};
  of_the_first_trainer(&w.problem, SCHEDULE);
  w.tensors = w.problem.block->tensors;
  w.states = w.problem.optimizer->states;
  const size_t fields = NODES * N * r, numbers = NODES * particles * w.tensors * r;
  w.z = random_numbers(numbers, 1, 1.5);
  w.kept = calloc(numbers * (w.states + 1), sizeof(double));
  w.weight = random_numbers(particles, 2, 1 / (double)particles);
  for (uint32_t k = 0; k <= STEPS; k++) {
    w.h[k] = random_numbers(fields, 3 + k, 1);
    w.b[k] = random_numbers(fields, 13 + k, 1);
  }
  double **const results[] = {&w.F, &w.G, &w.exact_F, &w.exact_G, &w.J, &w.exact_J};
  for (size_t i = 0; i < 6; i++) *results[i] = calloc(fields * (i < 4 ? 1 : r), sizeof(double));
  return w;
}

static void world_free(world *w) {
  double *const arrays[] = {w->z, w->kept, w->weight, w->F, w->G, w->J, w->exact_F, w->exact_G, w->exact_J};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free(arrays[i]);
  for (int k = 0; k <= STEPS; k++) {
    free(w->h[k]);
    free(w->b[k]);
  }
  problem_free(&w->problem);
}

static double dot(const double *x, const double *y, size_t r) {
  double sum = 0;
  for (size_t a = 0; a < r; a++) sum += x[a] * y[a];
  return sum;
}

/* A sample's coefficients of a particle u: g_a of the inputs, s of the output; and the slopes. */
static void coefficients(const world *w, const double *u, const double *h, const double *b, double *of, double *slope) {
  const size_t output = w->tensors - 1;
  const double D = (double)w->problem.D, q = dot(u + output * w->r, b, w->r) / D;
  double p[MNO_TENSORS_MOST] = {0};
  for (size_t t = 0; t < output; t++) p[t] = dot(u + t * w->r, h, w->r) / D;
  w->problem.block->units(w->problem.activation, 1, p, &of[output], slope);
  for (size_t t = 0; t < output; t++) of[t] = slope[t] * q;
}

static void move(const world *w, size_t step, size_t node, double *u, double *kept) {
  const size_t N = w->problem.N, r = w->r, T = w->tensors;
  double *g = calloc(T * r, sizeof *g), of[MNO_TENSORS_MOST], slope[MNO_TENSORS_MOST];
  for (size_t i = 0; i < N; i++) {
    const double *h = w->h[step] + (node * N + i) * r, *b = w->b[step] + (node * N + i) * r;
    coefficients(w, u, h, b, of, slope);
    for (size_t e = 0; e < T * r; e++) g[e] += of[e / r] * (e / r < T - 1 ? h : b)[e % r];
  }
  for (size_t e = 0; e < T * r; e++)
    u[e] = w->problem.optimizer->apply(u[e], g[e], mno_problem_rate(&w->problem, step, e / r), w->problem.knob,
                                       kept + e * w->states);
  free(g);
}

static void evaluate(world *w, size_t fields, size_t node, const double *u, double weight) {
  const size_t N = w->problem.N, r = w->r, output = w->tensors - 1;
  double of[MNO_TENSORS_MOST], slope[MNO_TENSORS_MOST];
  for (size_t i = 0; i < N; i++) {
    const size_t at = (node * N + i) * r;
    coefficients(w, u, w->h[fields] + at, w->b[fields] + at, of, slope);
    for (size_t a = 0; a < r; a++) {
      const double v = weight * u[output * r + a];
      w->exact_F[at + a] += v * of[output];
      for (size_t t = 0; t < output; t++) {
        w->exact_G[at + a] += weight * of[t] * u[t * r + a];
        for (size_t c = 0; c < r; c++) w->exact_J[(at + a) * r + c] += v * slope[t] * u[t * r + c] / (double)w->problem.D;
      }
    }
  }
}

static void step_exactly(world *w, size_t step) {
  const size_t fields = NODES * w->problem.N * w->r, size = w->tensors * w->r;
  memset(w->exact_F, 0, fields * sizeof(double));
  memset(w->exact_G, 0, fields * sizeof(double));
  memset(w->exact_J, 0, fields * w->r * sizeof(double));
  for (size_t n = 0; n < NODES * w->particles; n++) {
    move(w, step, n / w->particles, w->z + n * size, w->kept + n * size * w->states);
    evaluate(w, step + 1, n / w->particles, w->z + n * size, w->weight[n % w->particles]);
  }
}

static void steps_equal(world *w, mno_precision precision, size_t shared) {
  const mno_engine twin = mno_cuda_engine(&mno_device_twin);
  const size_t fields = NODES * w->problem.N * w->r, node = w->particles * w->tensors * w->r;
  const mno_particle_request request = {
      .problem = &w->problem, .m = NODES, .r = w->r, .particles = w->particles, .precision = precision, .threads = 1};
  double *z = malloc(NODES * node * sizeof *z);
  mno_particles *particles;
  mno_error err;
  mno_twin_state = (mno_twin){.devices = 1, .memory = 64 << 20, .permutation = 77, .shared = shared};
  assert_ok(twin.create(&twin, &request, &particles, &err));
  for (size_t j = 0; j < NODES; j++) assert_ok(twin.write(particles, j, w->z + j * node, &err));
  assert_ok(twin.weigh(particles, w->weight, &err));
  for (size_t k = 0; k < STEPS; k++) {
    const mno_particle_pass both = {.count = NODES,
                                    .step = k,
                                    .old_h = w->h[k],
                                    .old_b = w->b[k],
                                    .h = w->h[k + 1],
                                    .b = w->b[k + 1],
                                    .F = w->F,
                                    .G = w->G};
    const mno_particle_pass jacobian = {.count = NODES, .h = w->h[k + 1], .F = w->F, .J = w->J};
    assert_ok(twin.pass(particles, &both, &err));
    assert_ok(twin.pass(particles, &jacobian, &err));
    step_exactly(w, k);
    for (size_t j = 0; j < NODES; j++) assert_ok(twin.read(particles, j, z + j * node, &err));
    double d = fmax(distance(w->F, w->exact_F, fields), distance(w->G, w->exact_G, fields));
    d = fmax(d, fmax(distance(w->J, w->exact_J, fields * w->r), distance(z, w->z, NODES * node)));
    assert_close(d, 0, precision == MNO_F64 ? 1e-13 : 5e-5);
  }
  twin.destroy(particles);
  free(z);
}

/* One group of samples and several, work tiles in memory too. */
static void particles_equal_plain_loops(void **state) {
  static const size_t cases[][4] = {{10, 8, 700, 0}, {3, 2, 130, 0}, {13, 4, 257, 0}, {13, 24, 150, 96 << 10}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int precision = 0; precision < 2; precision++) {
      world w = world_make(cases[i][0], cases[i][1], cases[i][2]);
      steps_equal(&w, (mno_precision)precision, cases[i][3]);
      world_free(&w);
    }
}

/* Drawn particles are moved alike whether they were in memory before or not: the optimiser's states begin at zero. */
static void drawn_particles_have_no_past(void **state) {
  world w = world_make(7, 4, 512);
  const mno_engine twin = mno_cuda_engine(&mno_device_twin);
  const mno_particle_request request = {
      .problem = &w.problem, .m = NODES, .r = w.r, .particles = w.particles, .precision = MNO_F64, .threads = 1};
  const size_t node = w.particles * w.tensors * w.r;
  const uint32_t block[NODES] = {0, 1};
  double axes[16] = {0}, *z[2];
  for (size_t a = 0; a < 4; a++) axes[4 * a + (a + 1) % 4] = 1;
  mno_error err;
  for (int way = 0; way < 2; way++) {
    mno_particles *particles;
    mno_sobol sobol;
    mno_twin_state = (mno_twin){.devices = 1, .memory = 64 << 20, .permutation = 77};
    assert_true(mno_sobol_new(&sobol, w.tensors * w.r, 3, 0));
    const mno_initial initial = {
        .sobol = &sobol, .block = block, .axes = axes, .scale = {1.1, 0.7, 1.3, 0.9}, .points = w.particles / 2};
    assert_ok(twin.create(&twin, &request, &particles, &err));
    assert_ok(twin.draw(particles, &initial, &err));
    z[way] = malloc(NODES * node * sizeof(double));
    if (way) assert_ok(twin.read(particles, 0, z[way], &err));
    for (size_t k = 0; k < 2; k++) {
      const mno_particle_pass pass = {.count = NODES, .step = k, .old_h = w.h[k], .old_b = w.b[k]};
      assert_ok(twin.pass(particles, &pass, &err));
    }
    for (size_t j = 0; j < NODES; j++) assert_ok(twin.read(particles, j, z[way] + j * node, &err));
    twin.destroy(particles);
    mno_sobol_free(&sobol);
  }
  assert_memory_equal(z[0], z[1], NODES * node * sizeof(double));
  free(z[0]);
  free(z[1]);
  world_free(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(networks_equal_the_reference), cmocka_unit_test(schedules_and_resources_change_nothing),
      cmocka_unit_test(particles_equal_plain_loops), cmocka_unit_test(drawn_particles_have_no_past)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
