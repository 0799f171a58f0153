/* SPDX-License-Identifier: BSD-3-Clause */
/* Activations in double precision, inline: where the compiler sees which derivatives are used, the others cost nothing. */
#ifndef MNO_CORE_ACTIVATION_H
#define MNO_CORE_ACTIVATION_H

#include "meanode/model.h"

#include <math.h>

/* Phi, the standard normal distribution function, and its derivatives. */
static inline void mno_normal_cdf(double p, double d[4]) {
  double density = exp(-p * p / 2) / sqrt(2 * M_PI);
  d[0] = 0.5 * erfc(-p * M_SQRT1_2);
  d[1] = density;
  d[2] = -p * density;
  d[3] = (p * p - 1) * density;
}

/* The logistic function and its derivatives. */
static inline void mno_logistic(double p, double d[4]) {
  double s = 1 / (1 + exp(-p)), slope = s / (1 + exp(p));
  d[0] = s;
  d[1] = slope;
  d[2] = slope * (1 - 2 * s);
  d[3] = slope * (1 - 6 * slope);
}

/* d = f -> p f and its derivatives: p f^(n) + n f^(n-1) */
static inline void times_p(double p, double d[4]) {
  for (int order = 3; order >= 0; order--) d[order] = p * d[order] + (order > 0 ? order * d[order - 1] : 0);
}

/* rho and its derivatives of order 0..3 at p, to rounding. */
static inline void mno_activation_at(mno_activation activation, double p, double d[4]) {
  switch (activation) {
  case MNO_TANH: {
    double c = 1 / cosh(p);
    d[0] = tanh(p);
    d[1] = c * c;
    d[2] = -2 * d[0] * d[1];
    d[3] = d[1] * (4 - 6 * d[1]);
    return;
  }
  case MNO_ERF:
    d[0] = erf(p);
    d[1] = M_2_SQRTPI * exp(-p * p);
    d[2] = -2 * p * d[1];
    d[3] = (4 * p * p - 2) * d[1];
    return;
  case MNO_GELU:
    mno_normal_cdf(p, d);
    times_p(p, d);
    return;
  case MNO_SILU:
    mno_logistic(p, d);
    times_p(p, d);
    return;
  case MNO_SOFTPLUS: {
    double slopes[4];
    mno_logistic(p, slopes);
    d[0] = (p > 0 ? p : 0) + log1p(exp(-fabs(p)));
    for (int order = 1; order < 4; order++) d[order] = slopes[order - 1];
    return;
  }
  case MNO_SIN:
    d[0] = sin(p);
    d[1] = cos(p);
    d[2] = -d[0];
    d[3] = -d[1];
    return;
  default: /* relu is the identity or zero */
    d[0] = activation != MNO_RELU || p > 0 ? p : 0;
    d[1] = activation != MNO_RELU || p > 0;
    d[2] = d[3] = 0;
  }
}

#endif
