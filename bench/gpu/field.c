/* SPDX-License-Identifier: BSD-3-Clause */
/* The particles of the Mean ODE on a card: passes against their floors, and whole limits. One JSON object per line.
 *
 *   bench_field floors NODES PARTICLES D f32|f64   work of a pass with update, drift and adjoint drift; without a card
 *   bench_field pass NODES PARTICLES D f32|f64     its time, and that of a pass with drift and Jacobian
 *   bench_field limit D TOLERANCE [cpu]            the whole limit, K = 15; on a card the third run, if the others took less
 *                                                  than 5 s each
 *
 * The problem: N = 10, d_in = d_out = 5, tanh, squared loss, all constants 1, as in bench/limit. */
#include "core/memory.h"
#include "host/field_shape.h"
#include "host/particles.h"
#include "limit/engine.h"
#include "limit/ensemble.h"
#include "problem.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 10, TARGETS = 5, K = 15, REPEATS = 21 };

static mno_problem make(size_t D) {
  mno_problem p = problem_plain(N, TARGETS, TARGETS, D, K);
  problem_draw(&p, 1, PROBLEM_ROWS);
  return p;
}

static int report(const mno_error *err) {
  fprintf(stderr, "bench_field: %s\n", err->message);
  return mno_status_exit_code(err->status);
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

/* Work of a pass with an update: bytes of particles, and floating-point operations (an fma counts two; an activation with
 * its derivative ACTIVATION). Counted, not measured. */
enum { ACTIVATION = 70 };
typedef struct work {
  double bytes, flops;
} work;

static work count_work(const mno_field_shape *s, size_t nodes, int updating) {
  const double particles = (double)nodes * s->particles, r = s->r, T = s->tensors;
  const double read = updating ? s->vectors : T, written = updating ? s->vectors : 0;
  const double move = updating ? N * (4 * T * r + ACTIVATION) : 0;            /* projections; then gradients */
  double drift = s->results ? N * (2 * T * r + ACTIVATION) : 0;               /* p; t v */
  if (s->results == MNO_FIELD_FG) drift += N * 2 * T * r;                     /* q; g w */
  if (s->results == MNO_FIELD_FJ) drift += N * (T - 1) * (2 * r + 2 * r * r); /* g v; g v w */
  return (work){.bytes = particles * (read + written) * r * s->bytes, .flops = particles * (move + drift)};
}

/* Work and, unless seconds is 0, time of a pass: [0] update, F and G; [1] F and J. */
static void print(size_t nodes, size_t particles, size_t D, size_t r, mno_precision precision, const double seconds[2]) {
  for (int k = 0; k < 2; k++) {
    const mno_field_shape s = mno_field_shape_make(0, N, r, particles, precision, k ? MNO_FIELD_FJ : MNO_FIELD_FG);
    const work w = count_work(&s, nodes, k == 0);
    printf(
        "{\"pass\": \"%s\", \"nodes\": %zu, \"particles\": %zu, \"D\": %zu, \"r\": %zu, \"N\": %d, \"precision\": \"%s\", "
        "\"pass_bytes\": %.6g, \"pass_flops\": %.6g",
        k ? "F, J" : "update, F, G", nodes, particles, D, r, N, mno_precision_name(precision), w.bytes, w.flops);
    if (seconds) printf(", \"seconds\": %.6g", seconds[k]);
    printf("}\n");
  }
}

static int time_passes(size_t nodes, size_t particles, size_t D, mno_precision precision, int measure) {
  mno_error err = {0};
  mno_problem p = make(D);
  mno_reduction reduction;
  mno_ensemble e = {0};
  mno_status status = mno_reduction_new(&p, 0, &reduction, &err);
  if (status != MNO_OK) return report(&err);
  const size_t r = reduction.r, n = nodes * N * r;
  double seconds[2], took[REPEATS], *h = mno_alloc(n * (4 + r), sizeof *h), *b = h + n, *F = b + n, *G = F + n, *J = G + n;
  if (!h) {
    mno_fail_memory(&err, n * (4 + r) * sizeof *h, "fields");
    return report(&err);
  }
  for (size_t j = 0; j < nodes; j++) memcpy(h + j * N * r, reduction.h0, N * r * sizeof *h);
  for (size_t i = 0; i < n; i++) b[i] = 0.01 * h[i]; /* small moves: the particles stay where they are */
  if (measure) {
    status = mno_ensemble_new(&mno_engine_cuda, (mno_particle_request){&p, nodes, r, particles, precision, 1}, &e, &err);
    if (status == MNO_OK) status = mno_ensemble_draw(&e, &reduction, 0, 1, 0, &err);
    for (int k = 0; k < 2 && status == MNO_OK; k++) {
      for (int i = 0; i < REPEATS; i++) {
        const double start = mno_now();
        mno_ensemble_pass(&e, k ? (mno_particle_pass){.h = h, .b = b, .F = F, .J = J}
                                : (mno_particle_pass){.old_h = h, .old_b = b, .h = h, .b = b, .F = F, .G = G});
        took[i] = mno_now() - start;
      }
      qsort(took, REPEATS, sizeof *took, by_value);
      seconds[k] = took[REPEATS / 2];
      status = mno_ensemble_check(&e, &err);
    }
  }
  if (status == MNO_OK) print(nodes, particles, D, r, precision, measure ? seconds : NULL);
  mno_ensemble_free(&e);
  mno_reduction_free(&reduction);
  free(h);
  problem_free(&p);
  return status == MNO_OK ? 0 : report(&err);
}

/* The CUDA engine with a clock at its entries: wall time in ns, summed over threads that call it at the same time. */
enum { CREATING, DRAWING, PASSING, PHASES };
static atomic_llong spent[PHASES], calls[PHASES];
static void count(int phase, double start) {
  atomic_fetch_add(&spent[phase], (long long)(1e9 * (mno_now() - start)));
  atomic_fetch_add(&calls[phase], 1);
}
static mno_status timed_create(const mno_engine *engine, const mno_particle_request *request, mno_particles **particles,
                               mno_error *err) {
  const double start = mno_now();
  const mno_status status = mno_engine_cuda.create(engine, request, particles, err);
  count(CREATING, start);
  return status;
}
static mno_status timed_draw(mno_particles *particles, const mno_initial *initial, mno_error *err) {
  const double start = mno_now();
  const mno_status status = mno_engine_cuda.draw(particles, initial, err);
  count(DRAWING, start);
  return status;
}
static mno_status timed_pass(mno_particles *particles, const mno_particle_pass *pass, mno_error *err) {
  const double start = mno_now();
  const mno_status status = mno_engine_cuda.pass(particles, pass, err);
  count(PASSING, start);
  return status;
}

static int solve(size_t D, double tolerance, int on_cpu) {
  enum { RUNS = 3 };
  const double long_enough = 5; /* seconds of a run whose start does not count */
  mno_error err = {0};
  mno_problem p = make(D);
  mno_limit *limit = NULL;
  mno_engine timed = mno_engine_cuda;
  timed.create = timed_create;
  timed.draw = timed_draw;
  timed.pass = timed_pass;
  mno_limit_options options = {.tolerance = tolerance, .engine = on_cpu ? NULL : &timed};
  int runs = 0;
  do { /* the last one counts: contexts and kernels are loaded */
    mno_limit_free(limit);
    limit = NULL;
    for (int i = 0; i < PHASES; i++) spent[i] = calls[i] = 0;
    if (mno_limit_solve(&p, &options, &limit, &err) != MNO_OK) {
      problem_free(&p);
      return report(&err);
    }
    runs++;
  } while (!on_cpu && runs < RUNS && limit->seconds < long_enough);
  printf("{\"limit\": \"mean-ode\", \"D\": %zu, \"N\": %d, \"K\": %d, \"tolerance\": %g, \"engine\": \"%s\", \"seconds\": "
         "%.4g, \"run\": %d, "
         "\"claimed\": %.3g, \"certified\": %d, \"output\": %.17g, ",
         D, N, K, tolerance, on_cpu ? "cpu" : "cuda", limit->seconds, runs, limit->output_error[K], limit->certified,
         limit->output[K * N * TARGETS]);
  if (!on_cpu)
    printf("\"seconds_create\": %.4g, \"seconds_draw\": %.4g, \"seconds_pass\": %.4g, \"draws\": %lld, \"passes\": %lld, ",
           1e-9 * (double)spent[CREATING], 1e-9 * (double)spent[DRAWING], 1e-9 * (double)spent[PASSING],
           (long long)calls[DRAWING], (long long)calls[PASSING]);
  printf("\"parameters\": \"%s\"}\n", limit->parameters);
  mno_limit_free(limit);
  problem_free(&p);
  return 0;
}

static int usage(void) {
  fprintf(stderr, "usage: bench_field floors|pass NODES PARTICLES D f32|f64 | limit D TOLERANCE [cpu]\n");
  return 2;
}

int main(int argc, char **argv) {
  if (argc >= 4 && strcmp(argv[1], "limit") == 0) {
    const size_t D = strtoul(argv[2], NULL, 10);
    const double tolerance = strtod(argv[3], NULL);
    const int on_cpu = argc == 5 && strcmp(argv[4], "cpu") == 0;
    return D == 0 || !(tolerance > 0) || argc > 5 || (argc == 5 && !on_cpu) ? usage() : solve(D, tolerance, on_cpu);
  }
  if (argc != 6 || (strcmp(argv[1], "floors") != 0 && strcmp(argv[1], "pass") != 0)) return usage();
  const size_t nodes = strtoul(argv[2], NULL, 10), particles = strtoul(argv[3], NULL, 10), D = strtoul(argv[4], NULL, 10);
  if (nodes == 0 || particles < 64 || (particles & (particles - 1)) != 0 || D == 0) return usage();
  return time_passes(nodes, particles, D, strcmp(argv[5], "f32") == 0 ? MNO_F32 : MNO_F64, strcmp(argv[1], "pass") == 0);
}
