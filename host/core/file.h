/* SPDX-License-Identifier: BSD-3-Clause */
/* System calls on files, to the end: a signal or a part that was done does not count as a failure. What of a single call
 * suffices is called as TEMP_FAILURE_RETRY(call). */
#ifndef MNO_CORE_FILE_H
#define MNO_CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* False with errno on an error, errno 0 at the end of the file. */
bool mno_read_at(int fd, void *data, size_t bytes, uint64_t offset);

/* Appends, or writes where the descriptor is. False with errno. */
bool mno_write_all(int fd, const void *data, size_t bytes);
bool mno_write_at(int fd, const void *data, size_t bytes, uint64_t offset);

/* Renames; fd is open on `from`. An error is none if the file has its new name: the answer of a file server may be lost, and
 * the question that is sent again finds nothing to rename. False with errno. */
bool mno_rename(int fd, const char *from, const char *to);

/* Is what is open as fd what has the name now? Asks by opening it, since a network file system may tell the attributes that
 * a name had a while ago. */
bool mno_has_name(int fd, const char *path);

/* Removes what is left of that name, so that a file of that name is a new one: an owner before that is not as dead as it
 * seemed does not write into it. */
void mno_make_way(const char *path);

/* Makes a new file in place of what is left of that name, to read and write. < 0 with errno. */
int mno_make_file(const char *path, mode_t mode);

/* Is there something of this name? False with errno ENOENT if not; false with another errno if it cannot be told. */
bool mno_exists(const char *path);

#endif
