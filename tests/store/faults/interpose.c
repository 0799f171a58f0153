/* SPDX-License-Identifier: BSD-3-Clause */
/* Preloaded into a program: its calls on files under one folder are counted, and chosen ones fail, fall short, are late, are
 * said to have failed although they did not, or are the last thing that the process does. Also other people's clocks and
 * file systems. Everything comes from the environment:
 *
 *   FAULTS_UNDER  the folder; nothing happens to other files
 *   FAULTS_PLAN   rules "OP[@END] N[+] ACTION", separated by ';'. OP: a name as below, or any. END: how the path ends.
 *                 N: the n-th call that fits, with + every one from there. ACTION: the name of an error; short (half of the
 *                 bytes); kill (before the call), killed (after it); told-ERROR (it is done, and reported as failed);
 *                 late-MS (before the call)
 *   FAULTS_LOG    a file that gets a line "OP PATH" for each call
 *   FAULTS_TRACE  a file that gets what each call changed on the disk; see trace() and model.py
 *   FAULTS_SAFE   a folder that gets a copy of each journal as it was when the disk last had it
 *   FAULTS_CLOCK  seconds by which the wall clock jumps forth and back, every 10 ms
 *   FAULTS_HOST   another machine: its name; flock does not reach other machines, and the file system says that it is NFS
 */
#define _GNU_SOURCE
#undef _FILE_OFFSET_BITS
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 4096, RULES = 16 };

typedef enum action { FAIL, SHORT, KILL, KILLED, TOLD, LATE } action;

typedef struct rule {
  char op[24], end[32];
  long n;
  bool onwards;
  action action;
  int error; /* or milliseconds */
  atomic_long seen;
} rule;

static rule rules[RULES];
static int rule_count, log_fd = -1, trace_fd = -1;
static char under[512], safe[512];
static const char *host;
static long clock_jump;
static _Atomic(char *) path_of[FILES]; /* of descriptors of files under the folder */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const struct {
  const char *name;
  int value;
} errors[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EINTR", EINTR},   {"EDQUOT", EDQUOT}, {"ESTALE", ESTALE},
              {"EMFILE", EMFILE}, {"EACCES", EACCES}, {"EROFS", EROFS},   {"EAGAIN", EAGAIN}, {"ENOLCK", ENOLCK},
              {"ENOENT", ENOENT}, {"EEXIST", EEXIST}, {"ENOSYS", ENOSYS}, {"EINVAL", EINVAL}, {"EPERM", EPERM}};

static int error_named(const char *name) {
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (strcmp(errors[i].name, name) == 0) return errors[i].value;
  fprintf(stderr, "interpose: no error is called %s\n", name);
  _exit(99);
}

static void read_rule(const char *text) {
  rule *r = &rules[rule_count];
  char op[64], count[24], what[32];
  if (rule_count == RULES || sscanf(text, "%63s %23s %31s", op, count, what) != 3) {
    fprintf(stderr, "interpose: cannot understand \"%s\"\n", text);
    _exit(99);
  }
  char *end = strchr(op, '@');
  if (end) *end++ = 0;
  snprintf(r->op, sizeof r->op, "%.23s", op);
  snprintf(r->end, sizeof r->end, "%.31s", end ? end : "");
  r->n = strtol(count, NULL, 10);
  r->onwards = strchr(count, '+') != NULL;
  if (strcmp(what, "short") == 0)
    r->action = SHORT;
  else if (strcmp(what, "kill") == 0)
    r->action = KILL;
  else if (strcmp(what, "killed") == 0)
    r->action = KILLED;
  else if (strncmp(what, "late-", 5) == 0)
    r->action = LATE, r->error = atoi(what + 5);
  else if (strncmp(what, "told-", 5) == 0)
    r->action = TOLD, r->error = error_named(what + 5);
  else
    r->action = FAIL, r->error = error_named(what);
  rule_count++;
}

