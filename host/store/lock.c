#define _GNU_SOURCE
#include "store/lock.h"

#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT = 256 };
static const double beat_seconds = 2, patience_seconds = 7;

/* Start time of a process in clock ticks since boot (tells a reused process id); 0 if there is no such process. */
static unsigned long long started(long pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%ld/stat", pid);
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  size_t n = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[n] = 0;
  char *after_name = strrchr(text, ')');
  unsigned long long start = 0;
  if (after_name)
    sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &start);
  return start;
}

static void read_text(int fd, char text[TEXT]) {
  ssize_t n = pread(fd, text, TEXT - 1, 0);
  text[n > 0 ? n : 0] = 0;
}

static bool write_text(mno_lock *lock) {
  char host[128] = "unknown", text[TEXT];
  gethostname(host, sizeof host - 1);
  lock->last_beat = mno_now();
  long pid = (long)getpid();
  int n = snprintf(text, sizeof text, "host %s process %ld start %llu beat %.0f\n", host, pid, started(pid),
                   lock->last_beat * 1e3);
  return pwrite(lock->fd, text, (size_t)n, 0) == n && ftruncate(lock->fd, n) == 0;
}

static mno_status refuse(const char *path, const char *text, mno_error *err) {
  char host[128] = "unknown";
  long pid = 0;
  sscanf(text, "host %127s process %ld", host, &pid);
  return mno_fail(
      err, MNO_ERR_IO,
      "%s is being written by another run: process %ld on host %s; wait for it, or choose another output (tasks of a job "
      "array need one each: put the task's number into its name)",
      path, pid, host);
}

/* Has the owner named in the file gone? Called with flock held, or on a file system without it. */
static bool stale(int fd, bool locked) {
  char own[128] = "unknown", host[128], text[TEXT], now[TEXT];
  long pid;
  unsigned long long start;
  gethostname(own, sizeof own - 1);
  read_text(fd, text);
  if (sscanf(text, "host %127s process %ld start %llu", host, &pid, &start) != 3) return true;
  if (strcmp(host, own) == 0) return locked || (started(pid) != start);
  /* Not every network file system carries flock between machines: watch for signs of life. */
  for (double until = mno_now() + patience_seconds; mno_now() < until; usleep(250000)) {
    read_text(fd, now);
    if (strcmp(now, text) != 0) return false;
  }
  return true;
}

mno_status mno_lock_take(const char *path, mno_lock *lock, mno_error *err) {
  *lock = (mno_lock){.fd = -1};
  char *name, text[TEXT];
  if (asprintf(&name, "%s.lock", path) < 0) return mno_fail_memory(err, strlen(path), "a path");
  for (int attempt = 0; attempt < 20; attempt++) {
    struct stat here, there;
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
      mno_status status = mno_fail(err, MNO_ERR_IO, "cannot write %s: %s: %s", path, name, strerror(errno));
      free(name);
      return status;
    }
    bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (!locked && errno == EINTR) {
      close(fd);
      continue;
    }
    if ((!locked && errno == EWOULDBLOCK) || !stale(fd, locked)) {
      read_text(fd, text);
      close(fd);
      free(name);
      return refuse(path, text, err);
    }
    /* The owner before may have removed the file between open and flock: then this lock is on nothing. */
    if (fstat(fd, &here) != 0 || stat(name, &there) != 0 || here.st_ino != there.st_ino || here.st_dev != there.st_dev) {
      close(fd);
      continue;
    }
    *lock = (mno_lock){.path = name, .fd = fd};
    if (write_text(lock)) return MNO_OK;
    mno_status status = mno_fail(err, MNO_ERR_IO, "cannot write %s: %s", name, strerror(errno));
    mno_lock_release(lock);
    return status;
  }
  free(name);
  return mno_fail(err, MNO_ERR_IO, "cannot lock %s: other runs come and go", path);
}

bool mno_lock_owner(const char *path, char *owner, size_t size) {
  char *name, own[128] = "unknown", host[128], text[TEXT];
  long pid;
  unsigned long long start;
  owner[0] = 0;
  if (asprintf(&name, "%s.lock", path) < 0) return false;
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  free(name);
  if (fd < 0) return false;
  read_text(fd, text);
  close(fd);
  gethostname(own, sizeof own - 1);
  if (sscanf(text, "host %127s process %ld start %llu", host, &pid, &start) != 3) return false;
  if (strcmp(host, own) == 0 && started(pid) != start) return false;
  snprintf(owner, size, "process %ld on host %s", pid, host);
  return true;
}

void mno_lock_beat(mno_lock *lock) {
  if (lock->fd >= 0 && mno_now() - lock->last_beat > beat_seconds) write_text(lock);
}

void mno_lock_release(mno_lock *lock) {
  if (lock->fd >= 0) {
    unlink(lock->path);
    close(lock->fd);
  }
  free(lock->path);
  *lock = (mno_lock){.fd = -1};
}
