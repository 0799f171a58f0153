/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "core/machine.h"

#include "core/procfs.h"

#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

mno_machine mno_machine_find(const char *root) {
  double overcommit = 0;
  mno_read_keys_in(root, "/proc/sys/vm/overcommit_memory", &(mno_key){"", &overcommit}, 1);
  return (mno_machine){.root = root,
                       .memory = mno_cgroups_find(root, "memory"),
                       .cpu = mno_cgroups_find(root, "cpu"),
                       .strict = overcommit == 2};
}

void mno_machine_free(mno_machine *machine) {
  mno_cgroups_free(&machine->memory);
  mno_cgroups_free(&machine->cpu);
}

/* ---- Slurm */

static bool in_slurm_job(void) {
  const char *job = getenv("SLURM_JOB_ID");
  return job && job[0];
}

/* A variable that is a whole number above 0: Slurm says 0 for "all there is". */
static bool variable(const char *name, double *number) {
  const char *text = getenv(name);
  if (!text || !text[0] || strspn(text, "0123456789") != strlen(text)) return false;
  *number = strtod(text, NULL);
  return *number > 0;
}

/* Bytes that the job was given on this node, and the variable that says it. */
static const char *slurm_memory(double *bytes) {
  static const char *const shares[][2] = {
      {"SLURM_MEM_PER_NODE"}, {"SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE"}, {"SLURM_MEM_PER_GPU", "SLURM_GPUS_ON_NODE"}};
  double megabytes, count = 1;
  if (!in_slurm_job()) return NULL;
  for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
    if (variable(shares[i][0], &megabytes) && (!shares[i][1] || variable(shares[i][1], &count))) {
      *bytes = megabytes * count * 0x1p20;
      return shares[i][0];
    }
  return NULL;
}

/* ---- Memory */

/* Takes a bound if it is the smallest so far. Of long names the end is kept. */
static void take(mno_memory *least, double bytes, const char *what, const char *name) {
  if (bytes < 0) bytes = 0;
  if (bytes >= (double)least->bytes) return;
  least->bytes = (size_t)bytes;
  size_t length = strlen(name), room = sizeof least->bound - 32;
  bool cut = length > room;
  snprintf(least->bound, sizeof least->bound, " (%s%s%s)", what, cut ? "..." : "", name + (cut ? length - room : 0));
}

static void take_limits(const mno_machine *machine, mno_memory *least) {
  struct rlimit space, data;
  bool in_space = getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY,
       in_data = getrlimit(RLIMIT_DATA, &data) == 0 && data.rlim_cur != RLIM_INFINITY;
  double granted = 0, size = 0, written = 0, resident = 0;
  const char *slurm = slurm_memory(&granted);
  if (!in_space && !in_data && !slurm) return;
  const mno_key keys[] = {{"VmSize:", &size}, {"VmData:", &written}, {"VmRSS:", &resident}};
  mno_read_keys_in(machine->root, "/proc/self/status", keys, sizeof keys / sizeof *keys); /* kB */
  if (in_space) take(least, (double)space.rlim_cur - 1024 * size, "ulimit -v", "");
  if (in_data) take(least, (double)data.rlim_cur - 1024 * written, "ulimit -d", "");
  if (slurm) take(least, granted - 1024 * resident, slurm, "");
}

mno_memory mno_machine_memory(const mno_machine *machine) {
  double available = NAN, idle = 0, cached = 0, promised = 0, most = INFINITY;
  const mno_key keys[] = {{"MemAvailable:", &available},
                          {"MemFree:", &idle},
                          {"Cached:", &cached},
                          {"Committed_AS:", &promised},
                          {"CommitLimit:", &most}};
  mno_read_keys_in(machine->root, "/proc/meminfo", keys, sizeof keys / sizeof *keys); /* kB */
  if (isnan(available)) available = idle > 0 ? idle + cached : 1e6;                   /* kernels before 3.14; no /proc */
  mno_memory least = {.bytes = (size_t)(1024 * available)};
  if (machine->strict) take(&least, 1024 * (most - promised), "vm.overcommit_memory 2", "");
  for (size_t i = 0; i < machine->memory.count; i++) {
    const mno_cgroup *group = &machine->memory.group[i];
    const char *name = group->folder + group->name;
    double bytes;
    if (mno_cgroup_memory(group, &bytes)) take(&least, bytes, "cgroup ", name[0] ? name : "/");
  }
  take_limits(machine, &least);
  return least;
}

/* ---- Cores */

int mno_machine_quota(const mno_machine *machine, int processes) {
  double most = INT_MAX, bound;
  for (size_t i = 0; i < machine->cpu.count; i++)
    if (mno_cgroup_cores(&machine->cpu.group[i], &bound)) most = fmin(most, floor(ceil(bound) / processes));
  if (in_slurm_job() && variable("SLURM_CPUS_PER_TASK", &bound)) most = fmin(most, bound);
  return most < 1 ? 1 : (int)most;
}

/* However many the machine has: the kernel refuses sets that are too small for it. */
int mno_core_scheduled(void) {
  for (int most = CPU_SETSIZE; most <= 1 << 20; most *= 2) {
    cpu_set_t *set = CPU_ALLOC((size_t)most);
    size_t size = CPU_ALLOC_SIZE((size_t)most);
    int count = set && sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
  return 1;
}

/* ---- This machine */

static mno_machine here;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_here(void) { here = mno_machine_find(""); }

mno_memory mno_memory_free(void) {
  pthread_once(&once, find_here);
  return mno_machine_memory(&here);
}

size_t mno_memory_available(void) { return mno_memory_free().bytes; }

int mno_core_quota(int processes) {
  pthread_once(&once, find_here);
  return mno_machine_quota(&here, processes);
}

int mno_core_count(void) {
  int scheduled = mno_core_scheduled(), quota = mno_core_quota(1);
  return scheduled < quota ? scheduled : quota;
}
