#define _GNU_SOURCE
#include "store/read.h"

#include "core/memory.h"
#include "core/probe.h"
#include "limit/fields.h"
#include "store/layout.h"
#include "store/output.h"
#include "store/seal.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static mno_status unreadable(const mno_result *result, mno_error *err) {
  return mno_fail(err, MNO_ERR_IO, "cannot read %s: %s", result->path, strerror(mno_h5_errno()));
}

static mno_status damaged(const mno_result *result, const char *object, mno_error *err, const char *what) {
  if (mno_h5_errno()) return unreadable(result, err);
  return mno_fail(err, MNO_ERR_INPUT, "%s: %s: %s", result->path, object, what);
}

/* At the end of what holds the lock: an attribute or a link may be missing only because it could not be read. */
static mno_status settle(const mno_result *result, mno_status status, mno_error *err) {
  if (status == MNO_OK && mno_h5_errno()) status = unreadable(result, err);
  mno_h5_unlock();
  return status;
}

/* ---- Arrays */

/* Opens a dataset of numbers of a given rank; shape receives its sizes. *dataset < 0: not there. */
static mno_status open_numbers(const mno_result *result, hid_t group, const char *where, const char *name, int rank,
                               hsize_t shape[5], hid_t *dataset, mno_error *err) {
  char object[128];
  snprintf(object, sizeof object, "%s/%s", where, name);
  *dataset = H5I_INVALID_HID;
  if (H5Lexists(group, name, H5P_DEFAULT) <= 0) return MNO_OK;
  hid_t made = H5Dopen2(group, name, H5P_DEFAULT);
  if (made < 0) return damaged(result, object, err, "cannot be opened as a dataset");
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
    return damaged(result, object, err, what);
  }
  *dataset = made;
  return MNO_OK;
}

/* Reads a whole array of 8-byte (or 1-byte) numbers; expected sizes of 0 match anything. Missing: *data stays NULL, and is
 * an error if required. */
static mno_status read_numbers(const mno_result *result, hid_t group, const char *where, const char *name, hid_t memory,
                               int rank, const size_t *expected, bool required, void *data, mno_error *err) {
  void **out = data;
  char object[128], what[160];
  snprintf(object, sizeof object, "%s/%s", where, name);
  hsize_t shape[5];
  hid_t dataset;
  mno_status status = open_numbers(result, group, where, name, rank, shape, &dataset, err);
  if (status != MNO_OK) return status;
  if (dataset < 0) return required ? damaged(result, object, err, "is missing") : MNO_OK;
  size_t count = 1;
  for (int i = 0; i < rank && status == MNO_OK; i++) {
    if (expected[i] && shape[i] != expected[i]) {
      snprintf(what, sizeof what, "has %llu entries along dimension %d, not %zu", (unsigned long long)shape[i], i,
               expected[i]);
      status = damaged(result, object, err, what);
    } else if (shape[i] == 0 || __builtin_mul_overflow(count, shape[i], &count) || count > mno_memory_available() / 8) {
      status = damaged(result, object, err, "has an impossible size");
    }
  }
  void *block = *out;
  if (status == MNO_OK && !block && !(block = mno_alloc(count, H5Tget_size(memory))))
    status = mno_fail_memory(err, count * 8, object);
  if (status == MNO_OK && H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, block) < 0) {
    if (!*out) free(block);
    char reason[128];
    snprintf(what, sizeof what, "cannot be read: %s", mno_h5_reason(reason, sizeof reason));
    status = damaged(result, object, err, what);
  } else if (status == MNO_OK) {
    *out = block;
  }
  H5Dclose(dataset);
  return status;
}

