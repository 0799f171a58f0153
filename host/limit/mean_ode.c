#include "limit/mean_ode.h"

#include "core/memory.h"
#include "core/nearest.h"
#include "limit/closure.h"
#include "limit/collocation.h"
#include "limit/ensemble.h"
#include "limit/parallel.h"
#include "limit/reduction.h"
#include "limit/trajectory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  PILOT_PARTICLES = 512,
  FIRST_PARTICLES = 1024,
  LEAST_PARTICLES = 64,
  LEAST_COARSE = 256,
  RANDOMISATIONS = 8,
  LARGEST_GROWTH = 64,
  MOST_NODES = 32
};
static const double single_precision_tolerance = 2e-5; /* rounding of single precision stays well below this */
static const double solver_share = 0.01;               /* of the tolerance, for the collocation equations */
static const double depth_share = 0.3;                 /* of the tolerance, for the depth scheme */
static const double fastest_slope = 0.6;               /* error ~ particles^-slope, assumed when choosing sizes */

/* One discretisation: randomisations of an ensemble on the same nodes. */
typedef struct design {
  size_t nodes, particles, randomisations;
  mno_precision precision;
  int shared; /* one set of particles for all nodes: no cancellation of sampling errors, but smooth in the nodes */
  double tolerance;
} design;

typedef struct solution {
  const mno_problem *problem;
  const mno_limit_options *options;
  const mno_reduction *reduction;
  design design;
  mno_collocation method;
  mno_trajectory *trajectory; /* [randomisations] */
  mno_status *status;         /* [randomisations] */
  mno_error *error;           /* [randomisations] */
  double seconds;
} solution;

static void solution_free(solution *s) {
  for (size_t i = 0; s->trajectory && i < s->design.randomisations; i++) mno_trajectory_free(&s->trajectory[i]);
  free(s->trajectory);
  free(s->status);
  free(s->error);
  mno_collocation_free(&s->method);
  s->trajectory = NULL;
  s->status = NULL;
  s->error = NULL;
}

static size_t coarse_particles(size_t r, size_t particles) {
  size_t wanted = particles / (r < 8 ? 32 : 4 * r), coarse = LEAST_COARSE;
  while (2 * coarse <= wanted) coarse *= 2;
  return coarse;
}

static size_t bytes_per_worker(const mno_problem *problem, size_t r, const design *d) {
  size_t fields = (problem->K + 1) * d->nodes * problem->N * r * 2 * sizeof(double);
  return mno_ensemble_bytes(r, d->nodes, d->particles, d->precision) +
         mno_ensemble_bytes(r, d->nodes, coarse_particles(r, d->particles), MNO_F64) + fields;
}

static void randomise(void *context, size_t index, int worker) {
  (void)worker;
  solution *s = context;
  const design *d = &s->design;
  mno_error *err = &s->error[index];
  mno_ensemble fine = {0}, coarse = {0};
  size_t r = s->reduction->r, small = coarse_particles(r, d->particles);
  int two = d->particles >= 4 * small;
  mno_status status = mno_ensemble_new(s->problem, r, d->nodes, d->particles, d->precision, 1, &fine, err);
  if (status == MNO_OK)
    status = mno_ensemble_draw(&fine, s->reduction, d->particles, d->shared, s->options->seed, (uint32_t)index, err);
  if (status == MNO_OK && two) status = mno_ensemble_new(s->problem, r, d->nodes, small, MNO_F64, 1, &coarse, err);
  if (status == MNO_OK && two)
    status = mno_ensemble_draw(&coarse, s->reduction, small, d->shared, s->options->seed, (uint32_t)index, err);
  mno_system system = {s->problem, s->reduction, &s->method, d->tolerance, s->options->stop};
  if (status == MNO_OK) status = mno_trajectory_particles(&system, &fine, two ? &coarse : NULL, &s->trajectory[index], err);
  mno_ensemble_free(&fine);
  mno_ensemble_free(&coarse);
  s->status[index] = status;
}

