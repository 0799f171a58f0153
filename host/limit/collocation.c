/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/collocation.h"

#include "core/memory.h"
#include "limit/stop.h"
#include "math/vectors.h"

#include <gsl/gsl_integration.h>
#include <gsl/gsl_linalg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* LARGEST_DIRECT unknowns: dense factors of 18 MB, about half a second for each sample. */
enum { NEWTON_STEPS = 50, FULL_STEPS = 8, ITERATIONS = 200, LARGEST_DIRECT = 1500 };

/* Lagrange polynomial of point j among n points, at s. */
static double lagrange(const double *point, size_t n, size_t j, double s) {
  double product = 1;
  for (size_t k = 0; k < n; k++)
    if (k != j) product *= (s - point[k]) / (point[j] - point[k]);
  return product;
}

mno_status mno_collocation_new(mno_collocation *method, size_t m, mno_error *err) {
  *method = (mno_collocation){.m = m};
  method->c = mno_alloc(m * (m + 2), sizeof(double));
  gsl_integration_glfixed_table *table = gsl_integration_glfixed_table_alloc(m);
  if (!method->c || !table) {
    free(method->c);
    if (table) gsl_integration_glfixed_table_free(table);
    return mno_fail_memory(err, m * (m + 2) * sizeof(double), "the collocation scheme");
  }
  method->w = method->c + m;
  method->A = method->w + m;
  for (size_t i = 0; i < m; i++) gsl_integration_glfixed_point(0, 1, i, &method->c[i], &method->w[i], table);
  for (size_t i = 0; i < m; i++)
    for (size_t q = 0; q < m; q++) /* the same rule scaled to [0, c_i] is exact for polynomials of degree m - 1 */
      for (size_t j = 0; j < m; j++)
        method->A[i * m + j] += method->c[i] * method->w[q] * lagrange(method->c, m, j, method->c[i] * method->c[q]);
  gsl_integration_glfixed_table_free(table);
  return MNO_OK;
}

void mno_collocation_free(mno_collocation *method) {
  free(method->c);
  *method = (mno_collocation){0};
}

void mno_collocation_weights(const mno_collocation *method, int end, double s, double *weight) {
  double e = end;
  weight[0] = 1;
  for (size_t j = 0; j < method->m; j++) {
    weight[0] *= (s - method->c[j]) / (e - method->c[j]);
    weight[1 + j] = lagrange(method->c, method->m, j, s) * (s - e) / (method->c[j] - e);
  }
}

void mno_collocation_extend(const mno_collocation *method, double s, double *weight) {
  for (size_t j = 0; j < method->m; j++) weight[j] = lagrange(method->c, method->m, j, s);
}

/* x_i = rhs_i + alpha sum_j K_ij T_j x_j for each sample, with T = J or J^T. */
typedef struct volterra {
  const mno_collocation *method;
  size_t N, r;
  double alpha;
  const double *K; /* [m][m] */
  const double *J; /* [m][N][r][r] */
  int transposed;
  double *rhs, *work; /* [m][N][r], [2][m][r] */
  double *x;          /* [m][N][r] */
} volterra;

/* One sample, dense. */
static int direct(const volterra *e, size_t sample) {
  const double *K = e->K, *J = e->J + sample * e->r * e->r, *rhs = e->rhs + sample * e->r;
  double *x = e->x + sample * e->r;
  size_t m = e->method->m, N = e->N, r = e->r, n = m * r;
  if (n > LARGEST_DIRECT) return 0;
  gsl_matrix *matrix = gsl_matrix_alloc(n, n);
  gsl_vector *right = gsl_vector_alloc(n), *solution = gsl_vector_alloc(n);
  gsl_permutation *order = gsl_permutation_alloc(n);
  int sign, done = 0;
  if (matrix && right && solution && order) {
    for (size_t i = 0; i < m; i++)
      for (size_t a = 0; a < r; a++) {
        gsl_vector_set(right, i * r + a, rhs[i * N * r + a]);
        for (size_t j = 0; j < m; j++)
          for (size_t b = 0; b < r; b++) {
            const double *Jj = J + j * N * r * r;
            double entry = e->transposed ? Jj[b * r + a] : Jj[a * r + b];
            gsl_matrix_set(matrix, i * r + a, j * r + b, (i == j && a == b) - e->alpha * K[i * m + j] * entry);
          }
      }
    gsl_error_handler_t *handler = gsl_set_error_handler_off();
    done = gsl_linalg_LU_decomp(matrix, order, &sign) == 0 && gsl_linalg_LU_solve(matrix, order, right, solution) == 0;
    gsl_set_error_handler(handler);
    for (size_t i = 0; done && i < m; i++)
      for (size_t a = 0; a < r; a++) x[i * N * r + a] = gsl_vector_get(solution, i * r + a);
  }
  if (matrix) gsl_matrix_free(matrix);
  if (right) gsl_vector_free(right);
  if (solution) gsl_vector_free(solution);
  if (order) gsl_permutation_free(order);
  return done;
}

