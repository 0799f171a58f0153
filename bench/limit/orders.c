/* SPDX-License-Identifier: BSD-3-Clause */
/* Orders of convergence: of the collocation scheme in its step, of depth nodes and Euler layers in the limits, of particles.
 */
#include "bench.h"

#include "limit/trajectory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t steps[] = {1, 5, 15};
enum { STEPS = 3 };

/* dh/ds = h + 0.3 h^2: exact h(H) = e^H/(1/h0 + 0.3 - 0.3 e^H). */
static void bernoulli(void *context, const double *h, double *F, double *J) {
  size_t m = *(size_t *)context;
  for (size_t j = 0; j < m; j++) {
    F[j] = h[j] + 0.3 * h[j] * h[j];
    J[j] = 1 + 0.6 * h[j];
  }
}

static void scheme(void) {
  printf("Error of one step of length H of the collocation scheme, dh/ds = h + 0.3 h^2, h(0) = 1/2; order 2 m: slope 2 m + "
         "1\n\n"
         "| m | H = 0.4 | H = 0.2 | H = 0.1 | slope |\n|---|---|---|---|---|\n");
  for (size_t m = 1; m <= 3; m++) {
    mno_collocation method;
    mno_error err;
    double h0 = 0.5, error[3], length[3] = {0.4, 0.2, 0.1};
    if (mno_collocation_new(&method, m, &err) != MNO_OK) exit(1);
    for (int i = 0; i < 3; i++) {
      double h[4] = {h0, h0, h0, h0}, F[4], J[4], end;
      mno_forward_equation equation = {&method, 1, 1, length[i], &h0, bernoulli, &m, NULL, 1e-15};
      mno_collocation_forward(&equation, h, F, J, &end);
      error[i] = fabs(end - exp(length[i]) / (1 / h0 + 0.3 - 0.3 * exp(length[i])));
    }
    printf("| %zu | %.1e | %.1e | %.1e | %.2f |\n", m, error[0], error[1], error[2], log2(error[1] / error[2]));
    mno_collocation_free(&method);
  }
}

/* Outputs [K+1][f] of the Mean ODE on particles common to all nodes: the drift is smooth in depth. */
static void shared_particles(const mno_problem *problem, const mno_reduction *reduction, size_t m, double *output) {
  enum { PARTICLES = 4096 };
  mno_error err;
  mno_collocation method;
  mno_trajectory t;
  mno_ensemble ensemble;
  size_t field = problem->N * reduction->r, f = problem->N * problem->d_out;
  if (mno_collocation_new(&method, m, &err) != MNO_OK || mno_trajectory_new(problem, reduction->r, m, &t, &err) != MNO_OK ||
      mno_ensemble_new(NULL, (mno_particle_request){problem, m, reduction->r, PARTICLES, MNO_F64, 1}, &ensemble, &err) !=
          MNO_OK ||
      mno_ensemble_draw(&ensemble, reduction, 1, 3, 0, &err) != MNO_OK)
    exit(1);
  mno_system system = mno_system_of(problem, reduction, 1e-12, NULL);
  system.method = &method;
  if (mno_trajectory_particles(&system, &ensemble, NULL, &t, &err) != MNO_OK) exit(1);
  for (size_t k = 0; k <= problem->K; k++) mno_reduction_output(problem, reduction, t.h1 + k * field, output + k * f, NULL);
  mno_ensemble_free(&ensemble);
  mno_trajectory_free(&t);
  mno_collocation_free(&method);
}

enum { CASE_CLOSURE, CASE_SHARED, CASE_TANGENT, CASES, MOST_NODES = 10 };

