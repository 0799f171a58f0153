/* SPDX-License-Identifier: BSD-3-Clause */
/* What of a machine a process may use, on machines made of files: /proc and control groups below a folder of the test's own.
 */
#define _GNU_SOURCE
#include "test.h"

#include "core/machine.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 16, VARIABLES = 4 };

#define MEMINFO                                                                                                             \
  { "proc/meminfo", "MemTotal: 8000 kB\nMemFree: 1000 kB\nMemAvailable:    4000 kB\nCached: 500 kB\n" }
#define OWN(path)                                                                                                           \
  { "proc/self/cgroup", path "\n" }
#define MOUNTS(lines)                                                                                                       \
  { "proc/self/mountinfo", "22 27 0:21 / /proc rw,relatime - proc proc rw\n" lines }
#define V2 "41 31 0:38 / /cg rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1                                                                                                                  \
  "35 31 0:32 / /cg/memory rw,relatime - cgroup cgroup rw,memory\n36 31 0:33 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"

/* One machine, and what is left on it. */
typedef struct machine {
  const char *name;
  const char *file[FILES][2];
  const char *variable[VARIABLES][2];
  double memory; /* KiB that are free */
  const char *bound;
  int cores; /* that quotas leave; 0: any number */
} machine;

static const machine machines[] = {
    {"no control groups", {MEMINFO}, {{0}}, 4000, "", 0},
    {"an old kernel", {{"proc/meminfo", "MemTotal: 8000 kB\nMemFree: 1000 kB\nCached: 500 kB\n"}}, {{0}}, 1500, "", 0},
    {"no /proc", {{0}}, {{0}}, 1e6, "", 0},
    {"promises are kept",
     {{"proc/meminfo", "MemAvailable: 4000 kB\nCommitLimit: 3000 kB\nCommitted_AS: 1000 kB\n"},
      {"proc/sys/vm/overcommit_memory", "2\n"}},
     {{0}},
     2000,
     " (vm.overcommit_memory 2)",
     0},
    {"promises are broken",
     {{"proc/meminfo", "MemAvailable: 4000 kB\nCommitLimit: 3000 kB\nCommitted_AS: 1000 kB\n"},
      {"proc/sys/vm/overcommit_memory", "0\n"}},
     {{0}},
     4000,
     "",
     0},

    /* ---- Version 2 */
    {"v2, no limit",
     {MEMINFO,
      OWN("0::/a"),
      MOUNTS(V2),
      {"cg/a/memory.max", "max\n"},
      {"cg/a/memory.high", "max\n"},
      {"cg/a/memory.current", "1024\n"},
      {"cg/a/cpu.max", "max 100000\n"}},
     {{0}},
     4000,
     "",
     0},
    {"v2, leaf",
     {MEMINFO,
      OWN("0::/a/b"),
      MOUNTS(V2),
      {"cg/a/b/memory.max", "2048000\n"},
      {"cg/a/b/memory.current", "1024000\n"},
      {"cg/a/b/cpu.max", "150000 100000\n"}},
     {{0}},
     1000,
     " (cgroup /a/b)",
     2},
    {"v2, ancestor, with others in it",
     {MEMINFO,
      OWN("0::/a/b/c"),
      MOUNTS(V2),
      {"cg/a/b/c/memory.max", "max\n"},
      {"cg/a/b/c/memory.current", "1024\n"},
      {"cg/a/memory.max", "4096000\n"},
      {"cg/a/memory.current", "3072000\n"},
      {"cg/a/cpu.max", "300000 100000\n"},
      {"cg/a/b/cpu.max", "50000 10000\n"}},
     {{0}},
     1000,
     " (cgroup /a)",
     3},
    {"v2, high is below max",
     {MEMINFO,
      OWN("0::/a"),
      MOUNTS(V2),
      {"cg/a/memory.max", "4096000\n"},
      {"cg/a/memory.high", "2048000\n"},
      {"cg/a/memory.current", "1024000\n"}},
     {{0}},
     1000,
     " (cgroup /a)",
     0},
    {"v2, high alone",
     {MEMINFO,
      OWN("0::/a"),
      MOUNTS(V2),
      {"cg/a/memory.max", "max\n"},
      {"cg/a/memory.high", "2048000\n"},
      {"cg/a/memory.current", "1024000\n"}},
     {{0}},
     1000,
     " (cgroup /a)",
     0},
    {"v2, file cache is not used",
     {MEMINFO,
      OWN("0::/a"),
      MOUNTS(V2),
      {"cg/a/memory.max", "2048000\n"},
      {"cg/a/memory.current", "2048000\n"},
      {"cg/a/memory.stat",
       "anon 7\nfile 900000\ninactive_anon 5\nactive_anon 6\ninactive_file 512000\nactive_file 388000\n"}},
     {{0}},
     500,
     " (cgroup /a)",
     0},
    {"v2, more used than allowed",
     {MEMINFO, OWN("0::/a"), MOUNTS(V2), {"cg/a/memory.max", "1024000\n"}, {"cg/a/memory.current", "2048000\n"}},
     {{0}},
     0,
     " (cgroup /a)",
     0},
    {"v2, more cache than use",
     {MEMINFO,
      OWN("0::/a"),
      MOUNTS(V2),
      {"cg/a/memory.max", "1024000\n"},
      {"cg/a/memory.current", "2048\n"},
      {"cg/a/memory.stat", "inactive_file 4096\n"}},
     {{0}},
     1000,
     " (cgroup /a)",
     0},
    {"v2, limit above what the machine has",
     {MEMINFO, OWN("0::/a"), MOUNTS(V2), {"cg/a/memory.max", "8192000000\n"}, {"cg/a/memory.current", "2048\n"}},
     {{0}},
     4000,
     "",
     0},
    {"v2, nonsense",
     {MEMINFO,
      OWN("0::/a"),
      MOUNTS(V2),
      {"cg/a/memory.max", "-1\n"},
      {"cg/a/memory.high", "\n"},
      {"cg/a/memory.current", "2048\n"},
      {"cg/a/cpu.max", "0 0\n"}},
     {{0}},
     4000,
     "",
     0},
    {"v2, a use that cannot be read",
     {MEMINFO, OWN("0::/a"), MOUNTS(V2), {"cg/a/memory.max", "1024\n"}},
     {{0}},
     4000,
     "",
     0},
    {"v2, namespace of its own",
     {MEMINFO,
      OWN("0::/"),
      MOUNTS(V2),
      {"cg/memory.max", "1024000\n"},
      {"cg/memory.current", "0\n"},
      {"cg/cpu.max", "10000 100000\n"}},
     {{0}},
     1000,
     " (cgroup /)",
     1},
    {"v2, container that sees the host's path, its part mounted",
     {MEMINFO,
      OWN("0::/docker/f00"),
      MOUNTS("41 31 0:38 /docker/f00 /cg ro - cgroup2 cgroup rw\n"),
      {"cg/memory.max", "1024000\n"},
      {"cg/memory.current", "512000\n"},
      {"cg/docker/f00/memory.max", "1\n"},
      {"cg/docker/f00/memory.current", "0\n"}},
     {{0}},
     500,
     " (cgroup /)",
     0},
    {"v2, below the part that is mounted",
     {MEMINFO,
      OWN("0::/docker/f00/job"),
      MOUNTS("41 31 0:38 /docker/f00 /cg ro - cgroup2 cgroup rw\n"),
      {"cg/job/memory.max", "1024000\n"},
      {"cg/job/memory.current", "512000\n"}},
     {{0}},
     500,
     " (cgroup /job)",
     0},
    {"v2, another container's part beside the own hierarchy",
     {MEMINFO,
      OWN("0::/f00/job"),
      MOUNTS("40 31 0:38 /f0 /other ro - cgroup2 cgroup rw\n" V2),
      {"other/memory.max", "1\n"},
      {"other/memory.current", "0\n"},
      {"cg/f00/job/memory.max", "1024000\n"},
      {"cg/f00/job/memory.current", "512000\n"}},
     {{0}},
     500,
     " (cgroup /f00/job)",
     0},
    {"v2, outside of the namespace's root",
     {MEMINFO,
      OWN("0::/../sibling"),
      MOUNTS(V2),
      {"cg/memory.max", "1024000\n"},
      {"cg/memory.current", "0\n"},
      {"sibling/memory.max", "1\n"},
      {"sibling/memory.current", "0\n"}},
     {{0}},
     1000,
     " (cgroup /)",
     0},
    {"v2, a path that is not mounted: what is above counts",
     {MEMINFO, OWN("0::/kubepods/pod/x"), MOUNTS(V2), {"cg/memory.max", "1024000\n"}, {"cg/memory.current", "0\n"}},
     {{0}},
     1000,
     " (cgroup /)",
     0},
    {"v2, spaces in the mount point, colons in the path",
     {MEMINFO,
      OWN("0::/a:b/c"),
      MOUNTS("41 31 0:38 / /c\\040g rw - cgroup2 cgroup2 rw\n"),
      {"c g/a:b/c/memory.max", "1024000\n"},
      {"c g/a:b/c/memory.current", "0\n"}},
     {{0}},
     1000,
     " (cgroup /a:b/c)",
     0},
    {"v2, not mounted", {MEMINFO, OWN("0::/a"), MOUNTS(""), {"cg/a/memory.max", "1\n"}}, {{0}}, 4000, "", 0},

    /* ---- Version 1 */
    {"v1, no limit in numbers",
     {MEMINFO,
      OWN("4:memory:/a\n3:cpu,cpuacct:/a"),
      MOUNTS(V1),
      {"cg/memory/a/memory.limit_in_bytes", "9223372036854771712\n"},
      {"cg/memory/a/memory.usage_in_bytes", "1024\n"},
      {"cg/cpu/a/cpu.cfs_quota_us", "-1\n"},
      {"cg/cpu/a/cpu.cfs_period_us", "100000\n"}},
     {{0}},
     4000,
     "",
     0},
    {"v1, leaf",
     {MEMINFO,
      OWN("4:memory:/a/b\n3:cpu,cpuacct:/a/b"),
      MOUNTS(V1),
      {"cg/memory/a/b/memory.limit_in_bytes", "2048000\n"},
      {"cg/memory/a/b/memory.usage_in_bytes", "1536000\n"},
      {"cg/memory/a/b/memory.stat", "cache 9\ninactive_file 1\ntotal_inactive_file 512000\n"},
      {"cg/cpu/a/cpu.cfs_quota_us", "400000\n"},
      {"cg/cpu/a/cpu.cfs_period_us", "100000\n"}},
     {{0}},
     1000,
     " (cgroup /a/b)",
     4},
    {"v1, ancestor",
     {MEMINFO,
      OWN("4:memory:/a/b"),
      MOUNTS(V1),
      {"cg/memory/a/memory.limit_in_bytes", "2048000\n"},
      {"cg/memory/a/memory.usage_in_bytes", "1024000\n"},
      {"cg/memory/a/memory.use_hierarchy", "1\n"}},
     {{0}},
     1000,
     " (cgroup /a)",
     0},
    {"v1, ancestor of another account",
     {MEMINFO,
      OWN("4:memory:/a/b"),
      MOUNTS(V1),
      {"cg/memory/a/memory.limit_in_bytes", "2048000\n"},
      {"cg/memory/a/memory.usage_in_bytes", "1024000\n"},
      {"cg/memory/a/memory.use_hierarchy", "0\n"}},
     {{0}},
     4000,
     "",
     0},
    {"v1, container that sees the host's path and nothing above",
     {MEMINFO,
      OWN("4:memory:/docker/f00"),
      MOUNTS(V1),
      {"cg/memory/memory.limit_in_bytes", "9223372036854771712\n"},
      {"cg/memory/memory.usage_in_bytes", "1024000\n"},
      {"cg/memory/memory.stat", "hierarchical_memory_limit 3072000\n"}},
     {{0}},
     2000,
     " (cgroup /)",
     0},
    {"v1, its part mounted",
     {MEMINFO,
      OWN("4:memory:/docker/f00"),
      MOUNTS("35 31 0:32 /docker/f00 /m ro - cgroup cgroup rw,memory\n"),
      {"m/memory.limit_in_bytes", "1024000\n"},
      {"m/memory.usage_in_bytes", "24000\n"}},
     {{0}},
     976.5625,
     " (cgroup /)",
     0},
    {"v1, memory together with another controller",
     {MEMINFO,
      OWN("4:hugetlb,memory:/a"),
      MOUNTS("35 31 0:32 / /m ro - cgroup cgroup rw,hugetlb,memory\n"),
      {"m/a/memory.limit_in_bytes", "1024000\n"},
      {"m/a/memory.usage_in_bytes", "0\n"}},
     {{0}},
     1000,
     " (cgroup /a)",
     0},
    {"v1, a named hierarchy is not the controller",
     {MEMINFO,
      OWN("9:name=memory:/a"),
      MOUNTS("35 31 0:32 / /m ro - cgroup cgroup rw,name=memory\n"),
      {"m/a/memory.limit_in_bytes", "1024000\n"},
      {"m/a/memory.usage_in_bytes", "0\n"}},
     {{0}},
     4000,
     "",
     0},
    {"v1 and v2 side by side",
     {MEMINFO,
      OWN("4:memory:/job\n0::/job"),
      MOUNTS(V1 "41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n"),
      {"cg/memory/job/memory.limit_in_bytes", "1024000\n"},
      {"cg/memory/job/memory.usage_in_bytes", "0\n"},
      {"cg/unified/job/cpu.max", "200000 100000\n"}},
     {{0}},
     1000,
     " (cgroup /job)",
     2},

    /* ---- Slurm. What the process itself uses is no longer free. */
    {"Slurm, memory of a node",
     {MEMINFO, {"proc/self/status", "VmRSS:\t 100 kB\n"}},
     {{"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_NODE", "2"}},
     1948,
     " (SLURM_MEM_PER_NODE)",
     0},
    {"Slurm, memory of a core",
     {MEMINFO, {"proc/self/status", "VmRSS:\t 100 kB\n"}},
     {{"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_CPU", "1"}, {"SLURM_CPUS_ON_NODE", "3"}, {"SLURM_CPUS_PER_TASK", "2"}},
     2972,
     " (SLURM_MEM_PER_CPU)",
     2},
    {"Slurm, memory of a card",
     {MEMINFO, {"proc/self/status", "VmRSS:\t 100 kB\n"}},
     {{"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_GPU", "1"}, {"SLURM_GPUS_ON_NODE", "2"}},
     1948,
     " (SLURM_MEM_PER_GPU)",
     0},
    {"Slurm, all memory", {MEMINFO}, {{"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_NODE", "0"}}, 4000, "", 0},
    {"Slurm, cores unknown", {MEMINFO}, {{"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_CPU", "1"}}, 4000, "", 0},
    {"Slurm, a list",
     {MEMINFO},
     {{"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_NODE", "1,2"}, {"SLURM_CPUS_PER_TASK", "4x"}},
     4000,
     "",
     0},
    {"variables without a job", {MEMINFO}, {{"SLURM_MEM_PER_NODE", "1"}, {"SLURM_CPUS_PER_TASK", "1"}}, 4000, "", 0},
    {"Slurm within a tighter group",
     {MEMINFO,
      OWN("0::/slurm/job_7/step_0"),
      MOUNTS(V2),
      {"cg/slurm/job_7/memory.max", "1024000\n"},
      {"cg/slurm/job_7/memory.current", "0\n"},
      {"cg/slurm/cpu.max", "100000 100000\n"}},
     {{"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_NODE", "2"}, {"SLURM_CPUS_PER_TASK", "2"}},
     1000,
     " (cgroup /slurm/job_7)",
     1},
};

