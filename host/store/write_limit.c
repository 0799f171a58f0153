/* SPDX-License-Identifier: BSD-3-Clause */
/* The group of a limit. */
#include "limit/fields.h"
#include "store/write.h"

#include <stdlib.h>

/* An array of a limit; dimensions that are not there yet are made. */
static bool make_limit_field(hid_t group, const mno_limit *limit, const mno_limit_field *field,
                             hid_t scale[MNO_DIMENSIONS]) {
  size_t shape[MNO_FIELD_RANK], rank;
  hid_t axis[MNO_FIELD_RANK];
  if (mno_limit_field_shape(limit, field, shape, &rank) == 0) return true;
  if (!mno_make_dimensions(group, rank, field->dimension, shape, scale)) return false;
  for (size_t d = 0; d < rank; d++) axis[d] = scale[field->dimension[d]];
  return mno_make_array(group, field->name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, rank, axis, mno_limit_array(limit, field),
                        field->units, field->long_name);
}

bool mno_write_limit(hid_t problem, hid_t group, const mno_limit *limit) {
  size_t S = limit->K + 1, fields;
  const mno_limit_field *field = mno_limit_field_list(&fields);
  int64_t *step = malloc(S * sizeof *step);
  if (!step) return false;
  for (size_t k = 0; k < S; k++) step[k] = (int64_t)k;
  hid_t scale[MNO_DIMENSIONS] = {0};
  const mno_dimension shared[] = {MNO_DIMENSION_SAMPLE, MNO_DIMENSION_TARGET, MNO_DIMENSION_EMBED};
  bool ok = true;
  for (size_t d = 0; d < sizeof shared / sizeof *shared; d++)
    ok = (scale[shared[d]] = H5Dopen2(problem, mno_dimension_name(shared[d]), H5P_DEFAULT)) >= 0 && ok;
  scale[MNO_DIMENSION_STEP] = mno_make_steps(group, step, S);
  free(step);
  int32_t certified = limit->certified != 0;
  ok = ok && scale[MNO_DIMENSION_STEP] >= 0 && mno_h5_text(group, "method", limit->method) &&
       mno_h5_text(group, "parameters", limit->parameters) &&
       mno_h5_number(group, "certified", H5T_NATIVE_INT32, &certified, 0) &&
       mno_h5_number(group, "tolerance", H5T_NATIVE_DOUBLE, &limit->tolerance, 0) &&
       mno_h5_number(group, "degrees", H5T_NATIVE_INT64, &limit->degrees, 0) &&
       mno_h5_number(group, "diverged", H5T_NATIVE_INT64, &limit->diverged, 0) &&
       mno_h5_number(group, "seconds", H5T_NATIVE_DOUBLE, &limit->seconds, 0) &&
       (!limit->missing || mno_h5_number(group, "missing", H5T_NATIVE_INT64, &limit->missing, 0));
  for (size_t i = 0; ok && i < fields; i++) ok = make_limit_field(group, limit, &field[i], scale);
  for (size_t d = 0; d < MNO_DIMENSIONS; d++) mno_h5_close(&scale[d]);
  return ok;
}