/* A descriptor that does not move those of the program. */
static int open_aside(const char *variable) {
  const char *name = getenv(variable);
  if (!name) return -1;
  int low = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  int high = (int)syscall(SYS_fcntl, low, F_DUPFD_CLOEXEC, 900);
  syscall(SYS_close, low);
  return high;
}

__attribute__((constructor)) static void begin(void) {
  snprintf(under, sizeof under, "%s/", getenv("FAULTS_UNDER") ? getenv("FAULTS_UNDER") : "/nowhere");
  snprintf(safe, sizeof safe, "%s", getenv("FAULTS_SAFE") ? getenv("FAULTS_SAFE") : "");
  host = getenv("FAULTS_HOST");
  if (getenv("FAULTS_CLOCK")) clock_jump = atol(getenv("FAULTS_CLOCK"));
  log_fd = open_aside("FAULTS_LOG");
  trace_fd = open_aside("FAULTS_TRACE");
  char *plan = getenv("FAULTS_PLAN") ? strdup(getenv("FAULTS_PLAN")) : NULL, *rest = plan;
  for (char *text; plan && (text = strsep(&rest, ";"));)
    if (*text) read_rule(text);
  free(plan);
}

/* ---- What happens to a call */

typedef struct fate {
  const char *path; /* NULL: not ours */
  int error;        /* 0: none */
  bool told, cut, killed;
} fate;

static bool ends(const char *path, const char *end) {
  size_t n = strlen(path), m = strlen(end);
  return n >= m && strcmp(path + n - m, end) == 0;
}

static fate arrive(const char *op, const char *path) {
  fate f = {.path = path};
  if (!path) return f;
  if (log_fd >= 0) {
    char line[700];
    int n = snprintf(line, sizeof line, "%s %s\n", op, path + strlen(under));
    syscall(SYS_write, log_fd, line, n);
  }
  for (int i = 0; i < rule_count; i++) {
    rule *r = &rules[i];
    if ((strcmp(r->op, "any") != 0 && strcmp(r->op, op) != 0) || !ends(path, r->end)) continue;
    long n = atomic_fetch_add(&r->seen, 1) + 1;
    if (n != r->n && !(r->onwards && n > r->n)) continue;
    switch (r->action) {
    case FAIL: f.error = r->error; break;
    case TOLD: f.error = r->error, f.told = true; break;
    case SHORT: f.cut = true; break;
    case KILL: syscall(SYS_kill, getpid(), SIGKILL); break;
    case KILLED: f.killed = true; break;
    case LATE: nanosleep(&(struct timespec){r->error / 1000, r->error % 1000 * 1000000L}, NULL); break;
    }
  }
  return f;
}

static bool refused(const fate *f) { return f->error && !f->told; }

static long leave(const fate *f, long result) {
  int why = errno;
  if (f->killed) syscall(SYS_kill, getpid(), SIGKILL);
  if (f->error && (f->told || result == -1)) {
    errno = f->error;
    return -1;
  }
  errno = why;
  return result;
}

/* ---- Whose file is it? */

/* The path in `full` if it is the folder or under it, else NULL. */
static const char *ours(const char *path, char full[1024]) {
  if (path[0] == '/') {
    snprintf(full, 1024, "%s", path);
  } else {
    if (syscall(SYS_getcwd, full, 512) < 0) return NULL;
    size_t n = strlen(full);
    snprintf(full + n, 1024 - n, "/%s", strncmp(path, "./", 2) == 0 ? path + 2 : path);
    if (strcmp(path, ".") == 0) full[n] = 0;
  }
  size_t n = strlen(full);
  if (n + 1 == strlen(under) && n + 1 < 1024) memcpy(full + n, "/", 2); /* the folder itself */
  return strncmp(full, under, strlen(under)) == 0 ? full : NULL;
}

