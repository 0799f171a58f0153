/* SPDX-License-Identifier: BSD-3-Clause */
/* The limits in the group of a problem. */
#include "core/memory.h"
#include "limit/fields.h"
#include "store/numbers.h"
#include "store/read.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mno_status read_limit(const mno_read_from *from, mno_result_problem *problem, mno_limit_kind kind, mno_error *err) {
  size_t nodes = 0, one[1];
  hsize_t shape[5];
  hid_t dataset;
  mno_status status = mno_open_numbers(from, "output", 3, shape, &dataset, err);
  if (status != MNO_OK) return status;
  char object[128];
  snprintf(object, sizeof object, "%s/output", from->where);
  if (dataset < 0) return mno_result_damaged(from->result, object, err, "is missing");
  H5Dclose(dataset);
  if (shape[0] == 0 || shape[0] > INT_MAX || shape[1] != problem->N || shape[2] != problem->d_out)
    return mno_result_damaged(from->result, object, err, "does not have the shape (step, sample, target)");
  if (H5Lexists(from->group, "depth", H5P_DEFAULT) > 0) {
    status = mno_size_of_numbers(from, "depth", 1, one, err);
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
    return mno_result_damaged(from->result, from->where, err, "is too large for this machine's memory");
  mno_limit *limit;
  status = mno_limit_like(&like, &limit, err);
  if (status != MNO_OK) return status;
  problem->limit[problem->limit_count++] = limit;
  size_t fields, rank, sizes[MNO_FIELD_RANK];
  const mno_limit_field *field = mno_limit_field_list(&fields);
  for (size_t i = 0; status == MNO_OK && i < fields; i++) {
    if (mno_limit_field_shape(limit, &field[i], sizes, &rank) == 0) continue; /* no nodes */
    double *array = mno_limit_array(limit, &field[i]);
    status = mno_read_numbers(from, field[i].name, H5T_NATIVE_DOUBLE, (int)rank, sizes, array == limit->output, &array, err);
  }
  char *text;
  if ((text = mno_h5_read_text(from->group, "method"))) snprintf(limit->method, sizeof limit->method, "%s", text);
  free(text);
  if ((text = mno_h5_read_text(from->group, "parameters")))
    snprintf(limit->parameters, sizeof limit->parameters, "%s", text);
  free(text);
  limit->tolerance = mno_h5_read_number(from->group, "tolerance", NAN);
  limit->certified = (int)mno_h5_read_number(from->group, "certified", 0);
  double degrees = mno_h5_read_number(from->group, "degrees", 0), diverged = mno_h5_read_number(from->group, "diverged", -1),
         missing = mno_h5_read_number(from->group, "missing", 0);
  limit->degrees = degrees > 0 && degrees < INT_MAX ? (int64_t)degrees : 0;
  limit->diverged = diverged >= 0 && diverged <= (double)limit->K ? (int64_t)diverged : -1;
  limit->missing = missing > 0 && missing < INT_MAX ? (int64_t)missing : 0;
  limit->seconds = mno_h5_read_number(from->group, "seconds", NAN);
  return status;
}

mno_status mno_read_limits(mno_result *result, hid_t group, mno_result_problem *problem, mno_error *err) {
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
    if (limit < 0) return mno_result_damaged(result, where, err, "cannot be opened as a group");
    status = read_limit(&(mno_read_from){result, limit, where}, problem, (mno_limit_kind)kinds[i], err);
    H5Gclose(limit);
  }
  return status;
}
