/* SPDX-License-Identifier: BSD-3-Clause */
/* Any change of a result file gives a result with consistent shapes, or an error that names the file. Never a crash or a
 * hang. The first byte chooses:
 *   0  the rest is a file                                        read as a file of unknown origin: first in a process apart
 *   1  edits of the bytes of a whole file, 4 bytes each: offset (3), xor; 255 cuts there       the same
 *   otherwise edits of the file's content through HDF5, 4 bytes each: object, place, value, how; sealed anew
 * The seal is what protects HDF5 from accidents (it crashes on some); it is made to fit where HDF5 wrote the file itself, so
 * that thousands of files a second get past it to the reader. */
#define _GNU_SOURCE
#include "fuzz.h"
#include "meanode/meanode.h"
#include "store/objects.h"
#include "store/seal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void read_result(const char *path) {
  mno_result *result;
  mno_error err = {0};
  mno_status status = mno_result_open(path, &result, &err);
  mno_result_state state;
  mno_result_inspect(path, &state, &err);
  if (status != MNO_OK) {
    require(!result && err.message[0]);
    return;
  }
  for (size_t p = 0; p < result->problem_count; p++) {
    const mno_result_problem *problem = &result->problems[p];
    require(problem->N && problem->d_out && problem->D);
    size_t width = problem->D > problem->d_out ? problem->D : problem->d_out;
    double *out = malloc((problem->run_count + 1) * problem->N * width * sizeof *out);
    for (size_t s = 0; out && s < result->step_count; s++) {
      mno_result_output(result, p, s, out, &err);
      mno_result_embedding(result, p, s, out, &err);
    }
    free(out);
    for (size_t i = 0; i < problem->run_count; i++) require(problem->row[i] < result->instance_count);
  }
  mno_result_free(result);
}

/* In memory, but with a name: HDF5 does not open a file that has none (memfd_create). */
static void name_file(char path[64]) { snprintf(path, 64, "/dev/shm/fuzz_result_%d.h5", (int)getpid()); }

