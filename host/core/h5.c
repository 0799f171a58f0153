/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "core/h5.h"

#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int depth;        /* under the lock */
static char first[512];  /* innermost cause of the first failure since the lock was taken */
static int system_error; /* because of which that call failed, or 0 */

/* How the host program wants to hear of HDF5's errors; under the lock. */
static struct {
  unsigned second; /* by the second version of this interface */
  H5E_auto1_t report1;
  H5E_auto2_t report2;
  void *data;
} host;

/* A file that could not be written stays in HDF5's lists after it was closed, and HDF5's clean-up at exit crashes on it.
 * Nothing is left to that clean-up: every file is closed by who opened it. Only before HDF5's first call can it be told. */
__attribute__((constructor)) static void stay_away_at_exit(void) { H5dont_atexit(); }

static herr_t innermost(unsigned n, const H5E_error2_t *error, void *data) {
  if (n == 0 && error->desc) snprintf(first, sizeof first, "%s", error->desc);
  return 0;
}

/* The file driver's messages hold "errno = N"; one of them, before a file is opened, says only what it could not do. */
static herr_t of_system(unsigned n, const H5E_error2_t *error, void *data) {
  const char *number = error->desc ? strstr(error->desc, "errno = ") : NULL;
  if (system_error == 0 && number) system_error = atoi(number + strlen("errno = "));
  if (system_error == 0 && error->desc && strstr(error->desc, "can't retrieve stat info"))
    system_error = *(int *)data ? *(int *)data : EIO;
  return 0;
}

/* HDF5 calls this at the end of every failed call; later calls would clear the cause. */
static herr_t on_failure(hid_t stack, void *data) {
  int now = errno;
  if (!first[0]) H5Ewalk2(stack, H5E_WALK_UPWARD, innermost, NULL);
  if (!system_error) H5Ewalk2(stack, H5E_WALK_UPWARD, of_system, &now);
  return 0;
}

void mno_h5_lock(void) {
  pthread_mutex_lock(&lock);
  if (depth++ > 0) return;
  H5Eauto_is_v2(H5E_DEFAULT, &host.second);
  if (host.second)
    H5Eget_auto2(H5E_DEFAULT, &host.report2, &host.data);
  else
    H5Eget_auto1(&host.report1, &host.data);
  H5Eset_auto2(H5E_DEFAULT, on_failure, NULL);
  first[0] = 0;
  system_error = 0;
}

void mno_h5_unlock(void) {
  if (--depth == 0) {
    H5Eclear2(H5E_DEFAULT);
    if (host.second)
      H5Eset_auto2(H5E_DEFAULT, host.report2, host.data);
    else
      H5Eset_auto1(host.report1, host.data);
  }
  pthread_mutex_unlock(&lock);
}

pid_t mno_h5_fork(void) {
  mno_h5_lock();
  pid_t pid = fork();
  if (pid == 0) {
    /* The lock belongs to a thread of the parent; here there is only this one. */
    lock = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    depth = 0;
  } else {
    mno_h5_unlock();
  }
  return pid;
}

mno_status mno_h5_room(mno_error *err) {
  const size_t room = (size_t)32 << 20;
  void *block = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return mno_fail_memory(err, room, "reading or writing HDF5");
  munmap(block, room);
  return MNO_OK;
}

int mno_h5_errno(void) { return system_error; }

bool mno_h5_interrupted(void) {
  if (system_error != EINTR) return false;
  system_error = 0;
  first[0] = 0;
  return true;
}

const char *mno_h5_reason(char *text, size_t size) {
  snprintf(text, size, "%s", system_error ? strerror(system_error) : first[0] ? first : "unknown reason");
  first[0] = 0;
  return text;
}

hid_t mno_h5_access(void) {
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  if (access < 0) return access;
  H5Pset_file_locking(access, false, true);
  H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
  H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
  return access;
}

hid_t mno_h5_open(const char *path, unsigned flags) {
  hid_t access = mno_h5_access(), file;
  do file = H5Fopen(path, flags, access);
  while (file < 0 && mno_h5_interrupted());
  H5Pclose(access);
  return file;
}

void mno_h5_close(hid_t *handle) {
  switch (*handle < 0 ? H5I_BADID : H5Iget_type(*handle)) {
  case H5I_GROUP: H5Gclose(*handle); break;
  case H5I_DATASET: H5Dclose(*handle); break;
  case H5I_DATATYPE: H5Tclose(*handle); break;
  case H5I_DATASPACE: H5Sclose(*handle); break;
  case H5I_ATTR: H5Aclose(*handle); break;
  case H5I_GENPROP_LST: H5Pclose(*handle); break;
  default: break;
  }
}

