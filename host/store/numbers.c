/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/numbers.h"

#include "core/memory.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mno_status mno_result_unreadable(const mno_result *result, mno_error *err) {
  return mno_fail(err, MNO_ERR_IO, "cannot read %s: %s", result->path, strerror(mno_h5_errno()));
}

mno_status mno_result_damaged(const mno_result *result, const char *object, mno_error *err, const char *what, ...) {
  if (mno_h5_errno()) return mno_result_unreadable(result, err);
  char text[512];
  va_list args;
  va_start(args, what);
  vsnprintf(text, sizeof text, what, args);
  va_end(args);
  return mno_fail(err, MNO_ERR_INPUT, "%s: %s: %s", result->path, object, text);
}

mno_status mno_result_settle(const mno_result *result, mno_status status, mno_error *err) {
  if (status == MNO_OK && mno_h5_errno()) status = mno_result_unreadable(result, err);
  mno_h5_unlock();
  return status;
}

static mno_status cannot_be_read(const mno_result *result, const char *object, mno_error *err) {
  char reason[256];
  return mno_result_damaged(result, object, err, "cannot be read: %s", mno_h5_reason(reason, sizeof reason));
}

mno_status mno_read_part(const mno_result *result, const char *object, const mno_part *part, void *data, mno_error *err) {
  MNO_CLOSING hid_t space = H5Dget_space(part->dataset), memory = H5Screate_simple(part->rank, part->size, NULL);
  if (H5Sselect_hyperslab(space, H5S_SELECT_SET, part->start, NULL, part->size, NULL) >= 0 &&
      H5Dread(part->dataset, part->memory, memory, space, H5P_DEFAULT, data) >= 0)
    return MNO_OK;
  return cannot_be_read(result, object, err);
}

/* ---- Whole arrays */

typedef struct path {
  char text[128];
} path;

static path path_of(const mno_read_from *from, const char *name) {
  path made;
  snprintf(made.text, sizeof made.text, "%s/%s", from->where, name);
  return made;
}

mno_status mno_open_numbers(const mno_read_from *from, const char *name, int rank, hsize_t shape[5], hid_t *dataset,
                            mno_error *err) {
  *dataset = H5I_INVALID_HID;
  if (H5Lexists(from->group, name, H5P_DEFAULT) <= 0) return MNO_OK;
  hid_t made = H5Dopen2(from->group, name, H5P_DEFAULT);
  if (made < 0) return mno_result_damaged(from->result, path_of(from, name).text, err, "cannot be opened as a dataset");
  MNO_CLOSING hid_t type = H5Dget_type(made), space = H5Dget_space(made);
  H5T_class_t class = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
  if ((class == H5T_INTEGER || class == H5T_FLOAT) && space >= 0 && H5Sget_simple_extent_ndims(space) == rank &&
      H5Sget_simple_extent_dims(space, shape, NULL) == rank) {
    *dataset = made;
    return MNO_OK;
  }
  mno_h5_close(&made);
  return mno_result_damaged(from->result, path_of(from, name).text, err, "is not an array of numbers with %d dimension%s",
                            rank, rank == 1 ? "" : "s");
}

mno_status mno_read_numbers(const mno_read_from *from, const char *name, hid_t memory, int rank, const size_t *expected,
                            bool required, void *data, mno_error *err) {
  void **out = data;
  const path object = path_of(from, name);
  hsize_t shape[5];
  MNO_CLOSING hid_t dataset;
  mno_status status = mno_open_numbers(from, name, rank, shape, &dataset, err);
  if (status != MNO_OK) return status;
  if (dataset < 0) return required ? mno_result_damaged(from->result, object.text, err, "is missing") : MNO_OK;
  size_t count = 1;
  for (int i = 0; i < rank; i++) {
    if (expected[i] && shape[i] != expected[i])
      return mno_result_damaged(from->result, object.text, err, "has %llu entries along dimension %d, not %zu",
                                (unsigned long long)shape[i], i, expected[i]);
    if (shape[i] == 0 || __builtin_mul_overflow(count, shape[i], &count) || count > mno_memory_available() / 8)
      return mno_result_damaged(from->result, object.text, err, "has an impossible size");
  }
  void *block = *out ? *out : mno_alloc(count, H5Tget_size(memory));
  if (!block) return mno_fail_memory(err, count * 8, object.text);
  if (H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, block) >= 0) {
    *out = block;
    return MNO_OK;
  }
  if (!*out) free(block);
  return cannot_be_read(from->result, object.text, err);
}

mno_status mno_size_of_numbers(const mno_read_from *from, const char *name, int rank, size_t *size, mno_error *err) {
  hsize_t shape[5];
  MNO_CLOSING hid_t dataset;
  mno_status status = mno_open_numbers(from, name, rank, shape, &dataset, err);
  if (status != MNO_OK) return status;
  const path object = path_of(from, name);
  if (dataset < 0) return mno_result_damaged(from->result, object.text, err, "is missing");
  for (int i = 0; i < rank; i++) {
    if (shape[i] == 0 || shape[i] > INT_MAX)
      return mno_result_damaged(from->result, object.text, err, "has an impossible size");
    size[i] = (size_t)shape[i];
  }
  return MNO_OK;
}
