/* SPDX-License-Identifier: BSD-3-Clause */
/* HDF5 as the whole program uses it: one lock for a library that is not thread-safe, readable reasons, and what can be said
 * of a file before HDF5 opens it. */
#ifndef MNO_CORE_H5_H
#define MNO_CORE_H5_H

#include "meanode/status.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Every use of HDF5 happens between these; the same thread may nest them. In between HDF5 prints nothing; afterwards its
 * reports of errors are those of the host program again. */
void mno_h5_lock(void);
void mno_h5_unlock(void);

/* fork() at a moment when no other thread is inside HDF5, so that the child can use it. */
pid_t mno_h5_fork(void);

/* HDF5 does not survive a failed allocation: MNO_ERR_MEMORY where there is no room for what one call may need. Before
 * anything that opens, reads or writes. */
mno_status mno_h5_room(mno_error *err);

/* Why HDF5 first failed since the lock was taken (or since the last question): the innermost cause. */
const char *mno_h5_reason(char *text, size_t size);

/* The system's error because of which a call of HDF5 failed since the lock was taken, 0 if there was none: reading or
 * writing failed, whatever is in the file. Many of HDF5's calls take such a failure for "is not there", so ask in the end.
 */
int mno_h5_errno(void);

/* Was the failure a signal that came between? Then it is forgotten, and the call may be tried again. */
bool mno_h5_interrupted(void);

/* A file access list with file locking off (files are replaced, never changed in place) and a format with checksummed
 * metadata. */
hid_t mno_h5_access(void);

/* Opens a file with such a list, again where a signal came between; negative if it cannot be opened. */
hid_t mno_h5_open(const char *path, unsigned flags);
/* A local handle that is closed where its block ends, by whichever way: MNO_CLOSING hid_t group = H5Gopen2(...). Not where
 * the block itself gives the lock back. */
#define MNO_CLOSING __attribute__((cleanup(mno_h5_close)))
void mno_h5_close(hid_t *handle); /* of anything but a file; a negative one is none */

/* The head of an HDF5 file, behind a user block if there is one. */
typedef struct mno_h5_head {
  off_t at;      /* where the superblock starts */
  int version;   /* of the superblock */
  bool writing;  /* marked as open for writing (versions that have such marks) */
  uint64_t size; /* bytes that the file must have; 0: not known */
  bool part;     /* one of the several files of HDF5's drivers family, split and multi; then size is that of all */
} mno_h5_head;

/* false: there is no HDF5 signature, or, with errno, the file cannot be read. */
bool mno_h5_read_head(int fd, mno_h5_head *head);

/* Is another program writing the file? Says how in words, with the remedy: "locked by ...". Honours HDF5_USE_FILE_LOCKING.
 */
bool mno_h5_busy(int fd, const char *path, char *why, size_t size);

/* The same by name, as an error MNO_ERR_IO; MNO_OK also for what is not there or no HDF5 file. */
mno_status mno_h5_in_use(const char *path, mno_error *err);

/* The lock alone: for a file whose content does not matter any more. */
mno_status mno_h5_locked(const char *path, mno_error *err);

#endif
