/* SPDX-License-Identifier: BSD-3-Clause */
#include "stats/least_squares.h"

#include "math/vectors.h"

#include <math.h>

bool mno_least_squares(size_t rows, size_t p, const double *x, const double *weight, double *map) {
  double scale[MNO_LEAST_SQUARES_MAX], R[MNO_LEAST_SQUARES_MAX][MNO_LEAST_SQUARES_MAX];
  if (rows < p) return false;
  for (size_t j = 0; j < p; j++) {
    double sum = 0;
    for (size_t r = 0; r < rows; r++) sum += weight[r] * x[r * p + j] * x[r * p + j];
    if (!(sum > 0)) return false;
    scale[j] = 1 / sqrt(sum);
  }
  /* Gram-Schmidt of the weighted, scaled columns, kept as rows of map: Q with X = Q R. Done twice for orthogonality. */
  for (size_t j = 0; j < p; j++) {
    double *q = map + j * rows;
    for (size_t r = 0; r < rows; r++) q[r] = sqrt(weight[r]) * x[r * p + j] * scale[j];
    for (size_t i = 0; i < j; i++) R[i][j] = 0;
    for (int pass = 0; pass < 2; pass++)
      for (size_t i = 0; i < j; i++) {
        double *qi = map + i * rows, along = mno_dot(qi, q, rows);
        R[i][j] += along;
        for (size_t r = 0; r < rows; r++) q[r] -= along * qi[r];
      }
    double norm = sqrt(mno_dot(q, q, rows));
    if (norm < 1e-6) return false;
    R[j][j] = norm;
    for (size_t r = 0; r < rows; r++) q[r] /= norm;
  }
  /* coefficients = scale R^-1 Q' W^{1/2} y, by back substitution on whole rows. */
  for (size_t j = p; j-- > 0;) {
    double *q = map + j * rows;
    for (size_t i = j + 1; i < p; i++)
      for (size_t r = 0; r < rows; r++) q[r] -= R[j][i] * map[i * rows + r];
    for (size_t r = 0; r < rows; r++) q[r] /= R[j][j];
  }
  for (size_t j = 0; j < p; j++)
    for (size_t r = 0; r < rows; r++) map[j * rows + r] *= scale[j] * sqrt(weight[r]);
  return true;
}