static mno_status size_of(const mno_result *result, hid_t group, const char *where, const char *name, int rank, size_t *size,
                          mno_error *err) {
  hsize_t shape[5];
  hid_t dataset;
  mno_status status = open_numbers(result, group, where, name, rank, shape, &dataset, err);
  if (status != MNO_OK) return status;
  char object[128];
  snprintf(object, sizeof object, "%s/%s", where, name);
  if (dataset < 0) return damaged(result, object, err, "is missing");
  H5Dclose(dataset);
  for (int i = 0; i < rank; i++) {
    if (shape[i] == 0 || shape[i] > INT_MAX) return damaged(result, object, err, "has an impossible size");
    size[i] = (size_t)shape[i];
  }
  return MNO_OK;
}

/* ---- Limits */

static mno_status read_limit(mno_result *result, hid_t group, const char *where, mno_result_problem *problem,
                             mno_limit_kind kind, mno_error *err) {
  size_t nodes = 0, one[1];
  hsize_t shape[5];
  hid_t dataset;
  mno_status status = open_numbers(result, group, where, "output", 3, shape, &dataset, err);
  if (status != MNO_OK) return status;
  char object[128];
  snprintf(object, sizeof object, "%s/output", where);
  if (dataset < 0) return damaged(result, object, err, "is missing");
  H5Dclose(dataset);
  if (shape[0] == 0 || shape[0] > INT_MAX || shape[1] != problem->N || shape[2] != problem->d_out)
    return damaged(result, object, err, "does not have the shape (step, sample, target)");
  if (H5Lexists(group, "depth", H5P_DEFAULT) > 0) {
    status = size_of(result, group, where, "depth", 1, one, err);
    if (status != MNO_OK) return status;
    nodes = one[0];
  }
  const mno_limit like = {.kind = kind,
                          .N = problem->N,
                          .d_out = problem->d_out,
                          .D = problem->D,
                          .K = (size_t)shape[0] - 1,
                          .nodes = nodes,
                          .diverged = -1};
  if (mno_limit_like_bytes(&like) > (double)mno_memory_available())
    return damaged(result, where, err, "is too large for this machine's memory");
  mno_limit *limit;
  status = mno_limit_like(&like, &limit, err);
  if (status != MNO_OK) return status;
  problem->limit[problem->limit_count++] = limit;
  size_t fields, rank, sizes[MNO_FIELD_RANK];
  const mno_limit_field *field = mno_limit_field_list(&fields);
  for (size_t i = 0; status == MNO_OK && i < fields; i++) {
    if (mno_limit_field_shape(limit, &field[i], sizes, &rank) == 0) continue; /* no nodes */
    double *array = mno_limit_array(limit, &field[i]);
    status = read_numbers(result, group, where, field[i].name, H5T_NATIVE_DOUBLE, (int)rank, sizes, array == limit->output,
                          &array, err);
  }
  char *text;
  if ((text = mno_h5_read_text(group, "method"))) snprintf(limit->method, sizeof limit->method, "%s", text);
  free(text);
  if ((text = mno_h5_read_text(group, "parameters"))) snprintf(limit->parameters, sizeof limit->parameters, "%s", text);
  free(text);
  limit->tolerance = mno_h5_read_number(group, "tolerance", NAN);
  limit->certified = (int)mno_h5_read_number(group, "certified", 0);
  double degrees = mno_h5_read_number(group, "degrees", 0), diverged = mno_h5_read_number(group, "diverged", -1),
         missing = mno_h5_read_number(group, "missing", 0);
  limit->degrees = degrees > 0 && degrees < INT_MAX ? (int64_t)degrees : 0;
  limit->diverged = diverged >= 0 && diverged <= (double)limit->K ? (int64_t)diverged : -1;
  limit->missing = missing > 0 && missing < INT_MAX ? (int64_t)missing : 0;
  limit->seconds = mno_h5_read_number(group, "seconds", NAN);
  return status;
}

