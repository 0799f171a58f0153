/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "store/seal.h"

#include "core/file.h"
#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static void write_seal(char text[MNO_SEAL_SIZE + 1], uint64_t length, uint64_t sum) {
  int n = snprintf(text, MNO_SEAL_SIZE + 1, "\nmeanode seal 1 %016llx %016llx", (unsigned long long)length,
                   (unsigned long long)sum);
  memset(text + n, ' ', MNO_SEAL_SIZE - (size_t)n);
  text[MNO_SEAL_SIZE - 1] = '\n';
}

/* Checksum of the first `length` bytes. */
static mno_status sum_file(int fd, const char *path, uint64_t length, uint64_t *sum, mno_error *err) {
  enum { PART = 1 << 20 };
  XXH3_state_t *state = XXH3_createState();
  char *part = malloc(PART);
  mno_status status = state && part ? MNO_OK : mno_fail_memory(err, PART, "a checksum");
  if (status == MNO_OK) XXH3_64bits_reset(state);
  for (uint64_t offset = 0; status == MNO_OK && offset < length;) {
    size_t want = length - offset < PART ? (size_t)(length - offset) : PART;
    if (mno_read_at(fd, part, want, offset)) {
      XXH3_64bits_update(state, part, want);
      offset += want;
    } else {
      status = mno_fail(err, MNO_ERR_IO, "cannot read %s: %s", path, errno ? strerror(errno) : "it became shorter");
    }
  }
  if (status == MNO_OK) *sum = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  free(part);
  return status;
}

static mno_status open_file(const char *path, int flags, int *fd, uint64_t *size, mno_error *err) {
  struct stat about;
  *fd = TEMP_FAILURE_RETRY(open(path, flags | O_CLOEXEC | O_NONBLOCK)); /* a pipe is refused below, not waited for */
  if (*fd < 0 || TEMP_FAILURE_RETRY(fstat(*fd, &about)) != 0) {
    int why = errno;
    if (*fd >= 0) close(*fd);
    return mno_fail(err, MNO_ERR_IO, "cannot open %s: %s", path, strerror(why));
  }
  if (!S_ISREG(about.st_mode)) {
    close(*fd);
    return mno_fail(err, S_ISDIR(about.st_mode) ? MNO_ERR_IO : MNO_ERR_INPUT, "%s is not a regular file", path);
  }
  *size = (uint64_t)about.st_size;
  return MNO_OK;
}

bool mno_file_mark_of(const char *path, mno_file_mark *mark) {
  int fd;
  mno_error err;
  *mark = (mno_file_mark){0};
  if (open_file(path, O_RDONLY, &fd, &mark->size, &err) != MNO_OK) return false;
  size_t n = mark->size < MNO_SEAL_SIZE ? (size_t)mark->size : MNO_SEAL_SIZE;
  bool ok = mno_read_at(fd, mark->end, n, mark->size - n);
  close(fd);
  return ok;
}

mno_status mno_seal_write(const char *path, mno_error *err) {
  int fd;
  uint64_t size, sum;
  mno_status status = open_file(path, O_RDWR, &fd, &size, err);
  if (status != MNO_OK) return status;
  status = sum_file(fd, path, size, &sum, err);
  if (status == MNO_OK) {
    char text[MNO_SEAL_SIZE + 1];
    write_seal(text, size, sum);
    if (!mno_write_at(fd, text, MNO_SEAL_SIZE, size) || TEMP_FAILURE_RETRY(fsync(fd)) != 0)
      status = mno_fail(err, MNO_ERR_IO, "cannot write %s: %s", path, strerror(errno));
  }
  close(fd);
  return status;
}

mno_status mno_seal_check(const char *path, mno_seal *seal, mno_error *err) {
  int fd;
  uint64_t size, sum;
  mno_status status = open_file(path, O_RDONLY, &fd, &size, err);
  if (status != MNO_OK) return status;
  char text[MNO_SEAL_SIZE], expected[MNO_SEAL_SIZE + 1];
  static const char start[] = "\nmeanode seal ";
  *seal = MNO_UNSEALED;
  bool long_enough = size >= MNO_SEAL_SIZE;
  if (long_enough && !mno_read_at(fd, text, MNO_SEAL_SIZE, size - MNO_SEAL_SIZE)) {
    status = mno_fail(err, MNO_ERR_IO, "cannot read %s: %s", path, errno ? strerror(errno) : "it became shorter");
  } else if (long_enough && memcmp(text, start, sizeof start - 1) == 0) {
    status = sum_file(fd, path, size - MNO_SEAL_SIZE, &sum, err);
    if (status == MNO_OK) {
      write_seal(expected, size - MNO_SEAL_SIZE, sum);
      *seal = memcmp(text, expected, MNO_SEAL_SIZE) == 0 ? MNO_SEALED : MNO_SEAL_BROKEN;
    }
  }
  close(fd);
  return status;
}
