/* SPDX-License-Identifier: BSD-3-Clause */
/* The group of a problem: its sizes, the places of its runs, its limits. */
#include "config/source.h"
#include "core/memory.h"
#include "store/numbers.h"
#include "store/result_file.h"
#include "store/write.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static mno_status read_runs(mno_result *result, const mno_read_from *from, size_t p, mno_error *err) {
  mno_result_file *file = result->file;
  mno_result_problem *problem = &result->problems[p];
  int64_t *row = NULL;
  char object[64];
  snprintf(object, sizeof object, "%s/row", from->where);
  size_t runs[1];
  mno_status status = mno_size_of_numbers(from, "row", 1, runs, err);
  if (status == MNO_OK) status = mno_read_numbers(from, "row", H5T_NATIVE_INT64, 1, runs, true, &row, err);
  if (status != MNO_OK) return status;
  file->runs[p] = runs[0];
  problem->row = mno_alloc(runs[0], sizeof *problem->row);
  if (!problem->row) status = mno_fail_memory(err, runs[0] * sizeof *problem->row, object);
  for (size_t i = 0; status == MNO_OK && i < runs[0]; i++) {
    if (row[i] < 0 || (uint64_t)row[i] >= result->instance_count || result->problem[row[i]] != (int64_t)p ||
        (i > 0 && row[i] <= row[i - 1])) {
      status = mno_result_damaged(result, object, err, "entry %zu (%lld) is not a row of this problem in increasing order",
                                  i, (long long)row[i]);
    } else if (result->status[row[i]] != MNO_STATUS_MISSING) {
      problem->row[problem->run_count++] = (size_t)row[i];
      file->run_of[row[i]] = i;
    }
    if (status == MNO_OK && i == 0) {
      problem->alpha = result->alpha[row[i]];
      problem->data_seed = result->data_seed ? result->data_seed[row[i]] : -1;
    }
    if (status == MNO_OK && result->D[row[i]] != (int64_t)problem->D)
      status = mno_result_damaged(result, from->where, err, "its embedding matrix does not match D in the root table");
  }
  free(row);
  return status;
}

mno_status mno_read_problem(mno_result *result, size_t p, mno_error *err) {
  mno_result_file *file = result->file;
  mno_result_problem *problem = &result->problems[p];
  char where[40];
  mno_problem_name(p, problem->name);
  snprintf(where, sizeof where, "/%s", problem->name);
  MNO_CLOSING hid_t group = H5Gopen2(file->file, problem->name, H5P_DEFAULT);
  if (group < 0) return mno_result_damaged(result, where, err, "cannot be opened as a group");
  const mno_read_from from = {result, group, where};
  size_t x[2], y[2], embed[2], unembed[2];
  mno_status status = mno_size_of_numbers(&from, "x", 2, x, err);
  if (status == MNO_OK) status = mno_size_of_numbers(&from, "y", 2, y, err);
  if (status == MNO_OK) status = mno_size_of_numbers(&from, "w_embed", 2, embed, err);
  if (status == MNO_OK) status = mno_size_of_numbers(&from, "w_unembed", 2, unembed, err);
  if (status == MNO_OK && (x[0] != y[0] || embed[1] != x[1] || unembed[1] != y[1] || embed[0] != unembed[0]))
    status = mno_result_damaged(result, where, err, "the shapes of x, y, w_embed and w_unembed do not fit each other");
  if (status == MNO_OK) {
    problem->N = x[0];
    problem->d_in = x[1];
    problem->d_out = y[1];
    problem->D = embed[0];
    double steps = mno_h5_read_number(group, "steps", (double)result->step[result->step_count - 1]);
    problem->K = steps >= 0 && steps < INT_MAX ? (size_t)steps : 0;
    mno_h5_read_numbers(group, "id", H5T_NATIVE_UINT64, 1, &problem->id);
    char *block = mno_h5_read_text(group, "block"), quoted[MNO_QUOTE_SIZE];
    problem->block = mno_block_named(block ? block : "perceptron"); /* what a file does not name */
    if (!problem->block)
      status = mno_result_damaged(result, where, err, "its block %s is none of this meanode's", mno_quote(quoted, block));
    free(block);
  }
  if (status == MNO_OK) status = read_runs(result, &from, p, err);
  return status == MNO_OK ? mno_read_limits(result, group, problem, err) : status;
}
