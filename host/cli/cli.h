/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line: a thin client of the library. One file per command; main.c holds the table, run.c also the options of
 * check, which are some of its own. */
#ifndef MNO_CLI_H
#define MNO_CLI_H

#include "meanode/meanode.h"

#include <stdio.h>

typedef struct mno_command {
  const char *name, *arguments, *summary;
  const char *details;               /* lines below the usage in the command's help; may be empty */
  int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit code */
} mno_command;

/* Prints "meanode COMMAND: message" to stderr and returns the exit code of the status. */
int mno_report(const char *command, mno_status status, const mno_error *err);

/* Prints what a command does, its usage line and its options; returns 0. */
int mno_help(const char *command);

/* A usage error: message, the command's usage line; returns 2. */
int mno_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for what getopt_long returned as '?' or ':'. */
int mno_usage_option(const char *command, int option, char **argv);

/* Every line of a text behind `before`; text NULL: nothing. */
void mno_print_lines(FILE *out, const char *before, const char *text);

/* For commands that take files and no option but --help: leaves optind at the first file and returns -1, or an exit code. */
int mno_only_files(const char *command, int argc, char **argv);

/* Validates a configuration and prints what it would compute on a backend ("auto" or NULL: the best one), and what it would
 * take. threads 0: one per core. Returns the exit code. */
int mno_check(const char *config, mno_precision precision, const char *backend, int threads);

int mno_command_run(int argc, char **argv);
int mno_command_check(int argc, char **argv);
int mno_command_status(int argc, char **argv);
int mno_command_merge(int argc, char **argv);
int mno_command_fit(int argc, char **argv);
int mno_command_info(int argc, char **argv);
int mno_command_of_python(int argc, char **argv); /* plot, report; comes back only if Python cannot be started */

#endif
