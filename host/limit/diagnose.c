/* SPDX-License-Identifier: BSD-3-Clause */
#include "meanode/diagnose.h"

#include "block/block.h"
#include "core/memory.h"
#include "limit/collocation.h"
#include "math/vectors.h"
#include "readout/readout.h"
#include "reference/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A network that is trained again, and beside it its initial units, the coupled ones and the limit that drives them. */
typedef struct network {
  mno_reference own;
  size_t tensors, weights;     /* weights: [tensors][L][M][D] */
  double *initial;             /* [weights] */
  mno_reference_units coupled; /* or NULL, as what follows */
  double *h, *b;               /* the limit at layer depths, [L+1][N][D] */
} network;

static size_t field_of(const network *n) { return n->own.problem->N * n->own.problem->D; }

static double rms_difference(const double *x, const double *y, size_t n) {
  double sum = 0;
  for (size_t e = 0; e < n; e++) sum += (x[e] - (y ? y[e] : 0)) * (x[e] - (y ? y[e] : 0));
  return sqrt(sum / (double)n);
}

static void measure_coupling(const network *n, double *coupling, double *decorrelation) {
  size_t D = n->own.problem->D, units = n->own.L * n->own.M;
  double own = 0, total = 0;
  for (size_t t = 0; t < n->tensors; t++)
    for (size_t a = 0; a < D; a++) {
      const double *trained = n->own.units.w + t * units * D + a, *coupled = n->coupled.w + t * units * D + a;
      double sum = 0;
      for (size_t g = 0; g < units; g++) {
        double d = trained[g * D] - coupled[g * D];
        sum += d;
        own += d * d;
      }
      total += sum * sum;
    }
  *coupling = sqrt(own / (double)n->weights);
  *decorrelation = units > 1 ? (total - own) / ((double)units * (double)(units - 1) * (double)(n->tensors * D)) : NAN;
}

/* How far projections on the states have moved: RMS over layers, inputs, units and samples. */
static double projections_moved(const network *n) {
  size_t D = n->own.problem->D, L = n->own.L, M = n->own.M, N = n->own.problem->N, inputs = n->tensors - 1;
  double sum = 0;
  for (size_t l = 0; l < L; l++)
    for (size_t t = 0; t < inputs; t++)
      for (size_t j = 0; j < M; j++)
        for (size_t i = 0; i < N; i++) {
          const double *h = n->own.h + (l * N + i) * D;
          size_t unit = ((t * L + l) * M + j) * D;
          double p = (mno_dot(n->own.units.w + unit, h, D) - mno_dot(n->initial + unit, h, D)) / (double)D;
          sum += p * p;
        }
  return sqrt(sum / (double)(L * M * inputs * N));
}

static void measure_features(const network *n, double *noise, double *feature, double *movement, double *work) {
  size_t field = field_of(n), tensor = n->weights / n->tensors;
  memset(work, 0, field * sizeof(double));
  for (size_t l = 0; l < n->own.L; l++) mno_reference_branch(&n->own, n->initial, l, n->own.h + l * field, work);
  *noise = rms_difference(work, NULL, field);
  *feature = projections_moved(n);
  *movement = 0;
  for (size_t t = 0; t < n->tensors; t++)
    *movement = hypot(*movement, rms_difference(n->own.units.w + t * tensor, n->initial + t * tensor, tensor));
  *movement *= sqrt(1 / (double)n->tensors);
}

/* x [L+1][N][D] at depths of the path grid, linear between layers. */
static void sample_path(const network *n, const double *x, double *out) {
  size_t field = field_of(n), L = n->own.L;
  for (size_t g = 0; g < MNO_PATH_POINTS; g++) {
    double place = (double)g / (MNO_PATH_POINTS - 1) * (double)L;
    size_t below = place >= (double)L ? L - 1 : (size_t)place;
    double part = place - (double)below;
    for (size_t e = 0; e < field; e++)
      out[g * field + e] = (1 - part) * x[below * field + e] + part * x[(below + 1) * field + e];
  }
}