static char root[64];

static void put(const char *name, const char *text) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", root, name);
  for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
    *slash = 0;
    mkdir(path, 0777);
    *slash = '/';
  }
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
}

static int delete (const char *path, const struct stat *about, int type, struct FTW *where) {
  (void)about, (void)type, (void)where;
  return remove(path);
}

static void build(const machine *m) {
  snprintf(root, sizeof root, "/tmp/meanode-machine-XXXXXX");
  assert_non_null(mkdtemp(root));
  for (int i = 0; i < FILES && m->file[i][0]; i++) put(m->file[i][0], m->file[i][1]);
  for (int i = 0; i < VARIABLES && m->variable[i][0]; i++) setenv(m->variable[i][0], m->variable[i][1], 1);
}

static void clear(const machine *m) {
  for (int i = 0; i < VARIABLES && m->variable[i][0]; i++) unsetenv(m->variable[i][0]);
  nftw(root, delete, 8, FTW_DEPTH | FTW_PHYS);
}

static int forget_slurm(void **state) {
  (void)state;
  static const char *const names[] = {"SLURM_JOB_ID",       "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU",  "SLURM_MEM_PER_GPU",
                                      "SLURM_CPUS_ON_NODE", "SLURM_GPUS_ON_NODE", "SLURM_CPUS_PER_TASK"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
  return 0;
}

static void test_machines(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
    const machine *m = &machines[i];
    build(m);
    mno_machine found = mno_machine_find(root);
    mno_memory memory = mno_machine_memory(&found);
    int cores = mno_machine_quota(&found, 1);
    if (fabs((double)memory.bytes - 1024 * m->memory) >= 1 || strcmp(memory.bound, m->bound) != 0)
      fail_msg("%s: %zu bytes%s instead of %.0f%s", m->name, memory.bytes, memory.bound, 1024 * m->memory, m->bound);
    if (cores != (m->cores ? m->cores : INT_MAX)) fail_msg("%s: %d cores instead of %d", m->name, cores, m->cores);
    mno_machine_free(&found);
    clear(m);
  }
}

