/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "store/publish.h"

#include "core/file.h"
#include "core/memory.h"
#include "store/output.h"
#include "store/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 4 << 20 /* bytes of rows that are written together */, COPY_PART = 16 << 20 };

/* ---- Pending */

mno_status mno_pending_add(mno_pending_list *list, size_t of, uint64_t offset, mno_error *err) {
  if (!mno_grow(&list->entry, list->count, &list->capacity, sizeof *list->entry))
    return mno_fail_memory(err, list->count * sizeof *list->entry, "the list of what is finished");
  list->entry[list->count++] = (struct mno_pending_entry){of, offset};
  return MNO_OK;
}

static mno_status move(mno_pending_list *from, mno_pending_list *to, mno_error *err) {
  mno_status status = MNO_OK;
  if (to->count == 0) {
    mno_pending_list was = *to;
    *to = *from;
    *from = was;
  }
  for (size_t i = 0; status == MNO_OK && i < from->count; i++)
    status = mno_pending_add(to, from->entry[i].of, from->entry[i].offset, err);
  from->count = 0;
  return status;
}

mno_status mno_pending_move(mno_pending *from, mno_pending *to, mno_error *err) {
  mno_status rows = move(&from->rows, &to->rows, err), limits = move(&from->limits, &to->limits, err);
  return rows == MNO_OK ? limits : rows;
}

void mno_pending_clear(mno_pending *pending) { pending->rows.count = pending->limits.count = 0; }

void mno_pending_free(mno_pending *pending) {
  free(pending->rows.entry);
  free(pending->limits.entry);
  *pending = (mno_pending){0};
}

/* ---- Copying */

static mno_status cannot_write(const char *path, int why, mno_error *err) {
  return mno_fail(err, MNO_ERR_IO, "cannot write %s: %s", path, strerror(why));
}

mno_status mno_copy_unsealed(int fd, bool sealed, const char *to, const char *like, mno_error *err) {
  struct stat about;
  if (TEMP_FAILURE_RETRY(fstat(fd, &about)) != 0)
    return mno_fail(err, MNO_ERR_IO, "cannot read the result file: %s", strerror(errno));
  off_t length = about.st_size - (sealed ? MNO_SEAL_SIZE : 0), offset = 0;
  int copy = mno_output_aside(to, like);
  if (copy < 0) return cannot_write(to, errno, err);
  mno_status status = MNO_OK;
  if (ioctl(copy, FICLONE, fd) == 0) { /* shares the blocks where the file system can */
    if (TEMP_FAILURE_RETRY(ftruncate(copy, length)) != 0) status = cannot_write(to, errno, err);
    offset = length;
  }
  while (status == MNO_OK && offset < length) {
    size_t part = length - offset < COPY_PART ? (size_t)(length - offset) : COPY_PART;
    off_t from = offset, where = offset;
    ssize_t n = TEMP_FAILURE_RETRY(copy_file_range(fd, &from, copy, &where, part, 0));
    if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
      char block[1 << 16];
      n = TEMP_FAILURE_RETRY(pread(fd, block, part < sizeof block ? part : sizeof block, offset));
      if (n > 0 && !mno_write_at(copy, block, (size_t)n, (uint64_t)offset)) n = -1;
    }
    if (n <= 0) {
      status = cannot_write(to, n < 0 ? errno : EIO, err);
    } else {
      offset += n;
    }
  }
  if (close(copy) != 0 && errno != EINTR && status == MNO_OK) /* an interrupted close has closed */
    status = cannot_write(to, errno, err);
  return status;
}

mno_status mno_open_copy(const char *path, bool sealed, const char *to, const char *like, const mno_plan *plan,
                         mno_layout **layout, mno_error *err) {
  int fd = TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC));
  if (fd < 0) return mno_fail(err, MNO_ERR_IO, "cannot open %s: %s", path, strerror(errno));
  mno_status status = mno_copy_unsealed(fd, sealed, to, like, err);
  close(fd);
  return status == MNO_OK ? mno_layout_open(to, plan, layout, err) : status;
}

/* ---- Blocks of rows: one buffer per stored field */

typedef struct block {
  mno_stored stored[MNO_STORED_MAX];
  size_t fields, rows;        /* rows that fit */
  char *data[MNO_STORED_MAX]; /* [rows][bytes] */
  char *memory;
  size_t capacity;
} block;