static mno_status read_limits(mno_result *result, hid_t group, mno_result_problem *problem, mno_error *err) {
  char *order = mno_h5_read_text(group, "limits");
  const char *names[MNO_LIMIT_KINDS];
  int kinds[MNO_LIMIT_KINDS];
  size_t count = 0;
  /* In the order of the attribute; a file without it, in the order of kinds. */
  for (const char *at = order ? order : ""; *at;) {
    size_t length = strcspn(at, " ");
    for (int kind = 0; kind < MNO_LIMIT_KINDS && count < MNO_LIMIT_KINDS; kind++) {
      const char *name = mno_limit_group_name((mno_limit_kind)kind);
      if (strlen(name) == length && strncmp(at, name, length) == 0) {
        names[count] = name;
        kinds[count++] = kind;
      }
    }
    at += length + (at[length] == ' ');
  }
  for (int kind = 0; kind < MNO_LIMIT_KINDS && count < MNO_LIMIT_KINDS; kind++) {
    bool known = false;
    for (size_t i = 0; i < count; i++) known |= kinds[i] == kind;
    if (known) continue;
    names[count] = mno_limit_group_name((mno_limit_kind)kind);
    kinds[count++] = kind;
  }
  free(order);
  mno_status status = MNO_OK;
  for (size_t i = 0; status == MNO_OK && i < count; i++) {
    bool again = false;
    for (size_t j = 0; j < i; j++) again |= kinds[j] == kinds[i];
    if (again || H5Lexists(group, names[i], H5P_DEFAULT) <= 0) continue;
    char where[96];
    snprintf(where, sizeof where, "/%s/%s", problem->name, names[i]);
    hid_t limit = H5Gopen2(group, names[i], H5P_DEFAULT);
    if (limit < 0) return damaged(result, where, err, "cannot be opened as a group");
    status = read_limit(result, limit, where, problem, (mno_limit_kind)kinds[i], err);
    H5Gclose(limit);
  }
  return status;
}

/* ---- Problems */

static mno_status read_runs(mno_result *result, hid_t group, const char *where, size_t p, mno_error *err) {
  mno_result_file *file = result->file;
  mno_result_problem *problem = &result->problems[p];
  int64_t *row = NULL;
  char what[128], object[64];
  snprintf(object, sizeof object, "%s/row", where);
  size_t runs[1];
  mno_status status = size_of(result, group, where, "row", 1, runs, err);
  if (status == MNO_OK) status = read_numbers(result, group, where, "row", H5T_NATIVE_INT64, 1, runs, true, &row, err);
  if (status != MNO_OK) return status;
  file->runs[p] = runs[0];
  problem->row = mno_alloc(runs[0], sizeof *problem->row);
  file->run[p] = mno_alloc(runs[0], sizeof *file->run[p]);
  if (!problem->row || !file->run[p]) status = mno_fail_memory(err, runs[0] * 16, object);
  for (size_t i = 0; status == MNO_OK && i < runs[0]; i++) {
    if (row[i] < 0 || (uint64_t)row[i] >= result->instance_count || result->problem[row[i]] != (int64_t)p ||
        (i > 0 && row[i] <= row[i - 1])) {
      snprintf(what, sizeof what, "entry %zu (%lld) is not a row of this problem in increasing order", i, (long long)row[i]);
      status = damaged(result, object, err, what);
    } else if (result->status[row[i]] != MNO_STATUS_MISSING) {
      problem->row[problem->run_count] = (size_t)row[i];
      file->run[p][problem->run_count++] = i;
      file->run_of[row[i]] = i;
    }
    if (status == MNO_OK && i == 0) {
      problem->alpha = result->alpha[row[i]];
      problem->data_seed = result->data_seed ? result->data_seed[row[i]] : -1;
    }
    if (status == MNO_OK && result->D[row[i]] != (int64_t)problem->D)
      status = damaged(result, where, err, "its embedding matrix does not match D in the root table");
  }
  free(row);
  return status;
}

