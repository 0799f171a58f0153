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

/* Derivatives of the standard normal distribution function: Phi^(order). */
static double normal_cdf(int order, double p) {
  double density = exp(-p * p / 2) / sqrt(2 * M_PI);
  switch (order) {
  case 0: return 0.5 * erfc(-p * M_SQRT1_2);
  case 1: return density;
  case 2: return -p * density;
  default: return (p * p - 1) * density;
  }
}

/* Derivatives of the logistic function. */
static double logistic(int order, double p) {
  double s = 1 / (1 + exp(-p)), d = s / (1 + exp(p));
  switch (order) {
  case 0: return s;
  case 1: return d;
  case 2: return d * (1 - 2 * s);
  default: return d * (1 - 6 * d);
  }
}

double mno_activation_derivative(mno_activation activation, int order, double p) {
  switch (activation) {
  case MNO_TANH: {
    double t = tanh(p), c = 1 / cosh(p), d = c * c;
    switch (order) {
    case 0: return t;
    case 1: return d;
    case 2: return -2 * t * d;
    default: return d * (4 - 6 * d);
    }
  }
  case MNO_ERF: {
    double d = M_2_SQRTPI * exp(-p * p);
    switch (order) {
    case 0: return erf(p);
    case 1: return d;
    case 2: return -2 * p * d;
    default: return (4 * p * p - 2) * d;
    }
  }
  case MNO_GELU: return p * normal_cdf(order, p) + (order > 0 ? order * normal_cdf(order - 1, p) : 0);
  case MNO_SILU: return p * logistic(order, p) + (order > 0 ? order * logistic(order - 1, p) : 0);
  case MNO_RELU: return order == 0 ? (p > 0 ? p : 0) : order == 1 ? (p > 0 ? 1 : 0) : 0;
  case MNO_SOFTPLUS: return order == 0 ? (p > 0 ? p : 0) + log1p(exp(-fabs(p))) : logistic(order - 1, p);
  case MNO_SIN:
    switch (order) {
    case 0: return sin(p);
    case 1: return cos(p);
    case 2: return -sin(p);
    default: return -cos(p);
    }
  default: return order == 0 ? p : order == 1 ? 1 : 0;
  }
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
