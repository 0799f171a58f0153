/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/variables.h"

#include <math.h>
#include <stdio.h>

const char mno_row_coordinates[] = "L M D alpha seed data_seed problem id draw_width draw_offset draw_sign";

hid_t mno_stored_type(const mno_stored *stored) { return stored->width == 4 ? H5T_IEEE_F32LE : H5T_IEEE_F64LE; }
hid_t mno_memory_type(const mno_stored *stored) { return stored->width == 4 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE; }

void mno_choose_chunk(const mno_stored *stored, size_t rows, hsize_t chunk[MNO_FIELD_RANK + 1], size_t *cache) {
  enum { CHUNK = 64 << 10, CHUNK_MOST = 64 << 20 };
  size_t bytes = stored->width, first = stored->rank > 1 && stored->field.dimension[0] == MNO_DIMENSION_STEP ? 1 : 0;
  for (size_t i = 0; i < stored->rank; i++) {
    chunk[i + 1] = i < first ? 1 : stored->shape[i];
    while (bytes * chunk[i + 1] > CHUNK_MOST && chunk[i + 1] > 1) chunk[i + 1] = (chunk[i + 1] + 1) / 2;
    bytes *= chunk[i + 1];
  }
  size_t fit = CHUNK / bytes;
  chunk[0] = fit < 1 ? 1 : fit > rows ? rows : fit;
  size_t side = stored->rank ? stored->bytes / bytes : 1; /* chunks beside each other */
  *cache = bytes * chunk[0] * (side + 1);
  if (*cache > 64u << 20) *cache = 64u << 20;
}

bool mno_make_array(hid_t group, const char *name, hid_t type, hid_t memory, size_t rank, const hid_t *scale,
                    const void *value, const char *units, const char *long_name) {
  hid_t dataset = mno_h5_dataset(group, name, type, rank, scale, NULL, NULL, 0);
  bool ok = dataset >= 0 && mno_h5_describe(dataset, units, long_name) &&
            H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0;
  if (dataset >= 0) H5Dclose(dataset);
  return ok;
}

hid_t mno_make_axis(hid_t group, const char *name, hid_t type, hid_t memory, size_t size, const void *value,
                    const char *long_name) {
  hid_t space = H5Screate_simple(1, &(hsize_t){size}, NULL);
  hid_t scale = H5Dcreate2(group, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Sclose(space);
  if (scale >= 0 && H5DSset_scale(scale, name) >= 0 && mno_h5_describe(scale, "1", long_name) &&
      H5Dwrite(scale, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0)
    return scale;
  if (scale >= 0) H5Dclose(scale);
  return H5I_INVALID_HID;
}

void mno_problem_name(size_t problem, char name[32]) { snprintf(name, 32, "problem_%04zu", problem); }

hid_t mno_make_group(hid_t parent, const char *name) {
  hid_t create = H5Pcreate(H5P_GROUP_CREATE);
  H5Pset_link_creation_order(create, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  hid_t group = H5Gcreate2(parent, name, H5P_DEFAULT, create, H5P_DEFAULT);
  H5Pclose(create);
  return group;
}

hid_t mno_make_steps(hid_t group, const int64_t *step, size_t count) {
  return mno_make_axis(group, "step", H5T_STD_I64LE, H5T_NATIVE_INT64, count, step, "gradient step (0 is initialisation)");
}

bool mno_make_fields(hid_t group, mno_place place, const mno_stored *stored, size_t fields, hid_t rows, size_t row_count,
                     const hid_t scale[MNO_DIMENSIONS]) {
  static const double nan64 = NAN;
  static const float nan32 = NAN;
  for (size_t i = 0; i < fields; i++) {
    const mno_record_field *field = &stored[i].field;
    if (field->place != place) continue;
    hid_t axis[MNO_FIELD_RANK + 1] = {rows};
    hsize_t chunk[MNO_FIELD_RANK + 1];
    size_t cache, has_rows = place != MNO_PLACE_INSTANCE;
    for (size_t d = 0; d < stored[i].rank; d++) axis[d + has_rows] = scale[field->dimension[d]];
    if (has_rows) mno_choose_chunk(&stored[i], row_count, chunk, &cache);
    hid_t dataset =
        mno_h5_dataset(group, field->name, mno_stored_type(&stored[i]), stored[i].rank + has_rows, axis,
                       has_rows ? chunk : NULL, has_rows ? (stored[i].width == 4 ? (const void *)&nan32 : &nan64) : NULL, 0);
    bool ok = dataset >= 0 && mno_h5_describe(dataset, field->units, field->long_name) &&
              (place != MNO_PLACE_TABLE || mno_h5_text(dataset, "coordinates", mno_row_coordinates));
    if (dataset >= 0) H5Dclose(dataset);
    if (!ok) return false;
  }
  return true;
}