static mno_status read_problem(mno_result *result, size_t p, mno_error *err) {
  mno_result_file *file = result->file;
  mno_result_problem *problem = &result->problems[p];
  char where[40];
  mno_problem_name(p, problem->name);
  snprintf(where, sizeof where, "/%s", problem->name);
  hid_t group = H5Gopen2(file->file, problem->name, H5P_DEFAULT);
  if (group < 0) return damaged(result, where, err, "cannot be opened as a group");
  size_t x[2], y[2], embed[2], unembed[2];
  mno_status status = size_of(result, group, where, "x", 2, x, err);
  if (status == MNO_OK) status = size_of(result, group, where, "y", 2, y, err);
  if (status == MNO_OK) status = size_of(result, group, where, "w_embed", 2, embed, err);
  if (status == MNO_OK) status = size_of(result, group, where, "w_unembed", 2, unembed, err);
  if (status == MNO_OK && (x[0] != y[0] || embed[1] != x[1] || unembed[1] != y[1] || embed[0] != unembed[0]))
    status = damaged(result, where, err, "the shapes of x, y, w_embed and w_unembed do not fit each other");
  if (status == MNO_OK) {
    problem->N = x[0];
    problem->d_in = x[1];
    problem->d_out = y[1];
    problem->D = embed[0];
    mno_h5_read_u64(group, "id", &problem->id);
    status = read_runs(result, group, where, p, err);
  }
  if (status == MNO_OK) status = read_limits(result, group, problem, err);
  H5Gclose(group);
  return status;
}

/* ---- The root table */

static char *read_config(hid_t file) {
  if (H5Lexists(file, "config", H5P_DEFAULT) <= 0) return NULL;
  hid_t dataset = H5Dopen2(file, "config", H5P_DEFAULT);
  if (dataset < 0) return NULL;
  hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
  char *text = NULL;
  if (type >= 0 && space >= 0 && H5Tget_class(type) == H5T_STRING && H5Sget_simple_extent_npoints(space) == 1) {
    if (H5Tis_variable_str(type) > 0) {
      char *owned = NULL;
      if (H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &owned) >= 0 && owned) text = strdup(owned);
      if (owned) H5free_memory(owned);
    } else {
      size_t size = H5Tget_size(type);
      text = size < 1u << 26 ? calloc(1, size + 1) : NULL;
      if (text && H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) < 0) *text = 0;
    }
  }
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  H5Dclose(dataset);
  return text;
}

static mno_status read_draws(mno_result *result, const size_t rows[1], mno_error *err) {
  mno_result_file *file = result->file;
  if (H5Lexists(file->file, "draw_width", H5P_DEFAULT) <= 0) return MNO_OK;
  int64_t *column[3] = {NULL};
  const char *name[3] = {"draw_width", "draw_offset", "draw_sign"};
  mno_status status = MNO_OK;
  for (size_t i = 0; status == MNO_OK && i < 3; i++)
    status = read_numbers(result, file->file, "", name[i], H5T_NATIVE_INT64, 1, rows, true, &column[i], err);
  if (status == MNO_OK && !(result->draw = mno_alloc(rows[0], sizeof *result->draw)))
    status = mno_fail_memory(err, rows[0] * sizeof *result->draw, "the draws");
  for (size_t i = 0; status == MNO_OK && i < rows[0]; i++)
    result->draw[i] = (mno_draw){column[0][i], column[1][i], (int)column[2][i]};
  for (size_t i = 0; i < 3; i++) free(column[i]);
  return status;
}

