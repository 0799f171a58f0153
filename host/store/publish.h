/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of publishing: copying a result file, bringing rows of a journal or of another file into it. */
#ifndef MNO_STORE_PUBLISH_H
#define MNO_STORE_PUBLISH_H

#include "store/journal.h"
#include "store/result_file.h"
#include "store/result_layout.h"

#include <stddef.h>
#include <stdint.h>

/* What is in the journal and not yet in the file. */
typedef struct mno_pending_list {
  size_t count, capacity;
  struct mno_pending_entry {
    size_t of;       /* the row, or the problem */
    uint64_t offset; /* of its entry in the journal */
  } * entry;
} mno_pending_list;

typedef struct mno_pending {
  mno_pending_list rows, limits;
} mno_pending;

mno_status mno_pending_add(mno_pending_list *list, size_t of, uint64_t offset, mno_error *err);
mno_status mno_pending_move(mno_pending *from, mno_pending *to, mno_error *err); /* to receives all, from is empty */
void mno_pending_clear(mno_pending *pending);
void mno_pending_free(mno_pending *pending);

/* A copy of the result file open as fd, without its seal if it has one; readable to nobody who may not read `like`. */
mno_status mno_copy_unsealed(int fd, bool sealed, const char *to, const char *like, mno_error *err);

/* The same of a file by its name, opened for writing rows of a plan. */
mno_status mno_open_copy(const char *path, bool sealed, const char *to, const char *like, const mno_plan *plan,
                         mno_layout **layout, mno_error *err);

/* Writes what is pending in a journal into an open file; status and seconds [instance_count] receive those of its rows. */
mno_status mno_apply_pending(mno_layout *layout, const mno_plan *plan, mno_journal_reader *journal, mno_pending *pending,
                             int8_t *status, double *seconds, mno_error *err);

/* Copies rows between files: row i of the plan comes from row source[i] of the result, SIZE_MAX: not from there. */
mno_status mno_import_rows(mno_layout *layout, const mno_plan *plan, mno_result *result, const size_t *source,
                           mno_error *err);

#endif
