/* SPDX-License-Identifier: BSD-3-Clause */
/* What the system tells in files of text. */
#ifndef MNO_CORE_PROCFS_H
#define MNO_CORE_PROCFS_H

#include <stdbool.h>
#include <stdio.h>

typedef struct mno_process {
  char state;               /* 'R' runs, 'S' sleeps, 'D' waits for a disk, ... */
  unsigned long long ticks; /* of processor time so far */
  unsigned long long start; /* in ticks since the machine started; tells a process id that is used again */
} mno_process;

/* A file of a folder (name begins with "/"), for reading; NULL if it cannot be opened. */
FILE *mno_open_in(const char *folder, const char *name);

/* A number and what stands before it at the beginning of its line; "": the first number of the file. */
typedef struct mno_key {
  const char *name;
  double *value;
} mno_key;

/* Reads numbers of such a file; values of keys that are not there, or have no number, stay. */
void mno_read_keys_in(const char *folder, const char *name, const mno_key *keys, size_t count);

/* false: there is no such process, or it cannot be seen. */
bool mno_process_look(long pid, mno_process *process);

#endif