static mno_status read_table(mno_result *result, mno_error *err) {
  mno_result_file *file = result->file;
  size_t rows[1], steps[1];
  mno_status status = size_of(result, file->file, "", "L", 1, rows, err);
  if (status == MNO_OK) status = size_of(result, file->file, "", "step", 1, steps, err);
  if (status != MNO_OK) return status;
  result->instance_count = rows[0];
  result->step_count = steps[0];
  const struct {
    const char *name;
    hid_t memory;
    const size_t *shape;
    void *column;
    bool required;
  } column[] = {{"L", H5T_NATIVE_INT64, rows, &result->L, true},
                {"M", H5T_NATIVE_INT64, rows, &result->M, true},
                {"D", H5T_NATIVE_INT64, rows, &result->D, true},
                {"alpha", H5T_NATIVE_DOUBLE, rows, &result->alpha, true},
                {"seed", H5T_NATIVE_UINT64, rows, &result->seed, true},
                {"data_seed", H5T_NATIVE_INT64, rows, &result->data_seed, false},
                {"id", H5T_NATIVE_UINT64, rows, &result->id, false},
                {"problem", H5T_NATIVE_INT64, rows, &result->problem, true},
                {"status", H5T_NATIVE_INT8, rows, &result->status, true},
                {"seconds", H5T_NATIVE_DOUBLE, rows, &file->seconds, false},
                {"step", H5T_NATIVE_INT64, steps, &result->step, true}};
  for (size_t i = 0; status == MNO_OK && i < sizeof column / sizeof *column; i++)
    status = read_numbers(result, file->file, "", column[i].name, column[i].memory, 1, column[i].shape, column[i].required,
                          column[i].column, err);
  if (status == MNO_OK && !result->id && !(result->id = mno_alloc(rows[0], sizeof *result->id)))
    status = mno_fail_memory(err, rows[0] * 8, "the ids");
  if (status == MNO_OK) status = read_draws(result, rows, err);
  char what[128];
  for (size_t i = 0; status == MNO_OK && i < rows[0]; i++) {
    const char *object = result->L[i] < 1 ? "/L" : result->M[i] < 1 ? "/M" : result->D[i] < 1 ? "/D" : NULL;
    if (!object && (result->status[i] < MNO_STATUS_MISSING || result->status[i] > MNO_INSTANCE_DIVERGED)) object = "/status";
    if (!object && (result->problem[i] < 0 || result->problem[i] >= (int64_t)result->instance_count)) object = "/problem";
    if (!object) continue;
    snprintf(what, sizeof what, "row %zu holds a value that cannot be", i);
    status = damaged(result, object, err, what);
  }
  for (size_t i = 1; status == MNO_OK && i < steps[0]; i++)
    if (result->step[i] <= result->step[i - 1]) status = damaged(result, "/step", err, "steps do not increase");
  return status;
}

static mno_status read_problems(mno_result *result, mno_error *err) {
  mno_result_file *file = result->file;
  int64_t last = 0;
  for (size_t i = 0; i < result->instance_count; i++) last = result->problem[i] > last ? result->problem[i] : last;
  size_t count = (size_t)last + 1;
  result->problems = mno_alloc(count, sizeof *result->problems);
  file->run = mno_alloc(count, sizeof *file->run);
  file->runs = mno_alloc(count, sizeof *file->runs);
  file->run_of = mno_alloc(result->instance_count, sizeof *file->run_of);
  if (!result->problems || !file->run || !file->runs || !file->run_of)
    return mno_fail_memory(err, count * sizeof *result->problems, "the problems");
  result->problem_count = count;
  for (size_t i = 0; i < result->instance_count; i++) file->run_of[i] = SIZE_MAX;
  mno_status status = MNO_OK;
  for (size_t p = 0; status == MNO_OK && p < count; p++) status = read_problem(result, p, err);
  size_t there = 0, listed = 0;
  for (size_t i = 0; i < result->instance_count; i++) there += result->status[i] != MNO_STATUS_MISSING;
  for (size_t p = 0; p < count; p++) listed += result->problems[p].run_count;
  if (status == MNO_OK && there != listed)
    status = damaged(result, "/status", err, "rows of the root table are in no problem's group");
  return status;
}

