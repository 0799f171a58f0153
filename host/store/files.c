/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "store/files.h"

#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void mno_files_init(mno_store_files *files) { *files = (mno_store_files){.published = -1}; }

void mno_files_close(mno_store_files *files) {
  if (files->published >= 0) close(files->published);
  mno_lock_release(files->lock);
  for (size_t i = 0; i < files->limits; i++) mno_limit_free(files->limit[i]);
  free(files->limit);
  free(files->settings);
  free(files->path);
  free(files->journal);
  free(files->fresh);
  free(files->shown);
  mno_files_init(files);
}

/* ---- Publishing */

mno_status mno_files_reserve(mno_store_files *files, uint64_t bytes, mno_error *err) {
  int fd = TEMP_FAILURE_RETRY(open(files->fresh, O_RDWR | O_CLOEXEC));
  struct stat about;
  int why = 0;
  off_t more = (off_t)(bytes + bytes / 8 + (64 << 10));
  if (fd < 0 || TEMP_FAILURE_RETRY(fstat(fd, &about)) != 0)
    why = errno;
  else if (TEMP_FAILURE_RETRY(fallocate(fd, FALLOC_FL_KEEP_SIZE, about.st_size, more)) != 0 && errno != EOPNOTSUPP &&
           errno != ENOSYS)
    why = errno;
  if (fd >= 0) close(fd);
  return why ? mno_fail(err, MNO_ERR_IO, "cannot write %s: %s", files->shown, strerror(why)) : MNO_OK;
}

void mno_files_write_out(const mno_store_files *files) {
  int fd = TEMP_FAILURE_RETRY(open(files->fresh, O_RDONLY | O_CLOEXEC));
  if (fd < 0) return;
  sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
  close(fd);
}

bool mno_files_journal_is_there(const mno_store_files *files, const mno_journal *journal) {
  return mno_has_name(journal->fd, files->journal);
}

/* A name of an open file, whatever happened to its own. */
static const char *name_open(int fd, char room[MNO_FILES_LIKE]) {
  snprintf(room, MNO_FILES_LIKE, "/proc/self/fd/%d", fd);
  return room;
}

/* Where an open file is to be found now; false: nowhere. */
static bool is_now_at(int fd, char *path, size_t size) {
  char link[MNO_FILES_LIKE];
  ssize_t n = fd < 0 ? -1 : readlink(name_open(fd, link), path, size - 1);
  if (n <= 0) return false;
  path[n] = 0;
  return mno_has_name(fd, path);
}

void mno_files_remains(const mno_store_files *files, const mno_journal *journal, bool all_published, char *text,
                       size_t size) {
  char place[1024];
  static const char *const goes_on = "the same command with --resume goes on";
  if (mno_files_journal_is_there(files, journal) && files->replaces) {
    snprintf(text, size,
             "what was finished before is kept in the journal, %.600s is still that of the run before; --resume instead of "
             "--force goes on",
             files->shown);
  } else if (mno_files_journal_is_there(files, journal)) {
    snprintf(text, size, "what was finished before is kept; %s", goes_on);
  } else if (all_published && mno_files_published_is_there(files)) {
    snprintf(text, size, "what was finished is in %.600s; %s", files->shown, goes_on);
  } else if (is_now_at(journal->fd, place, sizeof place)) {
    snprintf(text, size,
             "the folder or the journal was renamed while the run was writing: what was finished is in %.900s, and "
             "beside it; --resume goes on when both are back in their place, or with -o for their new one",
             place);
  } else if (mno_files_published_is_there(files)) {
    snprintf(text, size, "only what had come into %.600s is kept, what was in the journal alone is lost; %s", files->shown,
             goes_on);
  } else if (!files->replaces && is_now_at(files->published, place, sizeof place)) {
    snprintf(text, size, "%.600s is now at %.900s, with what had come into it; the rest was removed and is lost",
             files->shown, place);
  } else {
    snprintf(text, size, "%.600s and its journal were removed while the run was writing: what it had finished is lost%s",
             files->shown, files->replaces ? "; the file of the run before it was not touched by it" : "");
  }
}