/* Lays the block out for rows like this one. */
static mno_status block_for(block *b, const mno_plan *plan, size_t row, mno_error *err) {
  b->fields = mno_stored_fields(plan, row, b->stored);
  size_t per_row = 0;
  for (size_t i = 0; i < b->fields; i++) per_row += (b->stored[i].bytes + 63) / 64 * 64;
  b->rows = per_row < BLOCK ? BLOCK / (per_row ? per_row : 1) : 1;
  size_t total = per_row * b->rows + 64;
  if (total > b->capacity) {
    free(b->memory);
    b->capacity = 0;
    b->memory = mno_alloc(total, 1);
    if (!b->memory) return mno_fail_memory(err, total, "a block of rows");
    b->capacity = total;
  }
  char *at = b->memory;
  for (size_t i = 0; i < b->fields; i++) {
    b->data[i] = at;
    at += (b->stored[i].bytes + 63) / 64 * 64 * b->rows;
  }
  return MNO_OK;
}

static mno_status write_block(mno_layout *layout, const block *b, size_t row, size_t count, mno_error *err) {
  return mno_layout_rows(layout, row, count, b->stored, b->fields, (const void *const *)b->data, err);
}

static int by_row(const void *a, const void *b) {
  const struct mno_pending_entry *x = a, *y = b;
  if (x->of != y->of) return x->of < y->of ? -1 : 1;
  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Entries of neighbouring rows into one block. */
static mno_status fill(block *b, mno_journal_reader *journal, const struct mno_pending_entry *row, size_t count,
                       int8_t *row_status, double *seconds, mno_error *err) {
  for (size_t k = 0; k < count; k++) {
    mno_entry entry;
    mno_journal_record record;
    const void *data[MNO_STORED_MAX];
    mno_status status = mno_journal_at(journal, row[k].offset, &entry, err);
    if (status != MNO_OK) return status;
    if (!mno_journal_record_decode(&entry, &record) || !mno_journal_record_fields(&record, b->stored, b->fields, data))
      return mno_fail(err, MNO_ERR_INPUT, "%s: the entry at byte %llu does not hold what this configuration records",
                      journal->path, (unsigned long long)row[k].offset);
    row_status[row[k].of] = (int8_t)record.outcome;
    seconds[row[k].of] = record.seconds;
    for (size_t i = 0; i < b->fields; i++) memcpy(b->data[i] + k * b->stored[i].bytes, data[i], b->stored[i].bytes);
  }
  return MNO_OK;
}

mno_status mno_apply_pending(mno_layout *layout, const mno_plan *plan, mno_journal_reader *journal, mno_pending *pending,
                             int8_t *row_status, double *seconds, mno_error *err) {
  mno_status status = MNO_OK;
  for (size_t i = 0; status == MNO_OK && i < pending->limits.count; i++) {
    mno_entry entry;
    uint64_t id;
    mno_limit *limit = NULL;
    status = mno_journal_at(journal, pending->limits.entry[i].offset, &entry, err);
    if (status == MNO_OK) status = mno_journal_limit_decode(&entry, &id, &limit, err);
    if (limit && plan->sweep) limit->tolerance = plan->sweep->limit.tolerance;
    if (status == MNO_OK && limit) status = mno_layout_limit(layout, pending->limits.entry[i].of, limit, err);
    mno_limit_free(limit);
  }
  /* In the order of rows every chunk of the file is touched once. */
  struct mno_pending_entry *row = pending->rows.entry;
  const size_t count = pending->rows.count;
  if (count) qsort(row, count, sizeof *row, by_row);
  block b = {.capacity = 0};
  for (size_t i = 0, n; status == MNO_OK && i < count; i += n) {
    status = block_for(&b, plan, row[i].of, err);
    size_t most = mno_layout_span(layout, row[i].of, b.rows);
    for (n = 1; i + n < count && n < most && row[i + n].of == row[i].of + n;) n++;
    if (status == MNO_OK) status = fill(&b, journal, &row[i], n, row_status, seconds, err);
    if (status == MNO_OK) status = write_block(layout, &b, row[i].of, n, err);
  }
  free(b.memory);
  return status;
}

mno_status mno_import_rows(mno_layout *layout, const mno_plan *plan, mno_result *result, const size_t *source,
                           mno_error *err) {
  mno_status status = MNO_OK;
  block b = {.capacity = 0};
  for (size_t row = 0, n; status == MNO_OK && row < plan->instance_count; row += n) {
    const size_t from = source[row];
    n = 1;
    if (from == SIZE_MAX) continue;
    status = block_for(&b, plan, row, err);
    size_t most = mno_layout_span(layout, row, b.rows);
    const size_t *run = &mno_file_of(result)->run_of[from];
    while (row + n < plan->instance_count && n < most && source[row + n] == from + n && run[n] == run[0] + n) n++;
    for (size_t i = 0; status == MNO_OK && i < b.fields; i++)
      status = mno_result_read_rows(result, from, n, &b.stored[i], b.data[i], err);
    if (status == MNO_OK) status = write_block(layout, &b, row, n, err);
  }
  free(b.memory);
  return status;
}