static void opened(int fd, const char *path) {
  if (fd >= 0 && fd < FILES && path) atomic_store(&path_of[fd], strdup(path)); /* never freed: another thread may look */
}

static const char *of(int fd) { return fd >= 0 && fd < FILES ? atomic_load(&path_of[fd]) : NULL; }

/* ---- The trace: who changes what, in order; see model.py */

struct record {
  char what; /* C reate, W rite, T runcate, S ync, R ename, U nlink, D irectory synced */
  char pad[3];
  uint32_t path, other; /* lengths of the names that follow, then the data */
  uint32_t length;
  uint64_t file, offset;
};

static void trace(char what, uint64_t file, const char *path, const char *other, const void *data, size_t length,
                  uint64_t offset) {
  struct record r = {.what = what,
                     .path = path ? (uint32_t)strlen(path) : 0,
                     .other = other ? (uint32_t)strlen(other) : 0,
                     .length = (uint32_t)length,
                     .file = file,
                     .offset = offset};
  syscall(SYS_write, trace_fd, &r, sizeof r);
  syscall(SYS_write, trace_fd, path, r.path);
  syscall(SYS_write, trace_fd, other, r.other);
  syscall(SYS_write, trace_fd, data, length);
}

static uint64_t inode(int fd, uint64_t *size) {
  struct statx about = {0};
  syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_INO | STATX_SIZE, &about);
  if (size) *size = about.stx_size;
  return about.stx_ino;
}

static void begin_change(void) {
  if (trace_fd >= 0) pthread_mutex_lock(&lock);
}

static void end_change(void) {
  int why = errno;
  if (trace_fd >= 0) pthread_mutex_unlock(&lock);
  errno = why;
}

static void trace_written(int fd, uint64_t offset, size_t length) {
  int reader = -1;
  char proc[64], *data = malloc(length);
  snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
  reader = (int)syscall(SYS_openat, AT_FDCWD, proc, O_RDONLY | O_CLOEXEC);
  long n = syscall(SYS_pread64, reader, data, length, offset);
  if (n > 0) trace('W', inode(fd, NULL), NULL, NULL, data, (size_t)n, offset);
  syscall(SYS_close, reader);
  free(data);
}

/* The disk has it: a copy of a journal. */
static void keep_safe(int fd, const char *path) {
  char name[700], buffer[1 << 16];
  if (!safe[0] || !ends(path, ".journal.new")) return; /* its name when it was opened */
  snprintf(name, sizeof name, "%s/%llu", safe, (unsigned long long)inode(fd, NULL));
  int copy = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  for (off_t at = 0;;) {
    long n = syscall(SYS_pread64, fd, buffer, sizeof buffer, at);
    if (n <= 0) break;
    syscall(SYS_write, copy, buffer, n);
    at += n;
  }
  syscall(SYS_close, copy);
}

/* ---- The calls */

#define REAL(name)                                                                                                          \
  static __typeof__(&name) real;                                                                                            \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int open_any(const char *path, int flags, mode_t mode) {
  if (host && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0) {
    int fd = (int)syscall(SYS_memfd_create, "boot_id", 0);
    syscall(SYS_pwrite64, fd, host, strlen(host), 0);
    return fd;
  }
  char full[1024];
  fate f = arrive("open", ours(path, full));
  if (refused(&f)) return (int)leave(&f, -1);
  if (!f.path) return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  begin_change();
  bool there = syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  if (fd >= 0 && trace_fd >= 0 && !there) trace('C', inode(fd, NULL), f.path, NULL, NULL, 0, 0);
  if (fd >= 0 && trace_fd >= 0 && there && (flags & O_TRUNC)) trace('T', inode(fd, NULL), NULL, NULL, NULL, 0, 0);
  end_change();
  if (f.error && fd >= 0) syscall(SYS_close, fd);
  if (!f.error) opened(fd, f.path);
  return (int)leave(&f, fd);
}

