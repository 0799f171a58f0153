/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "store/journal.h"

#include "core/file.h"
#include "core/memory.h"
#include "store/output.h"

#define XXH_INLINE_ALL
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static const char magic[16] = "meanode journal\n";
enum { MARK = 0x4a4f4e4d /* "MNOJ" */, STEP = 4 << 20 /* bytes by which a large buffer grows */ };

typedef struct head {
  uint32_t mark, kind;
  uint64_t length; /* of the payload, without padding */
  uint64_t sum;    /* of the payload */
  uint64_t check;  /* of the offset and the members above */
} head;

static uint64_t check_of(uint64_t offset, const head *entry) {
  return XXH3_64bits_withSeed(entry, offsetof(head, check), offset);
}

/* ---- Writing */

/* Room for so many bytes and for the padding behind them. */
static bool reserve(mno_journal *journal, size_t bytes) {
  if (journal->missing) return false;
  if (journal->capacity - journal->used >= bytes + 8) return true;
  size_t capacity = journal->capacity ? journal->capacity : 1 << 16;
  while (capacity - journal->used < bytes + 8) capacity += capacity < STEP ? capacity : STEP;
  char *grown = realloc(journal->buffer, capacity);
  if (grown) {
    journal->buffer = grown;
    journal->capacity = capacity;
  } else {
    journal->missing = capacity;
  }
  return grown;
}

void mno_journal_begin(mno_journal *journal, mno_entry_kind kind) {
  journal->open = journal->used;
  journal->missing = 0;
  mno_journal_put(journal, &(head){.mark = MARK, .kind = kind}, sizeof(head));
}

void mno_journal_put(mno_journal *journal, const void *data, size_t bytes) {
  if (!bytes || !reserve(journal, bytes)) return;
  memcpy(journal->buffer + journal->used, data, bytes);
  journal->used += bytes;
}

mno_status mno_journal_end(mno_journal *journal, uint64_t *offset, mno_error *err) {
  if (journal->missing) {
    journal->used = journal->open;
    return mno_fail_memory(err, journal->missing, "the journal");
  }
  char *start = journal->buffer + journal->open;
  head entry;
  memcpy(&entry, start, sizeof entry);
  entry.length = journal->used - journal->open - sizeof(head);
  *offset = journal->end + journal->open;
  entry.sum = XXH3_64bits(start + sizeof(head), entry.length);
  entry.check = check_of(*offset, &entry);
  memcpy(start, &entry, sizeof entry);
  size_t padding = -entry.length & 7; /* room was kept by put */
  memset(journal->buffer + journal->used, 0, padding);
  journal->used += padding;
  return MNO_OK;
}

void mno_journal_take(mno_journal *journal, mno_journal_block *block) {
  mno_journal_block taken = {journal->buffer, journal->used, journal->capacity, journal->end};
  journal->end += journal->used;
  journal->buffer = block->data;
  journal->capacity = block->capacity;
  journal->used = 0;
  *block = taken;
}

mno_status mno_journal_write(const mno_journal *journal, const mno_journal_block *block, mno_error *err) {
  if (!mno_write_all(journal->fd, block->data, block->used)) {
    int why = errno;
    if (TEMP_FAILURE_RETRY(ftruncate(journal->fd, (off_t)block->offset)) != 0)
      why = why ? why : errno; /* a torn tail is found by its sum */
    return mno_fail(err, MNO_ERR_IO, "cannot write %s: %s", journal->path, strerror(why));
  }
  return MNO_OK;
}

mno_status mno_journal_sync(const mno_journal *journal, mno_error *err) {
  if (TEMP_FAILURE_RETRY(fdatasync(journal->fd)) == 0) return MNO_OK;
  return mno_fail(err, MNO_ERR_IO, "cannot write %s: %s", journal->path, strerror(errno));
}

mno_status mno_journal_flush(mno_journal *journal, mno_error *err) {
  mno_journal_block block = {0};
  mno_journal_take(journal, &block);
  mno_status status = mno_journal_write(journal, &block, err);
  if (status == MNO_OK) status = mno_journal_sync(journal, err);
  free(block.data);
  return status;
}

