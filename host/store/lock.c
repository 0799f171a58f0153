/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "store/lock.h"

#include "core/file.h"
#include "core/memory.h"
#include "core/procfs.h"
#include "store/output.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum { TEXT = 512, NAME = 128 };
/* Between two signs of life; without one for so long an owner is dead; until two that start together see who came last. */
static const double beat_seconds = 2, patience_seconds = 15, pause_seconds = 0.5;

/* What the lock file says. */
typedef struct owner {
  char host[NAME], machine[NAME]; /* machine: this boot of this kernel and what counts its processes; "" in old files */
  long pid;
  unsigned long long start, token; /* token: drawn by each owner; 0 in old files */
} owner;

struct mno_lock {
  char *path, *shown, *name; /* of the result, of the result in messages, of the lock file */
  int fd;                    /* holds the flock */
  bool shared;               /* perhaps by machines that the flock does not reach */
  owner own;
  atomic_ullong beats;
  pthread_t keeper;
  bool kept;
  pthread_mutex_t mutex; /* for what follows */
  pthread_cond_t released;
  bool releasing;
  owner other; /* who has the file now, if it is lost; token 0 otherwise */
};

/* ---- Owners */

/* Start time of a process (tells a reused process id); 0 if there is no such process. */
static unsigned long long started(long pid) {
  mno_process process;
  return mno_process_look(pid, &process) ? process.start : 0;
}

/* Names are not unique: clones and containers often share one. */
static void describe_machine(owner *own) {
  char boot[64] = "", space[48] = "";
  gethostname(own->host, sizeof own->host - 1);
  if (!own->host[0] || strpbrk(own->host, " \n")) strcpy(own->host, "unknown");
  int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read(fd, boot, sizeof boot - 1) : 0;
  if (fd >= 0) close(fd);
  boot[n > 0 ? n : 0] = 0;
  boot[strcspn(boot, "\n ")] = 0;
  n = readlink("/proc/self/ns/pid", space, sizeof space - 1);
  space[n > 0 ? n : 0] = 0;
  snprintf(own->machine, sizeof own->machine, "%.40s/%s", boot, space);
}

static void describe_self(owner *own) {
  *own = (owner){.pid = (long)getpid()};
  describe_machine(own);
  own->start = started(own->pid);
  if (getrandom(&own->token, sizeof own->token, GRND_NONBLOCK) != sizeof own->token)
    own->token = (unsigned long long)(mno_now() * 1e9) ^ (unsigned long long)own->pid << 40;
  own->token |= 1;
}

static bool parse(const char *text, owner *found) {
  *found = (owner){.pid = 0};
  int fields = sscanf(text, "host %127s process %ld start %llu beat %*u machine %127s token %llx", found->host, &found->pid,
                      &found->start, found->machine, &found->token);
  return fields >= 3;
}

static bool same_machine(const owner *a, const owner *b) {
  return a->machine[0] && b->machine[0] ? strcmp(a->machine, b->machine) == 0 : strcmp(a->host, b->host) == 0;
}

/* ---- The file */

static bool read_text(int fd, char text[TEXT]) {
  ssize_t n = TEMP_FAILURE_RETRY(pread(fd, text, TEXT - 1, 0));
  text[n > 0 ? n : 0] = 0;
  return n >= 0;
}

/* Opened anew: that is when a network file system looks at what others wrote. */
static bool read_named(const char *name, char text[TEXT]) {
  text[0] = 0;
  int fd = TEMP_FAILURE_RETRY(open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd < 0) return false;
  bool done = read_text(fd, text);
  int why = errno;
  close(fd);
  errno = why;
  return done;
}

/* Synced where other machines are to see it. */
static bool write_text(mno_lock *lock, int fd) {
  char text[TEXT];
  int n =
      snprintf(text, sizeof text, "host %s process %ld start %llu beat %012llu machine %s token %llx\n", lock->own.host,
               lock->own.pid, lock->own.start, atomic_fetch_add(&lock->beats, 1) + 1, lock->own.machine, lock->own.token);
  return mno_write_at(fd, text, (size_t)n, 0) && TEMP_FAILURE_RETRY(ftruncate(fd, n)) == 0 &&
         (!lock->shared || TEMP_FAILURE_RETRY(fdatasync(fd)) == 0 || errno == EINVAL);
}

static void forget(mno_lock *lock) {
  if (lock->fd >= 0) close(lock->fd);
  pthread_mutex_destroy(&lock->mutex);
  pthread_cond_destroy(&lock->released);
  free(lock->path);
  free(lock->shown);
  free(lock->name);
  free(lock);
}

