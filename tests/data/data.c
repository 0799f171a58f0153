/* SPDX-License-Identifier: BSD-3-Clause */
/* Data: gaussian moments and nesting, facts of the digits found with another program, HDF5 files good and bad. */
#include "core/h5.h"
#include "data/load.h"
#include "store/compare.h"
#include "test.h"

#include <hdf5.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/meanode-data-XXXXXX";
static char file_path[64];

static mno_status load(const char *data, const char *rest, mno_data **out, mno_error *err) {
  char text[1000], name[64];
  snprintf(text, sizeof text, "data: %s\n%s\nsweep: {L: 1, M: 1}\n", data,
           *rest ? rest : "model: {D: 4}\ntraining: {steps: 1}");
  snprintf(name, sizeof name, "%s/test.yaml", folder);
  mno_sweep *sweep = NULL;
  mno_status status = mno_sweep_parse(text, strlen(text), name, &sweep, err);
  *out = NULL;
  if (status == MNO_OK) status = mno_data_load(sweep, (uint64_t)sweep->data.seed.value[0], out, err);
  mno_sweep_free(sweep);
  return status;
}

static void gaussian(void **state) {
  mno_data *d, *e;
  mno_error err = {0};
  assert_ok(load("{kind: gaussian, samples: 3000, inputs: 5, targets: 3, seed: 4}", "", &d, &err));
  double sx = 0, sxx = 0, sy = 0, syy = 0, sxy = 0, n = 3000;
  for (size_t i = 0; i < 3000 * 5; i++) sx += d->x[i], sxx += d->x[i] * d->x[i];
  for (size_t i = 0; i < 3000 * 3; i++) sy += d->y[i], syy += d->y[i] * d->y[i];
  for (size_t i = 0; i < 3000; i++) sxy += d->x[i * 5] * d->y[i * 3];
  assert_close(sx / (5 * n), 0, 5 / sqrt(5 * n)); /* five standard errors each */
  assert_close(sy / (3 * n), 0, 5 / sqrt(3 * n));
  assert_close(sxx / (5 * n), 1, 5 * sqrt(2 / (5 * n)));
  assert_close(syy / (3 * n), 1, 5 * sqrt(2 / (3 * n)));
  assert_close(sxy / n, 0, 5 / sqrt(n));
  assert_ok(load("{kind: gaussian, samples: 10, inputs: 5, targets: 3, seed: 4}", "", &e, &err));
  assert_memory_equal(d->x, e->x, 10 * 5 * sizeof(double));
  assert_memory_equal(d->y, e->y, 10 * 3 * sizeof(double));
  mno_data_free(e);
  assert_ok(load("{kind: gaussian, samples: 10, inputs: 5, targets: 3, seed: 5}", "", &e, &err));
  for (size_t i = 0; i < 50; i++) assert_true(d->x[i] != e->x[i]);
  mno_data_free(d);
  mno_data_free(e);
}

static void embeddings(void **state) {
  enum { D = 4000, D_IN = 5, D_OUT = 3 };
  mno_data data = {.N = 1, .d_in = D_IN, .d_out = D_OUT};
  double *we = malloc(D * D_IN * sizeof *we), *wu = malloc(D * D_OUT * sizeof *wu), see = 0, suu = 0;
  mno_data_embed(&data, 3, D, we, wu);
  for (size_t i = 0; i < D * D_IN; i++) see += we[i] * we[i];
  for (size_t i = 0; i < D * D_OUT; i++) suu += wu[i] * wu[i];
  assert_close(see / (D * D_IN), 1.0 / D_IN, 5 * sqrt(2.0 / (D * D_IN)) / D_IN);
  assert_close(suu / (D * D_OUT), D_OUT, 5 * sqrt(2.0 / (D * D_OUT)) * D_OUT);
  free(we);
  free(wu);
}

