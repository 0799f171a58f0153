/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes are a journal with damage, or no journal; any payload is an entry or malformed. Never a crash or a hang.
 * The first byte chooses: 0: the rest is a file; 1: edits of a whole journal (4 bytes each: offset, xor, 255 cuts there);
 * otherwise the rest is the payload of an entry. */
#define _GNU_SOURCE
#include "block/block.h"
#include "fuzz.h"
#include "store/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static mno_problem problem = {.N = 2, .d_in = 2, .d_out = 1, .D = 2, .K = 1, .block = &mno_block_perceptron, .id = 7};
static mno_instance instance[3] = {{.L = 2, .M = 1, .seed = 0, .draw = {1, 0, 1}, .id = 11},
                                   {.L = 2, .M = 1, .seed = 1, .draw = {1, 0, 1}, .id = 12},
                                   {.L = 3, .M = 2, .seed = 0, .draw = {2, 0, 1}, .id = 13}};
static int64_t step[2] = {0, 1};
static mno_plan plan = {.precision = MNO_F32,
                        .problem_count = 1,
                        .problem = &problem,
                        .instance_count = 3,
                        .instance = instance,
                        .step_count = 2,
                        .step = step,
                        .recording = {.output = true, .weights = MNO_WEIGHTS_FINAL}};

/* Numbers are read, so that a sanitizer sees what lies outside. */
static double touch(const void *data, size_t size) {
  double sum = 0;
  for (size_t i = 0; i < size; i++) sum += ((const unsigned char *)data)[i];
  return sum;
}

static void decode(const mno_entry *entry) {
  mno_error err = {0};
  mno_journal_header header;
  mno_journal_record record;
  mno_limit *limit;
  uint64_t id;
  volatile double sum = 0;
  if (mno_journal_header_decode(entry, &header))
    sum = touch(header.id, 8 * header.instance_count) + touch(header.config, header.config_length) +
          touch(header.settings, header.settings_length);
  if (mno_journal_record_decode(entry, &record))
    for (size_t row = 0; row < 3; row++) {
      mno_stored stored[MNO_STORED_MAX];
      const void *data[MNO_STORED_MAX];
      size_t fields = mno_stored_fields(&plan, row, stored);
      if (mno_journal_record_fields(&record, stored, fields, data))
        for (size_t i = 0; i < fields; i++) sum = touch(data[i], stored[i].bytes);
    }
  require(mno_journal_limit_decode(entry, &id, &limit, &err) == MNO_OK);
  if (limit) sum = touch(limit->state, limit->nodes * (limit->K + 1) * limit->N * limit->D * 8);
  mno_limit_free(limit);
  (void)sum;
}

static size_t read_file(const char *data, size_t size) {
  int fd = memfd_create("journal", 0);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  require(write(fd, data, size) == (ssize_t)size);
  mno_journal_reader reader;
  mno_error err = {0};
  bool found = true;
  size_t entries = 0;
  if (mno_journal_open(path, &reader, &err) == MNO_OK) {
    for (mno_entry entry;;) {
      require(mno_journal_next(&reader, &entry, &found, &err) == MNO_OK);
      if (!found) break;
      decode(&entry);
      entries++;
    }
    mno_journal_reader_close(&reader);
  } else {
    require(err.message[0] && !reader.absent);
  }
  close(fd);
  return entries;
}

/* A whole journal: header, limit, three records. */
static char *whole(size_t *size) {
  char path[] = "/tmp/fuzz_journal_XXXXXX";
  int fd = mkstemp(path);
  close(fd);
  mno_error err = {0};
  mno_journal journal;
  mno_limit *limit;
  uint64_t offset;
  require(mno_journal_create(path, &plan, "settings", NULL, NULL, &journal, &err) == MNO_OK);
  require(mno_limit_new(&problem, 2, &limit, &err) == MNO_OK);
  require(mno_journal_put_limit(&journal, problem.id, limit, &offset, &err) == MNO_OK);
  mno_limit_free(limit);
  for (size_t row = 0; row < 3; row++) {
    mno_record *record;
    require(mno_record_new(&plan, row, &record, &err) == MNO_OK);
    require(mno_journal_put_record(&journal, &plan, record, &offset, &err) == MNO_OK);
    mno_record_free(record);
  }
  require(mno_journal_flush(&journal, &err) == MNO_OK);
  *size = journal.end;
  char *data = malloc(*size);
  require(pread(journal.fd, data, *size, 0) == (ssize_t)*size);
  mno_journal_close(&journal);
  unlink(path);
  return data;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t length) {
  static char *journal;
  static size_t size;
  if (!journal) {
    journal = whole(&size);
    require(read_file(journal, size) == 5);
  }
  if (length == 0) return 0;
  const unsigned char *rest = bytes + 1;
  length--;
  if (bytes[0] == 0) {
    read_file((const char *)rest, length);
  } else if (bytes[0] == 1) {
    char *copy = malloc(size);
    size_t end = size;
    memcpy(copy, journal, size);
    for (size_t i = 0; i + 4 <= length; i += 4) {
      size_t at = ((size_t)rest[i] | (size_t)rest[i + 1] << 8 | (size_t)rest[i + 2] << 16) % size;
      if (rest[i + 3] == 255)
        end = at;
      else
        copy[at] ^= (char)rest[i + 3];
    }
    require(read_file(copy, end) <= 5);
    free(copy);
  } else {
    char *payload = aligned_alloc(8, (length + 8) / 8 * 8);
    memcpy(payload, rest, length);
    decode(&(mno_entry){.kind = (mno_entry_kind)(bytes[0] % 4), .payload = payload, .length = length});
    free(payload);
  }
  return 0;
}
