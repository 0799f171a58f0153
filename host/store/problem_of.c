/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
/* The training problem behind a group of a result file, data and embeddings included. */
#include "config/source.h"
#include "core/memory.h"
#include "plan/problem.h"
#include "store/result_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void mno_result_data_free(mno_problem *problem) {
  for (size_t i = 0; i < MNO_PROBLEM_ARRAYS; i++) {
    const mno_problem_array array = mno_problem_array_of(problem, i);
    free(mno_problem_array_value(problem, &array));
  }
  *problem = (mno_problem){0};
}

/* What a file names and this program does not know; free() the name. */
typedef struct unknown_name {
  mno_parameter parameter;
  char *name;
} unknown_name;

static bool read_parameter(hid_t group, mno_problem *problem, const mno_parameter *parameter, unknown_name *unknown) {
  if (parameter->type != MNO_PARAMETER_NAME) {
    const double otherwise = parameter->type == MNO_PARAMETER_INTEGER ? 0 : NAN;
    mno_parameter_set_number(problem, parameter, mno_h5_read_number(group, parameter->name, otherwise));
    return true;
  }
  char *text = mno_h5_read_text(group, parameter->name);
  const char *name = text ? text : parameter->implied;
  if (name && mno_parameter_set_name(problem, parameter, name)) {
    free(text);
    return true;
  }
  *unknown = (unknown_name){*parameter, text};
  return false;
}

static bool read_group(hid_t file, const char *name, mno_problem *data, const mno_problem_array array[MNO_PROBLEM_ARRAYS],
                       unknown_name *unknown) {
  MNO_CLOSING hid_t group = H5Gopen2(file, name, H5P_DEFAULT);
  bool ok = group >= 0;
  for (size_t i = 0; ok && i < MNO_PROBLEM_ARRAYS; i++)
    ok = H5LTread_dataset_double(group, array[i].name, mno_problem_array_value(data, &array[i])) >= 0;
  mno_parameter parameter;
  for (size_t i = 0; ok && mno_problem_parameter(data, i, &parameter); i++)
    ok = read_parameter(group, data, &parameter, unknown);
  return ok;
}

mno_status mno_result_data(const mno_result *result, size_t problem, mno_problem *data, mno_error *err) {
  const mno_result_problem *from = &result->problems[problem];
  size_t N = from->N, D = from->D, d_in = from->d_in, d_out = from->d_out;
  *data = (mno_problem){.N = N, .d_in = d_in, .d_out = d_out, .D = D, .data_seed = from->data_seed};
  mno_problem_array array[MNO_PROBLEM_ARRAYS];
  bool ok = true;
  for (size_t i = 0; i < MNO_PROBLEM_ARRAYS; i++) {
    array[i] = mno_problem_array_of(data, i);
    double *value = mno_alloc(array[i].rows * array[i].columns, sizeof(double));
    mno_problem_set_array(data, &array[i], value);
    ok = ok && value;
  }
  if (!ok) {
    mno_result_data_free(data);
    return mno_fail_memory(err, (N + D) * (d_in + d_out) * sizeof(double), "the data of a problem");
  }
  unknown_name unknown = {0};
  char quoted[MNO_QUOTE_SIZE];
  mno_h5_lock();
  ok = read_group(mno_file_of(result)->file, from->name, data, array, &unknown);
  int why = mno_h5_errno();
  mno_h5_unlock();
  /* The id tells whether something that defines the problem is not in the group, or was changed. */
  if (ok && (data->id = mno_problem_id(data)) == from->id) return MNO_OK;
  mno_result_data_free(data);
  const bool named = unknown.name != NULL;
  if (named) mno_quote(quoted, unknown.name);
  free(unknown.name);
  if (why) return mno_fail(err, MNO_ERR_IO, "cannot read %s: %s", result->path, strerror(why));
  if (named)
    return mno_fail(err, MNO_ERR_INPUT, "%s: /%s: its %s %s is none of this meanode's", result->path, from->name,
                    unknown.parameter.name, quoted);
  return mno_fail(err, MNO_ERR_INPUT,
                  "%s: %s does not hold all that defines its problem: it was changed, or not written by this meanode",
                  result->path, from->name);
}

static bool is_held(const mno_held_data *held, const mno_result_problem *problem) {
  for (size_t i = 0; i < held->count; i++)
    if (held->problem[i].D == problem->D && held->problem[i].data_seed == problem->data_seed) return true;
  return false;
}

mno_status mno_result_held_data(const mno_result *result, mno_held_data **held, mno_error *err) {
  mno_held_data *made = mno_alloc(1, sizeof *made);
  if (made) {
    made->problem = mno_alloc(result->problem_count, sizeof *made->problem);
    made->taken_from = realpath(result->path, NULL);
    if (!made->taken_from) made->taken_from = strdup(result->path);
    made->data_source = mno_result_attribute(result, "data_source");
  }
  if (!made || !made->problem || !made->taken_from) {
    mno_held_data_free(made);
    return mno_fail_memory(err, result->problem_count * sizeof(mno_problem), "the data of a run");
  }
  for (size_t p = 0; p < result->problem_count; p++) {
    mno_problem *to = &made->problem[made->count];
    if (is_held(made, &result->problems[p])) continue;
    mno_status status = mno_result_data(result, p, to, err);
    if (status != MNO_OK) {
      mno_held_data_free(made);
      return status;
    }
    if (made->count++ == 0) continue;
    free(to->x); /* those of the first problem */
    free(to->y);
    to->x = to->y = NULL;
  }
  *held = made;
  return MNO_OK;
}