/* Sums, counts and classes below were computed from data/digits.csv.gz with Python's csv and statistics modules. */
static void digits(void **state) {
  mno_data *d, *e;
  mno_error err = {0};
  assert_ok(load("{kind: digits}", "", &d, &err));
  assert_int_equal(d->N, 1797);
  assert_int_equal(d->d_in, 64);
  assert_int_equal(d->d_out, 10);
  const double mean = 4.884164579855314, deviation = 6.016787548672236;
  double sum = 0, squares = 0;
  int count[10] = {0};
  for (size_t i = 0; i < 1797; i++) {
    double total = 0;
    for (size_t j = 0; j < 64; j++) {
      double pixel = d->x[i * 64 + j] * deviation + mean;
      assert_close(pixel, round(pixel), 1e-9);
      assert_true(round(pixel) >= 0 && round(pixel) <= 16);
      sum += round(pixel);
      squares += round(pixel) * round(pixel);
    }
    for (size_t o = 0; o < 10; o++) {
      double y = d->y[i * 10 + o];
      assert_true(y == 0 || y == 1);
      total += y;
      count[o] += y == 1;
    }
    assert_true(total == 1);
  }
  assert_true(sum == 561718 && squares == 6907012);
  const int counts[] = {178, 182, 177, 183, 181, 182, 181, 179, 174, 180};
  for (int o = 0; o < 10; o++) assert_int_equal(count[o], counts[o]);
  const struct {
    size_t row;
    double sum, weighted; /* of the pixels; of (j + 1) pixel_j */
    size_t class;
  } rows[] = {{0, 294, 9244, 0}, {1, 313, 10364, 1}, {7, 290, 7954, 7}, {1000, 268, 11191, 1}, {1796, 392, 13682, 8}};
  for (int r = 0; r < 5; r++) {
    double total = 0, weighted = 0;
    for (size_t j = 0; j < 64; j++) {
      double pixel = d->x[rows[r].row * 64 + j] * deviation + mean;
      total += pixel;
      weighted += (double)(j + 1) * pixel;
    }
    assert_close(total, rows[r].sum, 1e-9);
    assert_close(weighted, rows[r].weighted, 1e-7);
    assert_true(d->y[rows[r].row * 10 + rows[r].class] == 1);
  }
  /* fewer samples: the first ones, on the same scale */
  assert_ok(load("{kind: digits, samples: 20}", "model: {D: 4}\ntraining: {steps: 1, loss: cross-entropy}", &e, &err));
  assert_int_equal(e->N, 20);
  assert_memory_equal(e->x, d->x, 20 * 64 * sizeof(double));
  assert_memory_equal(e->y, d->y, 20 * 10 * sizeof(double));
  for (size_t i = 0; i < 20; i++) assert_true(e->y[i * 10 + i % 10] == 1);
  mno_data_free(d);
  mno_data_free(e);
}

static void write_set(hid_t file, const char *name, int rank, hsize_t a, hsize_t b, hid_t type, const void *values) {
  hsize_t dims[2] = {a, b};
  hid_t space = H5Screate_simple(rank, dims, NULL),
        set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  H5Dclose(set);
  H5Sclose(space);
}

static hid_t new_file(void) { return H5Fcreate(file_path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT); }