static mno_status cannot(const mno_lock *lock, int why, mno_error *err) {
  struct stat about;
  if (why == ELOOP)
    return mno_fail(err, MNO_ERR_IO, "cannot write %s: %s is a link; it must not be", lock->shown, lock->name);
  if (why == EACCES && lstat(lock->name, &about) == 0)
    return mno_fail(err, MNO_ERR_IO, "cannot write %s: %s is there and belongs to another user (%u)", lock->shown,
                    lock->name, (unsigned)about.st_uid);
  if (why == EACCES || why == EROFS)
    return mno_fail(err, MNO_ERR_IO, "cannot write %s: its folder takes no new files (%s: %s)", lock->shown, lock->name,
                    strerror(why));
  if (why == ENOENT || why == ENOTDIR)
    return mno_fail(err, MNO_ERR_IO, "cannot write %s: its folder is not there any more (%s: %s)", lock->shown, lock->name,
                    strerror(why));
  return mno_fail(err, MNO_ERR_IO, "cannot write %s: %s: %s", lock->shown, lock->name, strerror(why));
}

/* As private as the result. */
static int open_file(const mno_lock *lock, int how) {
  mode_t mode = mno_exists(lock->path) ? 0600 : 0666;
  int fd = TEMP_FAILURE_RETRY(open(lock->name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | how, mode));
  if (fd >= 0) mno_output_match(fd, lock->path);
  return fd;
}

/* ---- Taking */

static mno_status refuse(const char *path, const owner *other, mno_error *err) {
  return mno_fail(
      err, MNO_ERR_IO,
      "%s is being written by another run: process %ld on host %s; wait for it, or choose another output (tasks of a job "
      "array need one each: put the task's number into its name)",
      path, other->pid, other->host);
}

/* Does a flock on this file keep out everybody who can open it? Of others it may be known to this machine only. */
static bool is_local(int fd) {
  static const long known[] = {
      EXT4_SUPER_MAGIC,     XFS_SUPER_MAGIC,   BTRFS_SUPER_MAGIC,    TMPFS_MAGIC,          OVERLAYFS_SUPER_MAGIC,
      F2FS_SUPER_MAGIC,     RAMFS_MAGIC,       MSDOS_SUPER_MAGIC,    NILFS_SUPER_MAGIC,    REISERFS_SUPER_MAGIC,
      ECRYPTFS_SUPER_MAGIC, EXFAT_SUPER_MAGIC, 0x2fc12fc1 /* ZFS */, 0x3153464a /* JFS */, 0xca451a4e /* bcachefs */};
  struct statfs about;
  if (TEMP_FAILURE_RETRY(fstatfs(fd, &about)) != 0) return false;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if ((unsigned)about.f_type == (unsigned)known[i]) return true;
  return false;
}

/* Has the owner named in the file gone? locked: we hold its flock. */
static bool gone(const mno_lock *lock, bool locked, bool local) {
  char text[TEXT], now[TEXT];
  owner found;
  read_text(lock->fd, text);
  if (!parse(text, &found) || (locked && local)) return true;
  if (same_machine(&found, &lock->own)) return locked || started(found.pid) != found.start;
  for (double until = mno_now() + patience_seconds; mno_now() < until; usleep(250000)) {
    if (!read_named(lock->name, now)) {
      if (errno == ENOENT) return true; /* it has ended */
    } else if (strcmp(now, text) != 0) {
      return false;
    }
  }
  return true;
}

/* One attempt. *again: the file was removed meanwhile. */
static mno_status attempt(mno_lock *lock, bool *again, mno_error *err) {
  char text[TEXT];
  owner found = {.pid = 0};
  *again = false;
  lock->fd = open_file(lock, 0);
  if (lock->fd < 0) return cannot(lock, errno, err);
  bool locked = TEMP_FAILURE_RETRY(flock(lock->fd, LOCK_EX | LOCK_NB)) == 0, held = !locked && errno == EWOULDBLOCK;
  bool local = is_local(lock->fd);
  lock->shared = !(locked && local);
  if (held || !gone(lock, locked, local)) {
    read_text(lock->fd, text);
    parse(text, &found);
    return refuse(lock->shown, &found, err);
  }
  /* The owner before may have removed the file between open and flock: then this lock is on nothing. */
  if (!mno_has_name(lock->fd, lock->name)) {
    *again = true;
    return cannot(lock, errno, err);
  }
  if (!write_text(lock, lock->fd)) return cannot(lock, errno, err);
  if (!lock->shared) return MNO_OK;
  usleep((useconds_t)(pause_seconds * 1e6));
  if (!read_named(lock->name, text)) {
    *again = errno == ENOENT;
    return cannot(lock, errno, err);
  }
  if (parse(text, &found) && found.token == lock->own.token) return MNO_OK;
  return refuse(lock->shown, &found, err);
}

/* ---- Keeping */