static mno_status read_file(mno_result *result, mno_error *err) {
  mno_result_file *file = result->file;
  hid_t access = mno_h5_access();
  do file->file = H5Fopen(result->path, H5F_ACC_RDONLY, access);
  while (file->file < 0 && mno_h5_interrupted());
  H5Pclose(access);
  if (file->file < 0 && mno_h5_errno()) return unreadable(result, err);
  if (file->file < 0) {
    char reason[512];
    mno_h5_reason(reason, sizeof reason);
    return mno_fail(err, MNO_ERR_INPUT, "%s: not a result file, or damaged: %s", result->path, reason);
  }
  mno_status status = read_table(result, err);
  if (status == MNO_OK) status = read_problems(result, err);
  if (status != MNO_OK) return status;
  result->config = read_config(file->file);
  if (!result->config && !(result->config = strdup(""))) return mno_fail_memory(err, 1, "the configuration");
  file->settings = mno_h5_read_text(file->file, "settings");
  file->precision = mno_h5_read_text(file->file, "precision");
  file->history = mno_h5_read_text(file->file, "history");
  int shard[3] = {0};
  if (mno_h5_read_ints(file->file, "shard", shard, 3) && shard[0] >= 0 && shard[0] < shard[1] && shard[2] >= 0) {
    file->shard = shard[0];
    file->shards = shard[1];
    file->shard_instances = (size_t)shard[2];
  }
  return MNO_OK;
}

/* ---- Public */

static mno_status open_result(const char *path, mno_result **result, mno_error *err) {
  mno_result *made = mno_alloc(1, sizeof *made);
  mno_result_file *file = mno_alloc(1, sizeof *file);
  if (made) made->file = file;
  if (file) file->file = H5I_INVALID_HID;
  if (!made || !file || !(made->path = strdup(path))) {
    free(file);
    free(made);
    return mno_fail_memory(err, sizeof *made, "a result");
  }
  mno_h5_lock();
  mno_status status = mno_h5_room(err);
  status = settle(made, status == MNO_OK ? read_file(made, err) : status, err);
  if (status == MNO_OK) {
    *result = made;
  } else {
    mno_result_free(made);
  }
  return status;
}

size_t mno_result_run_of(const mno_result *result, size_t row) { return ((mno_result_file *)result->file)->run_of[row]; }

/* The dataset of a stored field: in the root, in the row's problem, or in the row's own group. */
static hid_t field_of(mno_result *result, size_t row, const mno_stored *stored, char object[160]) {
  mno_result_file *file = result->file;
  const char *name = stored->field.name, *problem = result->problems[result->problem[row]].name;
  switch (stored->field.place) {
  case MNO_PLACE_TABLE: snprintf(object, 160, "/%s", name); break;
  case MNO_PLACE_PROBLEM: snprintf(object, 160, "/%s/%s", problem, name); break;
  case MNO_PLACE_INSTANCE: snprintf(object, 160, "/%s/weights/%zu/%s", problem, row, name); break;
  }
  return H5Dopen2(file->file, object, H5P_DEFAULT);
}

static mno_status read_rows(mno_result *result, size_t row, size_t count, const mno_stored *stored, void *data,
                            mno_error *err) {
  char object[160], reason[256], what[300];
  hid_t dataset = field_of(result, row, stored, object);
  if (dataset < 0) return damaged(result, object, err, "is missing");
  size_t first = stored->field.place == MNO_PLACE_TABLE ? row : mno_result_run_of(result, row);
  hsize_t start[MNO_FIELD_RANK + 1] = {0}, size[MNO_FIELD_RANK + 1], shape[MNO_FIELD_RANK + 1];
  size_t lead = stored->field.place != MNO_PLACE_INSTANCE, rank = stored->rank + lead;
  if (lead) {
    start[0] = first;
    size[0] = count;
  }
  for (size_t i = 0; i < stored->rank; i++) size[i + lead] = stored->shape[i];
  hid_t space = H5Dget_space(dataset), memory = H5Screate_simple((int)rank, size, NULL);
  bool fits = H5Sget_simple_extent_ndims(space) == (int)rank && H5Sget_simple_extent_dims(space, shape, NULL) >= 0;
  for (size_t i = lead; fits && i < rank; i++) fits = shape[i] == size[i];
  hid_t type = stored->width == 4 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE;
  mno_status status = MNO_OK;
  if (!fits) {
    status = damaged(result, object, err, "does not have the shape that the rest of the file implies");
  } else if (H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) < 0 ||
             H5Dread(dataset, type, memory, space, H5P_DEFAULT, data) < 0) {
    snprintf(what, sizeof what, "cannot be read: %s", mno_h5_reason(reason, sizeof reason));
    status = damaged(result, object, err, what);
  }
  H5Sclose(memory);
  H5Sclose(space);
  H5Dclose(dataset);
  return status;
}

