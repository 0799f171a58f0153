/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

bool mno_read_at(int fd, void *data, size_t bytes, uint64_t offset) {
  char *to = data;
  while (bytes) {
    ssize_t n = TEMP_FAILURE_RETRY(pread(fd, to, bytes, (off_t)offset));
    if (n == 0) errno = 0;
    if (n <= 0) return false;
    to += n;
    offset += (uint64_t)n;
    bytes -= (size_t)n;
  }
  return true;
}

/* Writes at an offset or, where that is negative, where the descriptor is. */
static bool write_from(int fd, const void *data, size_t bytes, off_t offset) {
  const char *from = data;
  while (bytes) {
    ssize_t n = TEMP_FAILURE_RETRY(offset < 0 ? write(fd, from, bytes) : pwrite(fd, from, bytes, offset));
    if (n == 0) errno = ENOSPC; /* nothing written and no error: a disk that is full to the last byte */
    if (n <= 0) return false;
    from += n;
    bytes -= (size_t)n;
    if (offset >= 0) offset += n;
  }
  return true;
}

bool mno_write_all(int fd, const void *data, size_t bytes) { return write_from(fd, data, bytes, -1); }

bool mno_write_at(int fd, const void *data, size_t bytes, uint64_t offset) {
  return write_from(fd, data, bytes, (off_t)offset);
}

bool mno_has_name(int fd, const char *path) {
  struct stat ours, there;
  int named = TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (named < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ESTALE)) return false;
  bool same = TEMP_FAILURE_RETRY(fstat(fd, &ours)) == 0 &&
              TEMP_FAILURE_RETRY(named >= 0 ? fstat(named, &there) : stat(path, &there)) == 0 &&
              ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
  if (named >= 0) close(named);
  return same;
}

bool mno_rename(int fd, const char *from, const char *to) {
  if (TEMP_FAILURE_RETRY(rename(from, to)) == 0) return true;
  int why = errno;
  bool done = mno_has_name(fd, to);
  errno = why;
  return done;
}

void mno_make_way(const char *path) { TEMP_FAILURE_RETRY(unlink(path)); }

int mno_make_file(const char *path, mode_t mode) {
  int fd = -1;
  /* "Exists already" is also what a file server says to a question that it answered before. */
  for (int i = 0; i < 3 && fd < 0 && (i == 0 || errno == EEXIST); i++) {
    mno_make_way(path);
    fd = TEMP_FAILURE_RETRY(open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  }
  return fd;
}

bool mno_exists(const char *path) {
  struct stat about;
  return TEMP_FAILURE_RETRY(stat(path, &about)) == 0;
}