static const double table[] = {1, 2.5, -3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const int integers[] = {1, 0, 0, 1, 1, 0};

static void good_file(void **state) {
  hid_t file = new_file();
  write_set(file, "x", 2, 3, 4, H5T_NATIVE_DOUBLE, table);
  write_set(file, "y", 2, 3, 2, H5T_NATIVE_INT, integers);
  write_set(file, "w_embed", 2, 2, 4, H5T_NATIVE_DOUBLE, table + 3);
  write_set(file, "w_unembed", 2, 2, 2, H5T_NATIVE_DOUBLE, table + 5);
  H5Fclose(file);
  mno_data *d;
  mno_error err = {0};
  const char *rest = "model: {D: 2}\ntraining: {steps: 1}";
  assert_ok(load("{kind: file, path: data.h5}", rest, &d, &err));
  assert_true(d->N == 3 && d->d_in == 4 && d->d_out == 2);
  assert_memory_equal(d->x, table, 12 * sizeof(double));
  for (int i = 0; i < 6; i++) assert_true(d->y[i] == integers[i]);
  double we[8], wu[4];
  mno_data_embed(d, 3, 2, we, wu);
  assert_memory_equal(we, table + 3, sizeof we);
  assert_memory_equal(wu, table + 5, sizeof wu);
  mno_data_free(d);
  assert_ok(load("{kind: file, path: data.h5, samples: 2}", rest, &d, &err));
  assert_true(d->N == 2);
  assert_memory_equal(d->x, table, 8 * sizeof(double));
  mno_data_free(d);
  char data[200];
  snprintf(data, sizeof data, "{kind: file, path: %s}", file_path); /* an absolute path */
  assert_ok(load(data, "model: {D: 2}\ntraining: {steps: 1, loss: cross-entropy}", &d, &err));
  mno_data_free(d);
}

/* Loading fails with exit code 65 and a message that has the place and the words. */
static void assert_refused(const char *data, const char *rest, const char *place, const char *words) {
  mno_data *d;
  mno_error err = {0};
  mno_status status = load(data, rest, &d, &err);
  if (status != MNO_ERR_INPUT) fail_msg("expected a refusal: %s", words);
  assert_null(d);
  if (!strstr(err.message, place)) fail_msg("expected %s in %s", place, err.message);
  if (!strstr(err.message, words)) fail_msg("expected %s in %s", words, err.message);
}

static const char plain[] = "{kind: file, path: data.h5}";
enum { X = 1, Y = 2 };

static hid_t file_with(int sets) {
  hid_t file = new_file();
  if (sets & X) write_set(file, "x", 2, 3, 4, H5T_NATIVE_DOUBLE, table);
  if (sets & Y) write_set(file, "y", 2, 3, 2, H5T_NATIVE_INT, integers);
  return file;
}

static void bad_files(void **state) {
  const char *place = "test.yaml:1:26: ";
  unlink(file_path);
  assert_refused(plain, "", place, "/data.h5: No such file or directory");
  assert_refused("{kind: file, path: .}", "", place, "not a file");
  FILE *text = fopen(file_path, "w");
  fputs("no HDF5", text);
  fclose(text);
  assert_refused(plain, "", place, "not an HDF5 file");
  H5Fclose(file_with(Y));
  assert_refused(plain, "", place, "there is no dataset \"x\" (samples, inputs)");
  H5Fclose(file_with(X));
  assert_refused(plain, "", place, "there is no dataset \"y\" (samples, targets)");

  hid_t file = file_with(Y);
  H5Gclose(H5Gcreate2(file, "x", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  H5Fclose(file);
  assert_refused(plain, "", place, "\"x\" is a group, not a dataset");
  file = file_with(X);
  write_set(file, "y", 1, 3, 1, H5T_NATIVE_DOUBLE, table);
  H5Fclose(file);
  assert_refused(plain, "", place, "dataset \"y\" has 1 dimension; it needs two");
  file = file_with(Y);
  write_set(file, "x", 2, 2, 4, H5T_NATIVE_DOUBLE, table);
  H5Fclose(file);
  assert_refused(plain, "", place, "dataset \"x\" has 2 rows, but \"y\" has 3");
  file = file_with(Y);
  write_set(file, "x", 2, 3, 0, H5T_NATIVE_DOUBLE, table);
  H5Fclose(file);
  assert_refused(plain, "", place, "dataset \"x\" has shape (3, 0)");
  const double bad[] = {1, 2, 3, 4, 5, 6, NAN, 8, 9, 10, INFINITY, 12};
  file = file_with(Y);
  write_set(file, "x", 2, 3, 4, H5T_NATIVE_DOUBLE, bad);
  H5Fclose(file);
  assert_refused(plain, "", place, "dataset \"x\" holds nan in row 1, column 2");
  file = file_with(X);
  write_set(file, "y", 2, 3, 1, H5T_NATIVE_DOUBLE, bad + 9);
  H5Fclose(file);
  assert_refused(plain, "", place, "dataset \"y\" holds infinity in row 1, column 0");
  file = file_with(Y);
  hid_t word = H5Tcopy(H5T_C_S1);
  H5Tset_size(word, 8);
  write_set(file, "x", 2, 3, 4, word, table);
  H5Tclose(word);
  H5Fclose(file);
  assert_refused(plain, "", place, "dataset \"x\" holds no real numbers");
}

static void files_that_do_not_fit(void **state) {
  hid_t file = file_with(X | Y);
  write_set(file, "w_embed", 2, 2, 4, H5T_NATIVE_DOUBLE, table);
  H5Fclose(file);
  assert_refused(plain, "model: {D: [2, 3]}\ntraining: {steps: 1}",
                 "test.yaml:2:16: ", "model.D is 3, but dataset \"w_embed\" of ");
  assert_refused("{kind: file, path: data.h5, samples: 4}", "",
                 "test.yaml:1:44: ", "dataset \"x\" has 3 samples, fewer than data.samples = 4");
  file = file_with(X | Y);
  write_set(file, "w_embed", 2, 4, 3, H5T_NATIVE_DOUBLE, table);
  H5Fclose(file);
  assert_refused(plain, "", "test.yaml:1:26: ", "dataset \"w_embed\" has 3 columns, but \"x\" has 4");
  file = file_with(X | Y);
  write_set(file, "w_unembed", 2, 4, 3, H5T_NATIVE_DOUBLE, table);
  H5Fclose(file);
  assert_refused(plain, "", "test.yaml:1:26: ", "dataset \"w_unembed\" has 3 columns, but \"y\" has 2");
  file = file_with(X);
  write_set(file, "y", 2, 3, 2, H5T_NATIVE_DOUBLE, table);
  H5Fclose(file);
  assert_refused(plain, "model: {D: 4}\ntraining: {steps: 1, loss: cross-entropy}",
                 "test.yaml:3:28: ", "row 0 of the targets has an entry outside 0..1");
  const double halves[] = {0.5, 0.5, 0.5, 0.25, 1, 0};
  file = file_with(X);
  write_set(file, "y", 2, 3, 2, H5T_NATIVE_DOUBLE, halves);
  H5Fclose(file);
  assert_refused(plain, "model: {D: 4}\ntraining: {steps: 1, loss: cross-entropy}",
                 "test.yaml:3:28: ", "row 1 of the targets sums to 0.75");
}

/* A file cut anywhere is refused or read, never a crash. */
static void damaged_files(void **state) {
  H5Fclose(file_with(X | Y));
  FILE *f = fopen(file_path, "r");
  static char bytes[1 << 16];
  size_t size = fread(bytes, 1, sizeof bytes, f);
  fclose(f);
  assert_true(size > 1000 && size < sizeof bytes);
  for (size_t cut = 0; cut < size; cut += 97) {
    f = fopen(file_path, "w");
    fwrite(bytes, 1, cut, f);
    fclose(f);
    mno_data *d;
    mno_error err = {0};
    assert_int_equal(load(plain, "", &d, &err), MNO_ERR_INPUT);
  }
}

static herr_t host_report(hid_t stack, void *data) { return 0; }

/* A program that uses HDF5 itself keeps its own way of reporting errors, in either version of that interface. */
static void host_reports_stay(void **state) {
  int own = 0;
  H5E_auto2_t report;
  H5E_auto1_t old_report;
  void *data;
  mno_data *d;
  mno_error err = {0};
  H5Fclose(file_with(X | Y));
  for (int good = 0; good < 2; good++) {
    H5Eset_auto2(H5E_DEFAULT, host_report, &own);
    if (good) {
      assert_ok(load(plain, "", &d, &err));
      mno_data_free(d);
    } else {
      assert_refused("{kind: file, path: none.h5}", "", "", "none.h5");
    }
    assert_true(H5Eget_auto2(H5E_DEFAULT, &report, &data) >= 0 && report == host_report && data == &own);
    assert_int_equal(H5Eget_num(H5E_DEFAULT), 0);
  }
  H5Eset_auto1((H5E_auto1_t)H5Eprint1, stderr);
  assert_ok(load(plain, "", &d, &err));
  mno_data_free(d);
  assert_true(H5Eget_auto1(&old_report, &data) >= 0 && old_report == (H5E_auto1_t)H5Eprint1 && data == stderr);
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static void *hold(void *go) {
  mno_h5_lock();
  sem_post(go);
  usleep(50000);
  mno_h5_unlock();
  return NULL;
}

/* The process apart in which a file is tried can use HDF5 although another thread was inside it. */
static void other_threads(void **state) {
  H5Fclose(file_with(X | Y));
  for (int i = 0; i < 3; i++) {
    sem_t go;
    pthread_t thread;
    mno_data *d;
    mno_error err = {0};
    sem_init(&go, 0, 0);
    pthread_create(&thread, NULL, hold, &go);
    sem_wait(&go);
    assert_ok(load(plain, "", &d, &err));
    pthread_join(thread, NULL);
    sem_destroy(&go);
    mno_data_free(d);
  }
}

/* A journal alone does not say what the data were; if the configuration is the same, they have changed. */
static void changed_data(void **state) {
  char text[200], name[64];
  mno_error err = {0};
  mno_sweep *sweep;
  mno_plan *plan;
  H5Fclose(file_with(X | Y));
  snprintf(name, sizeof name, "%s/test.yaml", folder);
  snprintf(text, sizeof text, "data: %s\nmodel: {D: 4}\ntraining: {steps: 1}\nsweep: {L: 1, M: 1}\n", plain);
  assert_ok(mno_sweep_parse(text, strlen(text), name, &sweep, &err));
  assert_ok(mno_plan_build(sweep, MNO_F64, &plan, &err));
  assert_string_equal(plan->data_source, file_path);
  assert_null(plan->data_taken_from);
  const uint64_t other = plan->instance[0].id + 1;
  mno_held held = {
      .name = "out.h5.journal", .instance_count = 1, .id = &other, .config = text, .config_length = strlen(text)};
  assert_int_equal(mno_compare(&held, plan, &err), MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, file_path));
  assert_non_null(strstr(err.message, "has changed since the run"));
  held.config_length -= strlen("M: 1}\n");
  assert_int_equal(mno_compare(&held, plan, &err), MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "another configuration"));
  mno_plan_free(plan);
  mno_sweep_free(sweep);
}

static int set_up(void **state) {
  if (!mkdtemp(folder)) return 1;
  snprintf(file_path, sizeof file_path, "%s/data.h5", folder);
  return 0;
}

static int tear_down(void **state) {
  unlink(file_path);
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(gaussian),      cmocka_unit_test(embeddings),
                                     cmocka_unit_test(digits),        cmocka_unit_test(good_file),
                                     cmocka_unit_test(bad_files),     cmocka_unit_test(files_that_do_not_fit),
                                     cmocka_unit_test(damaged_files), cmocka_unit_test(host_reports_stay),
                                     cmocka_unit_test(other_threads), cmocka_unit_test(changed_data)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
