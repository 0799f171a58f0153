/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "store/output.h"

#include "core/file.h"
#include "core/memory.h"
#include "store/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char longest_suffix[] = ".journal.new";

/* ---- Which file is it? */

static char *folder_of(const char *path) {
  char *copy = strdup(path), *folder = copy ? strdup(dirname(copy)) : NULL;
  free(copy);
  return folder;
}

static const char *base_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static char *beside(const char *path, const char *name) {
  if (!strchr(path, '/')) return strdup(name);
  char *folder = folder_of(path), *made = NULL;
  if (folder && asprintf(&made, "%s/%s", folder, name) < 0) made = NULL;
  free(folder);
  return made;
}

/* Is one of the folders on the way a link? It could point elsewhere before the run ends. */
static bool leads_over_link(const char *folder) {
  char *part = strdup(folder);
  struct stat about;
  bool link = false;
  for (char *at = part; part && at && !link;) {
    at = strchr(at + (*at == '/'), '/');
    if (at) *at = 0;
    link = *part && TEMP_FAILURE_RETRY(lstat(part, &about)) == 0 && S_ISLNK(about.st_mode);
    if (at) *at++ = '/';
  }
  free(part);
  return link;
}

/* Follows the links of the last part of a name; NULL with errno (ELOOP, ENOMEM). */
static char *follow_last(const char *given) {
  enum { MOST = 40 };
  char *path = strdup(given), target[PATH_MAX];
  struct stat about;
  for (int hops = 0; path && TEMP_FAILURE_RETRY(lstat(path, &about)) == 0 && S_ISLNK(about.st_mode); hops++) {
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0 || hops == MOST) {
      int why = n < 0 ? errno : ELOOP;
      free(path);
      errno = why;
      return NULL;
    }
    target[n] = 0;
    char *next = *target == '/' ? strdup(target) : beside(path, target);
    free(path);
    path = next;
  }
  return path;
}

static char *follow(const char *given) {
  char *path = follow_last(given), *folder = path ? folder_of(path) : NULL;
  if (folder && leads_over_link(folder)) {
    char *real = realpath(folder, NULL), *made = NULL;
    if (real && asprintf(&made, "%s/%s", strcmp(real, "/") == 0 ? "" : real, base_of(path)) >= 0) {
      free(path);
      path = made;
    }
    free(real);
  }
  free(folder);
  return path;
}

char *mno_output_follow(const char *given) {
  char *path = follow(given);
  return path ? path : strdup(given);
}

static bool ends_in(const char *name, const char *end) {
  size_t n = strlen(name), m = strlen(end);
  return n >= m && strcmp(name + n - m, end) == 0;
}

static mno_status check_name(const char *given, mno_error *err) {
  static const char *const own[] = {".journal", ".lock", ".new"};
  if (!*given) return mno_fail(err, MNO_ERR_USAGE, "the output has an empty name");
  if (strcmp(given, "-") == 0)
    return mno_fail(err, MNO_ERR_USAGE,
                    "results cannot go to standard output: they need a file (./- for one that is named so)");
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    if (ends_in(given, own[i]))
      return mno_fail(err, MNO_ERR_USAGE,
                      "%s: names that end in %s are those of files that a run keeps beside its output; choose another",
                      given, own[i]);
  return MNO_OK;
}

static mno_status check_folder(const mno_output *output, const char *given, mno_error *err) {
  struct stat about;
  char *folder = folder_of(output->path);
  if (!folder) return mno_fail_memory(err, strlen(given), "a path");
  mno_status status = MNO_OK;
  if (TEMP_FAILURE_RETRY(stat(folder, &about)) != 0)
    status = mno_fail(err, MNO_ERR_IO, "cannot write %s: the folder %s: %s", output->shown, folder, strerror(errno));
  else if (!S_ISDIR(about.st_mode))
    status = mno_fail(err, MNO_ERR_IO, "cannot write %s: %s is not a folder", output->shown, folder);
  long most = status == MNO_OK ? pathconf(folder, _PC_NAME_MAX) : -1;
  size_t length = strlen(base_of(output->path)) + sizeof longest_suffix - 1;
  if (most > 0 && length > (size_t)most)
    status = mno_fail(err, MNO_ERR_IO,
                      "cannot write %s: the name is too long; the files beside it need %zu bytes more (%s), and the file "
                      "system allows %ld",
                      output->shown, sizeof longest_suffix - 1, longest_suffix, most);
  free(folder);
  return status;
}