static mode_t mode_of(int flags, va_list args) { return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(args, int) : 0; }

#define OPEN(name)                                                                                                          \
  int name(const char *path, int flags, ...) {                                                                              \
    va_list args;                                                                                                           \
    va_start(args, flags);                                                                                                  \
    mode_t mode = mode_of(flags, args);                                                                                     \
    va_end(args);                                                                                                           \
    return open_any(path, flags, mode);                                                                                     \
  }
OPEN(open)
OPEN(open64)

int openat(int folder, const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = mode_of(flags, args);
  va_end(args);
  if (folder == AT_FDCWD || path[0] == '/') return open_any(path, flags, mode);
  return (int)syscall(SYS_openat, folder, path, flags, mode);
}

#define FOPEN(name)                                                                                                         \
  FILE *name(const char *path, const char *mode) {                                                                          \
    REAL(name);                                                                                                             \
    char full[1024];                                                                                                        \
    fate f = arrive("fopen", ours(path, full));                                                                             \
    if (refused(&f)) {                                                                                                      \
      errno = f.error;                                                                                                      \
      return NULL;                                                                                                          \
    }                                                                                                                       \
    return real(path, mode);                                                                                                \
  }
FOPEN(fopen)
FOPEN(fopen64)

ssize_t read(int fd, void *to, size_t n) {
  fate f = arrive("read", of(fd));
  if (refused(&f)) return leave(&f, -1);
  return leave(&f, syscall(SYS_read, fd, to, f.cut && n > 1 ? n / 2 : n));
}

#define PREAD(name)                                                                                                         \
  ssize_t name(int fd, void *to, size_t n, off_t offset) {                                                                  \
    fate f = arrive("pread", of(fd));                                                                                       \
    if (refused(&f)) return leave(&f, -1);                                                                                  \
    return leave(&f, syscall(SYS_pread64, fd, to, f.cut && n > 1 ? n / 2 : n, offset));                                     \
  }
PREAD(pread)
PREAD(pread64)

ssize_t write(int fd, const void *from, size_t n) {
  fate f = arrive("write", of(fd));
  if (refused(&f)) return leave(&f, -1);
  if (!f.path) return syscall(SYS_write, fd, from, n);
  begin_change();
  long done = syscall(SYS_write, fd, from, f.cut && n > 1 ? n / 2 : n);
  if (done > 0 && trace_fd >= 0)
    trace_written(fd, (uint64_t)syscall(SYS_lseek, fd, 0, SEEK_CUR) - (uint64_t)done, (size_t)done);
  end_change();
  return leave(&f, done);
}

static ssize_t pwrite_any(int fd, const void *from, size_t n, off_t offset) {
  fate f = arrive("pwrite", of(fd));
  if (refused(&f)) return leave(&f, -1);
  if (!f.path) return syscall(SYS_pwrite64, fd, from, n, offset);
  begin_change();
  long done = syscall(SYS_pwrite64, fd, from, f.cut && n > 1 ? n / 2 : n, offset);
  if (done > 0 && trace_fd >= 0) trace_written(fd, (uint64_t)offset, (size_t)done);
  end_change();
  return leave(&f, done);
}
ssize_t pwrite(int fd, const void *from, size_t n, off_t offset) { return pwrite_any(fd, from, n, offset); }
ssize_t pwrite64(int fd, const void *from, size_t n, off_t offset) { return pwrite_any(fd, from, n, offset); }

ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *where, size_t n, unsigned flags) {
  fate f = arrive("copy_file_range", of(to));
  if (refused(&f)) return leave(&f, -1);
  begin_change();
  uint64_t offset = (uint64_t)(where ? *where : syscall(SYS_lseek, to, 0, SEEK_CUR));
  long done = syscall(SYS_copy_file_range, from, at, to, where, f.cut && n > 1 ? n / 2 : n, flags);
  if (done > 0 && trace_fd >= 0 && f.path) trace_written(to, offset, (size_t)done);
  end_change();
  return leave(&f, done);
}

