/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "store/compare.h"

#include "core/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Shares */

mno_status mno_compare_share(const mno_share *held, const mno_share *run, const char *name, bool begun, mno_error *err) {
  bool part = held->shards > 1, wants_part = run->shards > 1;
  if (!part && !(wants_part && begun)) return MNO_OK;
  if (!part)
    return mno_fail(
        err, MNO_ERR_USAGE,
        "%s holds instances of the whole sweep, and this run is for shard %d/%d; go on with it without --shard, or "
        "give the shard another output",
        name, run->shard, run->shards);
  if (wants_part && held->shard == run->shard && held->shards == run->shards) return MNO_OK;
  char wanted[64] = "all of it";
  if (wants_part) snprintf(wanted, sizeof wanted, "shard %d/%d", run->shard, run->shards);
  return mno_fail(err, MNO_ERR_USAGE,
                  "%s holds shard %d/%d of the sweep, and this run is for %s; --shard %d/%d goes on with it, another output "
                  "takes another share (meanode merge joins them)",
                  name, held->shard, held->shards, wanted, held->shard, held->shards);
}

/* ---- Rows by id */

static int by_id(const void *a, const void *b) {
  uint64_t x = ((const struct mno_row *)a)->id, y = ((const struct mno_row *)b)->id;
  return x < y ? -1 : x > y;
}

mno_status mno_rows_of(const mno_plan *plan, mno_rows *rows, mno_error *err) {
  rows->count = plan->instance_count;
  rows->row = mno_alloc(rows->count, sizeof *rows->row);
  if (!rows->row) return mno_fail_memory(err, rows->count * sizeof *rows->row, "the ids of the plan");
  for (size_t i = 0; i < rows->count; i++) rows->row[i] = (struct mno_row){plan->instance[i].id, i};
  qsort(rows->row, rows->count, sizeof *rows->row, by_id);
  return MNO_OK;
}

size_t mno_rows_find(const mno_rows *rows, uint64_t id) {
  const struct mno_row *found = bsearch(&(struct mno_row){id, 0}, rows->row, rows->count, sizeof *rows->row, by_id);
  return found ? found->row : SIZE_MAX;
}

size_t mno_problem_find(const mno_plan *plan, uint64_t id) {
  for (size_t p = 0; p < plan->problem_count; p++)
    if (plan->problem[p].id == id) return p;
  return SIZE_MAX;
}

/* ---- The difference, for a person */

typedef struct lines {
  size_t count;
  struct {
    const char *text;
    int length;
  } * line;
} lines;

static bool split(const char *text, size_t length, lines *out) {
  size_t most = 1;
  for (size_t i = 0; i < length; i++) most += text[i] == '\n';
  out->line = malloc(most * sizeof *out->line);
  if (!out->line) return false;
  for (size_t at = 0; at < length;) {
    const char *end = memchr(text + at, '\n', length - at);
    size_t n = end ? (size_t)(end - (text + at)) : length - at;
    out->line[out->count].text = text + at;
    out->line[out->count++].length = (int)(n < 200 ? n : 200);
    at += n + 1;
  }
  return true;
}

static bool same(const lines *a, size_t i, const lines *b, size_t j) {
  return a->line[i].length == b->line[j].length && memcmp(a->line[i].text, b->line[j].text, (size_t)a->line[i].length) == 0;
}

typedef struct message {
  char text[3000];
  size_t used;
  int lines;
} message;

static void add(message *to, const char *format, ...) {
  enum { MOST = 24 };
  if (to->lines++ >= MOST) {
    if (to->lines == MOST + 1) to->used += (size_t)snprintf(to->text + to->used, sizeof to->text - to->used, "\n  ...");
    return;
  }
  va_list args;
  va_start(args, format);
  int n = vsnprintf(to->text + to->used, sizeof to->text - to->used, format, args);
  va_end(args);
  size_t room = sizeof to->text - to->used - 1;
  to->used += (size_t)n < room ? (size_t)n : room;
}

