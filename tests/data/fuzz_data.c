/* SPDX-License-Identifier: BSD-3-Clause */
/* Any data file gives finite numbers of consistent shapes, or an error that names the file. Never a crash or a hang.
 * The first byte chooses:
 *   0  the rest is a file
 *   1  edits of the bytes of a plain file, 4 bytes each: offset (3), xor; 255 cuts there
 *   otherwise edits of the file's content through HDF5, 4 bytes each: object, what, value, how
 * Where HDF5 crashes on the first two kinds, it does so in a process apart that leaves a file crash-*; the search goes on */
#define _GNU_SOURCE
#include "core/h5.h"
#include "data/load.h"
#include "data/reader.h"
#include "fuzz.h"
#include "meanode/meanode.h"

#include <hdf5_hl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What HDF5 asks for in a damaged file may be more than there is, which it takes well. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

static void check_finite(const double *values, size_t count) {
  for (size_t i = 0; values && i < count; i++) require(isfinite(values[i]));
}

/* As mno_data_load, but without a process apart, whose paths the fuzzer does not see: for files that HDF5 wrote itself. */
static mno_status read_here(const mno_sweep *sweep, const char *path, mno_data *data, mno_error *err) {
  char note[MNO_DATA_NOTE] = "";
  int fd = -1;
  mno_data_reader r = {.sweep = sweep, .path = (char *)path, .note = note, .err = err};
  mno_status status = mno_data_examine(&r, &fd);
  if (fd >= 0) close(fd);
  return status == MNO_OK ? mno_data_read_sets(&r, data) : status;
}

static void read_data(const char *path, bool here) {
  char text[500];
  snprintf(text, sizeof text, "data: {kind: file, path: %s}\nmodel: {D: 2}\ntraining: {steps: 1}\nsweep: {L: 1, M: 1}\n",
           path);
  mno_error err = {0};
  mno_sweep *sweep;
  mno_data *data = NULL;
  require(mno_sweep_parse(text, strlen(text), "fuzz.yaml", &sweep, &err) == MNO_OK);
  mno_status status;
  if (here) {
    data = calloc(1, sizeof *data);
    status = read_here(sweep, path, data, &err);
  } else {
    status = mno_data_load(sweep, 1, &data, &err);
  }
  if (status == MNO_OK) {
    require(err.message[0] == 0 && data->N && data->d_in && data->d_out && data->x && data->y);
    check_finite(data->x, data->N * data->d_in);
    check_finite(data->y, data->N * data->d_out);
    check_finite(data->w_embed, 2 * data->d_in);
    check_finite(data->w_unembed, 2 * data->d_out);
  } else {
    require(status == MNO_ERR_INPUT && strstr(err.message, path) != NULL);
  }
  mno_data_free(data);
  mno_sweep_free(sweep);
}

