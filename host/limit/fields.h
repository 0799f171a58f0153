/* SPDX-License-Identifier: BSD-3-Clause */
/* The arrays of a limit, as one table that its memory, the journal, the result file and its reader share. To keep one more:
 * a member in mno_limit and its line in the table in limit.c. */
#ifndef MNO_LIMIT_FIELDS_H
#define MNO_LIMIT_FIELDS_H

#include "meanode/limit.h"
#include "meanode/record.h"

#include <stddef.h>

typedef struct mno_limit_field {
  const char *name, *units, *long_name;
  mno_dimension dimension[MNO_FIELD_RANK]; /* steps are 0..K; an array along nodes is in the file only if there are some */
  size_t offset;                           /* of the double * in mno_limit */
  size_t place;                            /* among the arrays of a limit's block of numbers */
} mno_limit_field;

/* The table [*count], in the order of the file. */
const mno_limit_field *mno_limit_field_list(size_t *count);

/* Sizes of the field's dimensions in a limit of these N, d_out, D, K, nodes; returns their product. */
size_t mno_limit_field_shape(const mno_limit *limit, const mno_limit_field *field, size_t shape[MNO_FIELD_RANK],
                             size_t *rank);

double *mno_limit_array(const mno_limit *limit, const mno_limit_field *field);

/* All numbers of a limit as one block [*count], borrowed: the journal holds it as it is. */
double *mno_limit_block(const mno_limit *limit, size_t *count);

/* A limit of the same sizes and facts, with arrays of its own, all NaN. Errors: MNO_ERR_MEMORY. */
mno_status mno_limit_like(const mno_limit *like, mno_limit **limit, mno_error *err);
double mno_limit_like_bytes(const mno_limit *like); /* of its arrays */

#endif
