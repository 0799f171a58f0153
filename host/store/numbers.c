/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/numbers.h"

#include "core/memory.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mno_status mno_result_unreadable(const mno_result *result, mno_error *err) {
  return mno_fail(err, MNO_ERR_IO, "cannot read %s: %s", result->path, strerror(mno_h5_errno()));
}

mno_status mno_result_damaged(const mno_result *result, const char *object, mno_error *err, const char *what) {
  if (mno_h5_errno()) return mno_result_unreadable(result, err);
  return mno_fail(err, MNO_ERR_INPUT, "%s: %s: %s", result->path, object, what);
}

mno_status mno_result_settle(const mno_result *result, mno_status status, mno_error *err) {
  if (status == MNO_OK && mno_h5_errno()) status = mno_result_unreadable(result, err);
  mno_h5_unlock();
  return status;
}

mno_status mno_open_numbers(const mno_read_from *from, const char *name, int rank, hsize_t shape[5], hid_t *dataset,
                            mno_error *err) {
  char object[128];
  snprintf(object, sizeof object, "%s/%s", from->where, name);
  *dataset = H5I_INVALID_HID;
  if (H5Lexists(from->group, name, H5P_DEFAULT) <= 0) return MNO_OK;
  hid_t made = H5Dopen2(from->group, name, H5P_DEFAULT);
  if (made < 0) return mno_result_damaged(from->result, object, err, "cannot be opened as a dataset");
  hid_t type = H5Dget_type(made), space = H5Dget_space(made);
  H5T_class_t class = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
  bool ok = (class == H5T_INTEGER || class == H5T_FLOAT) && space >= 0 && H5Sget_simple_extent_ndims(space) == rank &&
            H5Sget_simple_extent_dims(space, shape, NULL) == rank;
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  if (!ok) {
    H5Dclose(made);
    char what[64];
    snprintf(what, sizeof what, "is not an array of numbers with %d dimension%s", rank, rank == 1 ? "" : "s");
    return mno_result_damaged(from->result, object, err, what);
  }
  *dataset = made;
  return MNO_OK;
}

mno_status mno_read_numbers(const mno_read_from *from, const char *name, hid_t memory, int rank, const size_t *expected,
                            bool required, void *data, mno_error *err) {
  void **out = data;
  char object[128], what[160];
  snprintf(object, sizeof object, "%s/%s", from->where, name);
  hsize_t shape[5];
  hid_t dataset;
  mno_status status = mno_open_numbers(from, name, rank, shape, &dataset, err);
  if (status != MNO_OK) return status;
  if (dataset < 0) return required ? mno_result_damaged(from->result, object, err, "is missing") : MNO_OK;
  size_t count = 1;
  for (int i = 0; i < rank && status == MNO_OK; i++) {
    if (expected[i] && shape[i] != expected[i]) {
      snprintf(what, sizeof what, "has %llu entries along dimension %d, not %zu", (unsigned long long)shape[i], i,
               expected[i]);
      status = mno_result_damaged(from->result, object, err, what);
    } else if (shape[i] == 0 || __builtin_mul_overflow(count, shape[i], &count) || count > mno_memory_available() / 8) {
      status = mno_result_damaged(from->result, object, err, "has an impossible size");
    }
  }
  void *block = *out;
  if (status == MNO_OK && !block && !(block = mno_alloc(count, H5Tget_size(memory))))
    status = mno_fail_memory(err, count * 8, object);
  if (status == MNO_OK && H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, block) < 0) {
    if (!*out) free(block);
    char reason[128];
    snprintf(what, sizeof what, "cannot be read: %s", mno_h5_reason(reason, sizeof reason));
    status = mno_result_damaged(from->result, object, err, what);
  } else if (status == MNO_OK) {
    *out = block;
  }
  H5Dclose(dataset);
  return status;
}

mno_status mno_size_of_numbers(const mno_read_from *from, const char *name, int rank, size_t *size, mno_error *err) {
  hsize_t shape[5];
  hid_t dataset;
  mno_status status = mno_open_numbers(from, name, rank, shape, &dataset, err);
  if (status != MNO_OK) return status;
  char object[128];
  snprintf(object, sizeof object, "%s/%s", from->where, name);
  if (dataset < 0) return mno_result_damaged(from->result, object, err, "is missing");
  H5Dclose(dataset);
  for (int i = 0; i < rank; i++) {
    if (shape[i] == 0 || shape[i] > INT_MAX) return mno_result_damaged(from->result, object, err, "has an impossible size");
    size[i] = (size_t)shape[i];
  }
  return MNO_OK;
}
