/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading arrays of a result file that anybody may have changed: what is not as it should be is named. */
#ifndef MNO_STORE_NUMBERS_H
#define MNO_STORE_NUMBERS_H

#include "meanode/result.h"
#include "store/objects.h"

#include <stdbool.h>
#include <stddef.h>

mno_status mno_result_unreadable(const mno_result *result, mno_error *err);
mno_status mno_result_damaged(const mno_result *result, const char *object, mno_error *err, const char *what, ...)
    __attribute__((format(printf, 4, 5)));

/* Reads a part of a dataset that is open. */
typedef struct mno_part {
  hid_t dataset, memory; /* memory: type of the numbers there */
  int rank;
  hsize_t start[5], size[5];
} mno_part;
mno_status mno_read_part(const mno_result *result, const char *object, const mno_part *part, void *data, mno_error *err);

/* At the end of what holds the lock, which it drops: an attribute or a link may be missing only because it could not be
 * read. */
mno_status mno_result_settle(const mno_result *result, mno_status status, mno_error *err);

/* A group of a file. */
typedef struct mno_read_from {
  const mno_result *result;
  hid_t group;
  const char *where; /* its path, "" for the root */
} mno_read_from;

/* Opens a dataset of numbers of a given rank; shape receives its sizes. *dataset < 0: not there. */
mno_status mno_open_numbers(const mno_read_from *from, const char *name, int rank, hsize_t shape[5], hid_t *dataset,
                            mno_error *err);

/* Reads a whole array of 8-byte (or 1-byte) numbers; expected sizes of 0 match anything. data: of a pointer to where they
 * go; NULL there is replaced by an allocated block. Missing: it stays, and is an error if required. */
mno_status mno_read_numbers(const mno_read_from *from, const char *name, hid_t memory, int rank, const size_t *expected,
                            bool required, void *data, mno_error *err);

/* The sizes [rank] of an array that has to be there. */
mno_status mno_size_of_numbers(const mno_read_from *from, const char *name, int rank, size_t *size, mno_error *err);

#endif
