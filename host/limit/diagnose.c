#include "meanode/diagnose.h"

#include "core/memory.h"
#include "limit/collocation.h"
#include "meanode/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The trainer: layer l = 1..L has units u, v [M][D] at (l - 1) M D. */
typedef struct network {
  const mno_problem *problem;
  const mno_instance *instance;
  size_t L, M, N, D, units; /* units = L M D */
  double *u, *v, *u0, *v0;  /* [L][M][D]; u0, v0 initial */
  double *cu, *cv;          /* coupled, or NULL */
  double *h, *b;            /* [L+1][N][D] */
  double *lh, *lb;          /* the limit at layer depths, [L+1][N][D]; or NULL */
} network;

static double dot(const double *x, const double *y, size_t n) {
  double sum = 0;
  for (size_t a = 0; a < n; a++) sum += x[a] * y[a];
  return sum;
}

static void add(double *x, double factor, const double *y, size_t n) {
  for (size_t a = 0; a < n; a++) x[a] += factor * y[a];
}

static double rho(const network *n, int order, double p) {
  return mno_activation_derivative(n->problem->activation, order, p);
}

/* target [N][D] += alpha/(L M) sum_j v rho(<u, h>/D) of one layer. */
static void residual(const network *n, const double *u, const double *v, const double *h, double *target) {
  double scale = n->problem->alpha / ((double)n->L * (double)n->M);
  for (size_t i = 0; i < n->N; i++)
    for (size_t j = 0; j < n->M; j++) {
      double p = dot(u + j * n->D, h + i * n->D, n->D) / (double)n->D;
      add(target + i * n->D, scale * rho(n, 0, p), v + j * n->D, n->D);
    }
}

static double forward(network *n, double *f) {
  const mno_problem *problem = n->problem;
  size_t field = n->N * n->D;
  for (size_t i = 0; i < n->N; i++)
    for (size_t a = 0; a < n->D; a++)
      n->h[i * n->D + a] = dot(problem->w_embed + a * problem->d_in, problem->x + i * problem->d_in, problem->d_in);
  for (size_t l = 0; l < n->L; l++) {
    memcpy(n->h + (l + 1) * field, n->h + l * field, field * sizeof(double));
    residual(n, n->u + l * n->M * n->D, n->v + l * n->M * n->D, n->h + l * field, n->h + (l + 1) * field);
  }
  for (size_t i = 0; i < n->N; i++)
    for (size_t o = 0; o < problem->d_out; o++) {
      f[i * problem->d_out + o] = 0;
      for (size_t a = 0; a < n->D; a++)
        f[i * problem->d_out + o] +=
            problem->w_unembed[a * problem->d_out + o] * n->h[n->L * field + i * n->D + a] / (double)n->D;
    }
  return mno_loss_value(problem->loss, n->N, problem->d_out, f, problem->y, NULL);
}

/* b at depth 1 of outputs f. gradient: [N][d_out] */
static void last_adjoint(const mno_problem *problem, const double *f, double *gradient, double *b) {
  mno_loss_value(problem->loss, problem->N, problem->d_out, f, problem->y, gradient);
  for (size_t i = 0; i < problem->N; i++)
    for (size_t a = 0; a < problem->D; a++)
      b[i * problem->D + a] = dot(problem->w_unembed + a * problem->d_out, gradient + i * problem->d_out, problem->d_out);
}

static void backward(network *n) {
  size_t field = n->N * n->D;
  double scale = n->problem->alpha / ((double)n->L * (double)n->M), D = (double)n->D;
  for (size_t l = n->L; l-- > 0;) {
    double *b = n->b + l * field;
    const double *above = b + field, *h = n->h + l * field, *u = n->u + l * n->M * n->D, *v = n->v + l * n->M * n->D;
    memcpy(b, above, field * sizeof(double));
    for (size_t i = 0; i < n->N; i++)
      for (size_t j = 0; j < n->M; j++) {
        double p = dot(u + j * n->D, h + i * n->D, n->D) / D, q = dot(v + j * n->D, above + i * n->D, n->D) / D;
        add(b + i * n->D, scale * rho(n, 1, p) * q, u + j * n->D, n->D);
      }
  }
}

