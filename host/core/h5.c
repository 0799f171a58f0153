#define _GNU_SOURCE
#include "core/h5.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int depth;       /* under the lock */
static char first[512]; /* innermost cause of the first failure since the lock was taken */

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

/* HDF5 calls this at the end of every failed call; later calls would clear the cause. */
static herr_t on_failure(hid_t stack, void *data) {
  if (!first[0]) H5Ewalk2(stack, H5E_WALK_UPWARD, innermost, NULL);
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

const char *mno_h5_reason(char *text, size_t size) {
  snprintf(text, size, "%s", first[0] ? first : "unknown reason");
  first[0] = 0;
  /* The driver's messages list buffers and offsets; the system's words are what helps. */
  char *system = strstr(text, "error message = '");
  if (system) {
    system += strlen("error message = '");
    char *end = strchr(system, '\'');
    size_t length = end ? (size_t)(end - system) : strlen(system);
    memmove(text, system, length);
    text[length] = 0;
  }
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

/* ---- Before HDF5 opens a file */

static uint64_t little_endian(const unsigned char *bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--) value = value << 8 | bytes[i];
  return value;
}

bool mno_h5_read_head(int fd, mno_h5_head *head) {
  static const unsigned char signature[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  struct stat about;
  if (fstat(fd, &about) != 0) return false;
  for (off_t at = 0; at < about.st_size; at = at ? 2 * at : 512) {
    unsigned char bytes[64] = {0};
    ssize_t n = pread(fd, bytes, sizeof bytes, at);
    if (n < (ssize_t)sizeof signature || memcmp(bytes, signature, sizeof signature) != 0) continue;
    *head = (mno_h5_head){.at = at, .version = bytes[8]};
    if (head->version < 2) head->part = n == sizeof bytes && little_endian(bytes + (bytes[8] ? 52 : 48)) != UINT64_MAX;
    if (head->version < 2 && n == sizeof bytes && bytes[13] == 8) head->size = little_endian(bytes + (bytes[8] ? 44 : 40));
    if (head->version >= 2 && n >= 48 && bytes[9] == 8) head->size = little_endian(bytes + 28);
    head->writing = head->version >= 3 && (bytes[11] & 5) != 0;
    return true;
  }
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

const char *mno_h5_busy(int fd) {
  mno_h5_head head;
  if (is_locked(fd)) return "locked by another program, which is writing it; close it there";
  if (mno_h5_read_head(fd, &head) && head.writing)
    return "marked as still being written: close it in the program that does; if that was killed, h5clear -s FILE removes "
           "the mark";
  return NULL;
}
