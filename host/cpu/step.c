/* SPDX-License-Identifier: BSD-3-Clause */
#include "cpu/cpu.h"
#include "readout/readout.h"

#include <math.h>
#include <string.h>

/* Index of step k among the recorded ones, or -1. */
static ptrdiff_t step_index(const mno_plan *plan, size_t k) {
  size_t low = 0, high = plan->step_count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (plan->step[middle] < (int64_t)k)
      low = middle + 1;
    else
      high = middle;
  }
  return low < plan->step_count && plan->step[low] == (int64_t)k ? (ptrdiff_t)low : -1;
}

bool mno_cpu_step_end(const mno_plan *plan, mno_record *record, size_t k, const double *h, double *b, double *f,
                      double *gradient) {
  const mno_problem *p = &plan->problem[plan->instance[record->row].problem];
  size_t N = p->N, D = p->D, d_out = p->d_out;
  double loss = mno_readout_loss(p, D, p->w_unembed, h, f, gradient);
  if (!isfinite(loss)) {
    record->outcome = MNO_INSTANCE_DIVERGED;
    return false;
  }
  ptrdiff_t s = step_index(plan, k);
  if (s >= 0) {
    record->loss[s] = loss;
    memcpy(record->output + (size_t)s * N * d_out, f, N * d_out * sizeof *f);
    memcpy(record->embedding + (size_t)s * N * D, h, N * D * sizeof *h);
  }
  if (b) mno_readout_adjoint(p, D, p->w_unembed, gradient, b);
  return true;
}