mno_status mno_result_read_rows(mno_result *result, size_t row, size_t count, const mno_stored *stored, void *data,
                                mno_error *err) {
  mno_h5_lock();
  mno_status status = mno_h5_room(err);
  if (status == MNO_OK) status = read_rows(result, row, count, stored, data, err);
  return settle(result, status, err);
}

/* Everything that is ever read of a file, so that a damaged one shows its teeth here. */
static mno_status read_all(const void *path, mno_error *err) {
  mno_result *result;
  mno_status status = open_result(path, &result, err);
  if (status != MNO_OK) return status;
  for (size_t p = 0; p < result->problem_count; p++) {
    const mno_result_problem *problem = &result->problems[p];
    size_t width = problem->D > problem->d_out ? problem->D : problem->d_out;
    double *out = mno_alloc(problem->run_count * problem->N, width * sizeof *out);
    for (size_t s = 0; out && s < result->step_count; s++) {
      mno_result_output(result, p, s, out, NULL);
      mno_result_embedding(result, p, s, out, NULL);
    }
    free(out);
  }
  mno_result_free(result);
  return MNO_OK;
}

/* Is there a journal that knows more than this file? Adds a hint to the message. */
static mno_status with_hint(const char *path, mno_status status, mno_error *err) {
  char *file = err ? mno_output_follow(path) : NULL, *journal = NULL;
  if (!file || asprintf(&journal, "%s.journal", file) < 0) journal = NULL;
  free(file);
  if (!journal) return status;
  if (access(journal, F_OK) == 0) {
    size_t length = strlen(err->message);
    snprintf(err->message + length, sizeof err->message - length,
             "\n%s holds what was finished; run again with --resume to continue from it", journal);
  }
  free(journal);
  return status;
}

mno_status mno_result_open(const char *path, mno_result **result, mno_error *err) {
  mno_seal seal;
  mno_error inner = {0};
  *result = NULL;
  mno_status status = mno_seal_check(path, &seal, &inner);
  if (status == MNO_OK && seal != MNO_SEALED) status = mno_h5_in_use(path, &inner);
  if (status == MNO_OK && seal == MNO_SEAL_BROKEN)
    status =
        mno_fail(&inner, MNO_ERR_INPUT, "%s is damaged: its content does not match the checksum it was written with", path);
  if (status == MNO_OK && seal == MNO_UNSEALED) status = mno_probe(read_all, path, path, &inner);
  if (status == MNO_OK) status = open_result(path, result, &inner);
  if (status == MNO_OK) {
    ((mno_result_file *)(*result)->file)->sealed = seal == MNO_SEALED;
    return MNO_OK;
  }
  mno_fail(err, status, "%s", inner.message);
  return with_hint(path, status, err);
}

char *mno_result_attribute(const mno_result *result, const char *name) {
  mno_h5_lock();
  char *text = mno_h5_read_text(((mno_result_file *)result->file)->file, name);
  mno_h5_unlock();
  return text;
}

bool mno_result_share(const mno_result *result, int *shard, int *shards) {
  const mno_result_file *file = result->file;
  *shard = file->shard;
  *shards = file->shards;
  return file->shards > 1;
}

mno_status mno_result_config(const char *path, char **text, mno_error *err) {
  mno_result *result;
  *text = NULL;
  mno_status status = mno_result_open(path, &result, err);
  if (status != MNO_OK) return status;
  if (result->config[0] == 0) {
    status = mno_fail(err, MNO_ERR_INPUT, "%s holds no configuration", path);
  } else {
    *text = result->config;
    result->config = NULL;
  }
  mno_result_free(result);
  return status;
}