static mno_status compute(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                          design d, solution *s, mno_error *err) {
  double start = mno_now();
  *s = (solution){.problem = problem, .options = options, .reduction = reduction, .design = d};
  s->trajectory = mno_alloc(d.randomisations, sizeof *s->trajectory);
  s->status = mno_alloc(d.randomisations, sizeof *s->status);
  s->error = mno_alloc(d.randomisations, sizeof *s->error);
  mno_status status = mno_collocation_new(&s->method, d.nodes, err);
  if (status == MNO_OK && (!s->trajectory || !s->status || !s->error))
    status = mno_fail_memory(err, d.randomisations * sizeof(mno_error), "the randomisations");
  for (size_t i = 0; status == MNO_OK && i < d.randomisations; i++)
    status = mno_trajectory_new(problem, reduction->r, d.nodes, &s->trajectory[i], err);
  if (status == MNO_OK) {
    size_t memory = options->memory > 0 ? (size_t)options->memory : mno_memory_available() / 10 * 8;
    size_t workers = memory / (bytes_per_worker(problem, reduction->r, &d) + 1);
    int threads = options->threads > 0 ? options->threads : mno_core_count();
    if ((size_t)threads > workers) threads = workers > 0 ? (int)workers : 1;
    mno_parallel(threads, d.randomisations, randomise, s);
    for (size_t i = 0; status == MNO_OK && i < d.randomisations; i++)
      if (s->status[i] != MNO_OK) {
        status = s->status[i];
        if (err) *err = s->error[i];
      }
  }
  s->seconds = mno_now() - start;
  if (status != MNO_OK) solution_free(s);
  return status;
}

/* Mean over randomisations of values [randomisations] at one place. */
static double mean_of(const double *const *value, size_t randomisations, size_t e) {
  double sum = 0;
  for (size_t i = 0; i < randomisations; i++) sum += value[i][e];
  return sum / (double)randomisations;
}

/* Standard error of that mean. */
static double stderr_of(const double *const *value, size_t randomisations, size_t e, double mean) {
  double sum = 0;
  for (size_t i = 0; i < randomisations; i++) sum += (value[i][e] - mean) * (value[i][e] - mean);
  return sqrt(sum / (double)(randomisations * (randomisations - 1)));
}

/* Relative RMS over each step of x [K+1][n]: error [K+1] = RMS of x / RMS of y. */
static void relative(size_t steps, size_t n, const double *x, const double *y, double *error) {
  for (size_t k = 0; k < steps; k++) {
    double above = 0, below = 0;
    for (size_t e = k * n; e < (k + 1) * n; e++) {
      above += x[e] * x[e];
      below += y[e] * y[e];
    }
    error[k] = above == 0 ? 0 : sqrt(above / below);
  }
}

static int64_t first_failure(const solution *s) {
  int64_t first = -1;
  for (size_t i = 0; i < s->design.randomisations; i++) {
    int64_t failed = s->trajectory[i].failed;
    if (failed >= 0 && (first < 0 || failed < first)) first = failed;
  }
  return first;
}

