/* SPDX-License-Identifier: BSD-3-Clause */
/* Sums over short vectors, in the order of their entries. */
#ifndef MNO_MATH_VECTORS_H
#define MNO_MATH_VECTORS_H

#include <stddef.h>

static inline double mno_dot(const double *x, const double *y, size_t n) {
  double sum = 0;
  for (size_t a = 0; a < n; a++) sum += x[a] * y[a];
  return sum;
}

/* x += factor y */
static inline void mno_add(double *x, double factor, const double *y, size_t n) {
  for (size_t a = 0; a < n; a++) x[a] += factor * y[a];
}

#endif