/* Looks whose the file is; with `beat` a sign of life is left there. What cannot be looked at now counts as it was. */
static void look(mno_lock *lock, bool beat) {
  char text[TEXT];
  owner found;
  int fd = TEMP_FAILURE_RETRY(open(lock->name, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  /* Somebody has tidied up: with O_EXCL nobody else can have come in. */
  if (fd < 0 && errno == ENOENT) {
    fd = open_file(lock, O_EXCL);
    if (fd < 0) return;
    flock(fd, LOCK_EX | LOCK_NB);
    write_text(lock, fd);
    pthread_mutex_lock(&lock->mutex);
    int before = lock->fd;
    lock->fd = fd;
    pthread_mutex_unlock(&lock->mutex);
    close(before);
    return;
  }
  if (fd < 0) return;
  if (read_text(fd, text) && parse(text, &found) && found.token != lock->own.token) {
    pthread_mutex_lock(&lock->mutex);
    lock->other = found;
    lock->other.token |= 1; /* old files have none */
    pthread_mutex_unlock(&lock->mutex);
  } else if (beat) {
    write_text(lock, fd);
  }
  close(fd);
}

static void *keeper(void *context) {
  mno_lock *lock = context;
  pthread_mutex_lock(&lock->mutex);
  while (!lock->releasing) {
    double when = mno_now() + beat_seconds;
    struct timespec until = {.tv_sec = (time_t)when, .tv_nsec = (long)((when - (double)(time_t)when) * 1e9)};
    while (!lock->releasing && pthread_cond_clockwait(&lock->released, &lock->mutex, CLOCK_MONOTONIC, &until) != ETIMEDOUT)
      continue; /* the clock of mno_now */
    if (lock->releasing) break;
    pthread_mutex_unlock(&lock->mutex);
    look(lock, true);
    pthread_mutex_lock(&lock->mutex);
  }
  pthread_mutex_unlock(&lock->mutex);
  return NULL;
}

static mno_status keep(mno_lock *lock, mno_error *err) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int why = pthread_create(&lock->keeper, NULL, keeper, lock);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  lock->kept = !why;
  return why ? mno_fail_thread(err, "the thread of a lock", why) : MNO_OK;
}

mno_status mno_lock_take(const char *path, const char *shown, mno_lock **lock, mno_error *err) {
  *lock = NULL;
  mno_lock *made = calloc(1, sizeof *made);
  if (!made) return mno_fail_memory(err, sizeof *made, "a lock");
  made->fd = -1;
  pthread_mutex_init(&made->mutex, NULL);
  pthread_cond_init(&made->released, NULL);
  made->path = strdup(path);
  made->shown = strdup(shown);
  if (!made->path || !made->shown || asprintf(&made->name, "%s.lock", path) < 0) {
    made->name = NULL;
    forget(made);
    return mno_fail_memory(err, strlen(path), "a path");
  }
  describe_self(&made->own);
  mno_status status = MNO_OK;
  bool again = true;
  for (int i = 0; i < 20 && again; i++) {
    if (made->fd >= 0) close(made->fd);
    status = attempt(made, &again, err);
  }
  if (status != MNO_OK) {
    forget(made);
    return status;
  }
  status = keep(made, err);
  if (status == MNO_OK)
    *lock = made;
  else
    mno_lock_release(made);
  return status;
}

/* ---- Asking, and letting go */

mno_status mno_lock_seen(mno_lock *lock, mno_error *err) {
  pthread_mutex_lock(&lock->mutex);
  owner other = lock->other;
  pthread_mutex_unlock(&lock->mutex);
  if (!other.token) return MNO_OK;
  return mno_fail(err, MNO_ERR_IO,
                  "%s was taken over by another run, process %ld on host %s: this one gave no sign of life for too long",
                  lock->shown, other.pid, other.host);
}

mno_status mno_lock_check(mno_lock *lock, mno_error *err) {
  look(lock, false);
  return mno_lock_seen(lock, err);
}

bool mno_lock_owner(const char *path, char *text, size_t size) {
  char *name, content[TEXT];
  owner found, self;
  text[0] = 0;
  if (asprintf(&name, "%s.lock", path) < 0) return false;
  bool there = read_named(name, content) && parse(content, &found);
  free(name);
  if (!there) return false;
  self = (owner){.pid = 0};
  describe_machine(&self);
  if (same_machine(&found, &self) && started(found.pid) != found.start) return false;
  snprintf(text, size, "process %ld on host %s", found.pid, found.host);
  return true;
}

void mno_lock_release(mno_lock *lock) {
  if (!lock) return;
  mno_error other;
  if (lock->kept) {
    pthread_mutex_lock(&lock->mutex);
    lock->releasing = true;
    pthread_cond_signal(&lock->released);
    pthread_mutex_unlock(&lock->mutex);
    pthread_join(lock->keeper, NULL);
  }
  if (mno_lock_check(lock, &other) == MNO_OK && mno_has_name(lock->fd, lock->name)) TEMP_FAILURE_RETRY(unlink(lock->name));
  forget(lock);
}
