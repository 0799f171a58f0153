/* SPDX-License-Identifier: BSD-3-Clause */
/* The flag that asks a limit to stop: looked at between pieces of work of a second at the very most. It comes from the
 * caller (any value but 0), or from a watch (watch.h), which also tells that the time budget is used up. */
#ifndef MNO_LIMIT_STOP_H
#define MNO_LIMIT_STOP_H

#include "meanode/status.h"

#include <limits.h>
#include <stdatomic.h>

#define MNO_TIME_IS_UP INT_MIN

/* stop may be NULL */
static inline int mno_stopped(const atomic_int *stop) { return stop && atomic_load_explicit(stop, memory_order_relaxed); }

/* Then what is there is kept; any other stop drops it. */
static inline int mno_time_is_up(const atomic_int *stop) { return stop && atomic_load(stop) == MNO_TIME_IS_UP; }

/* MNO_INTERRUPTED for whatever reason: what was being computed is not usable. */
static inline mno_status mno_interrupted(const atomic_int *stop, mno_error *err) {
  return mno_stopped(stop) ? mno_fail(err, MNO_INTERRUPTED, "interrupted") : MNO_OK;
}

/* MNO_INTERRUPTED if the caller asked for it. */
static inline mno_status mno_dropped(const atomic_int *stop, mno_error *err) {
  return mno_time_is_up(stop) ? MNO_OK : mno_interrupted(stop, err);
}

#endif
