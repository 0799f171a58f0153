/* SPDX-License-Identifier: BSD-3-Clause */
/* What a user has added to a result file: attributes, datasets, groups and links that its layout does not have, other titles
 * and descriptions. They outlast the file: what makes it anew takes them over, or says what it leaves behind. */
#ifndef MNO_STORE_ADDITIONS_H
#define MNO_STORE_ADDITIONS_H

#include "store/output.h"
#include "store/result_file.h"
#include "store/result_layout.h"

/* Names of additions, for a message: "/notes, attribute mine of /loss, and 3 more". */
typedef struct mno_names {
  size_t count, shown;
  char text[512];
} mno_names;

/* Brings the additions of a result into a file that was made from it for a plan; variables along `instance` or `run` follow
 * their rows. Failing is no error: left receives what could not be brought over. */
void mno_additions_copy(const mno_result *from, mno_layout *to, const mno_plan *plan, mno_names *left);

/* The additions of a result that another file does not have under their names. */
void mno_additions_list(const mno_result *from, mno_layout *than, const mno_plan *plan, mno_names *names);

/* Notes those of the file in place, if it can be read, which is replaced by one that does not have them. */
void mno_additions_note(const mno_output *in_place, mno_layout *than, const mno_plan *plan, char note[MNO_NOTE_SIZE]);

#endif
