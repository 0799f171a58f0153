/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
/* The limits in the group of a problem. */
#include "core/memory.h"
#include "limit/fields.h"
#include "store/numbers.h"
#include "store/result_file.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void read_words(hid_t group, const char *name, char *words, size_t size) {
  char *text = mno_h5_read_text(group, name);
  if (text) snprintf(words, size, "%s", text);
  free(text);
}

static int64_t read_count(hid_t group, const char *name, double most, int64_t otherwise) {
  const double count = mno_h5_read_number(group, name, -1);
  return count >= 0 && count <= most ? (int64_t)count : otherwise;
}

static mno_status read_limit(const mno_read_from *from, mno_result_problem *problem, mno_limit_kind kind, mno_error *err) {
  size_t shape[3], nodes[1] = {0};
  mno_status status = mno_size_of_numbers(from, "output", 3, shape, err);
  if (status != MNO_OK) return status;
  if (shape[1] != problem->N || shape[2] != problem->d_out) {
    char object[128];
    snprintf(object, sizeof object, "%s/output", from->where);
    return mno_result_damaged(from->result, object, err, "does not have the shape (step, sample, target)");
  }
  if (H5Lexists(from->group, "depth", H5P_DEFAULT) > 0) status = mno_size_of_numbers(from, "depth", 1, nodes, err);
  if (status != MNO_OK) return status;
  const mno_limit like = {
      .kind = kind, .N = problem->N, .d_out = problem->d_out, .D = problem->D, .K = shape[0] - 1, .nodes = nodes[0]};
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
  read_words(from->group, "method", limit->method, sizeof limit->method);
  read_words(from->group, "parameters", limit->parameters, sizeof limit->parameters);
  limit->tolerance = mno_h5_read_number(from->group, "tolerance", NAN);
  limit->certified = (int)mno_h5_read_number(from->group, "certified", 0);
  limit->degrees = read_count(from->group, "degrees", INT_MAX, 0);
  limit->diverged = read_count(from->group, "diverged", (double)limit->K, -1);
  limit->missing = read_count(from->group, "missing", INT_MAX, 0);
  limit->seconds = mno_h5_read_number(from->group, "seconds", NAN);
  return status;
}

/* Every kind once: in the order of a problem's attribute, which may be NULL, then those that it does not name. */
static void order_kinds(char *names, mno_limit_kind kind[MNO_LIMIT_KINDS]) {
  bool placed[MNO_LIMIT_KINDS] = {false};
  size_t count = 0;
  char *rest;
  for (char *name = names ? strtok_r(names, " ", &rest) : NULL; name; name = strtok_r(NULL, " ", &rest))
    for (int k = 0; k < MNO_LIMIT_KINDS; k++) {
      if (placed[k] || strcmp(mno_limit_group_name((mno_limit_kind)k), name) != 0) continue;
      kind[count++] = (mno_limit_kind)k;
      placed[k] = true;
    }
  for (int k = 0; k < MNO_LIMIT_KINDS; k++)
    if (!placed[k]) kind[count++] = (mno_limit_kind)k;
}

mno_status mno_read_limits(mno_result *result, hid_t group, mno_result_problem *problem, mno_error *err) {
  mno_limit_kind kind[MNO_LIMIT_KINDS];
  char *names = mno_h5_read_text(group, "limits");
  order_kinds(names, kind);
  free(names);
  mno_status status = MNO_OK;
  for (size_t i = 0; status == MNO_OK && i < MNO_LIMIT_KINDS; i++) {
    const char *name = mno_limit_group_name(kind[i]);
    if (H5Lexists(group, name, H5P_DEFAULT) <= 0) continue;
    char where[96];
    snprintf(where, sizeof where, "/%s/%s", problem->name, name);
    MNO_CLOSING hid_t limit = H5Gopen2(group, name, H5P_DEFAULT);
    if (limit < 0) return mno_result_damaged(result, where, err, "cannot be opened as a group");
    status = read_limit(&(mno_read_from){result, limit, where}, problem, kind[i], err);
  }
  return status;
}