/* One gradient step of the units of every layer driven by h of the layer below and b of the layer. */
static void update(const network *n, const double *h, const double *b, double *u, double *v, double *du /* [2][D] */) {
  const mno_problem *problem = n->problem;
  size_t D = n->D;
  double *dv = du + D;
  for (size_t l = 0; l < n->L; l++)
    for (size_t j = 0; j < n->M; j++) {
      double *uj = u + (l * n->M + j) * D, *vj = v + (l * n->M + j) * D;
      memset(du, 0, 2 * D * sizeof(double));
      for (size_t i = 0; i < n->N; i++) {
        const double *hi = h + (l * n->N + i) * D, *bi = b + ((l + 1) * n->N + i) * D;
        double p = dot(uj, hi, D) / (double)D, q = dot(vj, bi, D) / (double)D;
        add(du, -problem->eta[MNO_U] / problem->alpha * rho(n, 1, p) * q, hi, D);
        add(dv, -problem->eta[MNO_V] / problem->alpha * rho(n, 0, p), bi, D);
      }
      add(uj, 1, du, D);
      add(vj, 1, dv, D);
    }
}

static double rms_difference(const double *x, const double *y, size_t n) {
  double sum = 0;
  for (size_t e = 0; e < n; e++) sum += (x[e] - (y ? y[e] : 0)) * (x[e] - (y ? y[e] : 0));
  return sqrt(sum / (double)n);
}

static void measure_coupling(const network *n, double *coupling, double *decorrelation) {
  size_t D = n->D, units = n->L * n->M;
  double own = 0, total = 0;
  for (size_t a = 0; a < 2 * D; a++) {
    double sum = 0;
    for (size_t g = 0; g < units; g++) {
      double d = a < D ? n->u[g * D + a] - n->cu[g * D + a] : n->v[g * D + a - D] - n->cv[g * D + a - D];
      sum += d;
      own += d * d;
    }
    total += sum * sum;
  }
  *coupling = sqrt(own / (double)(2 * D * units));
  *decorrelation = units > 1 ? (total - own) / ((double)units * (double)(units - 1) * (double)(2 * D)) : NAN;
}

static void measure_features(const network *n, double *noise, double *feature, double *movement, double *work) {
  size_t field = n->N * n->D, count = n->L * n->M;
  double sum = 0;
  memset(work, 0, field * sizeof(double));
  for (size_t l = 0; l < n->L; l++) {
    residual(n, n->u0 + l * n->M * n->D, n->v0 + l * n->M * n->D, n->h + l * field, work);
    for (size_t j = l * n->M; j < (l + 1) * n->M; j++)
      for (size_t i = 0; i < n->N; i++) {
        const double *h = n->h + l * field + i * n->D;
        double p = (dot(n->u + j * n->D, h, n->D) - dot(n->u0 + j * n->D, h, n->D)) / (double)n->D;
        sum += p * p;
      }
  }
  *noise = rms_difference(work, NULL, field);
  *feature = sqrt(sum / (double)(count * n->N));
  *movement = hypot(rms_difference(n->u, n->u0, n->units), rms_difference(n->v, n->v0, n->units)) * M_SQRT1_2;
}

/* x [L+1][N][D] at depths of the path grid, linear between layers. */
static void sample_path(const network *n, const double *x, double *out) {
  size_t field = n->N * n->D;
  for (size_t g = 0; g < MNO_PATH_POINTS; g++) {
    double place = (double)g / (MNO_PATH_POINTS - 1) * (double)n->L;
    size_t below = place >= (double)n->L ? n->L - 1 : (size_t)place;
    double part = place - (double)below;
    for (size_t e = 0; e < field; e++)
      out[g * field + e] = (1 - part) * x[below * field + e] + part * x[(below + 1) * field + e];
  }
}