static double path_error(const network *n, const double *x, const double *limit) {
  size_t field = field_of(n), L = n->own.L;
  double worst = 0;
  for (size_t l = 0; l <= L; l++) {
    double error = rms_difference(x + l * field, limit + l * field, field);
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

/* The fields of a limit at one step, and what they are at both ends. */
typedef struct step_fields {
  mno_collocation method;
  const double *state, *adjoint; /* [nodes][N][D] */
  size_t field;                  /* N D */
  double *h0, *b1, *weight;      /* [N][D] h(0) = W_E x and b(1) = W_U dloss/df, [nodes + 1] */
} step_fields;

static mno_status step_fields_new(const mno_problem *problem, const mno_limit *limit, size_t step, step_fields *of,
                                  mno_error *err) {
  size_t field = problem->N * problem->D, f = problem->N * problem->d_out, m = limit->nodes;
  size_t count = 2 * field + m + 1 + f;
  *of = (step_fields){.method = {.m = m, .c = limit->depth},
                      .state = limit->state + step * m * field,
                      .adjoint = limit->adjoint + step * m * field,
                      .field = field,
                      .h0 = mno_alloc(count, sizeof(double))};
  if (!of->h0) return mno_fail_memory(err, count * sizeof(double), "fields of the limit");
  of->b1 = of->h0 + field;
  of->weight = of->b1 + field;
  double *gradient = of->weight + m + 1;
  mno_readout_embed(problem, of->h0);
  mno_loss_value(problem->loss, problem->N, problem->d_out, limit->output + step * f, problem->y, gradient);
  mno_readout_adjoint(problem, problem->D, problem->w_unembed, gradient, of->b1);
  return MNO_OK;
}

static void interpolate(const step_fields *of, int end, double s, const double *at_nodes, double *out) {
  const double *at_end = end ? of->b1 : of->h0;
  mno_collocation_weights(&of->method, end, s, of->weight);
  for (size_t e = 0; e < of->field; e++) out[e] = of->weight[0] * at_end[e];
  for (size_t j = 0; j < of->method.m; j++) mno_add(out, of->weight[1 + j], at_nodes + j * of->field, of->field);
}

mno_status mno_limit_fields(const mno_problem *problem, const mno_limit *limit, size_t step, double s, double *h, double *b,
                            mno_error *err) {
  if (limit->nodes == 0) return mno_fail(err, MNO_ERR_INPUT, "limit %s has no fields", mno_limit_kind_name(limit->kind));
  step_fields of;
  mno_status status = step_fields_new(problem, limit, step, &of, err);
  if (status != MNO_OK) return status;
  if (h) interpolate(&of, 0, s, of.state, h);
  if (b) interpolate(&of, 1, s, of.adjoint, b);
  free(of.h0);
  return MNO_OK;
}

/* Fields at depths l/L, l = 0..L: h, b [L+1][N][D]. */
static mno_status fields_at_layers(const mno_problem *problem, const mno_limit *limit, size_t step, const network *n,
                                   mno_error *err) {
  step_fields of;
  mno_status status = step_fields_new(problem, limit, step, &of, err);
  if (status != MNO_OK) return status;
  for (size_t l = 0; l <= n->own.L; l++) {
    double s = (double)l / (double)n->own.L;
    interpolate(&of, 0, s, of.state, n->h + l * of.field);
    interpolate(&of, 1, s, of.adjoint, n->b + l * of.field);
  }
  free(of.h0);
  return MNO_OK;
}

static void measure(const mno_plan *plan, const network *n, size_t s, double *work, mno_record *record) {
  size_t path = MNO_PATH_POINTS * field_of(n);
  if (plan->recording.coupling && n->h) measure_coupling(n, &record->coupling[s], &record->decorrelation[s]);
  if (plan->recording.path) {
    sample_path(n, n->own.h, record->path_forward + s * path);
    sample_path(n, n->own.b, record->path_backward + s * path);
    if (n->h) {
      record->path_error_forward[s] = path_error(n, n->own.h, n->h);
      record->path_error_backward[s] = path_error(n, n->own.b, n->b);
    }
  }
  if (plan->recording.features)
    measure_features(n, &record->init_noise[s], &record->feature_update[s], &record->parameter_movement[s], work);
}

/* Numbers of a network in training, its coupled units and the fields of the limit (compare) among them, and work space. */
static size_t numbers(const mno_problem *problem, size_t L, size_t M, int compare) {
  size_t field = problem->N * problem->D, coupled = mno_reference_unit_numbers(problem, L, M) + 2 * (L + 1) * field;
  return mno_reference_numbers(problem, L, M) + mno_reference_weights(problem, L, M) + (compare ? coupled : 0) + field;
}

size_t mno_diagnose_bytes(const mno_plan *plan, size_t row) {
  const mno_instance *instance = &plan->instance[row];
  if (!mno_recording_diagnoses(&plan->recording)) return 0;
  return numbers(&plan->problem[instance->problem], (size_t)instance->L, (size_t)instance->M, 1) * sizeof(double);
}

mno_status mno_diagnose(const mno_plan *plan, const mno_limit *limit, mno_record *record, mno_error *err) {
  if (!mno_recording_diagnoses(&plan->recording)) return MNO_OK;
  const mno_instance *instance = &plan->instance[record->row];
  const mno_problem *problem = &plan->problem[instance->problem];
  size_t L = (size_t)instance->L, M = (size_t)instance->M, fields = (L + 1) * problem->N * problem->D;
  int compare = limit && limit->nodes > 0;
  size_t count = numbers(problem, L, M, compare);
  double *block = mno_alloc(count, sizeof(double));
  if (!block) return mno_fail_memory(err, count * sizeof(double), "the diagnostics of a network");
  network n = {.own = mno_reference_place(problem, L, M, block),
               .tensors = problem->block->tensors,
               .weights = mno_reference_weights(problem, L, M),
               .initial = block + mno_reference_numbers(problem, L, M)};
  double *work = n.initial + n.weights;
  mno_reference_draw(problem, instance, n.initial);
  memcpy(n.own.units.w, n.initial, n.weights * sizeof(double));
  if (compare) {
    n.coupled = mno_reference_place_units(problem, L, M, work);
    n.h = work + mno_reference_unit_numbers(problem, L, M);
    n.b = n.h + fields;
    work = n.b + fields;
    memcpy(n.coupled.w, n.initial, n.weights * sizeof(double));
  }
  mno_status status = MNO_OK;
  size_t last = plan->step_count ? (size_t)plan->step[plan->step_count - 1] : 0;
  for (size_t k = 0, s = 0; k <= last && s < plan->step_count; k++) {
    if (!isfinite(mno_reference_forward(&n.own))) break; /* the rest stays NaN */
    mno_reference_backward(&n.own);
    if (compare) status = fields_at_layers(problem, limit, k, &n, err);
    if (status != MNO_OK) break;
    if ((size_t)plan->step[s] == k) measure(plan, &n, s++, work, record);
    if (k == last) break;
    mno_reference_update(&n.own, k, n.own.h, n.own.b, n.own.units);
    if (compare) mno_reference_update(&n.own, k, n.h, n.b, n.coupled);
  }
  free(block);
  return status;
}
