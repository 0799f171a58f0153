/* SPDX-License-Identifier: BSD-3-Clause */
/* The loss of one sample, in double precision. */
#ifndef MNO_CUDA_READOUT_DEVICE_H
#define MNO_CUDA_READOUT_DEVICE_H

#include "common/device_layout.h"
#include "device/elementary.h"

namespace mno {

/* The part of sample n of N in the loss; gradient [N][d_out] receives dloss/df of the sample. f, y: [N][d_out] */
MNO_DEVICE double sample_loss(int loss, int N, int d_out, int n, const double *f, const double *y, double *gradient) {
  f += (size_t)n * d_out, y += (size_t)n * d_out, gradient += (size_t)n * d_out;
  double sum = 0;
  if (loss == MNO_SQUARED) {
    const double weight = 1.0 / ((double)N * d_out);
    for (int o = 0; o < d_out; o++) {
      const double r = f[o] - y[o];
      sum = fma_(r, r, sum);
      gradient[o] = r * weight;
    }
    return sum * (0.5 * weight);
  }
  const double each = 1.0 / N;
  double top = f[0], total = 0;
  for (int o = 1; o < d_out; o++) top = f[o] > top ? f[o] : top;
  for (int o = 0; o < d_out; o++) {
    gradient[o] = exp_(f[o] - top);
    total += gradient[o];
  }
  const double log_total = log_(total);
  for (int o = 0; o < d_out; o++) {
    sum = fma_(y[o], log_total + top - f[o], sum);
    gradient[o] = (gradient[o] / total - y[o]) * each;
  }
  return sum * each;
}

/* Where a quantity lies in a mailbox; step counts the recorded steps. */
enum Part { LOSS, OUTPUT, EMBEDDING, WEIGHTS };
MNO_DEVICE double *mailbox_part(const mno_shape &s, mno_mailbox *mailbox, int steps, Part which, uint32_t step) {
  double *const loss = (double *)(mailbox + 1), *const output = loss + steps;
  const size_t outputs = (size_t)s.N * s.d_out, states = (size_t)s.N * s.D;
  if (which == LOSS) return loss + step;
  if (which == OUTPUT) return output + step * outputs;
  return output + steps * outputs + (which == EMBEDDING ? step : (uint32_t)steps) * states;
}

} // namespace mno

#endif
