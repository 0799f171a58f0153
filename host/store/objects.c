/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/objects.h"

#include <stdlib.h>
#include <string.h>

/* ---- Writing */

bool mno_h5_remove(hid_t object, const char *name) { return H5Aexists(object, name) <= 0 || H5Adelete(object, name) >= 0; }

static bool write_attribute(hid_t object, const char *name, hid_t type, hid_t space, const void *value) {
  mno_h5_remove(object, name);
  MNO_CLOSING hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  return attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
}

hid_t mno_h5_text_type(void) {
  hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, H5T_VARIABLE);
  H5Tset_cset(type, H5T_CSET_UTF8);
  return type;
}

bool mno_h5_text(hid_t object, const char *name, const char *text) {
  MNO_CLOSING hid_t type = mno_h5_text_type(), space = H5Screate(H5S_SCALAR);
  return write_attribute(object, name, type, space, &text);
}

bool mno_h5_number(hid_t object, const char *name, hid_t type, const void *value, size_t count) {
  MNO_CLOSING hid_t space = count ? H5Screate_simple(1, &(hsize_t){count}, NULL) : H5Screate(H5S_SCALAR);
  return write_attribute(object, name, type, space, value);
}

/* ---- Reading */

static hid_t open_attribute(hid_t object, const char *name) {
  return H5Aexists(object, name) > 0 ? H5Aopen(object, name, H5P_DEFAULT) : H5I_INVALID_HID;
}

static bool read_whole(hid_t from, hid_t type, void *value) {
  return H5Iget_type(from) == H5I_ATTR ? H5Aread(from, type, value) >= 0
                                       : H5Dread(from, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0;
}

/* The one string in an attribute or dataset. */
static char *read_text(hid_t from) {
  if (from < 0) return NULL;
  const bool attribute = H5Iget_type(from) == H5I_ATTR;
  MNO_CLOSING hid_t type = attribute ? H5Aget_type(from) : H5Dget_type(from);
  MNO_CLOSING hid_t space = attribute ? H5Aget_space(from) : H5Dget_space(from);
  if (type < 0 || space < 0 || H5Tget_class(type) != H5T_STRING || H5Sget_simple_extent_npoints(space) != 1) return NULL;
  char *text = NULL;
  if (H5Tis_variable_str(type) > 0) {
    char *owned = NULL;
    if (read_whole(from, type, &owned) && owned) text = strdup(owned);
    if (owned) H5free_memory(owned);
    return text;
  }
  size_t size = H5Tget_size(type);
  text = size < 1u << 26 ? calloc(1, size + 1) : NULL;
  if (text && read_whole(from, type, text)) return text;
  free(text);
  return NULL;
}

char *mno_h5_read_text(hid_t object, const char *name) {
  MNO_CLOSING hid_t attribute = open_attribute(object, name);
  return read_text(attribute);
}

char *mno_h5_read_dataset_text(hid_t group, const char *name) {
  if (H5Lexists(group, name, H5P_DEFAULT) <= 0) return NULL;
  MNO_CLOSING hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT);
  return read_text(dataset);
}

bool mno_h5_read_numbers(hid_t object, const char *name, hid_t memory, size_t count, void *value) {
  MNO_CLOSING hid_t attribute = open_attribute(object, name);
  if (attribute < 0) return false;
  MNO_CLOSING hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
  H5T_class_t class = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
  return (class == H5T_INTEGER || class == H5T_FLOAT) && space >= 0 &&
         H5Sget_simple_extent_npoints(space) == (hssize_t)count && H5Aread(attribute, memory, value) >= 0;
}

double mno_h5_read_number(hid_t object, const char *name, double otherwise) {
  double value;
  return mno_h5_read_numbers(object, name, H5T_NATIVE_DOUBLE, 1, &value) ? value : otherwise;
}
