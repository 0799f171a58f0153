/* One writer per result file: a lock file beside it, held with flock, that names its owner. */
#ifndef MNO_STORE_LOCK_H
#define MNO_STORE_LOCK_H

#include "meanode/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct mno_lock {
  char *path;           /* OUT.lock */
  char *output, *shown; /* what it locks, and the name of that for messages */
  int fd;
  double last_beat;
} mno_lock;

/* Takes PATH.lock, which is as private as PATH; `shown` is the output's name in messages. MNO_ERR_IO with the owner's host
 * and process if another run holds it. A lock whose owner is gone is taken over: on one machine flock tells; the lock of
 * another machine is stale when its owner gives no sign of life. */
mno_status mno_lock_take(const char *path, const char *shown, mno_lock *lock, mno_error *err);

/* The sign of life; call often, it acts every two seconds. A lock file that was removed is made again; MNO_ERR_IO if another
 * run was faster, or the folder is gone. */
mno_status mno_lock_beat(mno_lock *lock, mno_error *err);

/* Is somebody writing this file? Describes the owner; a lock left by a dead process of this machine does not count. Does not
 * touch the lock. */
bool mno_lock_owner(const char *path, char *owner, size_t size);

void mno_lock_release(mno_lock *lock);

#endif
