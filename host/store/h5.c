/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/h5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static hid_t text_type(void) {
  hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, H5T_VARIABLE);
  H5Tset_cset(type, H5T_CSET_UTF8);
  return type;
}

bool mno_h5_text(hid_t object, const char *name, const char *text) {
  hid_t type = text_type(), space = H5Screate(H5S_SCALAR);
  if (H5Aexists(object, name) > 0) H5Adelete(object, name);
  hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  bool ok = attribute >= 0 && H5Awrite(attribute, type, &text) >= 0;
  if (attribute >= 0) H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
  return ok;
}

bool mno_h5_number(hid_t object, const char *name, hid_t type, const void *value, size_t count) {
  hid_t space = count ? H5Screate_simple(1, &(hsize_t){count}, NULL) : H5Screate(H5S_SCALAR);
  if (H5Aexists(object, name) > 0) H5Adelete(object, name);
  hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  bool ok = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
  if (attribute >= 0) H5Aclose(attribute);
  H5Sclose(space);
  return ok;
}

char *mno_h5_read_text(hid_t object, const char *name) {
  if (H5Aexists(object, name) <= 0) return NULL;
  hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
  if (attribute < 0) return NULL;
  hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
  char *text = NULL;
  if (type >= 0 && space >= 0 && H5Tget_class(type) == H5T_STRING && H5Sget_simple_extent_npoints(space) == 1) {
    if (H5Tis_variable_str(type) > 0) {
      char *owned = NULL;
      hid_t memory = H5Tcopy(H5T_C_S1);
      H5Tset_size(memory, H5T_VARIABLE);
      H5Tset_cset(memory, H5Tget_cset(type));
      if (H5Aread(attribute, memory, &owned) >= 0 && owned) text = strdup(owned);
      if (owned) H5free_memory(owned);
      H5Tclose(memory);
    } else {
      size_t size = H5Tget_size(type);
      text = size < 1u << 24 ? calloc(1, size + 1) : NULL;
      if (text && H5Aread(attribute, type, text) < 0) {
        free(text);
        text = NULL;
      }
    }
  }
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  H5Aclose(attribute);
  return text;
}

/* Reads exactly count numbers of an attribute, whatever their type in the file. */
static bool read_numbers(hid_t object, const char *name, hid_t memory, size_t count, void *value) {
  if (H5Aexists(object, name) <= 0) return false;
  hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
  if (attribute < 0) return false;
  hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
  H5T_class_t class = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
  bool ok = (class == H5T_INTEGER || class == H5T_FLOAT) && space >= 0 &&
            H5Sget_simple_extent_npoints(space) == (hssize_t)count && H5Aread(attribute, memory, value) >= 0;
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  H5Aclose(attribute);
  return ok;
}

double mno_h5_read_number(hid_t object, const char *name, double otherwise) {
  double value;
  return read_numbers(object, name, H5T_NATIVE_DOUBLE, 1, &value) ? value : otherwise;
}

bool mno_h5_read_u64(hid_t object, const char *name, uint64_t *value) {
  return read_numbers(object, name, H5T_NATIVE_UINT64, 1, value);
}

bool mno_h5_read_ints(hid_t object, const char *name, int *value, size_t count) {
  return read_numbers(object, name, H5T_NATIVE_INT, count, value);
}

bool mno_h5_describe(hid_t dataset, const char *units, const char *long_name) {
  return mno_h5_text(dataset, "units", units) && mno_h5_text(dataset, "long_name", long_name);
}

hid_t mno_h5_dimension(hid_t group, const char *name, size_t size) {
  hid_t space = H5Screate_simple(1, &(hsize_t){size}, NULL);
  hid_t scale = H5Dcreate2(group, name, H5T_IEEE_F32BE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Sclose(space);
  char label[80];
  snprintf(label, sizeof label, "This is a netCDF dimension but not a netCDF variable. %10zu", size);
  if (scale >= 0 && H5DSset_scale(scale, label) < 0) {
    H5Dclose(scale);
    return H5I_INVALID_HID;
  }
  return scale;
}

hid_t mno_h5_dataset(hid_t group, const char *name, hid_t type, size_t rank, const hid_t *scale, const hsize_t *chunk,
                     const void *fill, size_t cache) {
  hsize_t shape[H5S_MAX_RANK];
  for (size_t i = 0; i < rank; i++) {
    hid_t space = H5Dget_space(scale[i]);
    if (space < 0) return H5I_INVALID_HID;
    H5Sget_simple_extent_dims(space, &shape[i], NULL);
    H5Sclose(space);
  }
  hid_t space = rank ? H5Screate_simple((int)rank, shape, NULL) : H5Screate(H5S_SCALAR);
  hid_t create = H5Pcreate(H5P_DATASET_CREATE), access = H5Pcreate(H5P_DATASET_ACCESS);
  H5Pset_obj_track_times(create, false);
  if (chunk) H5Pset_chunk(create, (int)rank, chunk);
  if (fill) H5Pset_fill_value(create, type, fill);
  if (chunk) H5Pset_chunk_cache(access, 521, cache, 1.0);
  hid_t dataset = H5Dcreate2(group, name, type, space, H5P_DEFAULT, create, access);
  for (size_t i = 0; dataset >= 0 && i < rank; i++)
    if (H5DSattach_scale(dataset, scale[i], (unsigned)i) < 0) {
      H5Dclose(dataset);
      dataset = H5I_INVALID_HID;
    }
  H5Pclose(access);
  H5Pclose(create);
  H5Sclose(space);
  return dataset;
}
