/* How fast and how accurate the limits are, on one core. Prints four tables: error of the Mean ODE against time and
 * particles for D = 2 .. 32, what a tolerance costs, depth nodes against error, and the distance of the Mean ODE to the
 * Neural Tangent ODE against alpha.
 *
 * The problem: N = 10, d_in = d_out = 5, K = 15, tanh, squared loss, all constants 1. Baseline: a prototype with plain
 * Picard iteration spent 55-85 ns per particle, node and evaluation, with about 14 evaluations per node and step: 980 ns. */
#include "meanode/meanode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { N = 10, TARGETS = 5, K = 15, NODES = 8 };
static const double prototype_ns = 980;

static double *normals(mno_tensor tensor, size_t rows, size_t columns, double scale) {
  double *x = malloc(rows * columns * sizeof *x);
  for (size_t i = 0; x && i < rows; i++) {
    mno_normals(1, tensor, 0, (uint32_t)i, columns, x + i * columns);
    for (size_t c = 0; c < columns; c++) x[i * columns + c] *= scale;
  }
  return x;
}

static mno_problem make(size_t D, mno_activation activation, double alpha) {
  mno_problem p = {.N = N, .d_in = TARGETS, .d_out = TARGETS, .D = D, .K = K, .alpha = alpha, .sigma_u = 1, .sigma_v = 1};
  p.eta_u = p.eta_v = 1;
  p.activation = activation;
  p.loss = MNO_SQUARED;
  p.x = normals(MNO_TENSOR_X, N, TARGETS, 1);
  p.y = normals(MNO_TENSOR_Y, N, TARGETS, 1);
  p.w_embed = normals(MNO_TENSOR_W_EMBED, D, TARGETS, 1 / sqrt(TARGETS));
  p.w_unembed = normals(MNO_TENSOR_W_UNEMBED, D, TARGETS, sqrt(TARGETS));
  return p;
}

static void drop(mno_problem *p) {
  free(p->x);
  free(p->y);
  free(p->w_embed);
  free(p->w_unembed);
}

static mno_limit *solve(const mno_problem *p, mno_limit_options options) {
  mno_error err;
  mno_limit *limit = NULL;
  options.threads = 1;
  clock_t start = clock();
  if (mno_limit_solve(p, &options, &limit, &err) != MNO_OK) fprintf(stderr, "%s\n", err.message);
  if (limit) limit->seconds = (double)(clock() - start) / CLOCKS_PER_SEC; /* processor time: others may share the machine */
  return limit;
}

static double apart(const mno_limit *x, const mno_limit *y, size_t k) {
  double above = 0, below = 0;
  for (size_t e = k * N * TARGETS; e < (k + 1) * N * TARGETS; e++) {
    above += (x->output[e] - y->output[e]) * (x->output[e] - y->output[e]);
    below += y->output[e] * y->output[e];
  }
  return sqrt(above / below);
}

static void error_against_particles(void) {
  printf("Error of one randomisation (claimed by 8, times sqrt 8) and seconds of one, 8 nodes, single precision\n"
         "%4s %9s %9s %9s %9s %9s %12s %12s\n",
         "D", "particles", "k = 1", "k = 15", "slope", "seconds", "ns/p/node/k", "prototype/us");
  for (size_t D = 2; D <= 32; D *= 2) {
    mno_problem p = make(D, MNO_TANH, 1);
    double last = NAN;
    for (int64_t particles = 1024; particles <= 65536; particles *= 8) {
      mno_limit *limit = solve(
          &p,
          (mno_limit_options){
              .tolerance = 1e-3, .particles = particles, .nodes = NODES, .method = MNO_METHOD_SOBOL, .randomisations = 8});
      if (!limit) break;
      double seconds = limit->seconds / 8, ns = 1e9 * seconds / ((double)particles * NODES * K),
             error = limit->output_error[K] * sqrt(8);
      printf("%4zu %9d %9.1e %9.1e %9.2f %9.4f %12.1f %12.1f\n", D, (int)particles, limit->output_error[1] * sqrt(8), error,
             log(error / last) / log(8), seconds, ns, prototype_ns / ns);
      last = error;
      mno_limit_free(limit);
    }
    drop(&p);
  }
}

static void cost_of_tolerance(double tightest) {
  printf("\nCost of a tolerance, one core, everything included\n%4s %9s %9s %9s %9s  %s\n", "D", "tolerance", "claimed",
         "certified", "seconds", "method");
  for (size_t D = 2; D <= 32; D *= 2) {
    mno_problem p = make(D, MNO_TANH, 1);
    for (double tolerance = 1e-2; tolerance > 0.99 * tightest; tolerance /= sqrt(10)) {
      mno_limit *limit = solve(&p, (mno_limit_options){.tolerance = tolerance, .seconds = 60});
      if (!limit) break;
      printf("%4zu %9.1e %9.1e %9d %9.3f  %s, %s\n", D, tolerance, limit->output_error[K], limit->certified, limit->seconds,
             limit->method, limit->parameters);
      mno_limit_free(limit);
    }
    drop(&p);
  }
}

static void error_against_nodes(void) {
  printf("\nDepth error of m Gauss-Legendre nodes (Neural Tangent ODE, D = 8; order 2 m)\n%4s %9s %9s\n", "m", "k = 1",
         "k = 15");
  mno_problem p = make(8, MNO_ERF, 1);
  mno_limit *fine = solve(&p, (mno_limit_options){.kind = MNO_LIMIT_TANGENT_ODE, .tolerance = 1, .nodes = 12});
  for (int64_t nodes = 1; fine && nodes <= 8; nodes++) {
    mno_limit *limit = solve(&p, (mno_limit_options){.kind = MNO_LIMIT_TANGENT_ODE, .tolerance = 1, .nodes = nodes});
    if (limit) printf("%4d %9.1e %9.1e\n", (int)nodes, apart(limit, fine, 1), apart(limit, fine, K));
    mno_limit_free(limit);
  }
  mno_limit_free(fine);
  drop(&p);
}

static void lazy(void) {
  static const mno_activation activations[] = {MNO_TANH, MNO_GELU, MNO_SOFTPLUS};
  printf("\nMean ODE minus Neural Tangent ODE at k = 15, D = 8\n%10s %6s %9s %9s %9s\n", "activation", "alpha", "distance",
         "error", "slope");
  for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) {
    double last = NAN;
    for (double alpha = 1; alpha <= 16; alpha *= 2) {
      mno_problem p = make(8, activations[i], alpha);
      mno_limit *tangent = solve(&p, (mno_limit_options){.kind = MNO_LIMIT_TANGENT_ODE, .tolerance = 1e-6});
      mno_limit *mean = solve(&p, (mno_limit_options){.tolerance = 1e-3, .particles = 32768, .nodes = 6});
      if (tangent && mean) {
        double gap = apart(mean, tangent, K);
        printf("%10s %6g %9.2e %9.1e %9.2f\n", mno_activation_name(activations[i]), alpha, gap, mean->output_error[K],
               log2(gap / last));
        last = gap;
      }
      mno_limit_free(tangent);
      mno_limit_free(mean);
      drop(&p);
    }
  }
}

int main(int argc, char **argv) {
  double tightest = argc > 1 ? strtod(argv[1], NULL) : 1e-3; /* of the second table: 1e-4 takes minutes */
  error_against_particles();
  fflush(stdout);
  cost_of_tolerance(tightest > 0 ? tightest : 1e-3);
  fflush(stdout);
  error_against_nodes();
  fflush(stdout);
  lazy();
  return 0;
}
