/* SPDX-License-Identifier: BSD-3-Clause */
/* What the system tells of a process. */
#ifndef MNO_CORE_PROCFS_H
#define MNO_CORE_PROCFS_H

#include <stdbool.h>

typedef struct mno_process {
  char state;               /* 'R' runs, 'S' sleeps, 'D' waits for a disk, ... */
  unsigned long long ticks; /* of processor time so far */
  unsigned long long start; /* in ticks since the machine started; tells a process id that is used again */
} mno_process;

/* false: there is no such process, or it cannot be seen. */
bool mno_process_look(long pid, mno_process *process);

#endif
