/* SPDX-License-Identifier: BSD-3-Clause */
/* Problems for the tests of the limits: those of the reference files. */
#ifndef MNO_TEST_LIMIT_PROBLEMS_H
#define MNO_TEST_LIMIT_PROBLEMS_H

#include "test.h"

#include "problem.h"

#include <hdf5.h>

/* A dataset of a reference file, its dimensions in shape (up to 4). */
static inline double *dataset(hid_t file, const char *name, hsize_t shape[4]) {
  hid_t set = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(set);
  hsize_t size[4] = {1, 1, 1, 1}, count = 1;
  int rank = H5Sget_simple_extent_dims(space, size, NULL);
  for (int i = 0; i < rank; i++) count *= size[i];
  double *x = malloc(count * sizeof *x);
  assert_true(H5Dread(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0);
  if (shape) memcpy(shape, size, sizeof size);
  H5Sclose(space);
  H5Dclose(set);
  return x;
}

static inline hid_t reference_open(const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/reference/%s", MNO_TEST_DATA, name);
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  assert_true(file >= 0);
  return file;
}

static inline mno_problem reference_problem(hid_t file) {
  mno_problem p = {.K = 15,
                   .alpha = 1,
                   .block = mno_block_named("perceptron"),
                   .optimizer = mno_optimizer_named("gd"),
                   .sigma = {1, 1},
                   .eta = {1, 1}};
  hsize_t x[4], y[4], w[4];
  p.activation = MNO_TANH;
  p.loss = MNO_SQUARED;
  p.x = dataset(file, "x", x);
  p.y = dataset(file, "y", y);
  p.w_embed = dataset(file, "w_embed", w);
  p.w_unembed = dataset(file, "w_unembed", NULL);
  p.N = x[0];
  p.d_in = x[1];
  p.d_out = y[1];
  p.D = w[0];
  return p;
}

static inline mno_limit *solve_limit(const mno_problem *problem, mno_limit_options options) {
  mno_error err;
  mno_limit *limit;
  assert_ok(mno_limit_solve(problem, &options, &limit, &err));
  return limit;
}

#endif
