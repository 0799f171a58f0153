/* The flag that asks a limit to stop: looked at between pieces of work of at most a second or so. */
#ifndef MNO_LIMIT_STOP_H
#define MNO_LIMIT_STOP_H

#include "meanode/status.h"

#include <stdatomic.h>

/* stop may be NULL */
static inline int mno_stopped(const atomic_int *stop) { return stop && atomic_load(stop); }

/* MNO_INTERRUPTED when it is set. */
static inline mno_status mno_interrupted(const atomic_int *stop, mno_error *err) {
  return mno_stopped(stop) ? mno_fail(err, MNO_INTERRUPTED, "interrupted") : MNO_OK;
}

#endif