static mno_status put_header(mno_journal *journal, const mno_plan *plan, const char *settings, mno_error *err) {
  uint64_t count = plan->instance_count, config = plan->sweep ? plan->sweep->text_length : 0, length = strlen(settings),
           offset;
  const uint32_t format[2] = {MNO_JOURNAL_FORMAT, 0};
  mno_journal_begin(journal, MNO_ENTRY_HEADER);
  mno_journal_put(journal, format, sizeof format);
  mno_journal_put(journal, &count, 8);
  for (size_t row = 0; row < count; row++) mno_journal_put(journal, &plan->instance[row].id, 8);
  mno_journal_put(journal, &config, 8);
  if (config) mno_journal_put(journal, plan->sweep->text, config);
  mno_journal_put(journal, &length, 8);
  mno_journal_put(journal, settings, length);
  return mno_journal_end(journal, &offset, err);
}

static mno_status put_replaces(mno_journal *journal, const mno_file_mark *replaces, mno_error *err) {
  uint64_t offset;
  mno_journal_begin(journal, MNO_ENTRY_REPLACES);
  mno_journal_put(journal, replaces, sizeof *replaces);
  return mno_journal_end(journal, &offset, err);
}

void mno_journal_match(int fd, const char *like) {
  struct stat about;
  mno_output_match(fd, like);
  if (fstat(fd, &about) == 0 && (about.st_mode & 0600) != 0600) fchmod(fd, about.st_mode | 0600);
}

mno_status mno_journal_create(const char *path, const mno_plan *plan, const char *settings, const char *like,
                              const mno_file_mark *replaces, mno_journal *journal, mno_error *err) {
  *journal = (mno_journal){.fd = -1};
  char *fresh = NULL;
  mno_status status = MNO_OK;
  if (!(journal->path = strdup(path)) || asprintf(&fresh, "%s.new", path) < 0) {
    fresh = NULL;
    status = mno_fail_memory(err, strlen(path), "a path");
  }
  if (status == MNO_OK) {
    journal->fd = mno_output_aside(fresh, like);
    if (journal->fd < 0 || fcntl(journal->fd, F_SETFL, O_APPEND) != 0)
      status = mno_fail(err, MNO_ERR_IO, "cannot create %s: %s", fresh, strerror(errno));
  }
  if (status == MNO_OK) mno_journal_match(journal->fd, like);
  /* The magic is written first and by itself, so that every entry's offset is known when its sum is taken. */
  if (status == MNO_OK && !mno_write_all(journal->fd, magic, sizeof magic))
    status = mno_fail(err, MNO_ERR_IO, "cannot write %s: %s", path, strerror(errno));
  journal->end = sizeof magic;
  if (status == MNO_OK) status = put_header(journal, plan, settings, err);
  if (status == MNO_OK && replaces) status = put_replaces(journal, replaces, err);
  if (status == MNO_OK) status = mno_journal_flush(journal, err);
  if (status == MNO_OK && !mno_rename(journal->fd, fresh, path))
    status = mno_fail(err, MNO_ERR_IO, "cannot create %s: %s", path, strerror(errno));
  if (status != MNO_OK) {
    if (fresh && journal->fd >= 0) unlink(fresh);
    mno_journal_close(journal);
  }
  free(fresh);
  return status;
}

void mno_journal_close(mno_journal *journal) {
  if (journal->fd >= 0) close(journal->fd);
  free(journal->buffer);
  free(journal->path);
  *journal = (mno_journal){.fd = -1};
}

/* ---- Reading */

typedef enum outcome { WHOLE, CUT_OFF, DAMAGED, FAILED } outcome;

