#define _GNU_SOURCE
#include "store/in_use.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Does the superblock say that a writer has the file open? (HDF5 file format, versions 2 and 3: byte 11, bit 0.) */
static bool marked(int fd) {
  static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  unsigned char head[12];
  return pread(fd, head, sizeof head, 0) == sizeof head && memcmp(head, signature, sizeof signature) == 0 && head[8] >= 2 &&
         (head[11] & 1);
}

/* HDF5 locks what it opens for writing; ours is tried and given back at once. */
static bool locked(int fd) {
  if (flock(fd, LOCK_SH | LOCK_NB) != 0) return errno == EWOULDBLOCK;
  flock(fd, LOCK_UN);
  return false;
}

/* Who holds the lock, where the system tells: " (process 12, python3)". */
static void name_holder(int fd, char *text, size_t size) {
  char line[256], name[64] = "", path[64];
  struct stat about;
  *text = 0;
  FILE *locks = fstat(fd, &about) == 0 ? fopen("/proc/locks", "r") : NULL;
  if (!locks) return;
  while (fgets(line, sizeof line, locks)) {
    long pid;
    unsigned long inode;
    if (sscanf(line, "%*d: FLOCK %*s WRITE %ld %*x:%*x:%lu", &pid, &inode) != 2 || inode != about.st_ino || pid <= 0)
      continue;
    snprintf(path, sizeof path, "/proc/%ld/comm", pid);
    FILE *comm = fopen(path, "r");
    if (comm && fgets(name, sizeof name, comm)) name[strcspn(name, "\n")] = 0;
    if (comm) fclose(comm);
    snprintf(text, size, " (process %ld%s%s)", pid, *name ? ", " : "", name);
    break;
  }
  fclose(locks);
}

static mno_status check(const char *path, bool marks_too, mno_error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return MNO_OK;
  char holder[128];
  mno_status status = MNO_OK;
  if (locked(fd)) {
    name_holder(fd, holder, sizeof holder);
    status =
        mno_fail(err, MNO_ERR_IO,
                 "%s is open for writing in another program%s; close it there (in a notebook: close() or end its kernel), "
                 "then try again",
                 path, holder);
  } else if (marks_too && marked(fd)) {
    status =
        mno_fail(err, MNO_ERR_IO,
                 "%s is open for writing in another program, or was left so by one that ended without closing it; close it "
                 "there, or, if no program has it open, clear the mark: h5clear -s %s",
                 path, path);
  }
  close(fd);
  return status;
}

mno_status mno_in_use(const char *path, mno_error *err) { return check(path, true, err); }

mno_status mno_open_elsewhere(const char *path, mno_error *err) { return check(path, false, err); }
