/* SPDX-License-Identifier: BSD-3-Clause */
/* Standard input, output and error: sane before anything else happens, and accounted for at the end. */
#ifndef MNO_CLI_STREAMS_H
#define MNO_CLI_STREAMS_H

#include <stdbool.h>

/* First thing in main. Descriptors 0, 1 and 2 that are closed are opened on /dev/null, so that no file gets their numbers.
 * From here on stdout and stderr wait where they are non-blocking, and a write into a pipe that nobody reads or beyond a
 * file size limit is an error instead of the end of the process. Returns 0, or an exit code. */
int mno_streams_open(void);

/* Last thing in main: writes what stdout still holds. Returns the exit code: the command's own, or that of MNO_ERR_IO, after
 * a message, if the command was done but its output could not be written. A reader that went away has what it wanted: no
 * message, and the command's code. command: for the message; NULL: none. */
int mno_streams_close(const char *command, int code);

/* Would a line on stderr be taken at once? For what is not worth waiting for. */
bool mno_stderr_ready(void);

#endif
