/* SPDX-License-Identifier: BSD-3-Clause */
#include "data/load.h"

#include "core/memory.h"

#include <math.h>

/* Rows of y are probabilities: entries in [0, 1] that sum to 1. */
static mno_status check_probabilities(const mno_sweep *sweep, const mno_data *data, mno_error *err) {
  for (size_t i = 0; i < data->N; i++) {
    double sum = 0;
    int inside = 1;
    for (size_t o = 0; o < data->d_out; o++) {
      double y = data->y[i * data->d_out + o];
      inside = inside && y >= 0 && y <= 1;
      sum += y;
    }
    if (!inside || fabs(sum - 1) > 1e-6)
      return mno_sweep_fail(sweep, sweep->training.loss_mark, err,
                            "cross-entropy needs rows of y that are probabilities, but row %zu of the targets %s %.6g; "
                            "normalise y or use loss: squared",
                            i, inside ? "sums to" : "has an entry outside 0..1 and sums to", sum);
  }
  return MNO_OK;
}

mno_status mno_data_load(const mno_sweep *sweep, uint64_t seed, mno_data **data, mno_error *err) {
  mno_data *made = mno_alloc(1, sizeof *made);
  if (!made) return mno_fail_memory(err, sizeof *made, "the data");
  mno_status status = sweep->data.kind == MNO_DATA_GAUSSIAN ? mno_data_gaussian(sweep, seed, made, err)
                      : sweep->data.kind == MNO_DATA_DIGITS ? mno_data_digits(sweep, made, err)
                                                            : mno_data_file(sweep, NULL, made, err);
  if (status == MNO_OK && sweep->training.loss == MNO_CROSS_ENTROPY) status = check_probabilities(sweep, made, err);
  if (status == MNO_OK)
    *data = made;
  else
    mno_data_free(made);
  return status;
}
