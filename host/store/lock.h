/* SPDX-License-Identifier: BSD-3-Clause */
/* One writer per result file: a lock file beside it that names its owner and is held with flock. Where flock may not reach
 * other machines (network file systems), owners also give signs of life there, and look whether the file is still theirs.
 *
 * What this needs of a file system that machines share: that a file which was written and synced is seen by who opens it
 * afterwards (close-to-open consistency), and that rename is atomic. Not needed: flock between machines, O_EXCL, attributes
 * that are up to date (names are opened, not asked about), answers that are never lost (mno_rename looks what happened),
 * unlinked files that stay readable (an owner that was taken for dead gets ESTALE, and ends).
 *   - Two that start together both write their name; after a pause the later one is found there, and the other is refused.
 *   - One that starts beside a living one sees its signs of life, and is refused.
 *   - One that was silent for longer than others wait (a suspended machine) has lost its file: it finds another name in it
 * at its next sign of life, and before it publishes, and ends with an error. What it had in its journal until then is the
 *     other's; the two never write the same file, since each makes its own .new and .journal.new. */
#ifndef MNO_STORE_LOCK_H
#define MNO_STORE_LOCK_H

#include "meanode/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct mno_lock mno_lock;

/* Takes PATH.lock, which is as private as PATH, and gives signs of life from a thread of its own; `shown` is the output's
 * name in messages. MNO_ERR_IO with the owner's host and process if another run holds it. A lock whose owner is gone is
 * taken over: on one machine flock tells; the lock of another machine is stale when its owner gives no sign of life. */
mno_status mno_lock_take(const char *path, const char *shown, mno_lock **lock, mno_error *err);

/* Is it still ours? MNO_ERR_IO with the new owner if not. */
mno_status mno_lock_check(mno_lock *lock, mno_error *err);

/* The same as far as the last sign of life has found; costs nothing. */
mno_status mno_lock_seen(mno_lock *lock, mno_error *err);

/* Is somebody writing this file? Describes the owner; a lock left by a dead process of this machine does not count. Does not
 * touch the lock. */
bool mno_lock_owner(const char *path, char *owner, size_t size);

/* NULL is fine. */
void mno_lock_release(mno_lock *lock);

#endif