/* Processes of one group share its quota; what Slurm says is for each. */
static void test_shared_quota(void **state) {
  (void)state;
  const machine m = {.file = {OWN("0::/a"), MOUNTS(V2), {"cg/a/cpu.max", "450000 100000\n"}}};
  build(&m);
  mno_machine found = mno_machine_find(root);
  static const int shares[][2] = {{1, 5}, {2, 2}, {5, 1}, {6, 1}};
  for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
    assert_int_equal(mno_machine_quota(&found, shares[i][0]), shares[i][1]);
  setenv("SLURM_JOB_ID", "1", 1);
  setenv("SLURM_CPUS_PER_TASK", "3", 1);
  assert_int_equal(mno_machine_quota(&found, 1), 3);
  assert_int_equal(mno_machine_quota(&found, 2), 2);
  forget_slurm(NULL);
  mno_machine_free(&found);
  clear(&m);
}

/* Of a name of any length the end is shown. */
static void test_long_name(void **state) {
  (void)state;
  char path[512] = "0::", file[768];
  for (int i = 0; i < 8; i++) strcat(path, "/kubepods-burstable-pod0123456789abcdef012345");
  const machine m = {.file = {MEMINFO, OWN("0::/a"), MOUNTS(V2)}};
  build(&m);
  put("proc/self/cgroup", path);
  snprintf(file, sizeof file, "cg%s/memory.max", path + 3);
  put(file, "1024000");
  snprintf(file, sizeof file, "cg%s/memory.current", path + 3);
  put(file, "0");
  mno_machine found = mno_machine_find(root);
  mno_memory memory = mno_machine_memory(&found);
  assert_int_equal(memory.bytes, 1024000);
  assert_non_null(strstr(memory.bound, " (cgroup ..."));
  const char *end = "/kubepods-burstable-pod0123456789abcdef012345)";
  assert_string_equal(memory.bound + strlen(memory.bound) - strlen(end), end);
  mno_machine_free(&found);
  clear(&m);
}