/* The limit as the mean over randomisations; errors are those of sampling alone. */
static mno_status average(const solution *s, mno_limit **limit, mno_error *err) {
  const mno_problem *problem = s->problem;
  const mno_reduction *reduction = s->reduction;
  size_t R = s->design.randomisations, K = problem->K, N = problem->N, D = problem->D, r = reduction->r, m = s->design.nodes,
         d_out = problem->d_out, field = N * r, f = N * d_out;
  mno_status status = mno_limit_new(problem, m, limit, err);
  if (status != MNO_OK) return status;
  mno_limit *out = *limit;
  const double **at = mno_alloc(4 * R, sizeof *at), **b = at + R, **h1 = b + R, **output = h1 + R;
  double *outputs = mno_alloc(R * (K + 1) * f, sizeof(double)), *mean = mno_alloc(field, sizeof(double)),
         *spread = mno_alloc((K + 1) * N * D, sizeof(double));
  if (!at || !outputs || !mean || !spread) {
    status = mno_fail_memory(err, (R * (K + 1) * f + (K + 1) * N * D) * sizeof(double), "averages over randomisations");
    mno_limit_free(out);
    *limit = NULL;
  } else {
    for (size_t i = 0; i < R; i++) {
      at[i] = s->trajectory[i].h;
      b[i] = s->trajectory[i].b;
      h1[i] = s->trajectory[i].h1;
      output[i] = outputs + i * (K + 1) * f;
      for (size_t k = 0; k <= K; k++)
        mno_reduction_output(problem, reduction, h1[i] + k * field, outputs + (i * (K + 1) + k) * f, NULL);
    }
    memcpy(out->depth, s->method.c, m * sizeof(double));
    out->diverged = first_failure(s);
    out->degrees = (int64_t)R - 1;
    for (size_t k = 0; k <= K; k++) {
      for (size_t j = 0; j < m; j++) {
        size_t place = k * m + j;
        for (size_t e = 0; e < field; e++) mean[e] = mean_of(at, R, place * field + e);
        mno_reduction_expand(reduction, N, D, mean, out->state + place * N * D);
        for (size_t e = 0; e < field; e++) mean[e] = mean_of(b, R, place * field + e);
        mno_reduction_expand(reduction, N, D, mean, out->adjoint + place * N * D);
      }
      for (size_t e = 0; e < field; e++) {
        mean[e] = mean_of(h1, R, k * field + e);
        spread[k * field + e] = stderr_of(h1, R, k * field + e, mean[e]);
      }
      mno_reduction_expand(reduction, N, D, mean, out->embedding + k * N * D);
      out->loss[k] = mno_reduction_output(problem, reduction, mean, out->output + k * f, NULL);
      for (size_t e = k * f; e < (k + 1) * f; e++) out->output_stderr[e] = stderr_of(output, R, e, mean_of(output, R, e));
    }
    relative(K + 1, f, out->output_stderr, out->output, out->output_error);
    /* Norms are the same in the reduced coordinates. */
    for (size_t k = 0; k <= K; k++) {
      double above = 0, below = 0;
      for (size_t e = 0; e < field; e++) above += spread[k * field + e] * spread[k * field + e];
      for (size_t e = 0; e < N * D; e++) below += out->embedding[k * N * D + e] * out->embedding[k * N * D + e];
      out->embedding_error[k] = above == 0 ? 0 : sqrt(above / below);
    }
  }
  free(at);
  free(outputs);
  free(mean);
  free(spread);
  return status;
}

/* Largest finite entry. */
static double largest(const double *x, size_t n) {
  double most = 0;
  for (size_t i = 0; i < n; i++)
    if (x[i] > most) most = x[i];
  return most;
}

/* What the depth scheme costs: relative RMS of the output and of the embedding at every step. */
typedef struct depth_error {
  size_t nodes;
  double *output, *embedding; /* [K+1] */
} depth_error;

static void compare_depth(const solution *coarse, const solution *fine, depth_error *error) {
  const mno_problem *problem = coarse->problem;
  size_t K = problem->K, field = problem->N * coarse->reduction->r, f = problem->N * problem->d_out;
  double *output = mno_alloc(2 * f, sizeof(double));
  for (size_t k = 0; k <= K && output; k++) {
    const double *x = coarse->trajectory[0].h1 + k * field, *y = fine->trajectory[0].h1 + k * field;
    mno_reduction_output(problem, coarse->reduction, x, output, NULL);
    mno_reduction_output(problem, coarse->reduction, y, output + f, NULL);
    double above = 0, below = 0;
    for (size_t e = 0; e < f; e++) {
      above += (output[e] - output[f + e]) * (output[e] - output[f + e]);
      below += output[f + e] * output[f + e];
    }
    error->output[k] = above == 0 ? 0 : sqrt(above / below);
    above = below = 0;
    for (size_t e = 0; e < field; e++) {
      above += (x[e] - y[e]) * (x[e] - y[e]);
      below += y[e] * y[e];
    }
    error->embedding[k] = above == 0 ? 0 : sqrt(above / below);
  }
  free(output);
}

/* Finds the least number of nodes whose depth error, as seen on a small ensemble common to all nodes, is below target; or
 * the error of the number asked for. */
static mno_status choose_depth(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                               double target, depth_error *error, mno_error *err) {
  static const size_t candidates[] = {3, 4, 5, 6, 8, 10, 12, 16, 20, 24, MOST_NODES};
  design d = {.particles = PILOT_PARTICLES, .randomisations = 1, .precision = MNO_F64, .shared = 1, .tolerance = 1e-10};
  solution now, finer;
  size_t next = 0;
  d.nodes = options->nodes > 0 ? (size_t)options->nodes : candidates[0];
  mno_status status = compute(problem, options, reduction, d, &now, err);
  while (status == MNO_OK) {
    if (options->nodes > 0)
      d.nodes = (size_t)options->nodes + 2;
    else
      d.nodes = candidates[++next];
    status = compute(problem, options, reduction, d, &finer, err);
    if (status != MNO_OK) break;
    compare_depth(&now, &finer, error);
    error->nodes = now.design.nodes;
    solution_free(&now);
    now = finer;
    if (options->nodes > 0 || largest(error->output, problem->K + 1) <= target || d.nodes == MOST_NODES) {
      solution_free(&now);
      return MNO_OK;
    }
  }
  if (now.trajectory) solution_free(&now);
  return status;
}