mno_status mno_output_find(const char *given, mno_output *output, mno_error *err) {
  struct stat about;
  *output = (mno_output){0};
  mno_status status = check_name(given, err);
  if (status != MNO_OK) return status;
  output->there = TEMP_FAILURE_RETRY(stat(given, &about)) == 0;
  int why = output->there ? 0 : errno;
  if (output->there && !S_ISREG(about.st_mode))
    return mno_fail(err, MNO_ERR_IO, "cannot write %s: it is %snot a regular file; results need one", given,
                    S_ISDIR(about.st_mode) ? "a folder, " : "");
  if (ends_in(given, "/")) return mno_fail(err, MNO_ERR_IO, "cannot write %s: a name of a file does not end in /", given);
  if (why && why != ENOENT) return mno_fail(err, MNO_ERR_IO, "cannot write %s: %s", given, strerror(why));
  bool link = TEMP_FAILURE_RETRY(lstat(given, &about)) == 0 && S_ISLNK(about.st_mode);
  output->path = follow(given);
  if (!output->path) return mno_fail(err, MNO_ERR_IO, "cannot write %s: %s", given, strerror(errno));
  if (link ? asprintf(&output->shown, "%s (a link to %s)", given, output->path) < 0 : !(output->shown = strdup(given))) {
    output->shown = NULL;
    status = mno_fail_memory(err, strlen(given), "a path");
  }
  if (status == MNO_OK) status = check_folder(output, given, err);
  if (status != MNO_OK) mno_output_free(output);
  return status;
}

void mno_output_free(mno_output *output) {
  free(output->path);
  free(output->shown);
  *output = (mno_output){0};
}

static bool is_kept_by_folder(const char *path, const struct stat *file) {
  struct stat about;
  uid_t me = geteuid();
  char *folder = folder_of(path);
  bool kept = folder && TEMP_FAILURE_RETRY(stat(folder, &about)) == 0 && (about.st_mode & S_ISVTX) && me != 0 &&
              about.st_uid != me && file->st_uid != me;
  free(folder);
  return kept;
}

mno_status mno_output_may_replace(const mno_output *output, mno_error *err) {
  struct stat about;
  if (TEMP_FAILURE_RETRY(stat(output->path, &about)) != 0) return MNO_OK;
  unsigned mode = about.st_mode & 0777;
  if (!(mode & 0222))
    return mno_fail(
        err, MNO_ERR_IO,
        "%s is write-protected (mode %03o) and is not replaced; chmod u+w allows it, -o NAME writes another file",
        output->shown, mode);
  if (is_kept_by_folder(output->path, &about))
    return mno_fail(err, MNO_ERR_IO,
                    "%s belongs to user %u, in a folder where only the owner may replace a file (sticky, as /tmp); -o NAME "
                    "writes another file",
                    output->shown, (unsigned)about.st_uid);
  if (faccessat(AT_FDCWD, output->path, W_OK, AT_EACCESS) == 0) return MNO_OK;
  if (errno == EPERM) /* not by its mode */
    return mno_fail(err, MNO_ERR_IO, "%s is immutable (chattr +i) and is not replaced; -o NAME writes another file",
                    output->shown);
  if (errno != EACCES) return mno_fail(err, MNO_ERR_IO, "cannot write %s: %s", output->shown, strerror(errno));
  return mno_fail(
      err, MNO_ERR_IO,
      "%s may not be written by you (mode %03o, owner %u, you are %u) and is not replaced; -o NAME writes another "
      "file",
      output->shown, mode, (unsigned)about.st_uid, (unsigned)geteuid());
}

size_t mno_output_other_names(const mno_output *output) {
  struct stat about;
  return TEMP_FAILURE_RETRY(stat(output->path, &about)) == 0 && about.st_nlink > 1 ? (size_t)about.st_nlink - 1 : 0;
}

/* ---- Writing aside, and keeping what the file had */

int mno_output_aside(const char *name, const char *like) {
  struct stat about;
  /* What is there is never written through: it may be a link, or open elsewhere. */
  return mno_make_file(name, like && TEMP_FAILURE_RETRY(stat(like, &about)) == 0 ? 0600 : 0666);
}

/* Security labels are the system's to give. */
static bool carried(const char *name) { return strncmp(name, "security.", strlen("security.")) != 0; }

