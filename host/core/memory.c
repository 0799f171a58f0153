/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Bytes of the array in whole cache lines; 0: overflow. */
static size_t rounded(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - 64) return 0;
  return bytes == 0 ? 64 : (bytes + 63) / 64 * 64;
}

void *mno_alloc_raw(size_t count, size_t size) {
  size_t bytes = rounded(count, size);
  return bytes ? aligned_alloc(64, bytes) : NULL;
}

void *mno_alloc(size_t count, size_t size) {
  void *block = mno_alloc_raw(count, size);
  if (block) memset(block, 0, rounded(count, size));
  return block;
}

bool mno_grow(void *array, size_t count, size_t *capacity, size_t size) {
  if (count < *capacity) return true;
  size_t more = *capacity ? 2 * *capacity : 256;
  void *grown = realloc(*(void **)array, more * size);
  if (!grown) return false;
  *(void **)array = grown;
  *capacity = more;
  return true;
}

mno_status mno_fail_thread(mno_error *err, const char *what, int why) {
  return mno_fail(err, MNO_ERR_INTERNAL,
                  "cannot start %s: %s; raise the limit on processes (ulimit -u) or on memory (ulimit -v)", what,
                  strerror(why));
}

mno_status mno_fail_memory(mno_error *err, size_t bytes, const char *what) {
  mno_memory available = mno_memory_free();
  return mno_fail(err, MNO_ERR_MEMORY, "out of memory: %s needs %.3g GiB; %.3g GiB are free%s", what, (double)bytes / 0x1p30,
                  (double)available.bytes / 0x1p30, available.bound);
}

double mno_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