static int sync_any(const char *op, long number, int fd) {
  fate f = arrive(op, of(fd));
  if (refused(&f)) return (int)leave(&f, -1);
  begin_change();
  long done = syscall(number, fd);
  if (done == 0 && f.path) {
    struct statx about = {0};
    syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_MODE, &about);
    if (trace_fd >= 0) trace(S_ISDIR(about.stx_mode) ? 'D' : 'S', inode(fd, NULL), NULL, NULL, NULL, 0, 0);
    if (!f.error) keep_safe(fd, f.path);
  }
  end_change();
  return (int)leave(&f, done);
}
int fsync(int fd) { return sync_any("fsync", SYS_fsync, fd); }
int fdatasync(int fd) { return sync_any("fdatasync", SYS_fdatasync, fd); }

int sync_file_range(int fd, off64_t from, off64_t n, unsigned flags) {
  fate f = arrive("sync_file_range", of(fd));
  return refused(&f) ? (int)leave(&f, -1) : (int)leave(&f, syscall(SYS_sync_file_range, fd, from, n, flags));
}

int rename(const char *from, const char *to) {
  char a[1024], b[1024];
  const char *source = ours(from, a), *target = ours(to, b);
  fate f = arrive("rename", target);
  if (refused(&f)) return (int)leave(&f, -1);
  begin_change();
  long done = syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
  if (done == 0 && trace_fd >= 0 && source && target) trace('R', 0, source, target, NULL, 0, 0);
  end_change();
  return (int)leave(&f, done);
}

int unlink(const char *path) {
  char full[1024];
  fate f = arrive("unlink", ours(path, full));
  if (refused(&f)) return (int)leave(&f, -1);
  begin_change();
  long done = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  if (done == 0 && trace_fd >= 0 && f.path) trace('U', 0, f.path, NULL, NULL, 0, 0);
  end_change();
  return (int)leave(&f, done);
}

int link(const char *from, const char *to) {
  char full[1024];
  fate f = arrive("link", ours(to, full));
  return refused(&f) ? (int)leave(&f, -1) : (int)leave(&f, syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0));
}

static int ftruncate_any(int fd, off_t size) {
  fate f = arrive("ftruncate", of(fd));
  if (refused(&f)) return (int)leave(&f, -1);
  begin_change();
  long done = syscall(SYS_ftruncate, fd, size);
  if (done == 0 && trace_fd >= 0 && f.path) trace('T', inode(fd, NULL), NULL, NULL, NULL, 0, (uint64_t)size);
  end_change();
  return (int)leave(&f, done);
}
int ftruncate(int fd, off_t size) { return ftruncate_any(fd, size); }
int ftruncate64(int fd, off64_t size) { return ftruncate_any(fd, size); }

static int truncate_any(const char *path, off_t size) {
  char full[1024];
  fate f = arrive("truncate", ours(path, full));
  if (refused(&f)) return (int)leave(&f, -1);
  begin_change();
  struct statx about = {0};
  syscall(SYS_statx, AT_FDCWD, path, 0, STATX_INO, &about);
  long done = syscall(SYS_truncate, path, size);
  if (done == 0 && trace_fd >= 0 && f.path) trace('T', about.stx_ino, NULL, NULL, NULL, 0, (uint64_t)size);
  end_change();
  return (int)leave(&f, done);
}
int truncate(const char *path, off_t size) { return truncate_any(path, size); }
int truncate64(const char *path, off64_t size) { return truncate_any(path, size); }

static int fallocate_any(int fd, int mode, off_t from, off_t n) {
  fate f = arrive("fallocate", of(fd));
  return refused(&f) ? (int)leave(&f, -1) : (int)leave(&f, syscall(SYS_fallocate, fd, mode, from, n));
}
int fallocate(int fd, int mode, off_t from, off_t n) { return fallocate_any(fd, mode, from, n); }
int fallocate64(int fd, int mode, off64_t from, off64_t n) { return fallocate_any(fd, mode, from, n); }

