/* SPDX-License-Identifier: BSD-3-Clause */
#include "meanode/model.h"

#include "core/activation.h"
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

void mno_activation_derivatives(mno_activation activation, double p, double d[4]) { mno_activation_at(activation, p, d); }

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