static void nodes(void) {
  static const char *const names[] = {"Mean ODE, identity by closure", "Mean ODE, tanh on 4096 shared particles",
                                      "Neural Tangent ODE, tanh"};
  printf("\nDepth error of m Gauss-Legendre nodes, D = 8, against 16 nodes. One step over the whole depth, h = 1/m nodes "
         "apart:\n"
         "the error falls geometrically, so its slope in log m (last column, against the m above) grows like 2 m\n\n"
         "| limit | m | k = 1 | k = 5 | k = 15 | factor per node at k = 15 | slope in m |\n|---|---|---|---|---|---|---|\n");
  for (int which = 0; which < CASES; which++) {
    bench_problem b = bench_problem_make(8, which == CASE_CLOSURE ? "identity" : "tanh", which == CASE_CLOSURE ? 0.5 : 1);
    const mno_problem *p = b.problem;
    size_t f = p->N * p->d_out, n = (K + 1) * f;
    double *fine = malloc(2 * n * sizeof(double)), *output = fine + n, last = NAN, sizes[MOST_NODES], errors[MOST_NODES];
    mno_reduction reduction;
    mno_error err;
    if (mno_reduction_new(p, 0, &reduction, &err) != MNO_OK) exit(1);
    size_t count = 0;
    for (size_t i = 0; i <= MOST_NODES; i++) {
      size_t m = i == 0 ? 16 : i;
      double *to = i == 0 ? fine : output;
      if (which == CASE_SHARED) {
        shared_particles(p, &reduction, m, to);
      } else {
        mno_limit *limit =
            bench_solve(p, (mno_limit_options){.kind = which == CASE_TANGENT ? MNO_LIMIT_TANGENT_ODE : MNO_LIMIT_MEAN_ODE,
                                               .tolerance = 1e-13,
                                               .nodes = (int64_t)m});
        memcpy(to, limit->output, n * sizeof(double));
        mno_limit_free(limit);
      }
      if (i == 0) continue;
      double error[STEPS];
      for (int s = 0; s < STEPS; s++) error[s] = bench_distance(output + steps[s] * f, fine + steps[s] * f, f);
      printf("| %s | %zu | %.1e | %.1e | %.1e |", names[which], m, error[0], error[1], error[2]);
      if (m > 1)
        printf(" %.3f | %.1f |\n", error[2] / last, log(error[2] / last) / log((double)m / (double)(m - 1)));
      else
        printf(" | |\n");
      last = error[2];
      if (last > 1e-10) {
        sizes[count] = exp((double)m);
        errors[count++] = last;
      }
    }
    double spread, slope = bench_slope(sizes, errors, count, &spread);
    printf("| %s | fit | | | | %.3f | error ~ exp(-(%.2f +- %.2f) m) |\n", names[which], exp(slope), -slope, spread);
    mno_reduction_free(&reduction);
    bench_problem_free(&b);
    free(fine);
  }
}

static void layers(void) {
  printf("\nDepth error of L Euler layers (networks with infinitely many units per layer) on shared particles, tanh, D = 8: "
         "L x\n"
         "RMS distance of the output to the limit, which tends to the constant a; its slope in L\n\n"
         "| L | k = 1 | k = 5 | k = 15 |\n|---|---|---|---|\n");
  bench_problem b = bench_problem_make(8, "tanh", 1);
  double sizes[6], errors[STEPS][6];
  mno_error err;
  for (int i = 0; i < 6; i++) {
    size_t L = (size_t)8 << i;
    double a[K + 1];
    if (mno_limit_depth_bias(b.problem, &(mno_limit_options){.particles = 1024, .threads = 1}, L, a, NULL, &err) != MNO_OK)
      exit(1);
    sizes[i] = (double)L;
    for (int s = 0; s < STEPS; s++) errors[s][i] = a[steps[s]] / (double)L;
    printf("| %zu | %.5f | %.5f | %.5f |\n", L, a[1], a[5], a[15]);
  }
  printf("| slope, L >= 32 |");
  for (int s = 0; s < STEPS; s++) {
    double spread, slope = bench_slope(sizes + 2, errors[s] + 2, 4, &spread);
    printf(" %.3f +- %.3f |", slope, spread);
  }
  printf("\n");
  bench_problem_free(&b);
}

static void particles(void) {
  printf("\nError of one randomisation (from the spread of 16) against particles per node, tanh, 6 nodes, f32\n\n"
         "| D | k | 2^10 | 2^11 | 2^12 | 2^13 | 2^14 | 2^15 | 2^16 | slope |\n|---|---|---|---|---|---|---|---|---|---|\n");
  for (size_t D = 2; D <= 32; D *= 2) {
    bench_problem b = bench_problem_make(D, "tanh", 1);
    double sizes[7], errors[STEPS][7];
    mno_limit *depth =
        bench_solve(b.problem, (mno_limit_options){.tolerance = 1e-4,
                                                   .method = MNO_METHOD_SOBOL,
                                                   .particles = 64,
                                                   .nodes = 6,
                                                   .randomisations = 1}); /* no spread: the depth error alone */
    for (int i = 0; i < 7; i++) {
      sizes[i] = ldexp(1024, i);
      mno_limit *limit = bench_solve(b.problem, (mno_limit_options){.tolerance = 1e-4,
                                                                    .method = MNO_METHOD_SOBOL,
                                                                    .particles = (int64_t)sizes[i],
                                                                    .nodes = 6,
                                                                    .randomisations = 16});
      for (int s = 0; s < STEPS; s++) {
        double both = limit->output_error[steps[s]], of_depth = depth->output_error[steps[s]];
        errors[s][i] = sqrt(16 * (both * both - of_depth * of_depth));
      }
      mno_limit_free(limit);
    }
    mno_limit_free(depth);
    for (int s = 0; s < STEPS; s++) {
      double spread, slope = bench_slope(sizes, errors[s], 7, &spread);
      printf("| %zu | %zu |", D, steps[s]);
      for (int i = 0; i < 7; i++) printf(" %.1e |", errors[s][i]);
      printf(" %.2f +- %.2f |\n", slope, spread);
    }
    fflush(stdout);
    bench_problem_free(&b);
  }
}

int bench_orders(void) {
  scheme();
  nodes();
  fflush(stdout);
  layers();
  fflush(stdout);
  particles();
  return 1;
}
