/* SPDX-License-Identifier: BSD-3-Clause */
/* What the journal's entries hold. */
#include "core/memory.h"
#include "limit/fields.h"
#include "store/journal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A cursor over a payload that never leaves it. */
typedef struct cursor {
  const char *at, *end;
} cursor;

static const void *take(cursor *from, size_t bytes) {
  if ((size_t)(from->end - from->at) < bytes) return NULL;
  const void *data = from->at;
  from->at += bytes;
  return data;
}

static bool take_number(cursor *from, uint64_t *number) {
  const void *data = take(from, 8);
  if (data) memcpy(number, data, 8);
  return data;
}

bool mno_journal_header_decode(const mno_entry *entry, mno_journal_header *header) {
  cursor from = {entry->payload, entry->payload + entry->length};
  uint64_t format;
  if (entry->kind != MNO_ENTRY_HEADER || !take_number(&from, &format) || format != MNO_JOURNAL_FORMAT) return false;
  if (!take_number(&from, &header->instance_count) || header->instance_count > entry->length / 8) return false;
  if (!(header->id = take(&from, 8 * header->instance_count))) return false;
  if (!take_number(&from, &header->config_length) || !(header->config = take(&from, header->config_length))) return false;
  if (!take_number(&from, &header->settings_length)) return false;
  return (header->settings = take(&from, header->settings_length)) != NULL;
}

bool mno_journal_replaces(const mno_entry *entry, const mno_file_mark *mark) {
  return entry->kind == MNO_ENTRY_REPLACES && entry->length == sizeof *mark &&
         memcmp(entry->payload, mark, sizeof *mark) == 0;
}

/* ---- Records: id, outcome, seconds, then per field a tag and its numbers, padded to 8 bytes. */

typedef struct tag {
  char name[24]; /* zero-padded */
  uint32_t width, unused;
  uint64_t count;
} tag;

size_t mno_stored_fields(const mno_plan *plan, size_t row, mno_stored stored[MNO_STORED_MAX]) {
  mno_record_field field[MNO_RECORD_FIELDS_MOST];
  size_t count = mno_record_fields(plan->problem[plan->instance[row].problem].block, field), used = 0;
  for (size_t i = 0; i < count && used < MNO_STORED_MAX; i++) {
    if (!mno_plan_wants(plan, field[i].store)) continue;
    mno_stored *s = &stored[used++];
    s->field = field[i];
    s->count = mno_record_field_shape(plan, row, &field[i], s->shape, &s->rank);
    s->width = field[i].single && plan->precision == MNO_F32 ? 4 : 8;
    s->bytes = s->count * s->width;
  }
  return used;
}

static void put_numbers(mno_journal *journal, const double *value, const mno_stored *stored) {
  if (stored->width == 8) {
    mno_journal_put(journal, value, stored->bytes);
  } else {
    float part[1024];
    for (size_t done = 0, n; done < stored->count; done += n) {
      n = stored->count - done < 1024 ? stored->count - done : 1024;
      for (size_t i = 0; i < n; i++) part[i] = (float)value[done + i];
      mno_journal_put(journal, part, 4 * n);
    }
  }
  mno_journal_put(journal, &(uint64_t){0}, -stored->bytes & 7);
}

mno_status mno_journal_put_record(mno_journal *journal, const mno_plan *plan, const mno_record *record, uint64_t *offset,
                                  mno_error *err) {
  mno_stored stored[MNO_STORED_MAX];
  size_t count = mno_stored_fields(plan, record->row, stored);
  struct {
    uint64_t id, outcome;
    double seconds;
  } start = {plan->instance[record->row].id, record->outcome, record->seconds};
  mno_journal_begin(journal, MNO_ENTRY_RECORD);
  mno_journal_put(journal, &start, sizeof start);
  for (size_t i = 0; i < count; i++) {
    tag about = {.width = (uint32_t)stored[i].width, .count = stored[i].count};
    strncpy(about.name, stored[i].field.name, sizeof about.name - 1);
    const double *value = *(double *const *)((const char *)record + stored[i].field.offset);
    if (!value) {
      journal->used = journal->open;
      return mno_fail(err, MNO_ERR_INTERNAL, "the record of row %zu lacks \"%s\"", record->row, stored[i].field.name);
    }
    mno_journal_put(journal, &about, sizeof about);
    put_numbers(journal, value, &stored[i]);
  }
  return mno_journal_end(journal, offset, err);
}