/* Longest common subsequence of lines; what is outside it is shown. */
static void show_difference(const lines *a, const lines *b, message *out) {
  enum { LONGEST = 4000 };
  size_t n = a->count < LONGEST ? a->count : LONGEST, m = b->count < LONGEST ? b->count : LONGEST, width = m + 1;
  uint16_t *common = mno_alloc((n + 1) * width, sizeof *common);
  if (!common) return;
  for (size_t i = n; i-- > 0;)
    for (size_t j = m; j-- > 0;) {
      uint16_t down = common[(i + 1) * width + j], right = common[i * width + j + 1];
      common[i * width + j] = same(a, i, b, j) ? (uint16_t)(common[(i + 1) * width + j + 1] + 1)
                              : down > right   ? down
                                               : right;
    }
  for (size_t i = 0, j = 0; i < n || j < m;) {
    if (i < n && j < m && same(a, i, b, j)) {
      i++;
      j++;
    } else if (i < n && (j == m || common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      add(out, "\n  - line %zu: %.*s", i + 1, a->line[i].length, a->line[i].text);
      i++;
    } else {
      add(out, "\n  + line %zu: %.*s", j + 1, b->line[j].length, b->line[j].text);
      j++;
    }
  }
  free(common);
}

static void show_lines(const char *old_text, size_t old_length, const char *new_text, size_t new_length, message *out) {
  lines a = {0}, b = {0};
  if (split(old_text, old_length, &a) && split(new_text, new_length, &b)) show_difference(&a, &b, out);
  free(a.line);
  free(b.line);
}

/* ---- Data files that changed */

/* Both configurations read the same part of the same file. */
static bool same_file_named(const mno_held *held, const mno_sweep *now) {
  mno_sweep *then = NULL;
  if (!now || now->data.kind != MNO_DATA_FILE || !held->config ||
      mno_sweep_parse(held->config, held->config_length, held->name, &then, NULL) != MNO_OK)
    return false;
  bool same = then->data.kind == MNO_DATA_FILE && strcmp(then->data.path, now->data.path) == 0 &&
              then->data.samples == now->data.samples;
  mno_sweep_free(then);
  return same;
}

/* Which datasets of the data file differ from those of the run; empty if none, or if that is not known. */
static void data_difference(const mno_held *held, const mno_plan *plan, char text[64]) {
  text[0] = '\0';
  for (size_t i = 0; held->result && i < held->result->problem_count && !text[0]; i++) {
    const mno_result_problem *then = &held->result->problems[i];
    mno_problem data;
    for (size_t p = 0; p < plan->problem_count; p++) {
      const mno_problem *now = &plan->problem[p];
      if (now->D != then->D || (now->data_seed != then->data_seed && then->data_seed >= 0)) continue;
      if (mno_result_data(held->result, i, &data, NULL) != MNO_OK) return;
      mno_problem_difference(now, &data, text);
      mno_result_data_free(&data);
      break;
    }
  }
}

/* A sentence about a data file that has changed since the run; false if that is not what happened. */
static bool data_changed(const mno_held *held, const mno_plan *plan, char *text, size_t size) {
  char differ[64];
  if (!same_file_named(held, plan->sweep)) return false;
  data_difference(held, plan, differ);
  bool same_text =
      plan->sweep->text_length == held->config_length && memcmp(plan->sweep->text, held->config, held->config_length) == 0;
  if (!differ[0] && (held->result || !same_text)) return false;
  snprintf(text, size,
           "data file %s has changed since the run%s%s%s; restore it, or go on with the data of the run: meanode "
           "run --from %s -o %s --resume",
           plan->data_source ? plan->data_source : plan->sweep->data.path, differ[0] ? ": " : "", differ,
           !differ[0]            ? ""
           : strchr(differ, ',') ? " differ"
                                 : " differs",
           held->name, held->name);
  return true;
}

/* Why the plan does not continue the file: foreign of its instances are not in the plan, or the settings changed. */
static mno_status refuse(const mno_held *held, const mno_plan *plan, size_t foreign, const char *settings, bool changed,
                         mno_error *err) {
  message why = {.used = 0};
  char data[2048];
  const char *text = plan->sweep ? plan->sweep->text : "";
  if (held->config) show_lines(held->config, held->config_length, text, plan->sweep ? plan->sweep->text_length : 0, &why);
  if (foreign && data_changed(held, plan, data, sizeof data))
    return mno_fail(err, MNO_ERR_INPUT, "%s: %s%s%s", held->name, data,
                    why.used ? "\nThe configuration differs, too (- file, + now):" : "", why.text);
  if (changed && why.used == 0) add(&why, "\n  - %s\n  + %s", held->settings, settings);
  if (why.used == 0) add(&why, "\n  none in the text; was it written by another version of meanode?");
  if (foreign)
    return mno_fail(err, MNO_ERR_INPUT,
                    "%s belongs to another configuration: %zu of its %zu instances are not in this one. A run can be "
                    "resumed with more seeds or sizes, not with others. Difference (- file, + now):%s",
                    held->name, foreign, held->instance_count, why.text);
  return mno_fail(err, MNO_ERR_INPUT,
                  "%s was started with other settings for what is recorded or for its limits. Difference (- file, + "
                  "now):%s",
                  held->name, why.text);
}

mno_status mno_compare(const mno_held *held, const mno_plan *plan, mno_error *err) {
  if (held->precision && strcmp(held->precision, mno_precision_name(plan->precision)) != 0)
    return mno_fail(err, MNO_ERR_INPUT,
                    "%s holds %s results, this run computes %s; use the same --precision, or another file", held->name,
                    held->precision, mno_precision_name(plan->precision));
  char *settings = mno_settings(plan);
  mno_rows rows = {0};
  mno_status status = settings ? mno_rows_of(plan, &rows, err) : mno_fail_memory(err, 256, "the settings");
  size_t foreign = 0;
  for (size_t i = 0; status == MNO_OK && i < held->instance_count; i++)
    foreign += mno_rows_find(&rows, held->id[i]) == SIZE_MAX;
  bool changed = status == MNO_OK && held->settings && strcmp(held->settings, settings) != 0;
  if (status == MNO_OK && (foreign || changed)) status = refuse(held, plan, foreign, settings, changed, err);
  bool largest = false;
  for (size_t i = 0; plan->sweep && i < plan->sweep->limit.count; i++)
    largest |= plan->sweep->limit.kind[i] == MNO_LIMIT_LARGEST;
  if (status == MNO_OK && largest && held->instance_count != plan->instance_count)
    status = mno_fail(err, MNO_ERR_INPUT,
                      "%s takes the largest networks of its sweep for the limit: more instances would change it and every "
                      "error; write another file (-o NAME)",
                      held->name);
  free(rows.row);
  free(settings);
  return status;
}
