/* SPDX-License-Identifier: BSD-3-Clause */
/* Gaussian expectations of products of an activation's derivatives, the kernels of the lazy limit: with (p, q) centred
 * Gaussian of variances s^2, t^2 and covariance c,
 *   k0 = E[rho rho], k1 = E[rho' rho'], k2 = E[rho'' rho''], k20 = E[rho''(p) rho(q)], k31 = E[rho'''(p) rho'(q)].
 * Closed forms for erf, relu, sin and identity. Otherwise Mehler's formula: E[f(p) g(q)] = sum_n f_n(s) g_n(t) (c/(s t))^n
 * with f_n(s) the Hermite coefficients of x -> f(s x), which fall exponentially for analytic activations. */
#ifndef MNO_LIMIT_GAUSSIAN_KERNELS_H
#define MNO_LIMIT_GAUSSIAN_KERNELS_H

#include "meanode/model.h"
#include "meanode/status.h"

#include <stddef.h>

typedef struct mno_gaussian_kernels {
  double k0, k1, k2, k20, k31;
} mno_gaussian_kernels;

/* The series: tables for one activation and number of terms. */
typedef struct mno_hermite {
  mno_activation activation;
  size_t terms, points;
  double spacing;
  double *function; /* [points][terms] orthonormal Hermite polynomial x normal density x spacing */
} mno_hermite;

int mno_kernels_closed(mno_activation activation);
mno_gaussian_kernels mno_kernels_closed_form(mno_activation activation, double s, double t, double c);

/* largest_s: the largest standard deviation that will be asked for. */
mno_status mno_hermite_new(mno_activation activation, size_t terms, double largest_s, mno_hermite *hermite, mno_error *err);
void mno_hermite_free(mno_hermite *hermite);

/* Coefficients of rho, rho', rho'', rho''' at standard deviation s: out [4][terms]. Returns the weight of the last quarter
 * of the terms, a bound of what truncation costs the kernels. */
double mno_hermite_coefficients(const mno_hermite *hermite, double s, double *out);

/* The kernels from the coefficients of both arguments; correlation = c/(s t). */
mno_gaussian_kernels mno_hermite_kernels(const mno_hermite *hermite, const double *f, const double *g, double correlation);

#endif
