/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/gaussian_kernels.h"

#include "core/memory.h"

#include <math.h>
#include <stdlib.h>

int mno_kernels_closed(mno_activation activation) {
  return activation == MNO_ERF || activation == MNO_RELU || activation == MNO_SIN || activation == MNO_IDENTITY;
}

mno_gaussian_kernels mno_kernels_closed_form(mno_activation activation, double s, double t, double c) {
  double ss = s * s, tt = t * t;
  switch (activation) {
  case MNO_ERF: {
    double P = 1 + 2 * ss, Q = 1 + 2 * tt, d = P * Q - 4 * c * c, root = sqrt(d);
    return (mno_gaussian_kernels){.k0 = M_2_PI * asin(2 * c / sqrt(P * Q)),
                                  .k1 = 2 * M_2_PI / root,
                                  .k2 = 8 * M_2_PI * c / (d * root),
                                  .k20 = -4 * M_2_PI * c / (P * root),
                                  .k31 = -4 * M_2_PI * Q / (d * root)};
  }
  case MNO_RELU: {
    double d = ss * tt - c * c, cosine = s * t > 0 ? c / (s * t) : 0, two_pi = 2 * M_PI;
    if (!(d > 1e-24 * ss * tt)) { /* parallel: rho'' = delta has no bounded kernels, but their sum in the drift is 0 */
      double same = cosine > 0;
      return (mno_gaussian_kernels){.k0 = same * c / 2, .k1 = same / 2};
    }
    double root = sqrt(d), rest = M_PI - acos(fmax(-1, fmin(1, cosine)));
    return (mno_gaussian_kernels){.k0 = (root + rest * c) / two_pi,
                                  .k1 = rest / two_pi,
                                  .k2 = 1 / (two_pi * root),
                                  .k20 = root / (two_pi * ss),
                                  .k31 = -c / (two_pi * ss * root)};
  }
  case MNO_SIN: {
    double plus = exp(c - (ss + tt) / 2) / 2, minus = exp(-c - (ss + tt) / 2) / 2;
    return (mno_gaussian_kernels){plus - minus, plus + minus, plus - minus, minus - plus, -plus - minus};
  }
  default: return (mno_gaussian_kernels){.k0 = c, .k1 = 1};
  }
}

static const double reach = 13; /* the density beyond is below rounding */

mno_status mno_hermite_new(mno_activation activation, size_t terms, double largest_s, mno_hermite *hermite, mno_error *err) {
  double spacing = fmin(0.1, 0.3 / fmax(largest_s, 1e-3)); /* against the poles of the activation */
  size_t half = (size_t)ceil(reach / spacing), points = 2 * half + 1;
  *hermite = (mno_hermite){.activation = activation, .terms = terms, .points = points, .spacing = spacing};
  hermite->function = mno_alloc(points * terms, sizeof(double));
  if (!hermite->function) return mno_fail_memory(err, points * terms * sizeof(double), "Hermite functions");
  for (size_t i = 0; i < points; i++) {
    double x = ((double)i - (double)half) * spacing, *row = hermite->function + i * terms;
    double root_density = exp(-x * x / 4) / pow(2 * M_PI, 0.25);
    for (size_t n = 0; n < terms; n++) { /* stable for x times the root of the density, which decays beyond 2 sqrt(n) */
      if (n == 0)
        row[n] = root_density;
      else
        row[n] = (x * row[n - 1] - (n > 1 ? sqrt((double)(n - 1)) * row[n - 2] : 0)) / sqrt((double)n);
    }
    for (size_t n = 0; n < terms; n++) row[n] *= root_density * spacing;
  }
  return MNO_OK;
}

void mno_hermite_free(mno_hermite *hermite) {
  free(hermite->function);
  *hermite = (mno_hermite){0};
}

double mno_hermite_coefficients(const mno_hermite *hermite, double s, double *out) {
  size_t terms = hermite->terms, half = hermite->points / 2;
  for (size_t e = 0; e < 4 * terms; e++) out[e] = 0;
  for (size_t i = 0; i < hermite->points; i++) {
    const double *row = hermite->function + i * terms;
    double p = s * ((double)i - (double)half) * hermite->spacing, value[4];
    mno_activation_derivatives(hermite->activation, p, value);
    for (size_t order = 0; order < 4; order++)
      for (size_t n = 0; n < terms; n++) out[order * terms + n] += value[order] * row[n];
  }
  double tail = 0;
  for (size_t n = terms - terms / 4; n < terms; n++) {
    const double f[4] = {out[n], out[terms + n], out[2 * terms + n], out[3 * terms + n]};
    tail += f[0] * f[0] + f[1] * f[1] + f[2] * f[2] + fabs(f[2] * f[0]) + fabs(f[3] * f[1]);
  }
  return tail;
}

mno_gaussian_kernels mno_hermite_kernels(const mno_hermite *hermite, const double *f, const double *g, double correlation) {
  size_t n = hermite->terms;
  mno_gaussian_kernels k = {0};
  for (size_t i = n; i-- > 0;) { /* Horner */
    k.k0 = k.k0 * correlation + f[i] * g[i];
    k.k1 = k.k1 * correlation + f[n + i] * g[n + i];
    k.k2 = k.k2 * correlation + f[2 * n + i] * g[2 * n + i];
    k.k20 = k.k20 * correlation + f[2 * n + i] * g[i];
    k.k31 = k.k31 * correlation + f[3 * n + i] * g[n + i];
  }
  return k;
}
