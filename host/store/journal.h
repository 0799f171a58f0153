/* SPDX-License-Identifier: BSD-3-Clause */
/* The journal: an append-only file next to the result file that holds what was finished since the result file was last
 * complete on disk. It is the truth; the result file is published from it.
 *
 * File: 16 bytes "meanode journal\n", then entries, each padded to 8 bytes:
 *   uint32 mark, uint32 kind, uint64 length of the payload, uint64 XXH3 of the payload, uint64 XXH3 of the four numbers
 *   before with the entry's offset as seed, payload.
 * The offset in the sum keeps stale blocks of a file system from passing as entries; a whole head leads past a damaged
 * payload. Numbers are little-endian (as is every
 * machine this builds on). The first entry is the header. */
#ifndef MNO_STORE_JOURNAL_H
#define MNO_STORE_JOURNAL_H

#include "meanode/limit.h"
#include "meanode/plan.h"
#include "meanode/record.h"
#include "meanode/status.h"
#include "store/seal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MNO_JOURNAL_FORMAT = 2 };

typedef enum mno_entry_kind {
  MNO_ENTRY_HEADER = 1,
  MNO_ENTRY_LIMIT = 2,
  MNO_ENTRY_RECORD = 3,
  MNO_ENTRY_REPLACES = 4
} mno_entry_kind;

/* ---- Writing. Entries are collected in memory and reach the disk together, in blocks. */

typedef struct mno_journal {
  char *path;
  int fd;
  uint64_t end; /* where in the file the buffer begins */
  char *buffer; /* [capacity] entries not yet written */
  size_t used, capacity;
  size_t open;    /* start of the entry under construction ... */
  size_t missing; /* ... and the bytes that it could not get; 0: it is whole so far */
} mno_journal;

/* Starts a journal with the plan's header, atomically in place of an older one, on disk when it returns. settings: what
 * else decides the content of rows (mno_settings). like: the file whose mode and owner it gets, or NULL.
 * replaces: the result file of an earlier run that stays in its place until this run has published, or NULL. */
mno_status mno_journal_create(const char *path, const mno_plan *plan, const char *settings, const char *like,
                              const mno_file_mark *replaces, mno_journal *journal, mno_error *err);

/* Makes an open journal as private as a result file; its owner can read and write it whatever that file's mode. */
void mno_journal_match(int fd, const char *like);

/* One entry: begin, put any number of times, end. *offset receives where in the file it is. MNO_ERR_MEMORY leaves the
 * journal as it was before begin. */
void mno_journal_begin(mno_journal *journal, mno_entry_kind kind);
void mno_journal_put(mno_journal *journal, const void *data, size_t bytes);
mno_status mno_journal_end(mno_journal *journal, uint64_t *offset, mno_error *err);

/* Entries on their way to the file: taken out under the caller's lock, written without it. */
typedef struct mno_journal_block {
  char *data;
  size_t used, capacity;
  uint64_t offset; /* in the file */
} mno_journal_block;

/* Takes out what was collected; the block's former memory is what the journal collects into next. */
void mno_journal_take(mno_journal *journal, mno_journal_block *block);

/* Writes blocks in the order in which they were taken; on failure the file is cut back to whole entries. Then waits for the
 * disk. Neither touches what collecting changes. */
mno_status mno_journal_write(const mno_journal *journal, const mno_journal_block *block, mno_error *err);
mno_status mno_journal_sync(const mno_journal *journal, mno_error *err);

/* All at once. */
mno_status mno_journal_flush(mno_journal *journal, mno_error *err);

void mno_journal_close(mno_journal *journal);

/* ---- Reading. */

typedef struct mno_entry {
  mno_entry_kind kind;
  uint64_t offset;
  const char *payload; /* [length], aligned to 8 bytes; valid until the next read */
  size_t length;
} mno_entry;

typedef struct mno_journal_reader {
  char *path;
  int fd;
  uint64_t size, next; /* file size; where the next entry starts */
  char *buffer;        /* [capacity] */
  size_t capacity;
  size_t damaged;   /* damaged stretches skipped so far */
  char damage[256]; /* the first of them, in words */
  bool absent;      /* there is no journal */
} mno_journal_reader;

/* Errors: MNO_ERR_IO (reader->absent: there is none), MNO_ERR_INPUT if it is no journal or of another format. */
mno_status mno_journal_open(const char *path, mno_journal_reader *reader, mno_error *err);

/* The next whole entry; *found is false at the end. Damage is noted and skipped. */
mno_status mno_journal_next(mno_journal_reader *reader, mno_entry *entry, bool *found, mno_error *err);

/* The entry at an offset that was seen before; fd may be that of a journal being written. */
mno_status mno_journal_at(mno_journal_reader *reader, uint64_t offset, mno_entry *entry, mno_error *err);

void mno_journal_reader_close(mno_journal_reader *reader);

/* ---- Payloads. */

/* Header, decoded; pointers into the payload. */
typedef struct mno_journal_header {
  uint64_t instance_count;
  const uint64_t *id; /* [instance_count] */
  uint64_t config_length;
  const char *config; /* [config_length] */
  uint64_t settings_length;
  const char *settings; /* [settings_length] */
} mno_journal_header;

bool mno_journal_header_decode(const mno_entry *entry, mno_journal_header *header);

/* Is it the result file with this mark that the journal's run replaces, and has not yet? */
bool mno_journal_replaces(const mno_entry *entry, const mno_file_mark *mark);

/* A record, decoded; field i of mno_stored is at data[i]. */
enum { MNO_STORED_MAX = 64 };

typedef struct mno_stored {
  mno_record_field field;
  size_t shape[MNO_FIELD_RANK], rank;
  size_t count, width, bytes; /* numbers per row, bytes per number, count * width */
} mno_stored;

/* The fields that the plan stores for a row; returns how many (at most MNO_STORED_MAX). */
size_t mno_stored_fields(const mno_plan *plan, size_t row, mno_stored stored[MNO_STORED_MAX]);

typedef struct mno_journal_record {
  uint64_t id;
  mno_outcome outcome;
  double seconds;
  const char *fields; /* undecoded */
  size_t length;
} mno_journal_record;

bool mno_journal_record_decode(const mno_entry *entry, mno_journal_record *record);

/* Finds the data of all stored fields in a decoded record; false if it does not hold exactly what the plan stores. */
bool mno_journal_record_fields(const mno_journal_record *record, const mno_stored *stored, size_t count,
                               const void *data[MNO_STORED_MAX]);

mno_status mno_journal_put_record(mno_journal *journal, const mno_plan *plan, const mno_record *record, uint64_t *offset,
                                  mno_error *err);

mno_status mno_journal_put_limit(mno_journal *journal, uint64_t problem_id, const mno_limit *limit, uint64_t *offset,
                                 mno_error *err);

/* Decodes a limit entry; *limit is NULL if it is malformed. */
mno_status mno_journal_limit_decode(const mno_entry *entry, uint64_t *problem_id, mno_limit **limit, mno_error *err);

#endif
