/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
/* The root of a result file: where it comes from, and the table of all instances. */
#include "config/choices.h"
#include "core/memory.h"
#include "meanode/version.h"
#include "store/write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool make_status(hid_t file, hid_t rows, size_t count) {
  int8_t *status = malloc(count);
  double *seconds = malloc(count * sizeof *seconds);
  for (size_t i = 0; status && seconds && i < count; i++) {
    status[i] = MNO_STATUS_MISSING;
    seconds[i] = NAN;
  }
  bool ok =
      status && seconds &&
      mno_make_array(file, "status", H5T_STD_I8LE, H5T_NATIVE_INT8, 1, &rows, status, "1", "outcome of the instance") &&
      mno_make_array(file, "seconds", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, &rows, seconds, "s",
                     "wall time of the instance (its share of the batch)");
  free(status);
  free(seconds);
  if (!ok) return false;
  MNO_CLOSING hid_t outcome = H5Dopen2(file, "status", H5P_DEFAULT), time = H5Dopen2(file, "seconds", H5P_DEFAULT);
  return outcome >= 0 && time >= 0 && mno_h5_number(outcome, "flag_values", H5T_NATIVE_INT8, (int8_t[]){-1, 0, 1}, 3) &&
         mno_h5_text(outcome, "flag_meanings", "missing done diverged") &&
         mno_h5_text(outcome, "coordinates", mno_row_coordinates) && mno_h5_text(time, "coordinates", mno_row_coordinates);
}

/* What identifies each row. All members have 8 bytes. */
typedef struct coordinates {
  int64_t L, M, D;
  double alpha;
  uint64_t seed;
  int64_t data_seed, problem;
  uint64_t id;
  int64_t draw_width, draw_offset, draw_sign;
} coordinates;

static coordinates coordinates_of(const mno_plan *plan, const mno_instance *i) {
  const mno_problem *p = &plan->problem[i->problem];
  return (coordinates){i->L,       i->M,  (int64_t)p->D, p->alpha,       i->seed,     p->data_seed,
                       i->problem, i->id, i->draw.width, i->draw.offset, i->draw.sign};
}

static bool make_coordinates(hid_t file, const mno_plan *plan, hid_t rows) {
  const hid_t i64[] = {H5T_STD_I64LE, H5T_NATIVE_INT64}, u64[] = {H5T_STD_U64LE, H5T_NATIVE_UINT64},
              f64[] = {H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE}, i8[] = {H5T_STD_I8LE, H5T_NATIVE_INT64};
#define COLUMN(member) #member, offsetof(coordinates, member)
  const struct {
    const char *name;
    size_t offset;
    const hid_t *type; /* in the file, in memory */
    const char *long_name;
  } column[] = {
      {COLUMN(L), i64, "depth L (layers)"},
      {COLUMN(M), i64, "hidden width M (units per layer)"},
      {COLUMN(D), i64, "embedding dimension D"},
      {COLUMN(alpha), f64, "residual scale alpha"},
      {COLUMN(seed), u64, "seed of the initial weights"},
      {COLUMN(data_seed), i64, "seed of the problem's data and embeddings (data.seed)"},
      {COLUMN(problem), i64, "index of the problem group"},
      {COLUMN(id), u64, "hash of all that defines the instance"},
      {COLUMN(draw_width), i64, "unit j of layer l takes the draw of layer g / width, unit g % width + offset, g = l M + j"},
      {COLUMN(draw_offset), i64, "offset in the rule of draw_width"},
      {COLUMN(draw_sign), i8, "sign of the output weights v"}};
#undef COLUMN
  uint64_t *value = malloc(plan->instance_count * sizeof *value); /* 8 bytes of any type */
  bool ok = value != NULL;
  for (size_t c = 0; c < sizeof column / sizeof *column && ok; c++) {
    for (size_t row = 0; row < plan->instance_count; row++) {
      const coordinates all = coordinates_of(plan, &plan->instance[row]);
      memcpy(&value[row], (const char *)&all + column[c].offset, sizeof *value);
    }
    ok = mno_make_array(file, column[c].name, column[c].type[0], column[c].type[1], 1, &rows, value, "1",
                        column[c].long_name);
  }
  free(value);
  return ok;
}

static bool make_config(hid_t file, const mno_plan *plan) {
  const char *text = plan->sweep && plan->sweep->text ? plan->sweep->text : "";
  MNO_CLOSING hid_t type = mno_h5_text_type();
  return mno_make_array(file, "config", type, type, 0, NULL, &text, "1", "configuration of the run (YAML)");
}

/* What a figure of the file shows; the law goes without saying. */
static bool note_figure(hid_t file, mno_figure figure) {
  return figure == MNO_FIGURE_LAW ? mno_h5_remove(file, "figure")
                                  : mno_h5_text(file, "figure", mno_choice_name(&mno_figures, (int)figure));
}

char *mno_history(const char *before, const char *command) {
  char *text, when[32];
  time_t now = time(NULL);
  struct tm utc;
  gmtime_r(&now, &utc);
  strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return asprintf(&text, "%s%s%s: %s", before ? before : "", before && *before ? "\n" : "", when, command) < 0 ? NULL : text;
}

bool mno_write_attributes(hid_t file, const mno_plan *plan, const mno_stamp *stamp) {
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
  if (plan->sweep && !note_figure(file, plan->sweep->record.figure)) return false;
  int32_t format = MNO_RESULT_FORMAT, shard[3] = {stamp->shard, stamp->shards, (int32_t)stamp->shard_instances};
  return mno_h5_number(file, "meanode_format", H5T_NATIVE_INT32, &format, 0) &&
         (stamp->shards > 1 ? mno_h5_number(file, "shard", H5T_NATIVE_INT32, shard, 3) : mno_h5_remove(file, "shard"));
}

bool mno_write_root(hid_t file, const mno_plan *plan, const mno_stamp *stamp) {
  MNO_CLOSING hid_t rows = mno_make_dimension(file, "instance", plan->instance_count);
  MNO_CLOSING hid_t steps = mno_make_steps(file, plan->step, plan->step_count);
  mno_stored stored[MNO_STORED_MAX];
  size_t fields = mno_stored_fields(plan, 0, stored);
  const hid_t scale[MNO_DIMENSIONS] = {[MNO_DIMENSION_STEP] = steps};
  return rows >= 0 && steps >= 0 && mno_write_attributes(file, plan, stamp) && make_config(file, plan) &&
         make_coordinates(file, plan, rows) && make_status(file, rows, plan->instance_count) &&
         mno_make_fields(file, MNO_PLACE_TABLE, stored, fields, rows, plan->instance_count, scale);
}
