/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "store/result_layout.h"

#include "core/file.h"
#include "core/memory.h"
#include "store/write.h"

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

hid_t mno_layout_file(const mno_layout *layout) { return layout->file; }
size_t mno_layout_run(const mno_layout *layout, size_t row) { return layout->run[row]; }

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
    mno_choose_chunk(&stored[i], rows, chunk, &cache);
    MNO_CLOSING hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(access, 521, cache, 1.0);
    dataset[i] = H5Dopen2(group, stored[i].field.name, access);
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

static hid_t create_file(const char *path) {
  MNO_CLOSING hid_t access = mno_h5_access(), create = H5Pcreate(H5P_FILE_CREATE);
  H5Pset_link_creation_order(create, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  mno_make_way(path);
  hid_t file;
  do file = H5Fcreate(path, H5F_ACC_TRUNC, create, access);
  while (file < 0 && mno_h5_interrupted());
  return file;
}

/* With the lock held, which is given back. */
static mno_status finish_opening(mno_layout **layout, mno_status status, mno_error *err) {
  mno_layout *made = *layout;
  if (status == MNO_OK && !open_fields(made, made->file, MNO_PLACE_TABLE, 0, made->table))
    status = failed(made, "root", err);
  status = settle(made, status, err);
  if (status != MNO_OK) {
    mno_layout_close(made, NULL);
    *layout = NULL;
  }
  return status;
}

mno_status mno_layout_create(const char *path, const mno_plan *plan, const mno_stamp *stamp, mno_layout **layout,
                             mno_error *err) {
  mno_status status = prepare(path, plan, layout, err);
  if (status != MNO_OK) return status;
  mno_layout *made = *layout;
  mno_h5_lock();
  made->file = create_file(path);
  if (made->file < 0 || !mno_write_root(made->file, plan, stamp)) status = failed(made, "root", err);
  for (size_t p = 0; status == MNO_OK && p < plan->problem_count; p++)
    if (!mno_write_problem(made->file, plan, p)) {
      char name[32];
      mno_problem_name(p, name);
      status = failed(made, name, err);
    }
  return finish_opening(layout, status, err);
}

mno_status mno_layout_open(const char *path, const mno_plan *plan, mno_layout **layout, mno_error *err) {
  mno_status status = prepare(path, plan, layout, err);
  if (status != MNO_OK) return status;
  mno_h5_lock();
  (*layout)->file = mno_h5_open(path, H5F_ACC_RDWR);
  if ((*layout)->file < 0) status = failed(*layout, "root", err);
  return finish_opening(layout, status, err);
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
  mno_status status = mno_write_attributes(layout->file, layout->plan, stamp) ? MNO_OK : failed(layout, "attributes", err);
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
  MNO_CLOSING hid_t file = H5Dget_space(dataset), memory = H5Screate_simple((int)stored->rank + 1, size, NULL);
  return file >= 0 && memory >= 0 && H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, size, NULL) >= 0 &&
         H5Dwrite(dataset, mno_memory_type(stored), memory, file, H5P_DEFAULT, data) >= 0;
}

/* weights/<row> in the problem's group, with dimensions of its own. */
static bool write_weights(mno_layout *layout, hid_t group, size_t row, const mno_stored *stored, size_t fields,
                          const void *const *data) {
  const mno_instance *instance = &layout->plan->instance[row];
  char name[32];
  snprintf(name, sizeof name, "%zu", row);
  htri_t there = H5Lexists(group, "weights", H5P_DEFAULT);
  MNO_CLOSING hid_t all = there > 0 ? H5Gopen2(group, "weights", H5P_DEFAULT) : mno_make_group(group, "weights");
  if (all < 0) return false;
  if (H5Lexists(all, name, H5P_DEFAULT) > 0) H5Ldelete(all, name, H5P_DEFAULT);
  MNO_CLOSING hid_t own = mno_make_group(all, name);
  hid_t scale[MNO_DIMENSIONS] = {0};
  bool ok = own >= 0;
  for (size_t i = 0; ok && i < fields; i++) {
    if (stored[i].field.place != MNO_PLACE_INSTANCE) continue;
    ok = mno_make_dimensions(own, stored[i].rank, stored[i].field.dimension, stored[i].shape, scale) &&
         mno_make_fields(own, MNO_PLACE_INSTANCE, &stored[i], 1, H5I_INVALID_HID, 1, scale);
    MNO_CLOSING hid_t dataset = ok ? H5Dopen2(own, stored[i].field.name, H5P_DEFAULT) : H5I_INVALID_HID;
    ok = dataset >= 0 && H5Dwrite(dataset, mno_memory_type(&stored[i]), H5S_ALL, H5S_ALL, H5P_DEFAULT, data[i]) >= 0;
  }
  int64_t shape[2] = {instance->L, instance->M};
  ok = ok && mno_h5_number(own, "L", H5T_NATIVE_INT64, &shape[0], 0) &&
       mno_h5_number(own, "M", H5T_NATIVE_INT64, &shape[1], 0) &&
       mno_h5_number(own, "seed", H5T_NATIVE_UINT64, &instance->seed, 0);
  for (size_t d = 0; d < MNO_DIMENSIONS; d++) mno_h5_close(&scale[d]);
  return ok;
}

static bool write_rows(mno_layout *layout, size_t row, size_t count, const mno_stored *stored, size_t fields,
                       const void *const *data) {
  size_t p = layout->plan->instance[row].problem;
  char name[32];
  mno_problem_name(p, name);
  MNO_CLOSING hid_t group = H5Gopen2(layout->file, name, H5P_DEFAULT);
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
  return ok && (!weights || write_weights(layout, group, row, stored, fields, data));
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
    MNO_CLOSING hid_t dataset = H5Dopen2(layout->file, column[i].name, H5P_DEFAULT);
    if (dataset < 0 || H5Dwrite(dataset, column[i].type, H5S_ALL, H5S_ALL, H5P_DEFAULT, column[i].data) < 0)
      result = failed(layout, column[i].name, err);
  }
  return settle(layout, result, err);
}

/* ---- Limits */

static bool write_limit(hid_t file, size_t p, const mno_limit *limit) {
  char name[32], *before = NULL, *after = NULL;
  const char *own = mno_limit_group_name(limit->kind);
  mno_problem_name(p, name);
  MNO_CLOSING hid_t problem = H5Gopen2(file, name, H5P_DEFAULT);
  if (problem < 0) return false;
  if (H5Lexists(problem, own, H5P_DEFAULT) > 0) H5Ldelete(problem, own, H5P_DEFAULT);
  MNO_CLOSING hid_t group = mno_make_group(problem, own);
  bool ok = group >= 0 && mno_write_limit(problem, group, limit);
  /* The attribute keeps the order, which says what errors refer to. */
  if (ok && (before = mno_h5_read_text(problem, "limits")) && !strstr(before, own))
    ok = asprintf(&after, "%s%s%s", before, *before ? " " : "", own) > 0 && mno_h5_text(problem, "limits", after);
  free(before);
  free(after);
  return ok;
}

mno_status mno_layout_limit(mno_layout *layout, size_t p, const mno_limit *limit, mno_error *err) {
  mno_status status = mno_h5_room(err);
  if (status != MNO_OK) return status;
  mno_h5_lock();
  if (!write_limit(layout->file, p, limit)) status = failed(layout, mno_limit_group_name(limit->kind), err);
  return settle(layout, status, err);
}