bool mno_files_published_is_there(const mno_store_files *files) { return mno_has_name(files->published, files->path); }

/* The one in place, or, if somebody has removed it, the one that was there. */
const char *mno_files_like(const mno_store_files *files, char room[MNO_FILES_LIKE]) {
  return files->published < 0 || mno_exists(files->path) ? files->path : name_open(files->published, room);
}

static void set_published(mno_store_files *files, int fd) {
  struct stat about;
  char name[MNO_FILES_LIKE];
  if (files->published >= 0) close(files->published);
  files->published = fd;
  if (TEMP_FAILURE_RETRY(fstat(fd, &about)) == 0) files->written = about.st_mtim;
  mno_file_mark_of(name_open(fd, name), &files->mark);
}

bool mno_files_are_changed(mno_store_files *files) {
  struct stat about;
  mno_seal seal;
  mno_file_mark mark;
  mno_error err;
  char name[MNO_FILES_LIKE];
  if (TEMP_FAILURE_RETRY(fstat(files->published, &about)) != 0) return false;
  if (about.st_mtim.tv_sec != files->written.tv_sec || about.st_mtim.tv_nsec != files->written.tv_nsec) {
    name_open(files->published, name);
    if (mno_seal_check(name, &seal, &err) != MNO_OK || seal != MNO_SEALED || !mno_file_mark_of(name, &mark) ||
        memcmp(&mark, &files->mark, sizeof mark) != 0)
      return true;
    files->written = about.st_mtim; /* only touched */
  }
  return !files->replaces && mno_exists(files->path) && !mno_files_published_is_there(files);
}

mno_status mno_files_replace(mno_store_files *files, mno_error *err) {
  struct stat about;
  char room[MNO_FILES_LIKE];
  mno_status status = mno_lock_check(files->lock, err);
  if (status != MNO_OK) return status;
  if (TEMP_FAILURE_RETRY(stat(files->fresh, &about)) != 0 ||
      TEMP_FAILURE_RETRY(truncate(files->fresh, about.st_size)) != 0) /* gives back what was reserved */
    return mno_fail(err, MNO_ERR_IO, "cannot write %s: %s", files->shown, strerror(errno));
  mno_files_write_out(files); /* while its checksum is taken */
  int fd;
  status = mno_output_publish(files->fresh, files->path, mno_files_like(files, room), &files->lost, &fd, err);
  if (status != MNO_OK) return status;
  files->replaces = false;
  set_published(files, fd);
  int journal = TEMP_FAILURE_RETRY(open(files->journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (journal < 0) return MNO_OK;
  mno_journal_match(journal, files->path); /* the user may have changed the mode since */
  close(journal);
  return MNO_OK;
}

mno_status mno_files_keep_aside(mno_store_files *files, mno_error *err) {
  mno_status status = mno_seal_write(files->fresh, err);
  int fd = status == MNO_OK ? TEMP_FAILURE_RETRY(open(files->fresh, O_RDONLY | O_CLOEXEC)) : -1;
  if (status == MNO_OK && fd < 0) status = mno_fail(err, MNO_ERR_IO, "cannot open %s: %s", files->fresh, strerror(errno));
  if (status == MNO_OK) set_published(files, fd);
  if (status == MNO_OK) files->lost = mno_output_match(files->published, files->path); /* to tell it now */
  if (status == MNO_OK) mno_make_way(files->fresh);
  return status;
}

/* Removes a file of ours. */
static void remove_own(const mno_store_files *files, const char *path) {
  mno_error other;
  if (mno_lock_check(files->lock, &other) == MNO_OK) TEMP_FAILURE_RETRY(unlink(path));
}

void mno_files_drop(mno_store_files *files) { remove_own(files, files->fresh); }

void mno_files_done(mno_store_files *files) { remove_own(files, files->journal); }
