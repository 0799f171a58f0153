#define _GNU_SOURCE
#include "core/h5_error.h"

#include <errno.h>
#include <hdf5.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int depth;       /* under the lock */
static char first[512]; /* innermost cause of the first failure since the lock was taken */
static int system_error;

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
  H5Eset_auto2(H5E_DEFAULT, on_failure, NULL);
  first[0] = 0;
  system_error = 0;
}

void mno_h5_unlock(void) {
  depth--;
  pthread_mutex_unlock(&lock);
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
