#define _GNU_SOURCE
#include "core/memory.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
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

mno_status mno_fail_memory(mno_error *err, size_t bytes, const char *what) {
  return mno_fail(err, MNO_ERR_MEMORY, "out of memory: %s needs %.3g GiB; %.3g GiB are free", what, (double)bytes / 0x1p30,
                  (double)mno_memory_available() / 0x1p30);
}

static int read_number(const char *path, const char *key, double *number) {
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  char line[256];
  int found = 0;
  while (!found && fgets(line, sizeof line, file)) {
    size_t length = strlen(key);
    if (strncmp(line, key, length) == 0) found = sscanf(line + length, "%lf", number) == 1;
  }
  fclose(file);
  return found;
}

size_t mno_memory_available(void) {
  double available = 1e9, limit, used;
  if (read_number("/proc/meminfo", "MemAvailable:", &available)) available *= 1024;
  if (read_number("/sys/fs/cgroup/memory.max", "", &limit) && read_number("/sys/fs/cgroup/memory.current", "", &used) &&
      limit - used < available)
    available = limit - used;
  return available > 0 ? (size_t)available : 0;
}

int mno_core_count(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return 1;
}

double mno_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
