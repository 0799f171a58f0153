#define _GNU_SOURCE
#include "store/layout.h"

#include "core/file.h"
#include "core/memory.h"
#include "limit/fields.h"
#include "meanode/version.h"
#include "plan/problem.h"
#include "store/h5.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mno_layout {
  char *path;
  const mno_plan *plan;
  size_t *run;       /* [instance_count] place of each row among the runs of its problem */
  size_t *run_count; /* [problem_count] */
  bool single_rows;  /* every row also has a group of its own */
  hid_t file;
  hid_t table[MNO_STORED_MAX];   /* open datasets of the root table, by place in the list of stored fields */
  size_t problem;                /* whose datasets are open below; problem_count: none */
  hid_t dataset[MNO_STORED_MAX]; /* open datasets of that problem */
};

static const char row_coordinates[] = "L M D alpha seed data_seed problem id draw_width draw_offset draw_sign";

void mno_problem_name(size_t problem, char name[32]) { snprintf(name, 32, "problem_%04zu", problem); }

hid_t mno_layout_file(const mno_layout *layout) { return layout->file; }

static mno_status failed(const mno_layout *layout, const char *object, mno_error *err) {
  char reason[512];
  mno_h5_reason(reason, sizeof reason);
  return mno_fail(err, strstr(reason, "memory allocation failed") ? MNO_ERR_MEMORY : MNO_ERR_IO, "cannot write %s (%s): %s",
                  layout->path, object, reason);
}

/* At the end of what holds the lock: a write may have failed in a call whose failure means something else. */
static mno_status settle(const mno_layout *layout, mno_status status, mno_error *err) {
  if (status == MNO_OK && mno_h5_errno()) status = failed(layout, "writing", err);
  mno_h5_unlock();
  return status;
}

static hid_t stored_type(const mno_stored *stored) { return stored->width == 4 ? H5T_IEEE_F32LE : H5T_IEEE_F64LE; }
static hid_t memory_type(const mno_stored *stored) { return stored->width == 4 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE; }

/* Rows are read one step at a time and written many at a time: a chunk holds one step of as many rows as make 64 KiB. */
static void choose_chunk(const mno_stored *stored, size_t rows, hsize_t chunk[MNO_FIELD_RANK + 1], size_t *cache) {
  enum { CHUNK = 64 << 10, CHUNK_MOST = 64 << 20 };
  size_t bytes = stored->width, first = stored->rank > 1 && stored->field.dimension[0] == MNO_DIMENSION_STEP ? 1 : 0;
  for (size_t i = 0; i < stored->rank; i++) {
    chunk[i + 1] = i < first ? 1 : stored->shape[i];
    while (bytes * chunk[i + 1] > CHUNK_MOST && chunk[i + 1] > 1) chunk[i + 1] = (chunk[i + 1] + 1) / 2;
    bytes *= chunk[i + 1];
  }
  size_t fit = CHUNK / bytes;
  chunk[0] = fit < 1 ? 1 : fit > rows ? rows : fit;
  size_t side = stored->rank ? stored->bytes / bytes : 1; /* chunks beside each other */
  *cache = bytes * chunk[0] * (side + 1);
  if (*cache > 64u << 20) *cache = 64u << 20;
}

/* ---- Making the skeleton */

static bool make_vector(hid_t group, const char *name, hid_t type, hid_t memory, hid_t scale, const void *value,
                        const char *units, const char *long_name) {
  hid_t dataset = mno_h5_dataset(group, name, type, 1, &scale, NULL, NULL, 0);
  bool ok = dataset >= 0 && mno_h5_describe(dataset, units, long_name) &&
            H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0;
  if (dataset >= 0) H5Dclose(dataset);
  return ok;
}

static bool make_matrix(hid_t group, const char *name, hid_t rows, hid_t columns, const double *value,
                        const char *long_name) {
  hid_t dataset = mno_h5_dataset(group, name, H5T_IEEE_F64LE, 2, (hid_t[]){rows, columns}, NULL, NULL, 0);
  bool ok = dataset >= 0 && mno_h5_describe(dataset, "1", long_name) &&
            H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0;
  if (dataset >= 0) H5Dclose(dataset);
  return ok;
}

