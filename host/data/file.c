#define _GNU_SOURCE
#include "data/data.h"

#include "core/h5_error.h"
#include "core/memory.h"

#include <errno.h>
#include <hdf5.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LARGEST = 1000000 }; /* samples, inputs, targets, D */

typedef struct reader {
  const mno_sweep *sweep;
  hid_t file;
  char *path;
  mno_error *err;
} reader;

/* A path of the configuration, relative to the configuration's folder; free() it. */
static char *resolve(const char *config, const char *path) {
  const char *slash = strrchr(config, '/');
  size_t folder = *path == '/' || !slash ? 0 : (size_t)(slash - config) + 1;
  char *full = mno_alloc(folder + strlen(path) + 1, 1);
  if (full) {
    memcpy(full, config, folder);
    strcpy(full + folder, path);
  }
  return full;
}

static bool same_file(const struct stat *a, const char *path) {
  struct stat b;
  return stat(path, &b) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

bool mno_data_reads(const mno_sweep *sweep, const char *path) {
  struct stat information;
  if (stat(path, &information) != 0) return false;
  if (same_file(&information, sweep->path)) return true;
  char *data = sweep->data.path ? resolve(sweep->path, sweep->data.path) : NULL;
  bool same = data && same_file(&information, data);
  free(data);
  return same;
}

#define FAIL(r, format, ...)                                                                                                \
  mno_sweep_fail((r)->sweep, (r)->sweep->data.path_mark, (r)->err, "%s: " format, (r)->path, __VA_ARGS__)

static mno_status too_large(const reader *r, const char *name, size_t bytes) {
  char what[4096];
  snprintf(what, sizeof what, "%s: dataset \"%s\"", r->path, name);
  return mno_fail_too_large(r->sweep, r->sweep->data.path_mark, bytes, what, "use fewer data.samples", r->err);
}

/* Reads at most rows_wanted rows (0: all) of a two-dimensional dataset of numbers; dims receives its shape. */
static mno_status read_open(const reader *r, hid_t set, const char *name, const char *shape, hsize_t rows_wanted,
                            hsize_t dims[2], double **values) {
  hid_t space = H5Dget_space(set), type = H5Dget_type(set);
  int rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
  H5T_class_t class = type < 0 ? H5T_NO_CLASS : H5Tget_class(type);
  mno_status status = MNO_OK;
  if (type >= 0) H5Tclose(type);
  if (rank != 2)
    status = FAIL(r, "dataset \"%s\" has %d dimensions; it needs two, %s", name, rank < 0 ? 0 : rank, shape);
  else if (class != H5T_FLOAT && class != H5T_INTEGER)
    status = FAIL(r, "dataset \"%s\" holds no real numbers; store it as float64", name);
  if (status == MNO_OK) {
    H5Sget_simple_extent_dims(space, dims, NULL);
    if (dims[0] < 1 || dims[1] < 1 || dims[1] > LARGEST || (dims[0] > LARGEST && !rows_wanted))
      status = FAIL(r, "dataset \"%s\" has shape (%llu, %llu); accepted: %s, each from 1 to %d", name, dims[0], dims[1],
                    shape, LARGEST);
    else if (rows_wanted && dims[0] < rows_wanted)
      status = mno_sweep_fail(r->sweep, r->sweep->data.samples_mark, r->err,
                              "%s: dataset \"%s\" has %llu samples, fewer than data.samples = %llu", r->path, name, dims[0],
                              rows_wanted);
  }
  if (status == MNO_OK) {
    hsize_t count[2] = {rows_wanted ? rows_wanted : dims[0], dims[1]}, start[2] = {0, 0};
    size_t total = (size_t)(count[0] * count[1]), bytes = total * sizeof(double); /* each is at most 10^6 */
    if (bytes > mno_memory_available()) status = too_large(r, name, bytes);
    double *v = status == MNO_OK ? mno_alloc(total, sizeof(double)) : NULL;
    if (status == MNO_OK && !v) status = mno_fail_memory(r->err, bytes, name);
    if (v) {
      hid_t memory = H5Screate_simple(2, count, NULL);
      if (memory < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
          H5Dread(set, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, v) < 0)
        status = FAIL(r, "dataset \"%s\" cannot be read; is the file damaged?", name);
      if (memory >= 0) H5Sclose(memory);
      for (size_t i = 0; i < total && status == MNO_OK; i++)
        if (!isfinite(v[i]))
          status = FAIL(r, "dataset \"%s\" holds %s in row %zu, column %zu", name, isnan(v[i]) ? "nan" : "infinity",
                        i / (size_t)count[1], i % (size_t)count[1]);
      dims[0] = count[0];
    }
    if (status == MNO_OK)
      *values = v;
    else
      free(v);
  }
  if (space >= 0) H5Sclose(space);
  return status;
}

/* As read_open, by name; a missing dataset is an error if required, else leaves *values NULL. */
static mno_status read_matrix(const reader *r, const char *name, const char *shape, bool required, hsize_t rows_wanted,
                              hsize_t dims[2], double **values) {
  if (H5Lexists(r->file, name, H5P_DEFAULT) <= 0)
    return required ? FAIL(r, "there is no dataset \"%s\" %s", name, shape) : MNO_OK;
  hid_t set = H5Dopen2(r->file, name, H5P_DEFAULT);
  if (set < 0) return FAIL(r, "\"%s\" is not a dataset that can be opened", name);
  mno_status status = read_open(r, set, name, shape, rows_wanted, dims, values);
  H5Dclose(set);
  return status;
}

/* An embedding read from the file fits the data and every model.D. */
static mno_status check_embedding(const reader *r, const char *name, const char *other, const hsize_t dims[2],
                                  size_t width) {
  const mno_integers *D = &r->sweep->model.D;
  if (dims[1] != width) return FAIL(r, "dataset \"%s\" has %llu columns, but \"%s\" has %zu", name, dims[1], other, width);
  for (size_t i = 0; i < D->count; i++)
    if ((hsize_t)D->value[i] != dims[0])
      return mno_sweep_fail(r->sweep, D->mark[i], r->err,
                            "model.D is %" PRId64 ", but dataset \"%s\" of %s has %llu rows; they must be equal",
                            D->value[i], name, r->path, dims[0]);
  return MNO_OK;
}

static mno_status read_all(const reader *r, mno_data *data) {
  hsize_t x[2], y[2], w[2], wanted = (hsize_t)r->sweep->data.samples;
  mno_status status = read_matrix(r, "x", "(samples, inputs)", true, wanted, x, &data->x);
  if (status == MNO_OK) status = read_matrix(r, "y", "(samples, targets)", true, wanted, y, &data->y);
  if (status != MNO_OK) return status;
  if (x[0] != y[0]) return FAIL(r, "dataset \"x\" has %llu rows, but \"y\" has %llu", x[0], y[0]);
  data->N = (size_t)x[0];
  data->d_in = (size_t)x[1];
  data->d_out = (size_t)y[1];
  status = read_matrix(r, "w_embed", "(D, inputs)", false, 0, w, &data->w_embed);
  if (status == MNO_OK && data->w_embed) status = check_embedding(r, "w_embed", "x", w, data->d_in);
  if (status == MNO_OK) status = read_matrix(r, "w_unembed", "(D, targets)", false, 0, w, &data->w_unembed);
  if (status == MNO_OK && data->w_unembed) status = check_embedding(r, "w_unembed", "y", w, data->d_out);
  return status;
}

static hid_t open_file(const char *path) {
  hid_t file;
  do file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  while (file < 0 && mno_h5_interrupted());
  return file;
}

static mno_status unreadable(const reader *r, int why) {
  return mno_fail(r->err, MNO_ERR_IO, "cannot read %s: %s", r->path, strerror(why));
}

mno_status mno_data_file(const mno_sweep *sweep, mno_data *data, mno_error *err) {
  reader r = {.sweep = sweep, .file = -1, .path = resolve(sweep->path, sweep->data.path), .err = err};
  if (!r.path) return mno_fail_memory(err, strlen(sweep->path), "a path");
  mno_h5_lock();
  struct stat information;
  mno_status status;
  if (TEMP_FAILURE_RETRY(stat(r.path, &information)) != 0)
    status = errno == ENOENT || errno == ENOTDIR ? FAIL(&r, "%s", strerror(errno)) : unreadable(&r, errno);
  else if (!S_ISREG(information.st_mode))
    status = FAIL(&r, "%s", "not a file");
  else if ((r.file = open_file(r.path)) < 0)
    status = FAIL(&r, "%s", "not an HDF5 file, damaged, or not readable");
  else
    status = read_all(&r, data);
  /* What was taken for damage, or for a dataset that is not there, may be a disk that does not answer. */
  if (mno_h5_errno()) status = unreadable(&r, mno_h5_errno());
  if (r.file >= 0) H5Fclose(r.file);
  mno_h5_unlock();
  free(r.path);
  return status;
}
