/* SPDX-License-Identifier: BSD-3-Clause */
/* Allocation with overflow checks, and what the machine has to offer. */
#ifndef MNO_CORE_MEMORY_H
#define MNO_CORE_MEMORY_H

#include "meanode/status.h"

#include <stdbool.h>
#include <stddef.h>

/* Zeroed array of count x size bytes, aligned to 64 bytes; free() it. NULL when out of memory or count * size overflows. */
void *mno_alloc(size_t count, size_t size);

/* The same with undefined contents: for large arrays that are written before they are read. */
void *mno_alloc_raw(size_t count, size_t size);

/* The message for a failed allocation: returns MNO_ERR_MEMORY. */
mno_status mno_fail_memory(mno_error *err, size_t bytes, const char *what);

/* Room for one more element behind count of them in *(void **)array, of `capacity` elements; false: there is none, and the
 * array is as it was. */
bool mno_grow(void *array, size_t count, size_t *capacity, size_t size);

/* The same for a thread that cannot be started, with the system's error `why` and the remedy: returns MNO_ERR_INTERNAL. */
mno_status mno_fail_thread(mno_error *err, const char *what, int why);

/* Memory that this process may still use. For messages: "%.3g GiB are free%s", bytes / 0x1p30, bound. */
typedef struct mno_memory {
  size_t bytes;
  char bound[256]; /* what leaves no more: " (cgroup /a/b)", " (ulimit -v)"; "" where it is the machine itself */
} mno_memory;

/* The least of what the machine has, what the process's control groups and its limits leave, and what Slurm has granted. */
mno_memory mno_memory_free(void);
size_t mno_memory_available(void); /* its bytes alone */

/* Cores' worth of time that this process gets: those it may run on, within mno_core_quota(1). */
int mno_core_count(void);
int mno_core_scheduled(void); /* cores that it may run on */
int mno_core_quota(
    int processes); /* what quotas leave each of so many processes here, and Slurm grants a task; at least 1 */

/* Monotonic wall time in seconds. */
double mno_now(void);

#endif
