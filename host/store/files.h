/* SPDX-License-Identifier: BSD-3-Clause */
/* The files of a store: opening them, replacing the published file, seeing what others do to them, and saying what is left
 * of them after a failure. */
#ifndef MNO_STORE_FILES_H
#define MNO_STORE_FILES_H

#include "meanode/store.h"
#include "store/journal.h"
#include "store/lock.h"
#include "store/output.h"
#include "store/seal.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

typedef struct mno_store_files {
  char *path, *journal, *fresh; /* OUT.h5, OUT.h5.journal, OUT.h5.new; links are followed */
  char *shown;                  /* OUT.h5 as the user wrote it, for messages */
  mno_lock *lock;               /* NULL until it is taken */
  int published;                /* the result file's present version; survives its removal */
  mno_file_mark mark;           /* of that version ... */
  struct timespec written;      /* ... and when it was last changed */
  bool replaces; /* the file in place is an earlier run's and stays there until this one ends; published has no name */
  mno_file_mark replaced; /* of that file */
  char *settings;         /* of the plan */
  mno_limit **limit;      /* [problem_count][MNO_LIMIT_KINDS] found in the file, or NULL */
  size_t limits;
  unsigned lost;            /* MNO_LOST_*: what of the file in place its next version could not keep */
  char note[MNO_NOTE_SIZE]; /* what was found that a person should know; empty if nothing */
} mno_store_files;

void mno_files_init(mno_store_files *files);

/* Locks, checks that the plan continues what is there, and makes the first version of the file: empty, or what an earlier
 * run left in file and journal (recover.c). Fills status and seconds [instance_count]. */
mno_status mno_files_open(mno_store_files *files, const char *path, const mno_plan *plan, const mno_provenance *provenance,
                          mno_open_mode mode, int8_t *status, double *seconds, mno_error *err);

/* Room on the disk for so many more bytes in the fresh file, before HDF5, which copes badly with a full disk, sees it. */
mno_status mno_files_reserve(mno_store_files *files, uint64_t bytes, mno_error *err);

/* Starts writing the fresh file to the disk, so that less is left to wait for in the end. */
void mno_files_write_out(const mno_store_files *files);

/* Is what is written still what is found under its name? (See mno_has_name.) */
bool mno_files_journal_is_there(const mno_store_files *files, const mno_journal *journal);
bool mno_files_published_is_there(const mno_store_files *files);

/* Has somebody else changed the published file in place, or put another in its place? Its removal does not count. */
bool mno_files_are_changed(mno_store_files *files);

/* After a failure: what is left of the results, where, and what to do, as one sentence. all_published: all that was put had
 * come into the last version of the file. */
void mno_files_remains(const mno_store_files *files, const mno_journal *journal, bool all_published, char *text,
                       size_t size);

/* The file whose mode, owner and attributes the next version gets; room may hold its name. */
enum { MNO_FILES_LIKE = 32 };
const char *mno_files_like(const mno_store_files *files, char room[MNO_FILES_LIKE]);

/* Seals the fresh file and publishes it, if the lock is still ours. */
mno_status mno_files_replace(mno_store_files *files, mno_error *err);

/* Seals the fresh file and keeps it without a name: the first version of a run that begins anew beside an earlier one's
 * file. */
mno_status mno_files_keep_aside(mno_store_files *files, mno_error *err);

/* Removes the fresh file, which is not to be published. Not that of another run which has taken over. */
void mno_files_drop(mno_store_files *files);

/* Everything is in the published file: removes the journal. */
void mno_files_done(mno_store_files *files);

void mno_files_close(mno_store_files *files);

#endif
