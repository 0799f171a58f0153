/* Problems for the tests of the limits: random ones, and those of the reference files. */
#ifndef MNO_TEST_LIMIT_PROBLEMS_H
#define MNO_TEST_LIMIT_PROBLEMS_H

#include "test.h"

#include <hdf5.h>
#include <stdlib.h>
#include <string.h>

static double *gaussian(mno_tensor tensor, size_t rows, size_t columns, double scale) {
  double *x = malloc(rows * columns * sizeof *x);
  for (size_t i = 0; i < rows; i++) {
    mno_normals(17, tensor, 0, (uint32_t)i, columns, x + i * columns);
    for (size_t c = 0; c < columns; c++) x[i * columns + c] *= scale;
  }
  return x;
}

/* tanh, squared loss, all constants 1 */
static inline mno_problem random_problem(size_t N, size_t d_in, size_t d_out, size_t D, size_t K) {
  mno_problem p = {.N = N,
                   .d_in = d_in,
                   .d_out = d_out,
                   .D = D,
                   .K = K,
                   .alpha = 1,
                   .block = mno_block_named("perceptron"),
                   .optimizer = mno_optimizer_named("gd"),
                   .sigma = {1, 1}};
  p.eta[MNO_U] = p.eta[MNO_V] = 1;
  p.activation = MNO_TANH;
  p.loss = MNO_SQUARED;
  p.x = gaussian(MNO_TENSOR_X, N, d_in, 1);
  p.y = gaussian(MNO_TENSOR_Y, N, d_out, 1);
  p.w_embed = gaussian(MNO_TENSOR_W_EMBED, D, d_in, 1 / sqrt((double)d_in));
  p.w_unembed = gaussian(MNO_TENSOR_W_UNEMBED, D, d_out, sqrt((double)d_out));
  return p;
}

static inline void problem_free(mno_problem *p) {
  free(p->x);
  free(p->y);
  free(p->w_embed);
  free(p->w_unembed);
}

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

/* RMS of x - y and of y over n numbers. */
static inline double rms_difference(const double *x, const double *y, size_t n) {
  double sum = 0;
  for (size_t e = 0; e < n; e++) sum += (x[e] - y[e]) * (x[e] - y[e]);
  return sqrt(sum / (double)n);
}

static inline double rms(const double *x, size_t n) {
  double sum = 0;
  for (size_t e = 0; e < n; e++) sum += x[e] * x[e];
  return sqrt(sum / (double)n);
}

#endif
