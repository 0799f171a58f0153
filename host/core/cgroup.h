/* SPDX-License-Identifier: BSD-3-Clause */
/* Control groups, versions 1 and 2: what the kernel grants this process, wherever in the hierarchy it is. */
#ifndef MNO_CORE_CGROUP_H
#define MNO_CORE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

/* A group that this process is in, as a folder. */
typedef struct mno_cgroup {
  char *folder;
  size_t name; /* where the group's own path starts in the folder, after that of the mount */
  int version; /* 1 or 2 */
} mno_cgroup;

/* The groups that count for one resource, each with all its ancestors up to the mount. */
typedef struct mno_cgroups {
  mno_cgroup *group; /* [count] */
  size_t count;
} mno_cgroups;

/* The groups of this process for a controller ("memory", "cpu"). root: the folder of /proc and of all mount points, "" for
 * the real ones. None where nothing is found or memory is short. */
mno_cgroups mno_cgroups_find(const char *root, const char *controller);
void mno_cgroups_free(mno_cgroups *groups);

/* Bytes that a group may still use, file cache that can be taken back not counted as used; false: it has no bound. */
bool mno_cgroup_memory(const mno_cgroup *group, double *bytes);

/* Cores' worth of time that a group gets; false: it has no quota. */
bool mno_cgroup_cores(const mno_cgroup *group, double *cores);

#endif
