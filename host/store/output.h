/* SPDX-License-Identifier: BSD-3-Clause */
/* The output as a file that belongs to a user: which file a name means, whether it may be replaced, and replacing it so that
 * links, mode, owner, group, access lists and extended attributes stay as they were. Everything that is published goes
 * through here: written aside, on disk, then renamed over the file before. */
#ifndef MNO_STORE_OUTPUT_H
#define MNO_STORE_OUTPUT_H

#include "meanode/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct mno_output {
  char *path;  /* the file itself: links of the name and of its folder are followed, once and for all */
  char *shown; /* the name for messages: as it was given, with the target if it is a link */
  bool there;  /* a regular file is there already */
} mno_output;

/* Finds the file that a name means, for writing. A link to nothing in a folder that is there names the file to be made.
 * MNO_ERR_IO: no such folder, a loop of links, not a regular file, a name too long for the files beside it (.journal, .lock,
 * .new); MNO_ERR_USAGE: a name that cannot be that of a result. */
mno_status mno_output_find(const char *given, mno_output *output, mno_error *err);
void mno_output_free(mno_output *output);

/* The same for reading: where journal and lock of a result lie. Never fails but for memory; free it. */
char *mno_output_follow(const char *given);

/* May the file that is there be replaced? MNO_ERR_IO if it is write-protected or belongs to others: renaming could replace
 * it all the same, against its owner's will. */
mno_status mno_output_may_replace(const mno_output *output, mno_error *err);

/* Other names of the file that is there (hard links), which keep its content when it is replaced. */
size_t mno_output_other_names(const mno_output *output);

/* Makes an empty file anew, open for writing; no wider than `like` if that is there, else as any new file. -1 and errno. */
int mno_output_aside(const char *name, const char *like);

/* What of a file could not be kept. */
enum { MNO_LOST_OWNER = 1, MNO_LOST_GROUP = 2, MNO_LOST_MODE = 4, MNO_LOST_ATTRIBUTES = 8 };

/* Gives an open file the owner, group, mode, access lists and attributes of `like`, as far as the file system and the rights
 * of the process allow; returns what could not be kept. Nothing happens if `like` is not there. */
unsigned mno_output_match(int fd, const char *like);

/* Adds a line to what a person should know of an output; or one on what of the file `shown` was lost (MNO_LOST_*; 0: none).
 */
enum { MNO_NOTE_SIZE = 1024 };
void mno_note(char note[MNO_NOTE_SIZE], const char *format, ...) __attribute__((format(printf, 2, 3)));
void mno_note_lost(char note[MNO_NOTE_SIZE], unsigned lost, const char *shown);

/* Seals the finished file `from`, makes it match `like`, renames it to `to` and waits until the folder is on disk. lost
 * receives what could not be kept; *fd, unless NULL, the file open for reading, whatever its mode. */
mno_status mno_output_publish(const char *from, const char *to, const char *like, unsigned *lost, int *fd, mno_error *err);

/* Waits until the folder of a file, and with it the file's name, is on disk, where the file system can do that. */
mno_status mno_sync_folder(const char *path, mno_error *err);

#endif