/* Reads and checks the entry at an offset; with a whole head, *next is where the entry after it starts. */
static outcome read_entry(mno_journal_reader *reader, uint64_t offset, mno_entry *entry, uint64_t *next, mno_error *err) {
  head at;
  if (offset > reader->size || reader->size - offset < sizeof at) return CUT_OFF;
  if (!mno_read_at(reader->fd, &at, sizeof at, offset)) {
    if (errno == 0) return CUT_OFF;
    goto failed;
  }
  if (at.mark != MARK || at.check != check_of(offset, &at)) return DAMAGED;
  uint64_t room = reader->size - offset - sizeof at;
  *next = reader->size;
  if (at.length > room) return CUT_OFF;
  uint64_t padded = (at.length + 7) / 8 * 8;
  if (padded < room) *next = offset + sizeof at + padded;
  if (at.length > reader->capacity || !reader->buffer) {
    size_t capacity = at.length + (at.length >> 1) + 4096;
    char *grown = realloc(reader->buffer, capacity);
    if (!grown) {
      mno_fail_memory(err, capacity, reader->path);
      return FAILED;
    }
    reader->buffer = grown;
    reader->capacity = capacity;
  }
  if (!mno_read_at(reader->fd, reader->buffer, at.length, offset + sizeof at)) {
    if (errno == 0) return CUT_OFF;
    goto failed;
  }
  if (XXH3_64bits(reader->buffer, at.length) != at.sum) return DAMAGED;
  *entry = (mno_entry){.kind = at.kind, .offset = offset, .payload = reader->buffer, .length = at.length};
  return WHOLE;
failed:
  mno_fail(err, MNO_ERR_IO, "cannot read %s: %s", reader->path, strerror(errno));
  return FAILED;
}

mno_status mno_journal_open(const char *path, mno_journal_reader *reader, mno_error *err) {
  *reader = (mno_journal_reader){.fd = -1, .next = sizeof magic};
  if (!(reader->path = strdup(path))) return mno_fail_memory(err, strlen(path), "a path");
  reader->fd = TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat about;
  bool absent = false;
  char start[sizeof magic];
  mno_status status = MNO_OK;
  if (reader->fd < 0 || TEMP_FAILURE_RETRY(fstat(reader->fd, &about)) != 0) {
    absent = errno == ENOENT;
    status = mno_fail(err, MNO_ERR_IO, "cannot read %s: %s", path, strerror(errno));
  } else if (!S_ISREG(about.st_mode)) {
    status = mno_fail(err, MNO_ERR_INPUT, "%s is not a regular file", path);
  } else if (!mno_read_at(reader->fd, start, sizeof start, 0) && errno != 0) {
    status = mno_fail(err, MNO_ERR_IO, "cannot read %s: %s", path, strerror(errno));
  } else if (about.st_size < (off_t)sizeof start || memcmp(start, magic, sizeof magic) != 0) {
    status = mno_fail(err, MNO_ERR_INPUT, "%s is not a journal of meanode", path);
  } else {
    reader->size = (uint64_t)about.st_size;
  }
  if (status != MNO_OK) mno_journal_reader_close(reader);
  reader->absent = absent;
  return status;
}

mno_status mno_journal_next(mno_journal_reader *reader, mno_entry *entry, bool *found, mno_error *err) {
  uint64_t start = reader->next, next;
  bool noted = false;
  *found = false;
  for (uint64_t offset = start; offset < reader->size; offset = next) {
    mno_error inner;
    next = offset + 8;
    outcome how = read_entry(reader, offset, entry, &next, &inner);
    if (how == FAILED) return mno_fail(err, inner.status, "%s", inner.message);
    if (how == WHOLE) {
      reader->next = next;
      *found = true;
      return MNO_OK;
    }
    if (!noted && reader->damaged++ == 0)
      snprintf(reader->damage, sizeof reader->damage, "%s at byte %llu of %llu", how == CUT_OFF ? "cut off" : "damaged",
               (unsigned long long)offset, (unsigned long long)reader->size);
    noted = true;
  }
  reader->next = reader->size;
  return MNO_OK;
}

mno_status mno_journal_at(mno_journal_reader *reader, uint64_t offset, mno_entry *entry, mno_error *err) {
  mno_error inner;
  uint64_t next;
  switch (read_entry(reader, offset, entry, &next, &inner)) {
  case WHOLE: return MNO_OK;
  case FAILED: return mno_fail(err, inner.status, "%s", inner.message);
  default:
    return mno_fail(err, MNO_ERR_IO, "%s changed while it was in use: the entry at byte %llu is damaged", reader->path,
                    (unsigned long long)offset);
  }
}

void mno_journal_reader_close(mno_journal_reader *reader) {
  if (reader->fd >= 0) close(reader->fd);
  free(reader->buffer);
  free(reader->path);
  *reader = (mno_journal_reader){.fd = -1};
}
