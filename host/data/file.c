/* SPDX-License-Identifier: BSD-3-Clause */
/* Data from an HDF5 file that others wrote. */
#define _GNU_SOURCE
#include "data/reader.h"

#include "core/memory.h"
#include "core/probe.h"
#include "data/load.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *mno_data_beside(const char *path, const char *name) {
  const char *slash = strrchr(path, '/');
  char *full;
  if (*name == '/' || !slash) return strdup(name);
  return asprintf(&full, "%.*s%s", (int)(slash - path) + 1, path, name) < 0 ? NULL : full;
}

static bool same_file(const struct stat *a, const char *path) {
  struct stat b;
  return stat(path, &b) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

bool mno_data_reads(const mno_sweep *sweep, const char *source, const char *path) {
  struct stat information;
  if (stat(path, &information) != 0) return false;
  if (same_file(&information, sweep->path) || (source && same_file(&information, source))) return true;
  char *data = sweep->data.path ? mno_data_beside(sweep->path, sweep->data.path) : NULL;
  bool same = data && same_file(&information, data);
  free(data);
  return same;
}

/* ---- Do the datasets fit each other? */

static const char writers[] = "transposed? MATLAB, Julia, R and Fortran write columns first";

static mno_status check_samples(const mno_data_reader *r, const mno_data_matrix *x, const mno_data_matrix *y) {
  if (x->rows == y->rows) return MNO_OK;
  const char *hint = x->columns == y->columns ? "; their columns agree: both "
                     : x->columns == y->rows  ? "; the columns of \"x\" agree with them: is \"x\" "
                     : x->rows == y->columns  ? "; the columns of \"y\" agree: is \"y\" "
                                              : NULL;
  return MNO_DATA_FAIL(r, "dataset \"x\" has %zu rows, but \"y\" has %zu%s%s", x->rows, y->rows, hint ? hint : "",
                       hint ? writers : "");
}

/* An embedding fits the data and every model.D. */
static mno_status check_embedding(const mno_data_reader *r, const mno_data_matrix *w, const mno_data_matrix *data) {
  const mno_integers *D = &r->sweep->model.D;
  if (!w->there) return MNO_OK;
  if (w->columns != data->columns)
    return MNO_DATA_FAIL(r, "dataset \"%s\" has %zu columns, but \"%s\" has %zu%s%s", w->name, w->columns, data->name,
                         data->columns, w->rows == data->columns ? "; its rows agree: " : "",
                         w->rows == data->columns ? writers : "");
  for (size_t i = 0; i < D->count; i++)
    if ((size_t)D->value[i] != w->rows)
      return mno_sweep_fail(r->sweep, D->mark[i], r->err,
                            "model.D is %" PRId64 ", but dataset \"%s\" of %s has %zu rows; they must be equal", D->value[i],
                            w->name, r->path, w->rows);
  return MNO_OK;
}

/* ---- Reading */

enum { X_SET, Y_SET, W_EMBED, W_UNEMBED, SETS };

static mno_status read_sets(const mno_data_reader *r, mno_data_matrix set[SETS]) {
  size_t wanted = (size_t)r->sweep->data.samples;
  mno_status status = MNO_OK;
  for (int i = 0; i < SETS && status == MNO_OK; i++)
    status = mno_data_read_matrix(r, &set[i], i <= Y_SET, i <= Y_SET ? wanted : 0);
  if (status == MNO_OK) status = mno_data_check_dimensions(r, &set[X_SET], &set[Y_SET], &set[W_EMBED], &set[W_UNEMBED]);
  if (status == MNO_OK) status = check_samples(r, &set[X_SET], &set[Y_SET]);
  if (status == MNO_OK) status = check_embedding(r, &set[W_EMBED], &set[X_SET]);
  if (status == MNO_OK) status = check_embedding(r, &set[W_UNEMBED], &set[Y_SET]);
  return status;
}

mno_status mno_data_read_sets(mno_data_reader *r, mno_data *data) {
  mno_data_matrix set[SETS] = {{.name = "x", .shape = "(samples, inputs)"},
                               {.name = "y", .shape = "(samples, targets)"},
                               {.name = "w_embed", .shape = "(D, inputs)"},
                               {.name = "w_unembed", .shape = "(D, targets)"}};
  char reason[512];
  mno_h5_lock();
  r->file = mno_h5_open(r->path, H5F_ACC_RDONLY);
  mno_status status = r->file < 0 ? MNO_DATA_FAIL(r, "an HDF5 file that is damaged or cannot be read: %s",
                                                  mno_h5_reason(reason, sizeof reason))
                                  : read_sets(r, set);
  /* What was taken for damage, or for a dataset that is not there, may be a disk that does not answer. */
  if (mno_h5_errno()) status = mno_fail(r->err, MNO_ERR_IO, "cannot read %s: %s", r->path, strerror(mno_h5_errno()));
  if (r->file >= 0) H5Fclose(r->file);
  mno_h5_unlock();
  data->x = set[X_SET].values;
  data->y = set[Y_SET].values;
  data->w_embed = set[W_EMBED].values;
  data->w_unembed = set[W_UNEMBED].values;
  data->N = set[X_SET].rows;
  data->d_in = set[X_SET].columns;
  data->d_out = set[Y_SET].columns;
  data->D = set[W_EMBED].there ? set[W_EMBED].rows : set[W_UNEMBED].rows;
  return status;
}

/* HDF5 crashes and hangs on some damaged files: a process apart tries first. */
static mno_status attempt(const void *context, mno_error *err) {
  mno_data_reader r = *(const mno_data_reader *)context;
  mno_data data = {0};
  r.err = err;
  return mno_data_read_sets(&r, &data);
}

mno_status mno_data_file(const mno_sweep *sweep, const char *path, mno_data *data, mno_error *err) {
  mno_error why = {0};
  mno_data_reader r = {.sweep = sweep, .file = -1, .err = &why};
  r.path = path ? strdup(path) : mno_data_beside(sweep->path, sweep->data.path);
  r.note = data->note = mno_alloc(MNO_DATA_NOTE, 1);
  if (!r.path || !r.note) {
    free(r.path);
    return mno_fail_memory(err, strlen(sweep->path), "a path");
  }
  int fd = -1;
  mno_status status = mno_data_examine(&r, &fd);
  if (status == MNO_OK) {
    status = mno_probe(attempt, &r, r.path, &why);
    size_t length = strlen(r.path); /* a message that begins with the file is the probe's own */
    if (status == MNO_ERR_INPUT && strncmp(why.message, r.path, length) == 0 && why.message[length] == ' ')
      status = MNO_DATA_FAIL(&r, "%s", "damaged: the HDF5 library cannot read it; copy or write it again");
  }
  if (status == MNO_OK) status = mno_data_read_sets(&r, data);
  if (fd >= 0) close(fd);
  data->source = realpath(r.path, NULL);
  free(r.path);
  return status == MNO_OK ? MNO_OK : mno_fail(err, status, "%s", why.message);
}
