/* SPDX-License-Identifier: BSD-3-Clause */
#include "meanode/model.h"

#include "core/choice.h"

#include <math.h>

MNO_CHOICES(mno_activations, MNO_ACTIVATION_LIST)
MNO_CHOICES(mno_losses, MNO_LOSS_LIST)
MNO_CHOICES(mno_precisions, MNO_PRECISION_LIST)

const char *mno_activation_name(mno_activation activation) { return mno_choice_name(&mno_activations, activation); }
const char *mno_precision_name(mno_precision precision) { return mno_choice_name(&mno_precisions, precision); }
const char *mno_loss_name(mno_loss loss) { return mno_choice_name(&mno_losses, loss); }

int mno_activation_is_odd(mno_activation activation) {
#define ODD(name, text, odd) [name] = (odd),
  static const int odd[] = {MNO_ACTIVATION_LIST(ODD)};
#undef ODD
  return odd[activation];
}

/* Phi, the standard normal distribution function, and its derivatives. */
static void normal_cdf(double p, double d[4]) {
  double density = exp(-p * p / 2) / sqrt(2 * M_PI);
  d[0] = 0.5 * erfc(-p * M_SQRT1_2);
  d[1] = density;
  d[2] = -p * density;
  d[3] = (p * p - 1) * density;
}

/* The logistic function and its derivatives. */
static void logistic(double p, double d[4]) {
  double s = 1 / (1 + exp(-p)), slope = s / (1 + exp(p));
  d[0] = s;
  d[1] = slope;
  d[2] = slope * (1 - 2 * s);
  d[3] = slope * (1 - 6 * slope);
}

/* d = f -> p f and its derivatives: p f^(n) + n f^(n-1) */
static void times_p(double p, double d[4]) {
  for (int order = 3; order >= 0; order--) d[order] = p * d[order] + (order > 0 ? order * d[order - 1] : 0);
}

void mno_activation_derivatives(mno_activation activation, double p, double d[4]) {
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
    normal_cdf(p, d);
    times_p(p, d);
    return;
  case MNO_SILU:
    logistic(p, d);
    times_p(p, d);
    return;
  case MNO_SOFTPLUS: {
    double slopes[4];
    logistic(p, slopes);
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

double mno_activation_derivative(mno_activation activation, int order, double p) {
  double d[4];
  mno_activation_derivatives(activation, p, d);
  return d[order];
}

double mno_loss_value(mno_loss loss, size_t N, size_t d_out, const double *f, const double *y, double *gradient) {
  double sum = 0;
  for (size_t i = 0; i < N; i++) {
    const double *fi = f + i * d_out, *yi = y + i * d_out;
    if (loss == MNO_SQUARED) {
      for (size_t o = 0; o < d_out; o++) {
        double r = fi[o] - yi[o];
        sum += r * r / (2.0 * (double)(N * d_out));
        if (gradient) gradient[i * d_out + o] = r / (double)(N * d_out);
      }
      continue;
    }
    double top = fi[0], total = 0;
    for (size_t o = 1; o < d_out; o++) top = fi[o] > top ? fi[o] : top;
    for (size_t o = 0; o < d_out; o++) total += exp(fi[o] - top);
    for (size_t o = 0; o < d_out; o++) {
      sum += yi[o] * (log(total) + top - fi[o]) / (double)N;
      if (gradient) gradient[i * d_out + o] = (exp(fi[o] - top) / total - yi[o]) / (double)N;
    }
  }
  return sum;
}