/* Access lists and extended attributes; false if one of the user's could not be kept. */
static bool match_attributes(int fd, const char *like) {
  static const char access_list[] = "system.posix_acl_access";
  enum { MOST = 64 << 10 };
  bool kept = true, listed = false;
  char *names = malloc(MOST), *value = malloc(MOST);
  ssize_t length = names && value ? listxattr(like, names, MOST) : -1;
  for (char *name = names; length > 0 && name < names + length; name += strlen(name) + 1) {
    listed |= strcmp(name, access_list) == 0;
    if (!carried(name)) continue;
    ssize_t n = getxattr(like, name, value, MOST);
    if ((n < 0 || fsetxattr(fd, name, value, (size_t)n, 0) != 0) && strncmp(name, "user.", 5) == 0) kept = false;
  }
  if (length >= 0 && !listed) fremovexattr(fd, access_list); /* one that the folder gives to new files */
  free(names);
  free(value);
  return kept;
}

unsigned mno_output_match(int fd, const char *like) {
  struct stat old, now;
  if (!like || TEMP_FAILURE_RETRY(stat(like, &old)) != 0 || TEMP_FAILURE_RETRY(fstat(fd, &now)) != 0) return 0;
  unsigned lost = 0;
  mode_t mode = old.st_mode & 0777;
  if ((old.st_uid != now.st_uid || old.st_gid != now.st_gid) && fchown(fd, old.st_uid, old.st_gid) != 0) {
    if (old.st_uid != now.st_uid) lost |= MNO_LOST_OWNER;
    if (old.st_gid != now.st_gid && fchown(fd, (uid_t)-1, old.st_gid) != 0) lost |= MNO_LOST_GROUP;
  }
  if (!match_attributes(fd, like)) lost |= MNO_LOST_ATTRIBUTES;
  if (lost & MNO_LOST_GROUP) mode &= ~070u | (mode & 07) << 3; /* another group gets no more than everybody */
  if (TEMP_FAILURE_RETRY(fstat(fd, &now)) == 0 && (now.st_mode & 0777) != mode && fchmod(fd, mode) != 0)
    lost |= MNO_LOST_MODE;
  return lost;
}

void mno_note(char note[MNO_NOTE_SIZE], const char *format, ...) {
  size_t used = strlen(note);
  if (used + 2 > MNO_NOTE_SIZE) return;
  if (used) note[used++] = '\n';
  va_list args;
  va_start(args, format);
  vsnprintf(note + used, MNO_NOTE_SIZE - used, format, args);
  va_end(args);
}

void mno_note_lost(char note[MNO_NOTE_SIZE], unsigned lost, const char *shown) {
  static const char *const name[] = {"owner", "group", "mode", "extended attributes"};
  char what[80] = "";
  size_t used = 0;
  for (size_t i = 0; i < 4; i++)
    if (lost >> i & 1) used += (size_t)snprintf(what + used, sizeof what - used, "%s%s", used ? ", " : "", name[i]);
  if (lost) mno_note(note, "the %s of %s could not be kept", what, shown);
}

mno_status mno_sync_folder(const char *path, mno_error *err) {
  char *name = folder_of(path);
  if (!name) return mno_fail_memory(err, strlen(path), "a path");
  int folder = TEMP_FAILURE_RETRY(open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  /* A folder may be closed to reading, and not every file system syncs folders; that says nothing about the disk. */
  bool fine = folder < 0 ? errno == EACCES || errno == EPERM
                         : TEMP_FAILURE_RETRY(fsync(folder)) == 0 || errno == EINVAL || errno == ENOSYS ||
                               errno == EOPNOTSUPP || errno == EACCES || errno == EPERM;
  mno_status status = fine ? MNO_OK : mno_fail(err, MNO_ERR_IO, "cannot write the folder %s: %s", name, strerror(errno));
  if (folder >= 0) close(folder);
  free(name);
  return status;
}

mno_status mno_output_publish(const char *from, const char *to, const char *like, unsigned *lost, int *fd, mno_error *err) {
  mno_status status = mno_seal_write(from, err);
  if (status != MNO_OK) return status;
  int file = TEMP_FAILURE_RETRY(open(from, O_RDONLY | O_CLOEXEC));
  *lost = file < 0 ? 0 : mno_output_match(file, like);
  if (file < 0 || TEMP_FAILURE_RETRY(fsync(file)) != 0)
    status = mno_fail(err, MNO_ERR_IO, "cannot write %s: %s", from, strerror(errno));
  else if (!mno_rename(file, from, to))
    status = mno_fail(err, MNO_ERR_IO, "cannot replace %s: %s", to, strerror(errno));
  else
    status = mno_sync_folder(to, err);
  if (status == MNO_OK && fd)
    *fd = file;
  else if (file >= 0)
    close(file);
  return status;
}
