/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of a configuration and errors that point into it. */
#ifndef MNO_CONFIG_SOURCE_H
#define MNO_CONFIG_SOURCE_H

#include "meanode/sweep.h"

#include <stdarg.h>

typedef struct mno_source {
  const char *name; /* stands for the file in messages */
  const char *text; /* [length], may start with a byte order mark, which no mark counts */
  size_t length;
} mno_source;

enum {
  MNO_SOURCE_LIMIT = 1 << 20, /* bytes; a configuration is written by hand */
  MNO_QUOTE_SIZE = 200        /* of the buffer of mno_quote */
};

/* Length of the byte order mark at the start, 0 or 3. */
size_t mno_source_skip(const mno_source *source);

/* Refuses what is not a text file of sane size: too large, not UTF-8, control characters. */
mno_status mno_source_check(const mno_source *source, mno_error *err);

/* "name:line:column: message", the line and a caret under the column. A long line is shown around the caret; tabs and
 * what a terminal cannot show become one character each, so that the caret stays in place. A mark of line 0 has no
 * place in the file: only name and message are written. Returns MNO_ERR_INPUT. */
mno_status mno_source_fail(const mno_source *source, mno_mark mark, mno_error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
mno_status mno_source_vfail(const mno_source *source, mno_mark mark, mno_error *err, const char *format, va_list args);

/* What a configuration asks for does not fit this machine: MNO_ERR_INPUT at its place, before any work. what: the thing with
 * its file, if it comes from one; remedy: which keys to change. */
mno_status mno_fail_too_large(const mno_sweep *sweep, mno_mark mark, double bytes, const char *what, const char *remedy,
                              mno_error *err);

/* Text of the user in quotes, cut and cleaned for a message; returns buffer. */
const char *mno_quote(char buffer[MNO_QUOTE_SIZE], const char *text);

#endif
