/* SPDX-License-Identifier: BSD-3-Clause */
/* The group of a problem: what defines it, its data, and the variables of its runs. */
#include "plan/problem.h"
#include "store/write.h"

#include <stdlib.h>

static bool write_parameter(hid_t group, const mno_problem *problem, const mno_parameter *parameter) {
  if (mno_parameter_is_implied(problem, parameter)) return true;
  if (parameter->type == MNO_PARAMETER_NAME)
    return mno_h5_text(group, parameter->name, mno_parameter_name(problem, parameter));
  const double real = mno_parameter_number(problem, parameter);
  const int64_t integer = (int64_t)real;
  return parameter->type == MNO_PARAMETER_INTEGER ? mno_h5_number(group, parameter->name, H5T_NATIVE_INT64, &integer, 0)
                                                  : mno_h5_number(group, parameter->name, H5T_NATIVE_DOUBLE, &real, 0);
}

static bool describe_problem(hid_t group, const mno_problem *problem) {
  mno_parameter parameter;
  for (size_t i = 0; mno_problem_parameter(problem, i, &parameter); i++)
    if (!write_parameter(group, problem, &parameter)) return false;
  return mno_h5_number(group, "id", H5T_NATIVE_UINT64, &problem->id, 0) &&
         mno_h5_number(group, "data_seed", H5T_NATIVE_INT64, &problem->data_seed, 0) && mno_h5_text(group, "limits", "");
}

/* The depths of recorded paths. */
static hid_t make_depths(hid_t group) {
  double depth[MNO_PATH_POINTS];
  for (int g = 0; g < MNO_PATH_POINTS; g++) depth[g] = (double)g / (MNO_PATH_POINTS - 1);
  return mno_make_axis(group, "depth", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, MNO_PATH_POINTS, depth, "depth s = l/L");
}

/* A problem's group. Runs are all planned instances of the problem, in the order of the root table. */
bool mno_write_problem(hid_t file, const mno_plan *plan, size_t p) {
  const mno_problem *problem = &plan->problem[p];
  size_t runs = 0;
  char name[32];
  mno_problem_name(p, name);
  int64_t *row = malloc(plan->instance_count * sizeof *row);
  if (!row) return false;
  for (size_t i = 0; i < plan->instance_count; i++)
    if (plan->instance[i].problem == p) row[runs++] = (int64_t)i;
  MNO_CLOSING hid_t group = mno_make_group(file, name);
  MNO_CLOSING hid_t run = mno_make_dimension(group, "run", runs),
                    steps = mno_make_steps(group, plan->step, plan->step_count),
                    sample = mno_make_dimension(group, "sample", problem->N),
                    input = mno_make_dimension(group, "input", problem->d_in),
                    target = mno_make_dimension(group, "target", problem->d_out),
                    embed = mno_make_dimension(group, "embed", problem->D);
  MNO_CLOSING hid_t depths = plan->recording.path ? make_depths(group) : H5I_INVALID_HID;
  bool ok = group >= 0 && run >= 0 && steps >= 0 && sample >= 0 && input >= 0 && target >= 0 && embed >= 0 &&
            (!plan->recording.path || depths >= 0) && describe_problem(group, problem);
  for (size_t i = 0; ok && i < MNO_PROBLEM_ARRAYS; i++) {
    const mno_problem_array array = mno_problem_array_of(problem, i);
    ok = mno_make_array(group, array.name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2,
                        (hid_t[]){array.by_sample ? sample : embed, array.by_input ? input : target},
                        mno_problem_array_value(problem, &array), "1", array.long_name);
  }
  ok = ok &&
       mno_make_array(group, "row", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, &run, row, "1", "row of the root table of each run");
  if (ok && runs) {
    mno_stored stored[MNO_STORED_MAX];
    size_t fields = mno_stored_fields(plan, (size_t)row[0], stored);
    const hid_t scale[MNO_DIMENSIONS] = {[MNO_DIMENSION_STEP] = steps,
                                         [MNO_DIMENSION_SAMPLE] = sample,
                                         [MNO_DIMENSION_TARGET] = target,
                                         [MNO_DIMENSION_EMBED] = embed,
                                         [MNO_DIMENSION_DEPTH] = depths};
    ok = mno_make_fields(group, MNO_PLACE_PROBLEM, stored, fields, run, runs, scale);
  }
  free(row);
  return ok;
}
