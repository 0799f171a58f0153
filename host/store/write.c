/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/write.h"

#include <math.h>
#include <stdio.h>

const char mno_row_coordinates[] = "L M D alpha seed data_seed problem id draw_width draw_offset draw_sign";

void mno_problem_name(size_t problem, char name[32]) { snprintf(name, 32, "problem_%04zu", problem); }

hid_t mno_make_group(hid_t parent, const char *name) {
  MNO_CLOSING hid_t create = H5Pcreate(H5P_GROUP_CREATE);
  H5Pset_link_creation_order(create, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  return H5Gcreate2(parent, name, H5P_DEFAULT, create, H5P_DEFAULT);
}

static hid_t give_up(hid_t handle) {
  mno_h5_close(&handle);
  return H5I_INVALID_HID;
}

/* ---- Dimensions */

static hid_t make_scale(hid_t group, const char *name, hid_t type, size_t size, const char *label) {
  MNO_CLOSING hid_t space = H5Screate_simple(1, &(hsize_t){size}, NULL);
  hid_t scale = H5Dcreate2(group, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  return scale >= 0 && H5DSset_scale(scale, label) < 0 ? give_up(scale) : scale;
}

hid_t mno_make_dimension(hid_t group, const char *name, size_t size) {
  char label[80];
  snprintf(label, sizeof label, "This is a netCDF dimension but not a netCDF variable. %10zu", size);
  return make_scale(group, name, H5T_IEEE_F32BE, size, label);
}

bool mno_make_dimensions(hid_t group, size_t rank, const mno_dimension *dimension, const size_t *shape,
                         hid_t scale[MNO_DIMENSIONS]) {
  bool ok = true;
  for (size_t d = 0; ok && d < rank; d++) {
    hid_t *of = &scale[dimension[d]];
    if (*of == 0) *of = mno_make_dimension(group, mno_dimension_name(dimension[d]), shape[d]);
    ok = *of >= 0;
  }
  return ok;
}

static bool describe(hid_t dataset, const char *units, const char *long_name) {
  return mno_h5_text(dataset, "units", units) && mno_h5_text(dataset, "long_name", long_name);
}

/* Names a quantity, and writes all of it. */
static bool fill(hid_t dataset, hid_t memory, const void *value, const char *units, const char *long_name) {
  return dataset >= 0 && describe(dataset, units, long_name) &&
         H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0;
}

hid_t mno_make_axis(hid_t group, const char *name, hid_t type, hid_t memory, size_t size, const void *value,
                    const char *long_name) {
  hid_t scale = make_scale(group, name, type, size, name);
  return fill(scale, memory, value, "1", long_name) ? scale : give_up(scale);
}

hid_t mno_make_steps(hid_t group, const int64_t *step, size_t count) {
  return mno_make_axis(group, "step", H5T_STD_I64LE, H5T_NATIVE_INT64, count, step, "gradient step (0 is initialisation)");
}

/* ---- Arrays */

/* A dataset whose dimensions are the given scales. chunk NULL: contiguous. nothing: what rows hold before they are written,
 * or NULL. */
static hid_t make_dataset(hid_t group, const char *name, hid_t type, size_t rank, const hid_t *scale, const hsize_t *chunk,
                          const void *nothing) {
  hsize_t shape[H5S_MAX_RANK];
  for (size_t i = 0; i < rank; i++) {
    MNO_CLOSING hid_t space = H5Dget_space(scale[i]);
    if (space < 0) return H5I_INVALID_HID;
    H5Sget_simple_extent_dims(space, &shape[i], NULL);
  }
  MNO_CLOSING hid_t space = rank ? H5Screate_simple((int)rank, shape, NULL) : H5Screate(H5S_SCALAR);
  MNO_CLOSING hid_t create = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_obj_track_times(create, false);
  if (chunk) H5Pset_chunk(create, (int)rank, chunk);
  if (nothing) H5Pset_fill_value(create, type, nothing);
  hid_t dataset = H5Dcreate2(group, name, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
  for (size_t i = 0; dataset >= 0 && i < rank; i++)
    if (H5DSattach_scale(dataset, scale[i], (unsigned)i) < 0) return give_up(dataset);
  return dataset;
}

bool mno_make_array(hid_t group, const char *name, hid_t type, hid_t memory, size_t rank, const hid_t *scale,
                    const void *value, const char *units, const char *long_name) {
  MNO_CLOSING hid_t dataset = make_dataset(group, name, type, rank, scale, NULL, NULL);
  return fill(dataset, memory, value, units, long_name);
}

/* ---- Variables along rows */

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

static bool make_field(hid_t group, const mno_stored *stored, hid_t rows, size_t row_count,
                       const hid_t scale[MNO_DIMENSIONS]) {
  static const double nan64 = NAN;
  static const float nan32 = NAN;
  const mno_record_field *field = &stored->field;
  const bool single = stored->width == 4;
  const size_t has_rows = field->place != MNO_PLACE_INSTANCE;
  hid_t axis[MNO_FIELD_RANK + 1] = {rows};
  hsize_t chunk[MNO_FIELD_RANK + 1];
  size_t cache;
  for (size_t d = 0; d < stored->rank; d++) axis[d + has_rows] = scale[field->dimension[d]];
  if (has_rows) mno_choose_chunk(stored, row_count, chunk, &cache);
  MNO_CLOSING hid_t dataset = make_dataset(group, field->name, single ? H5T_IEEE_F32LE : H5T_IEEE_F64LE,
                                           stored->rank + has_rows, axis, has_rows ? chunk : NULL,
                                           !has_rows ? NULL
                                           : single  ? (const void *)&nan32
                                                     : &nan64);
  return dataset >= 0 && describe(dataset, field->units, field->long_name) &&
         (field->place != MNO_PLACE_TABLE || mno_h5_text(dataset, "coordinates", mno_row_coordinates));
}

bool mno_make_fields(hid_t group, mno_place place, const mno_stored *stored, size_t fields, hid_t rows, size_t row_count,
                     const hid_t scale[MNO_DIMENSIONS]) {
  bool ok = true;
  for (size_t i = 0; ok && i < fields; i++)
    if (stored[i].field.place == place) ok = make_field(group, &stored[i], rows, row_count, scale);
  return ok;
}