/* One sample. The iteration of this Volterra equation converges superlinearly unless alpha J is large. */
static int linear(const volterra *e, size_t sample) {
  const double *K = e->K, *J = e->J + sample * e->r * e->r, *rhs = e->rhs + sample * e->r;
  size_t m = e->method->m, N = e->N, r = e->r;
  double *x = e->x + sample * r, *y = e->work, *t = y + m * r, scale = 0, last = INFINITY;
  for (size_t i = 0; i < m; i++) {
    memcpy(y + i * r, rhs + i * N * r, r * sizeof(double));
    scale += mno_dot(y + i * r, y + i * r, r);
  }
  if (!isfinite(scale)) return 0;
  for (int iteration = 0; iteration < ITERATIONS; iteration++) {
    if (mno_stopped(e->method->stop)) return 0;
    for (size_t j = 0; j < m; j++) {
      const double *Jj = J + j * N * r * r;
      for (size_t a = 0; a < r; a++) t[j * r + a] = 0;
      for (size_t a = 0; a < r; a++)
        for (size_t b = 0; b < r; b++) {
          if (e->transposed)
            t[j * r + b] += Jj[a * r + b] * y[j * r + a];
          else
            t[j * r + a] += Jj[a * r + b] * y[j * r + b];
        }
    }
    double change = 0;
    for (size_t i = 0; i < m; i++)
      for (size_t a = 0; a < r; a++) {
        double sum = 0;
        for (size_t j = 0; j < m; j++) sum += K[i * m + j] * t[j * r + a];
        double next = rhs[i * N * r + a] + e->alpha * sum, d = next - y[i * r + a];
        y[i * r + a] = next;
        change += d * d;
      }
    if (change <= 1e-31 * scale || (change <= 1e-26 * scale && change >= last)) {
      for (size_t i = 0; i < m; i++) memcpy(x + i * N * r, y + i * r, r * sizeof(double));
      return 1;
    }
    if (!isfinite(change) || change > 1e20 * scale) break;
    last = change;
  }
  return direct(e, sample);
}

static int every_sample(const volterra *e) {
  size_t sample = 0;
  while (sample < e->N && linear(e, sample)) sample++;
  return sample == e->N;
}

double mno_collocation_forward(const mno_forward_equation *equation, double *h, double *F, double *J, double *end) {
  const mno_collocation *method = equation->method;
  const double *h0 = equation->h0, *extra = equation->extra;
  size_t m = method->m, N = equation->N, r = equation->r, n = m * N * r;
  double alpha = equation->alpha, tolerance = equation->tolerance;
  double *rhs = mno_alloc(2 * n + 2 * m * r, sizeof(double)), size = NAN, last = INFINITY;
  if (!rhs) return NAN;
  double *delta = rhs + n;
  volterra newton = {method, N, r, alpha, method->A, J, 0, rhs, delta + n, delta};
  for (int step = 0; step < NEWTON_STEPS; step++) {
    equation->drift(equation->context, h, F, J);
    for (size_t i = 0; i < m; i++)
      for (size_t e = 0; e < N * r; e++) {
        double sum = 0;
        for (size_t j = 0; j < m; j++) sum += method->A[i * m + j] * (F[j * N * r + e] + (extra ? extra[j * N * r + e] : 0));
        rhs[i * N * r + e] = h0[e] + alpha * sum - h[i * N * r + e];
      }
    size = every_sample(&newton) ? sqrt(mno_dot(delta, delta, n) / (mno_dot(h, h, n) + 1e-300)) : NAN;
    if (!isfinite(size)) {
      size = NAN;
      break;
    }
    /* A few particles of relu give a drift with kinks, about which full steps may go round in circles. */
    double damping = step >= FULL_STEPS && size > 0.5 * last ? 0.5 : 1;
    for (size_t e = 0; e < n; e++) h[e] += damping * delta[e];
    /* The drift at the corrected fields follows from the Jacobian: the error is quadratic in the correction. */
    if (size <= tolerance || (size <= 1e3 * tolerance && size >= last)) {
      for (size_t j = 0; j < m * N; j++)
        for (size_t a = 0; a < r; a++)
          for (size_t b = 0; b < r; b++) F[j * r + a] += damping * J[(j * r + a) * r + b] * delta[j * r + b];
      break;
    }
    last = size;
    if (step == NEWTON_STEPS - 1) size = NAN;
  }
  for (size_t e = 0; e < N * r; e++) {
    double sum = 0;
    for (size_t j = 0; j < m; j++) sum += method->w[j] * (F[j * N * r + e] + (extra ? extra[j * N * r + e] : 0));
    end[e] = h0[e] + alpha * sum;
  }
  free(rhs);
  return size;
}

int mno_collocation_backward(const mno_collocation *method, size_t N, size_t r, double alpha, const double *b1,
                             const double *J, const double *extra, double *b) {
  size_t m = method->m, n = m * N * r;
  double *rhs = mno_alloc(n + 2 * m * r + m * m, sizeof(double));
  if (!rhs) return 0;
  double *work = rhs + n, *K = work + 2 * m * r;
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < m; j++) K[i * m + j] = method->w[j] - method->A[i * m + j];
  for (size_t i = 0; i < m; i++)
    for (size_t e = 0; e < N * r; e++) {
      double sum = 0;
      for (size_t j = 0; j < m && extra; j++) sum += K[i * m + j] * extra[j * N * r + e];
      rhs[i * N * r + e] = b1[e] + alpha * sum;
    }
  volterra adjoint = {method, N, r, alpha, K, J, 1, rhs, work, b};
  int solved = every_sample(&adjoint);
  free(rhs);
  return solved;
}