/* Combines sampling and depth errors in quadrature. */
static void add_depth_error(mno_limit *limit, const depth_error *error) {
  size_t f = limit->N * limit->d_out;
  for (size_t k = 0; k <= limit->K; k++) {
    double size = 0;
    for (size_t e = k * f; e < (k + 1) * f; e++) size += limit->output[e] * limit->output[e];
    double depth = error->output[k] * sqrt(size / (double)f); /* absolute RMS, spread evenly over the outputs */
    for (size_t e = k * f; e < (k + 1) * f; e++) limit->output_stderr[e] = hypot(limit->output_stderr[e], depth);
    limit->output_error[k] = hypot(limit->output_error[k], error->output[k]);
    limit->embedding_error[k] = hypot(limit->embedding_error[k], error->embedding[k]);
  }
}

static size_t power_of_two(double x) {
  size_t p = LEAST_PARTICLES;
  while ((double)p < x && p < (size_t)1 << 31) p *= 2;
  return p;
}

static mno_status sample(const mno_problem *problem, const mno_limit_options *options, int full, mno_limit **limit,
                         mno_error *err) {
  double start = mno_now(), tolerance = options->tolerance;
  mno_reduction reduction;
  depth_error depth = {0};
  mno_status status = mno_reduction_new(problem, full, &reduction, err);
  if (status != MNO_OK) return status;
  depth.output = mno_alloc(2 * (problem->K + 1), sizeof(double));
  if (!depth.output)
    status = mno_fail_memory(err, 2 * (problem->K + 1) * sizeof(double), "error estimates");
  else
    depth.embedding = depth.output + problem->K + 1;
  if (status == MNO_OK) status = choose_depth(problem, options, &reduction, depth_share * tolerance, &depth, err);

  design d = {.nodes = depth.nodes,
              .particles = options->particles > 0 ? power_of_two((double)options->particles) : FIRST_PARTICLES,
              .randomisations = options->randomisations > 0 ? (size_t)options->randomisations : RANDOMISATIONS,
              .precision = tolerance >= single_precision_tolerance ? MNO_F32 : MNO_F64,
              .tolerance = fmax(solver_share * tolerance, 1e-10)};
  const char *ended = "";
  while (status == MNO_OK) {
    solution s;
    mno_limit_free(*limit);
    *limit = NULL;
    status = compute(problem, options, &reduction, d, &s, err);
    if (status != MNO_OK) break;
    status = average(&s, limit, err);
    double seconds = s.seconds;
    solution_free(&s);
    if (status != MNO_OK) break;
    mno_limit *out = *limit;
    double sampling = largest(out->output_error, problem->K + 1);
    add_depth_error(out, &depth);
    out->certified = out->diverged < 0 && out->degrees > 0;
    for (size_t k = 0; k <= problem->K; k++)
      if (!(out->output_error[k] <= tolerance)) out->certified = 0;
    if (out->certified || options->particles > 0) break;
    double worst = largest(depth.output, problem->K + 1), room = tolerance * tolerance - worst * worst;
    if (!(room > 0)) {
      ended = "; the depth scheme cannot reach the tolerance";
      break;
    }
    double growth = pow(1.2 * sampling / sqrt(room), 1 / fastest_slope);
    size_t wanted = power_of_two((double)d.particles * fmin(fmax(growth, 2), LARGEST_GROWTH)), before = d.particles;
    double left = options->seconds > 0 ? options->seconds - (mno_now() - start) : INFINITY;
    size_t memory = options->memory > 0 ? (size_t)options->memory : mno_memory_available() / 10 * 8;
    d.particles = wanted;
    while (d.particles > before &&
           (seconds * (double)d.particles / (double)before > left || bytes_per_worker(problem, reduction.r, &d) > memory))
      d.particles /= 2;
    if (d.particles <= before) {
      ended = seconds * 2 > left ? "; stopped at the time budget" : "; stopped at the memory budget";
      break;
    }
  }
  if (status == MNO_OK) {
    snprintf((*limit)->method, sizeof(*limit)->method, full ? "sobol-full" : "sobol");
    snprintf((*limit)->parameters, sizeof(*limit)->parameters,
             "particles %zu, nodes %zu, randomisations %zu, dimension %zu, %s%s", d.particles, d.nodes, d.randomisations,
             2 * reduction.r, mno_precision_name(d.precision), ended);
  } else {
    mno_limit_free(*limit);
    *limit = NULL;
  }
  free(depth.output);
  mno_reduction_free(&reduction);
  return status;
}

