/* SPDX-License-Identifier: BSD-3-Clause */
/* Status codes and error messages.
 *
 * Every function of the library that can fail returns an mno_status and, as its last argument, takes an mno_error that
 * receives a message for a person: what went wrong, where, and what to do about it. Nothing in the library calls exit(). */
#ifndef MEANODE_STATUS_H
#define MEANODE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, process exit code, what it means) */
#define MNO_STATUS_LIST(X)                                                                                                  \
  X(MNO_OK, 0, "done")                                                                                                      \
  X(MNO_DIVERGED, 3, "done, some instances diverged")                                                                       \
  X(MNO_ERR_USAGE, 2, "wrong command line or argument")                                                                     \
  X(MNO_ERR_INPUT, 65, "bad configuration, data file or result file")                                                       \
  X(MNO_ERR_BACKEND, 69, "backend unavailable or failing")                                                                  \
  X(MNO_ERR_IO, 74, "input/output error")                                                                                   \
  X(MNO_INTERRUPTED, 75, "interrupted, resumable")                                                                          \
  X(MNO_ERR_MEMORY, 1, "out of memory")                                                                                     \
  X(MNO_ERR_INTERNAL, 1, "internal error")

typedef enum mno_status {
#define MNO_STATUS_ENUMERATOR(name, code, text) name,
  MNO_STATUS_LIST(MNO_STATUS_ENUMERATOR)
#undef MNO_STATUS_ENUMERATOR
} mno_status;

enum { MNO_MESSAGE_SIZE = 4096 };

typedef struct mno_error {
  mno_status status;              /* the status that was returned */
  char message[MNO_MESSAGE_SIZE]; /* may hold several lines (source line and caret of a configuration error) */
} mno_error;

/* The meaning of a status in words ("input/output error"). */
const char *mno_status_text(mno_status status);

/* The documented exit code of the command line for a status. */
int mno_status_exit_code(mno_status status);

/* Writes a printf-style message to err (which may be NULL) and returns status, so that callers can `return mno_fail(...)`.
 */
mno_status mno_fail(mno_error *err, mno_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

#ifdef __cplusplus
}
#endif
#endif