/* ---- Before HDF5 opens a file */

static uint64_t little_endian(const unsigned char *bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--) value = value << 8 | bytes[i];
  return value;
}

bool mno_h5_read_head(int fd, mno_h5_head *head) {
  static const unsigned char signature[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  struct stat about;
  if (TEMP_FAILURE_RETRY(fstat(fd, &about)) != 0) return false;
  for (off_t at = 0; at < about.st_size; at = at ? 2 * at : 512) {
    unsigned char bytes[64] = {0};
    ssize_t n = TEMP_FAILURE_RETRY(pread(fd, bytes, sizeof bytes, at));
    if (n < 0) return false;
    if (n < (ssize_t)sizeof signature || memcmp(bytes, signature, sizeof signature) != 0) continue;
    *head = (mno_h5_head){.at = at, .version = bytes[8]};
    if (head->version < 2) head->part = n == sizeof bytes && little_endian(bytes + (bytes[8] ? 52 : 48)) != UINT64_MAX;
    if (head->version < 2 && n == sizeof bytes && bytes[13] == 8) head->size = little_endian(bytes + (bytes[8] ? 44 : 40));
    if (head->version >= 2 && n >= 48 && bytes[9] == 8) head->size = little_endian(bytes + 28);
    head->writing = head->version >= 3 && (bytes[11] & 5) != 0;
    return true;
  }
  errno = 0;
  return false;
}

/* A shared lock cannot be had while somebody holds an exclusive one; where locks do not work at all, nobody does. */
static bool is_locked(int fd) {
  const char *wish = getenv("HDF5_USE_FILE_LOCKING");
  if (wish && (strcasecmp(wish, "FALSE") == 0 || strcmp(wish, "0") == 0)) return false;
  if (flock(fd, LOCK_SH | LOCK_NB) != 0) return errno == EWOULDBLOCK;
  flock(fd, LOCK_UN);
  return false;
}

/* Who holds the lock, where the system tells: " (process 12, python3)". */
static void name_holder(int fd, char *text, size_t size) {
  char line[256], name[64] = "", path[64];
  struct stat about;
  *text = 0;
  FILE *locks = fstat(fd, &about) == 0 ? fopen("/proc/locks", "re") : NULL;
  if (!locks) return;
  while (fgets(line, sizeof line, locks)) {
    long pid;
    unsigned long inode;
    if (sscanf(line, "%*d: FLOCK %*s WRITE %ld %*x:%*x:%lu", &pid, &inode) != 2 || inode != about.st_ino || pid <= 0)
      continue;
    snprintf(path, sizeof path, "/proc/%ld/comm", pid);
    FILE *comm = fopen(path, "re");
    if (comm && fgets(name, sizeof name, comm)) name[strcspn(name, "\n")] = 0;
    if (comm) fclose(comm);
    snprintf(text, size, " (process %ld%s%s)", pid, *name ? ", " : "", name);
    break;
  }
  fclose(locks);
}

static bool tell_lock(int fd, const char *path, char *why, size_t size) {
  char holder[128];
  if (!is_locked(fd)) return false;
  name_holder(fd, holder, sizeof holder);
  snprintf(why, size,
           "locked by another program%s, which has it open for writing; close it there (in a notebook: close(), or end its "
           "kernel)",
           holder);
  return true;
}

bool mno_h5_busy(int fd, const char *path, char *why, size_t size) {
  mno_h5_head head;
  if (tell_lock(fd, path, why, size)) return true;
  if (!mno_h5_read_head(fd, &head) || !head.writing) return false;
  snprintf(
      why, size,
      "marked as open for writing: it is still being written, or its writer was killed; close it there, or, if no program "
      "has it open, h5clear -s %s removes the mark",
      path);
  return true;
}

static mno_status refuse(const char *path, bool (*tell)(int fd, const char *path, char *why, size_t size), mno_error *err) {
  char why[5120];
  int fd = TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  bool busy = fd >= 0 && tell(fd, path, why, sizeof why);
  if (fd >= 0) close(fd);
  return busy ? mno_fail(err, MNO_ERR_IO, "%s is %s", path, why) : MNO_OK;
}

mno_status mno_h5_in_use(const char *path, mno_error *err) { return refuse(path, mno_h5_busy, err); }

mno_status mno_h5_locked(const char *path, mno_error *err) { return refuse(path, tell_lock, err); }