bool mno_journal_record_decode(const mno_entry *entry, mno_journal_record *record) {
  cursor from = {entry->payload, entry->payload + entry->length};
  uint64_t outcome;
  const void *seconds;
  if (entry->kind != MNO_ENTRY_RECORD || !take_number(&from, &record->id) || !take_number(&from, &outcome) ||
      !(seconds = take(&from, 8)) || outcome > MNO_INSTANCE_DIVERGED)
    return false;
  record->outcome = (mno_outcome)outcome;
  memcpy(&record->seconds, seconds, 8);
  record->fields = from.at;
  record->length = (size_t)(from.end - from.at);
  return true;
}

bool mno_journal_record_fields(const mno_journal_record *record, const mno_stored *stored, size_t count,
                               const void *data[MNO_STORED_MAX]) {
  cursor from = {record->fields, record->fields + record->length};
  for (size_t i = 0; i < count; i++) {
    const tag *about = take(&from, sizeof *about);
    if (!about || strncmp(about->name, stored[i].field.name, sizeof about->name) != 0 || about->width != stored[i].width ||
        about->count != stored[i].count || !(data[i] = take(&from, (stored[i].bytes + 7) / 8 * 8)))
      return false;
  }
  return from.at == from.end;
}

/* ---- Limits */

typedef struct limit_start {
  uint64_t problem_id, kind, certified, N, d_out, D, K, nodes;
  int64_t degrees, diverged;
  double seconds;
  char method[64], parameters[256];
} limit_start;

mno_status mno_journal_put_limit(mno_journal *journal, uint64_t problem_id, const mno_limit *limit, uint64_t *offset,
                                 mno_error *err) {
  limit_start start = {.problem_id = problem_id,
                       .kind = limit->kind,
                       .certified = limit->certified,
                       .N = limit->N,
                       .d_out = limit->d_out,
                       .D = limit->D,
                       .K = limit->K,
                       .nodes = limit->nodes,
                       .degrees = limit->degrees,
                       .diverged = limit->diverged,
                       .seconds = limit->seconds};
  memcpy(start.method, limit->method, sizeof start.method);
  memcpy(start.parameters, limit->parameters, sizeof start.parameters);
  size_t count;
  const double *block = mno_limit_block(limit, &count);
  mno_journal_begin(journal, MNO_ENTRY_LIMIT);
  mno_journal_put(journal, &start, sizeof start);
  mno_journal_put(journal, block, count * sizeof *block);
  mno_journal_put(journal, &limit->missing, sizeof limit->missing);
  return mno_journal_end(journal, offset, err);
}

mno_status mno_journal_limit_decode(const mno_entry *entry, uint64_t *problem_id, mno_limit **limit, mno_error *err) {
  cursor from = {entry->payload, entry->payload + entry->length};
  const limit_start *start = take(&from, sizeof *start);
  *limit = NULL;
  if (entry->kind != MNO_ENTRY_LIMIT || !start || start->kind >= MNO_LIMIT_KINDS) return MNO_OK;
  if (!start->N || !start->d_out || !start->D || start->K > entry->length) return MNO_OK;
  mno_limit like = {.kind = (mno_limit_kind)start->kind,
                    .tolerance = NAN, /* that of the run, for all its limits */
                    .certified = start->certified != 0,
                    .diverged = start->diverged >= 0 && start->diverged <= (int64_t)start->K ? start->diverged : -1,
                    .degrees = start->degrees,
                    .N = start->N,
                    .d_out = start->d_out,
                    .D = start->D,
                    .K = start->K,
                    .nodes = start->nodes,
                    .seconds = start->seconds};
  memcpy(like.method, start->method, sizeof like.method - 1);
  memcpy(like.parameters, start->parameters, sizeof like.parameters - 1);
  if (mno_limit_like_bytes(&like) > (double)entry->length) return MNO_OK; /* before a product of sizes can overflow */
  size_t count;
  mno_limit_block(&like, &count);
  const double *block = take(&from, count * sizeof *block);
  if (!block) return MNO_OK;
  const int64_t *missing = take(&from, sizeof *missing); /* entries of meanode 0.1 end here */
  if (missing) like.missing = *missing;
  mno_limit *made;
  mno_status status = mno_limit_like(&like, &made, err);
  if (status != MNO_OK) return status;
  memcpy(mno_limit_block(made, &count), block, count * sizeof *block);
  *problem_id = start->problem_id;
  *limit = made;
  return MNO_OK;
}
