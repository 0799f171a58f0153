/* Allocation with overflow checks, and what the machine has to offer. */
#ifndef MNO_CORE_MEMORY_H
#define MNO_CORE_MEMORY_H

#include "meanode/status.h"

#include <stddef.h>

/* Zeroed array of count x size bytes, aligned to 64 bytes; free() it. NULL when out of memory or count * size overflows. */
void *mno_alloc(size_t count, size_t size);

/* The same with undefined contents: for large arrays that are written before they are read. */
void *mno_alloc_raw(size_t count, size_t size);

/* The message for a failed allocation: returns MNO_ERR_MEMORY. */
mno_status mno_fail_memory(mno_error *err, size_t bytes, const char *what);

/* Bytes this process may still use: the smaller of free memory and the cgroup's limit. */
size_t mno_memory_available(void);

/* Cores this process may run on. */
int mno_core_count(void);

/* Monotonic wall time in seconds. */
double mno_now(void);

#endif