static void save(const char *path, const unsigned char *data, size_t size) {
  FILE *file = fopen(path, "wb");
  require(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

static void edit_bytes(const char *path, const unsigned char *how, size_t length) {
  static unsigned char data[1 << 16];
  FILE *file = fopen(path, "rb");
  require(file != NULL);
  size_t size = fread(data, 1, sizeof data, file), end = size;
  fclose(file);
  for (size_t i = 0; i + 4 <= length; i += 4) {
    size_t at = ((size_t)how[i] | (size_t)how[i + 1] << 8 | (size_t)how[i + 2] << 16) % size;
    if (how[i + 3] == 255)
      end = at;
    else
      data[at] ^= how[i + 3];
  }
  save(path, data, end);
}

static const char *const objects[] = {"x", "y", "w_embed", "w_unembed"};
static const char *const attributes[] = {"scale_factor", "add_offset", "_FillValue",        "missing_value",
                                         "valid_min",    "valid_max",  "valid_range",       "_Unsigned",
                                         "MATLAB_class", "units",      "_ARRAY_DIMENSIONS", "DIMENSION_LIST",
                                         "rhdf5-NA.OK",  "dtype",      "MATLAB_empty",      "DIMENSION_LABELS"};
static const char *const texts[] = {"true", "false", "double", "char", "sample", "input", "days since 0", ""};
static const double numbers[] = {0, 1, -1, 2, 0.5, 1e300, NAN, INFINITY, 127, 128, -9999, 255, 3};

static hid_t type_of(unsigned char how) {
  const hid_t types[] = {H5T_NATIVE_DOUBLE, H5T_STD_I8LE,       H5T_STD_U8BE,  H5T_STD_I64BE,     H5T_IEEE_F32BE,
                         H5T_C_S1,          H5T_NATIVE_LDOUBLE, H5T_STD_B8LE,  H5T_STD_REF_OBJ,   H5T_STD_U64LE,
                         H5T_UNIX_D32LE,    H5T_NATIVE_DOUBLE,  H5T_STD_I16LE, H5T_NATIVE_DOUBLE, H5T_NATIVE_DOUBLE};
  return types[how % 15];
}

/* An attribute of numbers, a text, or several texts. */
static void edit_attribute(hid_t set, const unsigned char how[4]) {
  const char *name = attributes[how[1] % 16];
  if (H5Aexists(set, name) > 0) H5Adelete(set, name);
  bool is_text = how[3] & 8;
  hid_t type = is_text ? H5Tcopy(H5T_C_S1) : H5Tcopy(type_of(how[3] / 16));
  if (is_text) H5Tset_size(type, 13);
  hsize_t count = (hsize_t[]){1, 2, 0, 70}[how[2] / 64];
  hid_t space = how[3] & 4 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, NULL);
  hid_t attribute = H5Acreate2(set, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  char names[70][13] = {{0}};
  double values[70];
  for (int i = 0; i < 70; i++) {
    values[i] = numbers[(how[2] + i) % 13];
    strcpy(names[i], texts[(how[2] + i) % 8]);
  }
  if (attribute >= 0 && is_text)
    H5Awrite(attribute, type, names);
  else if (attribute >= 0)
    H5Awrite(attribute, H5T_NATIVE_DOUBLE, values);
  if (attribute >= 0) H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
}

/* Another dataset, a group or a link in the place of one. */
static void replace(hid_t file, const unsigned char how[4]) {
  const char *name = objects[how[0] % 4];
  H5Ldelete(file, name, H5P_DEFAULT);
  if (how[1] % 16 == 15) {
    H5Gclose(H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    return;
  }
  if (how[1] % 16 == 14) {
    H5Lcreate_soft(how[2] & 1 ? "/y" : "/x/y/z", file, name, H5P_DEFAULT, H5P_DEFAULT);
    return;
  }
  static const hsize_t sizes[] = {1, 2, 3, 0, 6, 1000000000000, 1 << 20, 4};
  hsize_t shape[3] = {sizes[how[2] % 8], sizes[how[2] / 8 % 8], sizes[how[2] / 32 % 8]}, chunk[3] = {2, 2, 1};
  int rank = how[1] % 4;
  hid_t create = H5Pcreate(H5P_DATASET_CREATE), space = rank ? H5Screate_simple(rank, shape, NULL) : H5Screate(H5S_SCALAR);
  if (how[3] & 4 && rank) H5Pset_chunk(create, rank, chunk);
  if (how[3] & 8) H5Pset_fill_value(create, H5T_NATIVE_DOUBLE, &numbers[how[1] % 13]);
  if (how[1] & 32 && rank && how[3] & 4) H5Pset_deflate(create, 1);
  hid_t set = H5Dcreate2(file, name, type_of(how[3] / 16), space, H5P_DEFAULT, create, H5P_DEFAULT);
  hssize_t points = H5Sget_simple_extent_npoints(space);
  double *values = set >= 0 && how[1] & 64 && points > 0 && points < 1000 ? calloc((size_t)points, sizeof *values) : NULL;
  for (hssize_t i = 0; values && i < points; i++) values[i] = numbers[(how[2] + i) % 13];
  if (values) H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  free(values);
  if (set >= 0) H5Dclose(set);
  H5Sclose(space);
  H5Pclose(create);
}

static void edit_content(const char *path, const unsigned char *how, size_t length) {
  mno_h5_lock();
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  require(file >= 0);
  for (size_t i = 0; i + 4 <= length && i < 32; i += 4) {
    hid_t set = how[i + 3] & 1 ? H5I_INVALID_HID : H5Oopen(file, objects[how[i] % 4], H5P_DEFAULT);
    if (set >= 0) {
      edit_attribute(set, how + i);
      H5Oclose(set);
    } else {
      replace(file, how + i);
    }
  }
  H5Fclose(file);
  mno_h5_unlock();
}

static void plain_file(const char *path) {
  static const double values[] = {1, 2.5, -3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  mno_h5_lock();
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  H5LTmake_dataset_double(file, "x", 2, (hsize_t[]){3, 4}, values);
  H5LTmake_dataset_double(file, "y", 2, (hsize_t[]){3, 2}, values);
  H5LTmake_dataset_double(file, "w_embed", 2, (hsize_t[]){2, 4}, values);
  H5LTmake_dataset_double(file, "w_unembed", 2, (hsize_t[]){2, 2}, values);
  H5Fclose(file);
  mno_h5_unlock();
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t length) {
  char path[64];
  snprintf(path, sizeof path, "/dev/shm/fuzz_data_%d.h5", (int)getpid());
  if (length == 0) return 0;
  if (bytes[0] == 0) {
    save(path, bytes + 1, length - 1);
  } else {
    plain_file(path);
    if (bytes[0] == 1)
      edit_bytes(path, bytes + 1, length - 1);
    else
      edit_content(path, bytes + 1, length - 1);
  }
  read_data(path, bytes[0] > 1);
  unlink(path);
  return 0;
}
