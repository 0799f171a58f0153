/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "store/result_file.h"

#include "core/memory.h"
#include "core/probe.h"
#include "store/numbers.h"
#include "store/output.h"
#include "store/seal.h"
#include "store/write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
  status = mno_result_settle(made, status == MNO_OK ? mno_read_root(made, err) : status, err);
  if (status == MNO_OK) {
    *result = made;
  } else {
    mno_result_free(made);
  }
  return status;
}

/* The dataset of a stored field: in the root, in the row's problem, or in the row's own group. */
static hid_t field_of(mno_result *result, size_t row, const mno_stored *stored, char object[160]) {
  const char *name = stored->field.name, *problem = result->problems[result->problem[row]].name;
  switch (stored->field.place) {
  case MNO_PLACE_TABLE: snprintf(object, 160, "/%s", name); break;
  case MNO_PLACE_PROBLEM: snprintf(object, 160, "/%s/%s", problem, name); break;
  case MNO_PLACE_INSTANCE: snprintf(object, 160, "/%s/weights/%zu/%s", problem, row, name); break;
  }
  return H5Dopen2(mno_file_of(result)->file, object, H5P_DEFAULT);
}

static mno_status read_rows(mno_result *result, size_t row, size_t count, const mno_stored *stored, void *data,
                            mno_error *err) {
  char object[160];
  MNO_CLOSING hid_t dataset = field_of(result, row, stored, object);
  if (dataset < 0) return mno_result_damaged(result, object, err, "is missing");
  size_t lead = stored->field.place != MNO_PLACE_INSTANCE, rank = stored->rank + lead;
  mno_part part = {.dataset = dataset, .memory = mno_memory_type(stored), .rank = (int)rank};
  if (lead) {
    part.start[0] = stored->field.place == MNO_PLACE_TABLE ? row : mno_file_of(result)->run_of[row];
    part.size[0] = count;
  }
  for (size_t i = 0; i < stored->rank; i++) part.size[i + lead] = stored->shape[i];
  hsize_t shape[MNO_FIELD_RANK + 1];
  MNO_CLOSING hid_t space = H5Dget_space(dataset);
  bool fits = H5Sget_simple_extent_ndims(space) == (int)rank && H5Sget_simple_extent_dims(space, shape, NULL) >= 0;
  for (size_t i = lead; fits && i < rank; i++) fits = shape[i] == part.size[i];
  if (!fits) return mno_result_damaged(result, object, err, "does not have the shape that the rest of the file implies");
  return mno_read_part(result, object, &part, data, err);
}

mno_status mno_result_read_rows(mno_result *result, size_t row, size_t count, const mno_stored *stored, void *data,
                                mno_error *err) {
  mno_h5_lock();
  mno_status status = mno_h5_room(err);
  if (status == MNO_OK) status = read_rows(result, row, count, stored, data, err);
  return mno_result_settle(result, status, err);
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
    mno_file_of(*result)->sealed = seal == MNO_SEALED;
    return MNO_OK;
  }
  mno_fail(err, status, "%s", inner.message);
  return with_hint(path, status, err);
}

char *mno_result_attribute(const mno_result *result, const char *name) {
  mno_h5_lock();
  char *text = mno_h5_read_text(mno_file_of(result)->file, name);
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
    for (size_t i = 0; i < problem->limit_count; i++) mno_limit_free(problem->limit[i]);
  }
  void *own[] = {file->run_of, file->runs,       file->settings,    file->precision, file->history,   file->seconds,
                 file,         result->problems, result->path,      result->config,  result->L,       result->M,
                 result->D,    result->alpha,    result->seed,      result->id,      result->problem, result->status,
                 result->draw, result->step,     result->data_seed, result};
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
  MNO_CLOSING hid_t group = H5Gopen2(file->file, problem->name, H5P_DEFAULT), dataset = H5I_INVALID_HID;
  if (group < 0) return mno_result_damaged(result, object, err, "cannot be opened");
  hsize_t shape[5];
  mno_status status = mno_open_numbers(&(mno_read_from){result, group, problem->name}, name, 4, shape, &dataset, err);
  if (status != MNO_OK) return status;
  if (dataset < 0)
    return mno_fail(err, MNO_ERR_INPUT, "%s: %s was not recorded (record: {%s: true} in the configuration)", result->path,
                    object, name);
  if (shape[0] != file->runs[p] || shape[1] != result->step_count || shape[2] != problem->N || shape[3] != width)
    return mno_result_damaged(result, object, err, "does not have the shape that the rest of the file implies");
  /* Neighbouring runs are read together; missing ones between them are left out. */
  for (size_t i = 0, n; status == MNO_OK && i < problem->run_count; i += n) {
    const size_t first = file->run_of[problem->row[i]];
    for (n = 1; i + n < problem->run_count && file->run_of[problem->row[i + n]] == first + n;) n++;
    const mno_part part = {
        .dataset = dataset, .memory = H5T_NATIVE_DOUBLE, .rank = 4, .start = {first, s}, .size = {n, 1, problem->N, width}};
    status = mno_read_part(result, object, &part, out + i * problem->N * width, err);
  }
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

static mno_status read_step_locked(mno_result *result, size_t p, const char *name, size_t s, size_t width, double *out,
                                   mno_error *err) {
  mno_h5_lock();
  mno_status status = mno_h5_room(err);
  if (status == MNO_OK) status = read_step(result, p, name, s, width, out, err);
  return mno_result_settle(result, status, err);
}

mno_status mno_result_output(mno_result *result, size_t problem, size_t step_index, double *out, mno_error *err) {
  return read_step_locked(result, problem, "output", step_index, result->problems[problem].d_out, out, err);
}

mno_status mno_result_embedding(mno_result *result, size_t problem, size_t step_index, double *out, mno_error *err) {
  return read_step_locked(result, problem, "embedding", step_index, result->problems[problem].D, out, err);
}