static double path_error(const network *n, const double *x, const double *limit) {
  size_t field = n->N * n->D;
  double worst = 0;
  for (size_t l = 0; l <= n->L; l++) {
    double error = rms_difference(x + l * field, limit + l * field, field);
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

/* One end of the fields of a step: h(0) = W_E x or b(1) = W_U dloss/df. */
static mno_status ends(const mno_problem *problem, const mno_limit *limit, size_t step, double *h0, double *b1,
                       mno_error *err) {
  size_t f = problem->N * problem->d_out;
  double *gradient = mno_alloc(f, sizeof(double));
  if (!gradient) return mno_fail_memory(err, f * sizeof(double), "a loss gradient");
  for (size_t i = 0; i < problem->N; i++)
    for (size_t a = 0; a < problem->D; a++)
      h0[i * problem->D + a] = dot(problem->w_embed + a * problem->d_in, problem->x + i * problem->d_in, problem->d_in);
  last_adjoint(problem, limit->output + step * f, gradient, b1);
  free(gradient);
  return MNO_OK;
}

static void interpolate(const mno_collocation *method, int end, double s, size_t field, const double *at_end,
                        const double *at_nodes, double *weight, double *out) {
  mno_collocation_weights(method, end, s, weight);
  for (size_t e = 0; e < field; e++) out[e] = weight[0] * at_end[e];
  for (size_t j = 0; j < method->m; j++) add(out, weight[1 + j], at_nodes + j * field, field);
}

/* Fields at depths l/count, l = 0..count: h, b [count+1][N][D]. */
static mno_status fields_at_layers(const mno_problem *problem, const mno_limit *limit, size_t step, size_t first,
                                   size_t last, size_t count, double s0, double *h, double *b, mno_error *err) {
  size_t field = problem->N * problem->D, m = limit->nodes, place = step * m * field;
  double *work = mno_alloc(2 * field + m + 1, sizeof(double));
  mno_collocation method = {.m = m, .c = limit->depth};
  if (!work) return mno_fail_memory(err, (2 * field + m + 1) * sizeof(double), "fields of the limit");
  double *weight = work + 2 * field;
  mno_status status = ends(problem, limit, step, work, work + field, err);
  for (size_t l = first; status == MNO_OK && l <= last; l++) {
    double s = count ? (double)l / (double)count : s0;
    if (h) interpolate(&method, 0, s, field, work, limit->state + place, weight, h + (l - first) * field);
    if (b) interpolate(&method, 1, s, field, work + field, limit->adjoint + place, weight, b + (l - first) * field);
  }
  free(work);
  return status;
}

mno_status mno_limit_fields(const mno_problem *problem, const mno_limit *limit, size_t step, double s, double *h, double *b,
                            mno_error *err) {
  if (limit->nodes == 0) return mno_fail(err, MNO_ERR_INPUT, "limit %s has no fields", mno_limit_kind_name(limit->kind));
  return fields_at_layers(problem, limit, step, 0, 0, 0, s, h, b, err);
}

static void draw(network *n) {
  const mno_instance *instance = n->instance;
  const mno_problem *problem = n->problem;
  double scale_u = problem->sigma[MNO_U] * sqrt((double)n->D), scale_v = problem->sigma[MNO_V] * sqrt((double)n->D);
  for (size_t l = 0; l < n->L; l++)
    for (size_t j = 0; j < n->M; j++) {
      uint32_t layer = (uint32_t)mno_draw_layer(instance->draw, instance->M, (int64_t)l, (int64_t)j),
               unit = (uint32_t)mno_draw_unit(instance->draw, instance->M, (int64_t)l, (int64_t)j);
      double *u = n->u0 + (l * n->M + j) * n->D, *v = n->v0 + (l * n->M + j) * n->D;
      mno_normals(instance->seed, MNO_TENSOR_U, layer, unit, n->D, u);
      mno_normals(instance->seed, MNO_TENSOR_V, layer, unit, n->D, v);
      for (size_t a = 0; a < n->D; a++) {
        u[a] *= scale_u;
        v[a] *= instance->draw.sign * scale_v;
      }
    }
  memcpy(n->u, n->u0, 2 * n->units * sizeof(double)); /* u, v and u0, v0 are adjacent */
  if (n->cu) memcpy(n->cu, n->u0, 2 * n->units * sizeof(double));
}

static void measure(const mno_plan *plan, const network *n, size_t s, double *work, mno_record *record) {
  size_t field = n->N * n->D;
  if (plan->recording.coupling && n->cu) measure_coupling(n, &record->coupling[s], &record->decorrelation[s]);
  if (plan->recording.path) {
    sample_path(n, n->h, record->path_forward + s * MNO_PATH_POINTS * field);
    sample_path(n, n->b, record->path_backward + s * MNO_PATH_POINTS * field);
    if (n->lh) {
      record->path_error_forward[s] = path_error(n, n->h, n->lh);
      record->path_error_backward[s] = path_error(n, n->b, n->lb);
    }
  }
  if (plan->recording.features)
    measure_features(n, &record->init_noise[s], &record->feature_update[s], &record->parameter_movement[s], work);
}

/* Numbers of a network in training, its coupled units and the fields of the limit (compare) among them, and work space. */
static size_t numbers(const mno_problem *problem, const mno_instance *instance, int compare) {
  size_t L = (size_t)instance->L, units = L * (size_t)instance->M * problem->D, field = problem->N * problem->D;
  return (compare ? 6 : 4) * units + (compare ? 4 : 2) * (L + 1) * field + 2 * problem->N * problem->d_out + field +
         2 * problem->D;
}

size_t mno_diagnose_bytes(const mno_plan *plan, size_t row) {
  const mno_instance *instance = &plan->instance[row];
  if (!mno_recording_diagnoses(&plan->recording)) return 0;
  return numbers(&plan->problem[instance->problem], instance, 1) * sizeof(double);
}

mno_status mno_diagnose(const mno_plan *plan, const mno_limit *limit, mno_record *record, mno_error *err) {
  if (!mno_recording_diagnoses(&plan->recording)) return MNO_OK;
  const mno_instance *instance = &plan->instance[record->row];
  const mno_problem *problem = &plan->problem[instance->problem];
  size_t L = (size_t)instance->L, M = (size_t)instance->M, N = problem->N, D = problem->D, f = N * problem->d_out,
         field = N * D;
  int compare = limit && limit->nodes > 0;
  network n = {.problem = problem, .instance = instance, .L = L, .M = M, .N = N, .D = D, .units = L * M * D};
  size_t fields = (L + 1) * field, count = numbers(problem, instance, compare);
  double *block = mno_alloc(count, sizeof(double)), *next = block;
  if (!block) return mno_fail_memory(err, count * sizeof(double), "the diagnostics of a network");
  n.u = next, next += n.units;
  n.v = next, next += n.units;
  n.u0 = next, next += n.units;
  n.v0 = next, next += n.units;
  n.h = next, next += fields;
  n.b = next, next += fields;
  if (compare) {
    n.cu = next, next += n.units;
    n.cv = next, next += n.units;
    n.lh = next, next += fields;
    n.lb = next, next += fields;
  }
  double *output = next, *gradient = output + f, *work = gradient + f, *du = work + field;
  draw(&n);
  mno_status status = MNO_OK;
  size_t last = plan->step_count ? (size_t)plan->step[plan->step_count - 1] : 0;
  for (size_t k = 0, s = 0; k <= last && s < plan->step_count; k++) {
    if (!isfinite(forward(&n, output))) break; /* the rest stays NaN */
    last_adjoint(problem, output, gradient, n.b + L * field);
    backward(&n);
    if (compare) status = fields_at_layers(problem, limit, k, 0, L, L, 0, n.lh, n.lb, err);
    if (status != MNO_OK) break;
    if ((size_t)plan->step[s] == k) measure(plan, &n, s++, work, record);
    if (k == last) break;
    update(&n, n.h, n.b, n.u, n.v, du);
    if (compare) update(&n, n.lh, n.lb, n.cu, n.cv, du);
  }
  free(block);
  return status;
}