/* Limits of the process itself, on the machine that there is. */
static void test_process_limits(void **state) {
  (void)state;
  static const struct {
    int limit;
    const char *bound;
  } limits[] = {{RLIMIT_AS, " (ulimit -v)"}, {RLIMIT_DATA, " (ulimit -d)"}};
  const size_t part = (size_t)32 << 20;
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    struct rlimit before;
    assert_int_equal(getrlimit(limits[i].limit, &before), 0);
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    double used = 0;
    for (char line[256]; fgets(line, sizeof line, file);)
      sscanf(line, limits[i].limit == RLIMIT_AS ? "VmSize: %lf" : "VmData: %lf", &used);
    fclose(file);
    const struct rlimit tight = {(rlim_t)(1024 * used) + 4 * part, before.rlim_max};
    if (before.rlim_max != RLIM_INFINITY && before.rlim_max < tight.rlim_cur) continue;
    assert_int_equal(setrlimit(limits[i].limit, &tight), 0);
    mno_memory at_first = mno_memory_free();
    void *more = mmap(NULL, part, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mno_memory then = mno_memory_free();
    assert_int_equal(setrlimit(limits[i].limit, &before), 0);
    assert_true(more != MAP_FAILED);
    munmap(more, part);
    if (strcmp(at_first.bound, limits[i].bound) != 0 && at_first.bytes < 3 * part) continue; /* the machine is full */
    assert_string_equal(at_first.bound, limits[i].bound);
    assert_true(at_first.bytes > 3 * part && at_first.bytes <= 4 * part);
    assert_true(at_first.bytes - then.bytes >= part && at_first.bytes - then.bytes < part + part / 4);
  }
}

static void test_this_machine(void **state) {
  (void)state;
  mno_memory free_here = mno_memory_free();
  assert_true(free_here.bytes > 1 << 20);
  assert_true(mno_core_count() >= 1 && mno_core_count() <= mno_core_scheduled());
  assert_true(mno_core_scheduled() <= (int)sysconf(_SC_NPROCESSORS_CONF));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_machines),       cmocka_unit_test(test_shared_quota), cmocka_unit_test(test_long_name),
      cmocka_unit_test(test_process_limits), cmocka_unit_test(test_this_machine),
  };
  return cmocka_run_group_tests(tests, forget_slurm, NULL);
}