/* As Linux does: the descriptor is gone, whatever is said. */
int close(int fd) {
  const char *path = of(fd);
  if (path) atomic_store(&path_of[fd], NULL);
  fate f = arrive("close", path);
  long done = syscall(SYS_close, fd);
  f.told = true;
  return (int)leave(&f, done);
}

int flock(int fd, int how) {
  fate f = arrive("flock", of(fd));
  if (refused(&f)) return (int)leave(&f, -1);
  return host && f.path ? 0 : (int)leave(&f, syscall(SYS_flock, fd, how));
}

int ioctl(int fd, unsigned long request, ...) {
  va_list args;
  va_start(args, request);
  void *argument = va_arg(args, void *);
  va_end(args);
  fate f = arrive("ioctl", of(fd));
  if (f.path && trace_fd >= 0) f.error = EOPNOTSUPP, f.told = false; /* the trace wants to see the bytes */
  return refused(&f) ? (int)leave(&f, -1) : (int)leave(&f, syscall(SYS_ioctl, fd, request, argument));
}

int access(const char *path, int how) {
  char full[1024];
  fate f = arrive("access", ours(path, full));
  return refused(&f) ? (int)leave(&f, -1) : (int)leave(&f, syscall(SYS_faccessat, AT_FDCWD, path, how));
}

#define STAT(name, what, type, key, path)                                                                                   \
  int name(key, type *to) {                                                                                                 \
    REAL(name);                                                                                                             \
    char full[1024];                                                                                                        \
    (void)full;                                                                                                             \
    fate f = arrive(what, path);                                                                                            \
    return refused(&f) ? (int)leave(&f, -1) : (int)leave(&f, real(which, to));                                              \
  }
STAT(stat, "stat", struct stat, const char *which, ours(which, full))
STAT(stat64, "stat", struct stat64, const char *which, ours(which, full))
STAT(lstat, "stat", struct stat, const char *which, ours(which, full))
STAT(lstat64, "stat", struct stat64, const char *which, ours(which, full))
STAT(fstat, "fstat", struct stat, int which, of(which))
STAT(fstat64, "fstat", struct stat64, int which, of(which))

/* ---- Other clocks, other machines */

static long shift(void) {
  if (!clock_jump) return 0;
  struct timespec t;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
  return (t.tv_nsec / 10000000 % 3 - 1) * clock_jump;
}

int clock_gettime(clockid_t which, struct timespec *t) {
  int done = (int)syscall(SYS_clock_gettime, which, t);
  if (done == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) t->tv_sec += shift();
  return done;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
  int done = (int)syscall(SYS_gettimeofday, t, zone);
  if (done == 0) t->tv_sec += shift();
  return done;
}

time_t time(time_t *to) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  if (to) *to = t.tv_sec;
  return t.tv_sec;
}

int gethostname(char *name, size_t size) {
  REAL(gethostname);
  if (!host) return real(name, size);
  snprintf(name, size, "%s", host);
  return 0;
}

int uname(struct utsname *about) {
  REAL(uname);
  int done = real(about);
  if (done == 0 && host) snprintf(about->nodename, sizeof about->nodename, "%s", host);
  return done;
}

#define STATFS(name, type, key)                                                                                             \
  int name(key, type *about) {                                                                                              \
    REAL(name);                                                                                                             \
    int done = real(which, about);                                                                                          \
    if (done == 0 && host) about->f_type = 0x6969;                                                                          \
    return done;                                                                                                            \
  }
STATFS(statfs, struct statfs, const char *which)
STATFS(statfs64, struct statfs64, const char *which)
STATFS(fstatfs, struct statfs, int which)
STATFS(fstatfs64, struct statfs64, int which)