void mno_result_free(mno_result *result) {
  if (!result) return;
  mno_result_file *file = result->file;
  mno_h5_lock();
  if (file->file >= 0) H5Fclose(file->file);
  mno_h5_unlock();
  for (size_t p = 0; p < result->problem_count; p++) {
    mno_result_problem *problem = &result->problems[p];
    free(problem->row);
    free(file->run[p]);
    for (size_t i = 0; i < problem->limit_count; i++) mno_limit_free(problem->limit[i]);
  }
  void *own[] = {file->run,      file->run_of, file->runs,       file->settings,    file->precision, file->history,
                 file->seconds,  file,         result->problems, result->path,      result->config,  result->L,
                 result->M,      result->D,    result->alpha,    result->seed,      result->id,      result->problem,
                 result->status, result->draw, result->step,     result->data_seed, result};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) free(own[i]);
}

/* Reads one step of all runs of a problem into out [run_count][N][width]. */
static mno_status read_step(mno_result *result, size_t p, const char *name, size_t s, size_t width, double *out,
                            mno_error *err) {
  mno_result_file *file = result->file;
  mno_result_problem *problem = &result->problems[p];
  char object[64];
  snprintf(object, sizeof object, "/%s/%s", problem->name, name);
  if (s >= result->step_count) return mno_fail(err, MNO_ERR_INPUT, "%s has no recorded step number %zu", result->path, s);
  hid_t group = H5Gopen2(file->file, problem->name, H5P_DEFAULT), dataset;
  if (group < 0) return damaged(result, object, err, "cannot be opened");
  hsize_t shape[5];
  mno_status status = open_numbers(result, group, problem->name, name, 4, shape, &dataset, err);
  H5Gclose(group);
  if (status != MNO_OK) return status;
  if (dataset < 0)
    return mno_fail(err, MNO_ERR_INPUT, "%s: %s was not recorded (record: {%s: true} in the configuration)", result->path,
                    object, name);
  if (shape[0] != file->runs[p] || shape[1] != result->step_count || shape[2] != problem->N || shape[3] != width)
    status = damaged(result, object, err, "does not have the shape that the rest of the file implies");
  hid_t space = H5Dget_space(dataset);
  /* Neighbouring runs are read together; missing ones between them are left out. */
  for (size_t i = 0; status == MNO_OK && i < problem->run_count;) {
    size_t n = 1;
    while (i + n < problem->run_count && file->run[p][i + n] == file->run[p][i] + n) n++;
    hsize_t start[4] = {file->run[p][i], s, 0, 0}, size[4] = {n, 1, problem->N, width};
    hid_t memory = H5Screate_simple(4, size, NULL);
    if (H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) < 0 ||
        H5Dread(dataset, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, out + i * problem->N * width) < 0) {
      char reason[256], what[300];
      snprintf(what, sizeof what, "cannot be read: %s", mno_h5_reason(reason, sizeof reason));
      status = damaged(result, object, err, what);
    }
    H5Sclose(memory);
    i += n;
  }
  if (space >= 0) H5Sclose(space);
  H5Dclose(dataset);
  return status;
}

bool mno_result_has(const mno_result *result, size_t problem, const char *name) {
  const mno_result_file *file = result->file;
  char object[160];
  snprintf(object, sizeof object, "%s/%s", result->problems[problem].name, name);
  mno_h5_lock();
  bool there = H5Lexists(file->file, object, H5P_DEFAULT) > 0;
  mno_h5_unlock();
  return there;
}

mno_status mno_result_output(mno_result *result, size_t problem, size_t step_index, double *out, mno_error *err) {
  mno_h5_lock();
  mno_status status = mno_h5_room(err);
  size_t width = result->problems[problem].d_out;
  if (status == MNO_OK) status = read_step(result, problem, "output", step_index, width, out, err);
  return settle(result, status, err);
}

mno_status mno_result_embedding(mno_result *result, size_t problem, size_t step_index, double *out, mno_error *err) {
  mno_h5_lock();
  mno_status status = mno_h5_room(err);
  size_t width = result->problems[problem].D;
  if (status == MNO_OK) status = read_step(result, problem, "embedding", step_index, width, out, err);
  return settle(result, status, err);
}
