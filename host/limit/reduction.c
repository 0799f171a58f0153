/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/reduction.h"

#include "core/memory.h"
#include "math/vectors.h"
#include "optimizer/optimizer.h"
#include "readout/readout.h"

#include <gsl/gsl_eigen.h>
#include <math.h>
#include <stdlib.h>

int mno_reduction_valid(const mno_problem *problem, const char **why) {
  *why = problem->optimizer->turns ? NULL : "the optimizer moves weights coordinate by coordinate";
  return problem->optimizer->turns;
}

/* Orthonormal basis of the columns of W_E and W_U by Gram-Schmidt with column pivoting; returns the rank. q [D][r]. */
static size_t span(const mno_problem *problem, double *w /* [columns][D], destroyed */, double *q /* [rank][D] */) {
  size_t D = problem->D, columns = problem->d_in + problem->d_out, rank = 0;
  double largest = 0;
  for (size_t a = 0; a < D; a++) {
    for (size_t c = 0; c < problem->d_in; c++) w[c * D + a] = problem->w_embed[a * problem->d_in + c];
    for (size_t c = 0; c < problem->d_out; c++) w[(problem->d_in + c) * D + a] = problem->w_unembed[a * problem->d_out + c];
  }
  while (rank < D && rank < columns) {
    size_t best = 0;
    double norm = -1;
    for (size_t c = 0; c < columns; c++) {
      double square = mno_dot(w + c * D, w + c * D, D);
      if (square > norm) norm = square, best = c;
    }
    if (rank == 0) largest = norm;
    if (!(norm > 1e-24 * largest)) break;
    double *next = q + rank * D;
    for (size_t a = 0; a < D; a++) next[a] = w[best * D + a];
    for (int pass = 0; pass < 2; pass++) /* twice is enough for orthogonality to rounding */
      for (size_t k = 0; k < rank; k++) mno_add(next, -mno_dot(q + k * D, next, D), q + k * D, D);
    norm = sqrt(mno_dot(next, next, D));
    for (size_t a = 0; a < D; a++) next[a] /= norm;
    for (size_t c = 0; c < columns; c++) mno_add(w + c * D, -mno_dot(next, w + c * D, D), next, D);
    rank++;
  }
  return rank;
}

/* Principal axes of first (weight 1) and second (a tie-breaker), both [N][r]: rows of axes [r][r], most important first. */
static int principal_axes(size_t N, size_t r, const double *first, const double *second, double *axes) {
  gsl_matrix *covariance = gsl_matrix_calloc(r, r), *vectors = gsl_matrix_alloc(r, r);
  gsl_vector *values = gsl_vector_alloc(r);
  gsl_eigen_symmv_workspace *work = gsl_eigen_symmv_alloc(r);
  int done = covariance && vectors && values && work;
  if (done) {
    double trace[2] = {1e-300, 1e-300};
    for (size_t i = 0; i < N * r; i++) {
      trace[0] += first[i] * first[i];
      trace[1] += second[i] * second[i];
    }
    for (size_t i = 0; i < N; i++)
      for (size_t a = 0; a < r; a++)
        for (size_t b = 0; b < r; b++)
          *gsl_matrix_ptr(covariance, a, b) +=
              first[i * r + a] * first[i * r + b] / trace[0] + 1e-6 * second[i * r + a] * second[i * r + b] / trace[1];
    gsl_eigen_symmv(covariance, values, vectors, work);
    gsl_eigen_symmv_sort(values, vectors, GSL_EIGEN_SORT_VAL_DESC);
    for (size_t a = 0; a < r; a++)
      for (size_t b = 0; b < r; b++) axes[a * r + b] = gsl_matrix_get(vectors, b, a);
  }
  if (covariance) gsl_matrix_free(covariance);
  if (vectors) gsl_matrix_free(vectors);
  if (values) gsl_vector_free(values);
  if (work) gsl_eigen_symmv_free(work);
  return done;
}

/* out[i][a] = sum_b rows[a][b] x[i][b] */
static void rotate(size_t N, size_t r, size_t columns, const double *rows, const double *x, double *out) {
  for (size_t i = 0; i < N; i++)
    for (size_t a = 0; a < r; a++) out[i * r + a] = mno_dot(rows + a * columns, x + i * columns, columns);
}