static void save(const char *path, const char *data, size_t size) {
  FILE *file = fopen(path, "wb");
  require(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

static void seal(const char *path) {
  mno_error err = {0};
  require(mno_seal_write(path, &err) == MNO_OK);
}

static char *load(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  require(file != NULL);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  char *data = malloc(*size);
  require(fread(data, 1, *size, file) == *size);
  fclose(file);
  return data;
}

static const char text[] = "data: {kind: gaussian, samples: 2, inputs: 2, targets: 1, seed: 1}\n"
                           "model: {block: perceptron, activation: tanh, D: [1, 2], alpha: 1}\n"
                           "training: {steps: 2}\n"
                           "sweep: {L: [2], M: [1], seeds: 3}\n"
                           "record: {steps: all, output: true, embedding: true}\n";

/* A whole file with a limit and a missing row. */
static char *whole(size_t *size) {
  char path[64];
  mno_error err = {0};
  mno_sweep *sweep;
  mno_plan *plan;
  mno_store *store;
  name_file(path);
  require(mno_sweep_parse(text, strlen(text), "fuzz.yaml", &sweep, &err) == MNO_OK);
  require(mno_plan_build(sweep, MNO_F64, &plan, &err) == MNO_OK);
  require(mno_store_open(path, plan, NULL, MNO_FORCE, &store, &err) == MNO_OK);
  mno_limit *limit;
  require(mno_limit_new(&plan->problem[0], 2, &limit, &err) == MNO_OK);
  require(mno_store_put_limit(store, 0, limit, &err) == MNO_OK);
  mno_limit_free(limit);
  for (size_t row = 1; row < plan->instance_count; row++) {
    mno_record *record;
    require(mno_record_new(plan, row, &record, &err) == MNO_OK);
    require(mno_store_put(store, record, &err) == MNO_OK);
  }
  require(mno_store_close(store, &err) == MNO_OK);
  mno_plan_free(plan);
  mno_sweep_free(sweep);
  mno_result *result;
  require(mno_result_open(path, &result, &err) == MNO_OK && result->instance_count > 1);
  mno_result_free(result);
  char *data = load(path, size);
  unlink(path);
  return data;
}

static const char *const objects[] = {"/L",
                                      "/M",
                                      "/D",
                                      "/alpha",
                                      "/seed",
                                      "/id",
                                      "/problem",
                                      "/status",
                                      "/seconds",
                                      "/step",
                                      "/draw_width",
                                      "/draw_sign",
                                      "/config",
                                      "/problem_0000/x",
                                      "/problem_0000/y",
                                      "/problem_0000/w_embed",
                                      "/problem_0000/w_unembed",
                                      "/problem_0000/row",
                                      "/problem_0000/output",
                                      "/problem_0000/embedding",
                                      "/problem_0001/row",
                                      "/problem_0001/output",
                                      "/problem_0001",
                                      "/problem_0000/limit_mean_ode",
                                      "/problem_0000/limit_mean_ode/output",
                                      "/problem_0000/limit_mean_ode/depth",
                                      "/problem_0000/limit_mean_ode/state",
                                      "/problem_0000/limit_mean_ode/loss",
                                      "/problem_0000/limit_mean_ode/output_stderr"};
enum { OBJECTS = sizeof objects / sizeof *objects };

/* Writes one number, or puts a dataset of another type, rank or size in the place of an object, or removes it. */
static void edit(hid_t file, const unsigned char how[4]) {
  const char *name = objects[how[0] % OBJECTS];
  static const double values[] = {0, -1, 1, 2, 1e300, -9e18, NAN, 5, 127, 128, 4e9};
  double value = values[how[2] % 11];
  if (how[3] % 4 == 0) {
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    if (dataset < 0) return;
    hid_t space = H5Dget_space(dataset);
    hssize_t count = H5Sget_simple_extent_npoints(space);
    double *all = count > 0 && count < 1 << 20 ? calloc((size_t)count, sizeof *all) : NULL;
    if (all && H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, all) >= 0) {
      all[how[1] % (size_t)count] = value;
      H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, all);
    }
    free(all);
    H5Sclose(space);
    H5Dclose(dataset);
    return;
  }
  if (H5Ldelete(file, name, H5P_DEFAULT) < 0 || how[3] % 4 == 1) return;
  static const hsize_t sizes[] = {1, 2, 3, 0, 6, 1000000000000, 1 << 20, 4};
  hsize_t shape[4] = {sizes[how[1] % 8], sizes[how[1] / 8 % 8], sizes[how[2] % 8], sizes[how[2] / 8 % 8]};
  int rank = (how[3] / 4) % 5;
  hid_t types[] = {H5T_NATIVE_DOUBLE, H5T_NATIVE_INT64, H5T_C_S1, H5T_NATIVE_INT8, H5T_IEEE_F32BE};
  hid_t space = rank ? H5Screate_simple(rank, shape, NULL) : H5Screate(H5S_SCALAR);
  if (how[3] % 4 == 3) {
    H5Gclose(H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  } else {
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[4] = {1, 1, 1, 1};
    if (rank) H5Pset_chunk(create, rank, chunk);
    hid_t dataset = H5Dcreate2(file, name, types[how[3] / 20 % 5], space, H5P_DEFAULT, create, H5P_DEFAULT);
    if (dataset >= 0) H5Dclose(dataset);
    H5Pclose(create);
  }
  H5Sclose(space);
}

static void edit_bytes(char *data, size_t *size, const unsigned char *how, size_t length) {
  size_t end = *size;
  for (size_t i = 0; i + 4 <= length; i += 4) {
    size_t at = ((size_t)how[i] | (size_t)how[i + 1] << 8 | (size_t)how[i + 2] << 16) % *size;
    if (how[i + 3] == 255)
      end = at;
    else
      data[at] ^= (char)how[i + 3];
  }
  *size = end;
}

static void edit_content(const char *path, const unsigned char *how, size_t length) {
  mno_h5_lock();
  hid_t access = mno_h5_access(), file = H5Fopen(path, H5F_ACC_RDWR, access);
  H5Pclose(access);
  require(file >= 0);
  for (size_t i = 0; i + 4 <= length && i < 16; i += 4) edit(file, how + i);
  H5Fclose(file);
  mno_h5_unlock();
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t length) {
  static char *data;
  static size_t size; /* without the seal: HDF5 sees the damage */
  if (!data) {
    data = whole(&size);
    size -= MNO_SEAL_SIZE;
  }
  if (length == 0) return 0;
  const unsigned char *rest = bytes + 1;
  length--;
  char path[64];
  name_file(path);
  if (bytes[0] == 0) {
    save(path, (const char *)rest, length);
  } else if (bytes[0] == 1) {
    size_t left = size;
    char *copy = malloc(size);
    memcpy(copy, data, size);
    edit_bytes(copy, &left, rest, length);
    save(path, copy, left);
    free(copy);
  } else {
    save(path, data, size);
    edit_content(path, rest, length);
    seal(path);
  }
  read_result(path);
  unlink(path);
  return 0;
}
