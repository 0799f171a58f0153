/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/source.h"
#include "core/memory.h"
#include "data/load.h"
#include "meanode/random.h"

mno_status mno_data_gaussian(const mno_sweep *sweep, uint64_t seed, mno_data *data, mno_error *err) {
  size_t N = (size_t)sweep->data.samples, d_in = (size_t)sweep->data.inputs, d_out = (size_t)sweep->data.targets;
  size_t bytes = N * (d_in + d_out) * sizeof(double); /* each is at most 10^6 */
  if (bytes > mno_memory_available())
    return mno_fail_too_large(sweep, sweep->data.samples_mark, (double)bytes, "the data",
                              "use fewer data.samples, data.inputs or data.targets", err);
  data->N = N;
  data->d_in = d_in;
  data->d_out = d_out;
  data->x = mno_alloc(N * d_in, sizeof(double));
  data->y = mno_alloc(N * d_out, sizeof(double));
  if (!data->x || !data->y) return mno_fail_memory(err, bytes, "the data");
  for (size_t i = 0; i < N; i++) {
    mno_normals(seed, MNO_TENSOR_X, 0, (uint32_t)i, d_in, data->x + i * d_in);
    mno_normals(seed, MNO_TENSOR_Y, 0, (uint32_t)i, d_out, data->y + i * d_out);
  }
  return MNO_OK;
}
