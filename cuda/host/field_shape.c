/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/field_shape.h"

#include "host/trainers.h"

/* Blocks of results of a patch of so many samples and rows. */
static size_t blocks(size_t r, mno_field_results results, size_t samples, size_t rows) {
  const size_t row_blocks = mno_ceil_div(rows, MNO_FIELD_ROWS),
               fields = mno_ceil_div(samples, MNO_FIELD_SAMPLES) * row_blocks;
  if (results == MNO_FIELD_FJ)
    return fields + mno_ceil_div(samples, MNO_FIELD_J_SAMPLES) * row_blocks * mno_ceil_div(r, MNO_FIELD_ROWS);
  return results == MNO_FIELD_FG ? 2 * fields : fields;
}

mno_field_shape mno_field_shape_make(int trainer, size_t N, size_t r, size_t particles, mno_precision precision,
                                     mno_field_results results) {
  const mno_trainer *of = mno_trainer_at(trainer);
  const int bytes = mno_number_bytes(precision);
  const size_t tensors = of->block->tensors, vectors = tensors * (1 + of->optimizer->states);
  const size_t tiles = mno_ceil_div(particles, MNO_FIELD_LANES), groups = mno_ceil_div(N, MNO_CHUNK);
  size_t samples = MNO_CHUNK, rows = r, chunk = mno_ceil_div(tiles, MNO_FIELD_CHUNKS);
  const size_t step = results == MNO_FIELD_FJ ? MNO_FIELD_J_SAMPLES : MNO_FIELD_SAMPLES;
  /* fewer samples first: a patch with fewer rows projects all of them again just the same */
  while (samples > step && blocks(r, results, samples, rows) > MNO_FIELD_LANES) samples -= step;
  while (rows > MNO_FIELD_ROWS && blocks(r, results, samples, rows) > MNO_FIELD_LANES)
    rows = (rows - 1) / MNO_FIELD_ROWS * MNO_FIELD_ROWS;
  if (chunk < MNO_FIELD_LEAST / MNO_FIELD_LANES) chunk = MNO_FIELD_LEAST / MNO_FIELD_LANES;
  const size_t fields = N * r, outputs = results == MNO_FIELD_FJ   ? fields * (1 + r)
                                         : results == MNO_FIELD_FG ? 2 * fields
                                         : results                 ? fields
                                                                   : 0;
  return (mno_field_shape){.trainer = trainer,
                           .tensors = (int32_t)tensors,
                           .vectors = (int32_t)vectors,
                           .bytes = bytes,
                           .N = (int32_t)N,
                           .r = (int32_t)r,
                           .groups = (int32_t)groups,
                           .pitch = mno_pitch(bytes),
                           .results = (int32_t)results,
                           .samples = (int32_t)samples,
                           .rows = (int32_t)rows,
                           .sample_patches = (int32_t)mno_ceil_div(MNO_CHUNK, samples),
                           .row_patches = (int32_t)mno_ceil_div(r, rows),
                           .particles = (uint32_t)particles,
                           .tiles = (uint32_t)tiles,
                           .chunk = (uint32_t)chunk,
                           .chunks = (uint32_t)mno_ceil_div(tiles, chunk),
                           .outputs = (uint32_t)outputs,
                           .work_rows = (uint32_t)((groups > 1 ? 2 : 1) * tensors * r + MNO_FIELD_ROWS - 1)};
}

mno_status mno_field_fit(const mno_field_shape *shape, const mno_device_info *info, int *work_in_memory, mno_error *err) {
  *work_in_memory = mno_field_shared_bytes(shape, 0) > info->shared_block;
  if (mno_field_shared_bytes(shape, *work_in_memory) <= info->shared_block) return MNO_OK;
  return mno_fail(
      err, MNO_ERR_BACKEND,
      "%s: a pass over particles of %d coordinates needs %.0f KiB of shared memory in a block, the card has %.0f "
      "KiB; use --backend cpu",
      info->name, shape->r, (double)mno_field_shared_bytes(shape, 1) / 1024, (double)info->shared_block / 1024);
}