/* Identity activation: nothing to sample. */
static mno_status close_moments(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit,
                                mno_error *err) {
  mno_reduction reduction;
  mno_status status = mno_reduction_new(problem, 0, &reduction, err);
  if (status != MNO_OK) return status;
  solution pair[2] = {{0}}; /* two numbers of nodes: the difference bounds the error of the larger */
  depth_error depth = {.output = mno_alloc(2 * (problem->K + 1), sizeof(double))};
  if (!depth.output)
    status = mno_fail_memory(err, 2 * (problem->K + 1) * sizeof(double), "error estimates");
  else
    depth.embedding = depth.output + problem->K + 1;
  for (int i = 0; i < 2 && status == MNO_OK; i++) {
    solution *s = &pair[i];
    *s = (solution){.problem = problem, .options = options, .reduction = &reduction};
    s->design = (design){.nodes = options->nodes > 0 ? (size_t)options->nodes : 16, .randomisations = 1};
    if (i == 0) s->design.nodes = s->design.nodes > 4 ? s->design.nodes - 4 : s->design.nodes / 2 + 1;
    s->trajectory = mno_alloc(1, sizeof *s->trajectory);
    if (!s->trajectory) status = mno_fail_memory(err, sizeof *s->trajectory, "the moment closure");
    if (status == MNO_OK) status = mno_collocation_new(&s->method, s->design.nodes, err);
    if (status == MNO_OK) status = mno_trajectory_new(problem, reduction.r, s->design.nodes, s->trajectory, err);
    mno_system system = {problem, &reduction, &s->method, 1e-10, options->stop};
    if (status == MNO_OK) status = mno_trajectory_closure(&system, s->trajectory, err);
  }
  if (status == MNO_OK) status = average(&pair[1], limit, err);
  if (status == MNO_OK) {
    mno_limit *out = *limit;
    compare_depth(&pair[0], &pair[1], &depth);
    for (size_t e = 0; e < (problem->K + 1) * problem->N * problem->d_out; e++) out->output_stderr[e] = 0;
    for (size_t k = 0; k <= problem->K; k++) out->output_error[k] = out->embedding_error[k] = 0;
    add_depth_error(out, &depth);
    out->certified = out->diverged < 0 && largest(out->output_error, problem->K + 1) <= options->tolerance;
    snprintf(out->method, sizeof out->method, "closure");
    snprintf(out->parameters, sizeof out->parameters, "nodes %zu, dimension %zu", out->nodes, reduction.r);
  }
  for (int i = 0; i < 2; i++) solution_free(&pair[i]);
  free(depth.output);
  mno_reduction_free(&reduction);
  return status;
}

mno_status mno_mean_ode_solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit,
                              mno_error *err) {
  static const char *const methods[] = {"auto", "closure", "sobol", "sobol-full"};
  const char *method = options->method ? options->method : "auto";
  if (strcmp(method, "closure") == 0 && problem->activation != MNO_IDENTITY)
    return mno_fail(err, MNO_ERR_INPUT, "limit method closure needs activation identity, not %s",
                    mno_activation_name(problem->activation));
  if (strcmp(method, "closure") == 0 || (strcmp(method, "auto") == 0 && problem->activation == MNO_IDENTITY))
    return close_moments(problem, options, limit, err);
  if (strcmp(method, "auto") == 0 || strcmp(method, "sobol") == 0) return sample(problem, options, 0, limit, err);
  if (strcmp(method, "sobol-full") == 0) return sample(problem, options, 1, limit, err);
  const char *nearest = mno_nearest(method, methods, sizeof methods / sizeof *methods);
  return mno_fail(err, MNO_ERR_INPUT, "unknown limit method \"%s\"%s%s%s", method, nearest ? "; did you mean \"" : "",
                  nearest ? nearest : "", nearest ? "\"?" : "");
}
