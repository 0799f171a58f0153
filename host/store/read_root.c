/* SPDX-License-Identifier: BSD-3-Clause */
/* The root of a result file: the table of all instances, and what the file says of itself. */
#define _GNU_SOURCE
#include "core/memory.h"
#include "store/numbers.h"
#include "store/result_file.h"
#include "store/write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mno_status read_table(mno_result *result, mno_error *err) {
  mno_result_file *file = result->file;
  const mno_read_from from = {result, file->file, ""};
  size_t rows[1], steps[1];
  mno_status status = mno_size_of_numbers(&from, "L", 1, rows, err);
  if (status == MNO_OK) status = mno_size_of_numbers(&from, "step", 1, steps, err);
  if (status != MNO_OK) return status;
  result->instance_count = rows[0];
  result->step_count = steps[0];
  const bool drawn = H5Lexists(file->file, "draw_width", H5P_DEFAULT) > 0;
  int64_t *draw[3] = {NULL};
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
                {"draw_width", H5T_NATIVE_INT64, rows, &draw[0], drawn},
                {"draw_offset", H5T_NATIVE_INT64, rows, &draw[1], drawn},
                {"draw_sign", H5T_NATIVE_INT64, rows, &draw[2], drawn},
                {"step", H5T_NATIVE_INT64, steps, &result->step, true}};
  for (size_t i = 0; status == MNO_OK && i < sizeof column / sizeof *column; i++)
    status = mno_read_numbers(&from, column[i].name, column[i].memory, 1, column[i].shape, column[i].required,
                              column[i].column, err);
  if (status == MNO_OK && !result->id && !(result->id = mno_alloc(rows[0], sizeof *result->id)))
    status = mno_fail_memory(err, rows[0] * 8, "the ids");
  if (status == MNO_OK && drawn && !(result->draw = mno_alloc(rows[0], sizeof *result->draw)))
    status = mno_fail_memory(err, rows[0] * sizeof *result->draw, "the draws");
  for (size_t i = 0; status == MNO_OK && drawn && i < rows[0]; i++)
    result->draw[i] = (mno_draw){draw[0][i], draw[1][i], (int)draw[2][i]};
  for (size_t i = 0; i < 3; i++) free(draw[i]);
  for (size_t i = 0; status == MNO_OK && i < rows[0]; i++) {
    const char *object = result->L[i] < 1 ? "/L" : result->M[i] < 1 ? "/M" : result->D[i] < 1 ? "/D" : NULL;
    if (!object && (result->status[i] < MNO_STATUS_MISSING || result->status[i] > MNO_INSTANCE_DIVERGED)) object = "/status";
    if (!object && (result->problem[i] < 0 || result->problem[i] >= (int64_t)result->instance_count)) object = "/problem";
    if (object) status = mno_result_damaged(result, object, err, "row %zu holds a value that cannot be", i);
  }
  for (size_t i = 1; status == MNO_OK && i < steps[0]; i++)
    if (result->step[i] <= result->step[i - 1]) status = mno_result_damaged(result, "/step", err, "steps do not increase");
  return status;
}

static mno_status read_problems(mno_result *result, mno_error *err) {
  mno_result_file *file = result->file;
  int64_t last = 0;
  for (size_t i = 0; i < result->instance_count; i++) last = result->problem[i] > last ? result->problem[i] : last;
  size_t count = (size_t)last + 1;
  result->problems = mno_alloc(count, sizeof *result->problems);
  file->runs = mno_alloc(count, sizeof *file->runs);
  file->run_of = mno_alloc(result->instance_count, sizeof *file->run_of);
  if (!result->problems || !file->runs || !file->run_of)
    return mno_fail_memory(err, count * sizeof *result->problems, "the problems");
  result->problem_count = count;
  for (size_t i = 0; i < result->instance_count; i++) file->run_of[i] = SIZE_MAX;
  mno_status status = MNO_OK;
  for (size_t p = 0; status == MNO_OK && p < count; p++) status = mno_read_problem(result, p, err);
  size_t there = 0, listed = 0;
  for (size_t i = 0; i < result->instance_count; i++) there += result->status[i] != MNO_STATUS_MISSING;
  for (size_t p = 0; p < count; p++) listed += result->problems[p].run_count;
  if (status == MNO_OK && there != listed)
    status = mno_result_damaged(result, "/status", err, "rows of the root table are in no problem's group");
  return status;
}

mno_status mno_read_root(mno_result *result, mno_error *err) {
  mno_result_file *file = result->file;
  file->file = mno_h5_open(result->path, H5F_ACC_RDONLY);
  if (file->file < 0 && mno_h5_errno()) return mno_result_unreadable(result, err);
  if (file->file < 0) {
    char reason[512];
    mno_h5_reason(reason, sizeof reason);
    return mno_fail(err, MNO_ERR_INPUT, "%s: not a result file, or damaged: %s", result->path, reason);
  }
  mno_status status = read_table(result, err);
  if (status == MNO_OK) status = read_problems(result, err);
  if (status != MNO_OK) return status;
  result->config = mno_h5_read_dataset_text(file->file, "config");
  if (!result->config && !(result->config = strdup(""))) return mno_fail_memory(err, 1, "the configuration");
  file->settings = mno_h5_read_text(file->file, "settings");
  file->precision = mno_h5_read_text(file->file, "precision");
  file->history = mno_h5_read_text(file->file, "history");
  int shard[3] = {0};
  if (mno_h5_read_numbers(file->file, "shard", H5T_NATIVE_INT, 3, shard) && shard[0] >= 0 && shard[0] < shard[1] &&
      shard[2] >= 0) {
    file->shard = shard[0];
    file->shards = shard[1];
    file->shard_instances = (size_t)shard[2];
  }
  return MNO_OK;
}
