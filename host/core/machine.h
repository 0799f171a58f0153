/* SPDX-License-Identifier: BSD-3-Clause */
/* What of the machine this process may use: what is there, and what control groups, limits of the process and Slurm leave.
 */
#ifndef MNO_CORE_MACHINE_H
#define MNO_CORE_MACHINE_H

#include "core/cgroup.h"
#include "core/memory.h"

/* What does not change while the process runs: where to look. */
typedef struct mno_machine {
  const char *root; /* the folder of /proc and of mount points; "" for the real ones */
  mno_cgroups memory, cpu;
  bool strict; /* the kernel promises no more memory than there is */
} mno_machine;

mno_machine mno_machine_find(const char *root);
void mno_machine_free(mno_machine *machine);

mno_memory mno_machine_memory(const mno_machine *machine);

/* Cores' worth of time that quotas leave each of so many processes and that Slurm grants a task; at least 1, INT_MAX: any.
 */
int mno_machine_quota(const mno_machine *machine, int processes);

#endif