mno_status mno_reduction_new(const mno_problem *problem, int full, mno_reduction *reduction, mno_error *err) {
  size_t D = problem->D, N = problem->N, columns = problem->d_in + problem->d_out, d_out = problem->d_out;
  const char *why;
  if (!mno_reduction_valid(problem, &why)) full = 1;
  size_t most = full || columns > D ? D : columns;
  size_t kept = D * most + N * most + most * d_out + most * most;
  size_t temporary = columns * D + most * D + N * D + N * most * 3 + most * most * 2 + N * d_out;
  *reduction = (mno_reduction){0};
  double *block = mno_alloc(kept, sizeof(double)), *scratch = mno_alloc(temporary, sizeof(double));
  if (!block || !scratch) {
    free(block);
    free(scratch);
    return mno_fail_memory(err, (kept + temporary) * sizeof(double), "the invariant subspace");
  }
  double *w = scratch, *q = w + columns * D, *states = q + most * D, *x = states + N * D, *b = x + N * most,
         *ux = b + N * most, *turn = ux + N * most, *vturn = turn + most * most, *f = vturn + most * most;
  reduction->basis = block;
  mno_readout_embed(problem, states);
  size_t r = D;
  if (full) {
    for (size_t a = 0; a < D; a++) q[a * D + a] = 1;
  } else {
    r = span(problem, w, q);
    if (r == 0) q[0] = 1, r = 1; /* zero embeddings: any direction will do */
  }
  reduction->r = r;
  reduction->h0 = block + D * r;
  reduction->unembed = reduction->h0 + N * r;
  reduction->axes = reduction->unembed + r * d_out;

  /* States and b(1) of step 0 in the coordinates q; their principal axes; then everything in the axes of h. */
  rotate(N, r, D, q, states, x);
  for (size_t a = 0; a < r; a++)
    for (size_t o = 0; o < d_out; o++)
      for (size_t e = 0; e < D; e++) reduction->unembed[a * d_out + o] += q[a * D + e] * problem->w_unembed[e * d_out + o];
  mno_reduction_output(problem, reduction, x, f, b);
  int done = 1;
  if (full)
    for (size_t a = 0; a < r; a++) turn[a * r + a] = vturn[a * r + a] = 1;
  else
    done = principal_axes(N, r, x, b, turn) && principal_axes(N, r, b, x, vturn);
  rotate(N, r, r, turn, x, reduction->h0);
  rotate(r, r, r, turn, vturn, reduction->axes);
  for (size_t e = 0; e < D; e++)
    for (size_t a = 0; a < r; a++)
      for (size_t c = 0; c < r; c++) reduction->basis[e * r + a] += turn[a * r + c] * q[c * D + e];
  for (size_t a = 0; a < r; a++)
    for (size_t o = 0; o < d_out; o++) {
      double sum = 0;
      for (size_t e = 0; e < D; e++) sum += reduction->basis[e * r + a] * problem->w_unembed[e * d_out + o];
      reduction->unembed[a * d_out + o] = sum;
    }
  free(scratch);
  if (!done) {
    mno_reduction_free(reduction);
    return mno_fail_memory(err, r * r * sizeof(double), "principal axes");
  }
  return MNO_OK;
}

void mno_reduction_free(mno_reduction *reduction) {
  free(reduction->basis);
  *reduction = (mno_reduction){0};
}

double mno_reduction_output(const mno_problem *problem, const mno_reduction *reduction, const double *h, double *f,
                            double *b1) {
  size_t r = reduction->r;
  double *gradient = b1 ? mno_alloc(problem->N * problem->d_out, sizeof(double)) : NULL;
  if (b1 && !gradient) return NAN;
  double loss = mno_readout_loss(problem, r, reduction->unembed, h, f, gradient);
  if (b1) mno_readout_adjoint(problem, r, reduction->unembed, gradient, b1);
  free(gradient);
  return loss;
}

void mno_reduction_expand(const mno_reduction *reduction, size_t N, size_t D, const double *x, double *out) {
  rotate(N, D, reduction->r, reduction->basis, x, out);
}