/* A dimension with values: a coordinate variable. */
static hid_t make_axis(hid_t group, const char *name, hid_t type, hid_t memory, size_t size, const void *value,
                       const char *units, const char *long_name) {
  hid_t space = H5Screate_simple(1, &(hsize_t){size}, NULL);
  hid_t scale = H5Dcreate2(group, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Sclose(space);
  if (scale >= 0 && H5DSset_scale(scale, name) >= 0 && mno_h5_describe(scale, units, long_name) &&
      H5Dwrite(scale, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0)
    return scale;
  if (scale >= 0) H5Dclose(scale);
  return H5I_INVALID_HID;
}

static hid_t make_group(hid_t parent, const char *name) {
  hid_t create = H5Pcreate(H5P_GROUP_CREATE);
  H5Pset_link_creation_order(create, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  hid_t group = H5Gcreate2(parent, name, H5P_DEFAULT, create, H5P_DEFAULT);
  H5Pclose(create);
  return group;
}

/* One variable per stored field of a place. scale[] holds the dimension of rows, then those by mno_dimension. */
static bool make_fields(hid_t group, mno_place place, const mno_stored *stored, size_t fields, hid_t rows, size_t row_count,
                        const hid_t scale[MNO_DIMENSIONS]) {
  static const double nan64 = NAN;
  static const float nan32 = NAN;
  for (size_t i = 0; i < fields; i++) {
    const mno_record_field *field = &stored[i].field;
    if (field->place != place) continue;
    hid_t axis[MNO_FIELD_RANK + 1] = {rows};
    hsize_t chunk[MNO_FIELD_RANK + 1];
    size_t cache, has_rows = place != MNO_PLACE_INSTANCE;
    for (size_t d = 0; d < stored[i].rank; d++) axis[d + has_rows] = scale[field->dimension[d]];
    if (has_rows) choose_chunk(&stored[i], row_count, chunk, &cache);
    hid_t dataset =
        mno_h5_dataset(group, field->name, stored_type(&stored[i]), stored[i].rank + has_rows, axis, has_rows ? chunk : NULL,
                       has_rows ? (stored[i].width == 4 ? (const void *)&nan32 : &nan64) : NULL, 0);
    bool ok = dataset >= 0 && mno_h5_describe(dataset, field->units, field->long_name) &&
              (place != MNO_PLACE_TABLE || mno_h5_text(dataset, "coordinates", row_coordinates));
    if (dataset >= 0) H5Dclose(dataset);
    if (!ok) return false;
  }
  return true;
}

static bool make_status(hid_t file, hid_t rows, size_t count) {
  int8_t *status = malloc(count);
  double *seconds = malloc(count * sizeof *seconds);
  bool ok = status && seconds;
  for (size_t i = 0; ok && i < count; i++) {
    status[i] = MNO_STATUS_MISSING;
    seconds[i] = NAN;
  }
  ok = ok && make_vector(file, "status", H5T_STD_I8LE, H5T_NATIVE_INT8, rows, status, "1", "outcome of the instance") &&
       make_vector(file, "seconds", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, rows, seconds, "s",
                   "wall time of the instance (its share of the batch)");
  hid_t dataset = ok ? H5Dopen2(file, "status", H5P_DEFAULT) : H5I_INVALID_HID;
  ok = dataset >= 0 && mno_h5_number(dataset, "flag_values", H5T_NATIVE_INT8, (int8_t[]){-1, 0, 1}, 3) &&
       mno_h5_text(dataset, "flag_meanings", "missing done diverged") &&
       mno_h5_text(dataset, "coordinates", row_coordinates);
  if (dataset >= 0) H5Dclose(dataset);
  dataset = ok ? H5Dopen2(file, "seconds", H5P_DEFAULT) : H5I_INVALID_HID;
  ok = dataset >= 0 && mno_h5_text(dataset, "coordinates", row_coordinates);
  if (dataset >= 0) H5Dclose(dataset);
  free(status);
  free(seconds);
  return ok;
}

/* The coordinates of all instances: what identifies each row. */
static bool make_coordinates(hid_t file, const mno_plan *plan, hid_t rows) {
  size_t n = plan->instance_count;
  union {
    int64_t *i;
    uint64_t *u;
    double *d;
    void *any;
  } column = {.any = malloc(n * 8)};
  if (!column.any) return false;
#define COLUMN(member, name, type, memory, expression, units, long_name)                                                    \
  for (size_t row = 0; row < n; row++) {                                                                                    \
    const mno_instance *instance = &plan->instance[row];                                                                    \
    const mno_problem *problem = &plan->problem[instance->problem];                                                         \
    (void)problem;                                                                                                          \
    column.member[row] = (expression);                                                                                      \
  }                                                                                                                         \
  ok = ok && make_vector(file, name, type, memory, rows, column.any, units, long_name);
  bool ok = true;
  COLUMN(i, "L", H5T_STD_I64LE, H5T_NATIVE_INT64, instance->L, "1", "depth L (layers)")
  COLUMN(i, "M", H5T_STD_I64LE, H5T_NATIVE_INT64, instance->M, "1", "hidden width M (units per layer)")
  COLUMN(i, "D", H5T_STD_I64LE, H5T_NATIVE_INT64, (int64_t)problem->D, "1", "embedding dimension D")
  COLUMN(d, "alpha", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, problem->alpha, "1", "residual scale alpha")
  COLUMN(u, "seed", H5T_STD_U64LE, H5T_NATIVE_UINT64, instance->seed, "1", "seed of the initial weights")
  COLUMN(i, "data_seed", H5T_STD_I64LE, H5T_NATIVE_INT64, problem->data_seed, "1",
         "seed of the problem's data and embeddings (data.seed)")
  COLUMN(i, "problem", H5T_STD_I64LE, H5T_NATIVE_INT64, instance->problem, "1", "index of the problem group")
  COLUMN(u, "id", H5T_STD_U64LE, H5T_NATIVE_UINT64, instance->id, "1", "hash of all that defines the instance")
  COLUMN(i, "draw_width", H5T_STD_I64LE, H5T_NATIVE_INT64, instance->draw.width, "1",
         "unit j of layer l takes the draw of layer g / width, unit g % width + offset, g = l M + j")
  COLUMN(i, "draw_offset", H5T_STD_I64LE, H5T_NATIVE_INT64, instance->draw.offset, "1", "offset in the rule of draw_width")
  COLUMN(i, "draw_sign", H5T_STD_I8LE, H5T_NATIVE_INT64, instance->draw.sign, "1", "sign of the output weights v")
#undef COLUMN
  free(column.any);
  return ok;
}

static bool make_config(hid_t file, const mno_plan *plan) {
  hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
  H5Tset_size(type, H5T_VARIABLE);
  H5Tset_cset(type, H5T_CSET_UTF8);
  const char *text = plan->sweep && plan->sweep->text ? plan->sweep->text : "";
  hid_t dataset = H5Dcreate2(file, "config", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  bool ok = dataset >= 0 && mno_h5_describe(dataset, "1", "configuration of the run (YAML)") &&
            H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &text) >= 0;
  if (dataset >= 0) H5Dclose(dataset);
  H5Sclose(space);
  H5Tclose(type);
  return ok;
}

static bool make_attributes(hid_t file, const mno_plan *plan, const mno_stamp *stamp) {
  char source[512];
  snprintf(source, sizeof source, "meanode %s, commit %s, %s", mno_version(), mno_git_commit(), mno_build());
  const struct {
    const char *name, *text;
    bool once; /* the user may have put it otherwise since */
  } attribute[] = {
      {"title", "Finite ResNets against their infinite-depth limit", true},
      {"Conventions", "CF-1.8", true},
      {"source", source, false},
      {"history", stamp->history, false},
      {"references", "L. Chizat, The Hidden Width of Deep ResNets, arXiv 2509.10167", true},
      {"backend", stamp->backend, false},
      {"device", stamp->device, false},
      {"precision", mno_precision_name(plan->precision), false},
      {"generator", "Philox4x32-10 (Random123), key = seed, counter = (coordinate / 4, unit, layer, tensor), Box-Muller",
       false},
      {"settings", stamp->settings, false},
  };
  for (size_t i = 0; i < sizeof attribute / sizeof *attribute; i++) {
    if (attribute[i].once && H5Aexists(file, attribute[i].name) > 0) continue;
    if (!mno_h5_text(file, attribute[i].name, attribute[i].text ? attribute[i].text : "")) return false;
  }
  if (plan->data_source && !mno_h5_text(file, "data_source", plan->data_source)) return false;
  if (plan->data_taken_from && !mno_h5_text(file, "data_taken_from", plan->data_taken_from)) return false;
  int32_t format = MNO_RESULT_FORMAT, shard[3] = {stamp->shard, stamp->shards, (int32_t)stamp->shard_instances};
  return mno_h5_number(file, "meanode_format", H5T_NATIVE_INT32, &format, 0) &&
         (stamp->shards > 1 || H5Aexists(file, "shard") <= 0 || H5Adelete(file, "shard") >= 0) &&
         (stamp->shards <= 1 || mno_h5_number(file, "shard", H5T_NATIVE_INT32, shard, 3));
}

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

static hid_t make_steps(hid_t group, const mno_plan *plan) {
  return make_axis(group, "step", H5T_STD_I64LE, H5T_NATIVE_INT64, plan->step_count, plan->step, "1",
                   "gradient step (0 is initialisation)");
}

/* The depths of recorded paths. */
static hid_t make_depths(hid_t group) {
  double depth[MNO_PATH_POINTS];
  for (int g = 0; g < MNO_PATH_POINTS; g++) depth[g] = (double)g / (MNO_PATH_POINTS - 1);
  return make_axis(group, "depth", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, MNO_PATH_POINTS, depth, "1", "depth s = l/L");
}

/* A problem's group. Runs are all planned instances of the problem, in the order of the root table. */
static bool make_problem(mno_layout *layout, size_t p) {
  const mno_plan *plan = layout->plan;
  const mno_problem *problem = &plan->problem[p];
  size_t runs = layout->run_count[p], first = 0;
  char name[32];
  mno_problem_name(p, name);
  hid_t group = make_group(layout->file, name);
  int64_t *row = malloc((runs ? runs : 1) * sizeof *row);
  if (group < 0 || !row) {
    free(row);
    return false;
  }
  for (size_t i = 0, n = 0; i < plan->instance_count; i++)
    if (plan->instance[i].problem == p) {
      if (n == 0) first = i;
      row[n++] = (int64_t)i;
    }
  hid_t run = mno_h5_dimension(group, "run", runs), steps = make_steps(group, plan);
  hid_t sample = mno_h5_dimension(group, "sample", problem->N), input = mno_h5_dimension(group, "input", problem->d_in);
  hid_t target = mno_h5_dimension(group, "target", problem->d_out), embed = mno_h5_dimension(group, "embed", problem->D);
  hid_t depths = plan->recording.path ? make_depths(group) : H5I_INVALID_HID;
  bool ok = run >= 0 && steps >= 0 && sample >= 0 && input >= 0 && target >= 0 && embed >= 0 &&
            (!plan->recording.path || depths >= 0);
  ok = ok && describe_problem(group, problem);
  for (size_t i = 0; ok && i < MNO_PROBLEM_ARRAYS; i++) {
    const mno_problem_array array = mno_problem_array_of(problem, i);
    ok = make_matrix(group, array.name, array.by_sample ? sample : embed, array.by_input ? input : target,
                     mno_problem_array_value(problem, &array), array.long_name);
  }
  ok = ok && make_vector(group, "row", H5T_STD_I64LE, H5T_NATIVE_INT64, run, row, "1", "row of the root table of each run");
  if (ok && runs) {
    mno_stored stored[MNO_STORED_MAX];
    size_t fields = mno_stored_fields(plan, first, stored);
    hid_t scale[MNO_DIMENSIONS] = {[MNO_DIMENSION_STEP] = steps,
                                   [MNO_DIMENSION_SAMPLE] = sample,
                                   [MNO_DIMENSION_TARGET] = target,
                                   [MNO_DIMENSION_EMBED] = embed,
                                   [MNO_DIMENSION_DEPTH] = depths};
    ok = make_fields(group, MNO_PLACE_PROBLEM, stored, fields, run, runs, scale);
  }
  hid_t open[] = {run, steps, sample, input, target, embed, depths};
  for (size_t i = 0; i < sizeof open / sizeof *open; i++)
    if (open[i] >= 0) H5Dclose(open[i]);
  H5Gclose(group);
  free(row);
  return ok;
}

static bool make_root(mno_layout *layout, const mno_stamp *stamp) {
  const mno_plan *plan = layout->plan;
  hid_t rows = mno_h5_dimension(layout->file, "instance", plan->instance_count), steps = make_steps(layout->file, plan);
  bool ok = rows >= 0 && steps >= 0 && make_attributes(layout->file, plan, stamp) && make_config(layout->file, plan) &&
            make_coordinates(layout->file, plan, rows) && make_status(layout->file, rows, plan->instance_count);
  if (ok) {
    mno_stored stored[MNO_STORED_MAX];
    size_t fields = mno_stored_fields(plan, 0, stored);
    hid_t scale[MNO_DIMENSIONS] = {[MNO_DIMENSION_STEP] = steps};
    ok = make_fields(layout->file, MNO_PLACE_TABLE, stored, fields, rows, plan->instance_count, scale);
  }
  if (rows >= 0) H5Dclose(rows);
  if (steps >= 0) H5Dclose(steps);
  return ok;
}

/* ---- Opening and closing */

static void release(mno_layout *layout) {
  free(layout->path);
  free(layout->run);
  free(layout->run_count);
  free(layout);
}

static mno_status prepare(const char *path, const mno_plan *plan, mno_layout **layout, mno_error *err) {
  mno_status status = mno_h5_room(err);
  if (status != MNO_OK) return status;
  mno_layout *made = calloc(1, sizeof *made);
  if (!made) return mno_fail_memory(err, sizeof *made, "a result file");
  made->plan = plan;
  made->problem = plan->problem_count;
  made->file = H5I_INVALID_HID;
  made->path = strdup(path);
  made->run = calloc(plan->instance_count + 1, sizeof *made->run);
  made->run_count = calloc(plan->problem_count + 1, sizeof *made->run_count);
  if (!made->path || !made->run || !made->run_count) {
    release(made);
    return mno_fail_memory(err, plan->instance_count * sizeof(size_t), "the rows of a result file");
  }
  for (size_t row = 0; row < plan->instance_count; row++) made->run[row] = made->run_count[plan->instance[row].problem]++;
  mno_stored stored[MNO_STORED_MAX];
  size_t fields = mno_stored_fields(plan, 0, stored);
  for (size_t i = 0; i < fields; i++) made->single_rows |= stored[i].field.place == MNO_PLACE_INSTANCE;
  for (size_t i = 0; i < MNO_STORED_MAX; i++) made->table[i] = made->dataset[i] = H5I_INVALID_HID;
  *layout = made;
  return MNO_OK;
}

static bool open_fields(mno_layout *layout, hid_t group, mno_place place, size_t row, hid_t dataset[MNO_STORED_MAX]) {
  mno_stored stored[MNO_STORED_MAX];
  size_t fields = mno_stored_fields(layout->plan, row, stored);
  for (size_t i = 0; i < fields; i++) {
    if (stored[i].field.place != place) continue;
    hsize_t chunk[MNO_FIELD_RANK + 1];
    size_t cache, rows = place == MNO_PLACE_TABLE ? layout->plan->instance_count
                                                  : layout->run_count[layout->plan->instance[row].problem];
    choose_chunk(&stored[i], rows, chunk, &cache);
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(access, 521, cache, 1.0);
    dataset[i] = H5Dopen2(group, stored[i].field.name, access);
    H5Pclose(access);
    if (dataset[i] < 0) return false;
  }
  return true;
}

static bool close_fields(hid_t dataset[MNO_STORED_MAX]) {
  bool ok = true;
  for (size_t i = 0; i < MNO_STORED_MAX; i++) {
    if (dataset[i] >= 0 && H5Dclose(dataset[i]) < 0) ok = false;
    dataset[i] = H5I_INVALID_HID;
  }
  return ok;
}

mno_status mno_layout_create(const char *path, const mno_plan *plan, const mno_stamp *stamp, mno_layout **layout,
                             mno_error *err) {
  mno_status status = prepare(path, plan, layout, err);
  if (status != MNO_OK) return status;
  mno_layout *made = *layout;
  mno_h5_lock();
  hid_t access = mno_h5_access(), create = H5Pcreate(H5P_FILE_CREATE);
  H5Pset_link_creation_order(create, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  mno_make_way(path);
  do made->file = H5Fcreate(path, H5F_ACC_TRUNC, create, access);
  while (made->file < 0 && mno_h5_interrupted());
  H5Pclose(create);
  H5Pclose(access);
  if (made->file < 0 || !make_root(made, stamp)) status = failed(made, "root", err);
  for (size_t p = 0; status == MNO_OK && p < plan->problem_count; p++)
    if (!make_problem(made, p)) {
      char name[32];
      mno_problem_name(p, name);
      status = failed(made, name, err);
    }
  if (status == MNO_OK && !open_fields(made, made->file, MNO_PLACE_TABLE, 0, made->table))
    status = failed(made, "root", err);
  status = settle(made, status, err);
  if (status != MNO_OK) {
    mno_layout_close(made, NULL);
    *layout = NULL;
  }
  return status;
}

mno_status mno_layout_open(const char *path, const mno_plan *plan, mno_layout **layout, mno_error *err) {
  mno_status status = prepare(path, plan, layout, err);
  if (status != MNO_OK) return status;
  mno_layout *made = *layout;
  mno_h5_lock();
  hid_t access = mno_h5_access();
  do made->file = H5Fopen(path, H5F_ACC_RDWR, access);
  while (made->file < 0 && mno_h5_interrupted());
  H5Pclose(access);
  if (made->file < 0 || !open_fields(made, made->file, MNO_PLACE_TABLE, 0, made->table)) status = failed(made, "root", err);
  status = settle(made, status, err);
  if (status != MNO_OK) {
    mno_layout_close(made, NULL);
    *layout = NULL;
  }
  return status;
}

mno_status mno_layout_flush(mno_layout *layout, mno_error *err) {
  mno_h5_lock();
  mno_status status = H5Fflush(layout->file, H5F_SCOPE_LOCAL) >= 0 ? MNO_OK : failed(layout, "flushing", err);
  return settle(layout, status, err);
}

mno_status mno_layout_close(mno_layout *layout, mno_error *err) {
  if (!layout) return MNO_OK;
  mno_status status = MNO_OK;
  mno_h5_lock();
  bool ok = close_fields(layout->dataset);
  ok = close_fields(layout->table) && ok;
  if (layout->file >= 0 && H5Fclose(layout->file) < 0) ok = false;
  if (!ok) status = failed(layout, "closing", err);
  status = settle(layout, status, err);
  release(layout);
  return status;
}

mno_status mno_layout_stamp(mno_layout *layout, const mno_stamp *stamp, mno_error *err) {
  mno_h5_lock();
  mno_status status = make_attributes(layout->file, layout->plan, stamp) ? MNO_OK : failed(layout, "attributes", err);
  return settle(layout, status, err);
}

/* ---- Rows */

size_t mno_layout_span(const mno_layout *layout, size_t row, size_t limit) {
  const mno_plan *plan = layout->plan;
  const mno_instance *first = &plan->instance[row];
  if (layout->single_rows) return 1;
  size_t n = 1;
  while (n < limit && row + n < plan->instance_count && plan->instance[row + n].problem == first->problem) n++;
  return n;
}

static bool write_block(hid_t dataset, const mno_stored *stored, size_t first, size_t count, const void *data) {
  hsize_t start[MNO_FIELD_RANK + 1] = {first}, size[MNO_FIELD_RANK + 1] = {count};
  for (size_t i = 0; i < stored->rank; i++) size[i + 1] = stored->shape[i];
  hid_t file = H5Dget_space(dataset), memory = H5Screate_simple((int)stored->rank + 1, size, NULL);
  bool ok = file >= 0 && memory >= 0 && H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, size, NULL) >= 0 &&
            H5Dwrite(dataset, memory_type(stored), memory, file, H5P_DEFAULT, data) >= 0;
  if (memory >= 0) H5Sclose(memory);
  if (file >= 0) H5Sclose(file);
  return ok;
}

/* weights/<row> in the problem's group, with dimensions of its own. */
static bool write_weights(mno_layout *layout, hid_t group, size_t row, const mno_stored *stored, size_t fields,
                          const void *const *data) {
  const mno_instance *instance = &layout->plan->instance[row];
  char name[32];
  snprintf(name, sizeof name, "%zu", row);
  htri_t there = H5Lexists(group, "weights", H5P_DEFAULT);
  hid_t all = there > 0 ? H5Gopen2(group, "weights", H5P_DEFAULT) : make_group(group, "weights");
  if (all < 0) return false;
  if (H5Lexists(all, name, H5P_DEFAULT) > 0) H5Ldelete(all, name, H5P_DEFAULT);
  hid_t own = make_group(all, name);
  hid_t scale[MNO_DIMENSIONS];
  for (size_t d = 0; d < MNO_DIMENSIONS; d++) scale[d] = H5I_INVALID_HID;
  bool ok = own >= 0;
  for (size_t i = 0; ok && i < fields; i++) {
    if (stored[i].field.place != MNO_PLACE_INSTANCE) continue;
    for (size_t d = 0; ok && d < stored[i].rank; d++) {
      mno_dimension dimension = stored[i].field.dimension[d];
      if (scale[dimension] >= 0) continue;
      scale[dimension] = dimension == MNO_DIMENSION_STEP
                             ? make_steps(own, layout->plan)
                             : mno_h5_dimension(own, mno_dimension_name(dimension), stored[i].shape[d]);
      ok = scale[dimension] >= 0;
    }
    ok = ok && make_fields(own, MNO_PLACE_INSTANCE, &stored[i], 1, H5I_INVALID_HID, 1, scale);
    hid_t dataset = ok ? H5Dopen2(own, stored[i].field.name, H5P_DEFAULT) : H5I_INVALID_HID;
    ok = dataset >= 0 && H5Dwrite(dataset, memory_type(&stored[i]), H5S_ALL, H5S_ALL, H5P_DEFAULT, data[i]) >= 0;
    if (dataset >= 0) H5Dclose(dataset);
  }
  int64_t shape[2] = {instance->L, instance->M};
  ok = ok && mno_h5_number(own, "L", H5T_NATIVE_INT64, &shape[0], 0) &&
       mno_h5_number(own, "M", H5T_NATIVE_INT64, &shape[1], 0) &&
       mno_h5_number(own, "seed", H5T_NATIVE_UINT64, &instance->seed, 0);
  for (size_t d = 0; d < MNO_DIMENSIONS; d++)
    if (scale[d] >= 0) H5Dclose(scale[d]);
  if (own >= 0) H5Gclose(own);
  H5Gclose(all);
  return ok;
}

static bool write_rows(mno_layout *layout, size_t row, size_t count, const mno_stored *stored, size_t fields,
                       const void *const *data) {
  size_t p = layout->plan->instance[row].problem;
  char name[32];
  mno_problem_name(p, name);
  hid_t group = H5Gopen2(layout->file, name, H5P_DEFAULT);
  bool ok = group >= 0;
  if (ok && layout->problem != p) {
    ok = close_fields(layout->dataset) && open_fields(layout, group, MNO_PLACE_PROBLEM, row, layout->dataset);
    layout->problem = ok ? p : layout->plan->problem_count;
  }
  bool weights = false;
  for (size_t i = 0; ok && i < fields; i++) {
    switch (stored[i].field.place) {
    case MNO_PLACE_TABLE: ok = write_block(layout->table[i], &stored[i], row, count, data[i]); break;
    case MNO_PLACE_PROBLEM: ok = write_block(layout->dataset[i], &stored[i], layout->run[row], count, data[i]); break;
    case MNO_PLACE_INSTANCE: weights = true; break;
    }
  }
  if (ok && weights) ok = write_weights(layout, group, row, stored, fields, data);
  if (group >= 0) H5Gclose(group);
  return ok;
}

mno_status mno_layout_rows(mno_layout *layout, size_t row, size_t count, const mno_stored *stored, size_t fields,
                           const void *const *data, mno_error *err) {
  char object[64];
  snprintf(object, sizeof object, "rows %zu to %zu", row, row + count - 1);
  mno_status status = mno_h5_room(err);
  if (status != MNO_OK) return status;
  mno_h5_lock();
  if (!write_rows(layout, row, count, stored, fields, data)) status = failed(layout, object, err);
  return settle(layout, status, err);
}

mno_status mno_layout_tables(mno_layout *layout, const int8_t *status, const double *seconds, mno_error *err) {
  const struct {
    const char *name;
    hid_t type;
    const void *data;
  } column[] = {{"status", H5T_NATIVE_INT8, status}, {"seconds", H5T_NATIVE_DOUBLE, seconds}};
  mno_status result = mno_h5_room(err);
  if (result != MNO_OK) return result;
  mno_h5_lock();
  for (size_t i = 0; result == MNO_OK && i < 2; i++) {
    hid_t dataset = H5Dopen2(layout->file, column[i].name, H5P_DEFAULT);
    if (dataset < 0 || H5Dwrite(dataset, column[i].type, H5S_ALL, H5S_ALL, H5P_DEFAULT, column[i].data) < 0)
      result = failed(layout, column[i].name, err);
    if (dataset >= 0) H5Dclose(dataset);
  }
  return settle(layout, result, err);
}

/* ---- Limits */

/* An array of a limit; dimensions that are not there yet are made. */
static bool make_limit_field(hid_t group, const mno_limit *limit, const mno_limit_field *field,
                             hid_t scale[MNO_DIMENSIONS]) {
  size_t shape[MNO_FIELD_RANK], rank;
  hid_t axis[MNO_FIELD_RANK];
  if (mno_limit_field_shape(limit, field, shape, &rank) == 0) return true;
  for (size_t d = 0; d < rank; d++) {
    hid_t *of = &scale[field->dimension[d]];
    if (*of < 0) *of = mno_h5_dimension(group, mno_dimension_name(field->dimension[d]), shape[d]);
    if ((axis[d] = *of) < 0) return false;
  }
  hid_t dataset = mno_h5_dataset(group, field->name, H5T_IEEE_F64LE, rank, axis, NULL, NULL, 0);
  bool ok = dataset >= 0 && mno_h5_describe(dataset, field->units, field->long_name) &&
            H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, mno_limit_array(limit, field)) >= 0;
  if (dataset >= 0) H5Dclose(dataset);
  return ok;
}

static bool write_limit(hid_t problem, hid_t group, const mno_limit *limit) {
  size_t S = limit->K + 1, fields;
  const mno_limit_field *field = mno_limit_field_list(&fields);
  int64_t *step = malloc(S * sizeof *step);
  if (!step) return false;
  for (size_t k = 0; k < S; k++) step[k] = (int64_t)k;
  hid_t scale[MNO_DIMENSIONS];
  for (size_t d = 0; d < MNO_DIMENSIONS; d++) scale[d] = H5I_INVALID_HID;
  const mno_dimension shared[] = {MNO_DIMENSION_SAMPLE, MNO_DIMENSION_TARGET, MNO_DIMENSION_EMBED};
  bool ok = true;
  for (size_t d = 0; d < sizeof shared / sizeof *shared; d++)
    ok = (scale[shared[d]] = H5Dopen2(problem, mno_dimension_name(shared[d]), H5P_DEFAULT)) >= 0 && ok;
  scale[MNO_DIMENSION_STEP] =
      make_axis(group, "step", H5T_STD_I64LE, H5T_NATIVE_INT64, S, step, "1", "gradient step (0 is initialisation)");
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
  for (size_t d = 0; d < MNO_DIMENSIONS; d++)
    if (scale[d] >= 0) H5Dclose(scale[d]);
  return ok;
}

mno_status mno_layout_limit(mno_layout *layout, size_t p, const mno_limit *limit, mno_error *err) {
  char name[32], *before = NULL, *after = NULL;
  const char *own = mno_limit_group_name(limit->kind);
  mno_problem_name(p, name);
  mno_status status = mno_h5_room(err);
  if (status != MNO_OK) return status;
  mno_h5_lock();
  hid_t problem = H5Gopen2(layout->file, name, H5P_DEFAULT);
  bool ok = problem >= 0;
  if (ok && H5Lexists(problem, own, H5P_DEFAULT) > 0) H5Ldelete(problem, own, H5P_DEFAULT);
  hid_t group = ok ? make_group(problem, own) : H5I_INVALID_HID;
  ok = group >= 0 && write_limit(problem, group, limit);
  /* The attribute keeps the order, which says what errors refer to. */
  if (ok && (before = mno_h5_read_text(problem, "limits")) && !strstr(before, own))
    ok = asprintf(&after, "%s%s%s", before, *before ? " " : "", own) > 0 && mno_h5_text(problem, "limits", after);
  free(before);
  free(after);
  if (group >= 0) H5Gclose(group);
  if (problem >= 0) H5Gclose(problem);
  if (!ok) status = failed(layout, own, err);
  return settle(layout, status, err);
}
