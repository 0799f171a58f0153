/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "core/cgroup.h"

#include "core/procfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double absurd = 0x1p60; /* the kernel's ways of saying "no limit" in numbers begin here */

/* ---- Where the groups are */

/* One hierarchy as /proc/self/mountinfo shows it. */
typedef struct mount {
  char *root;  /* the group that is mounted: "/" or, in containers, a part of the hierarchy */
  char *point; /* where */
  int version;
} mount;

/* Is a word among those between commas? */
static bool has_word(const char *list, const char *word) {
  size_t length = strlen(word);
  for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
    if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == 0)) return true;
  return false;
}

/* Undoes the octal escapes of mountinfo: \040 is a space. */
static void unescape(char *text) {
  char *to = text;
  for (const char *from = text; *from; to++) {
    unsigned code;
    if (*from == '\\' && sscanf(from + 1, "%3o", &code) == 1 && strspn(from + 1, "01234567") >= 3) {
      *to = (char)code;
      from += 4;
    } else {
      *to = *from++;
    }
  }
  *to = 0;
}

/* A line of mountinfo: ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS. The parts point into it. */
static bool parse_mount(char *line, const char *controller, mount *found) {
  char *field[6], *state;
  line[strcspn(line, "\n")] = 0;
  char *rest = strstr(line, " - ");
  if (!rest) return false;
  *rest = 0;
  for (int i = 0; i < 6; i++)
    if (!(field[i] = strtok_r(i ? NULL : line, " ", &state))) return false;
  char *type = strtok_r(rest + 3, " ", &state), *source = strtok_r(NULL, " ", &state),
       *options = strtok_r(NULL, " ", &state);
  if (!type || !source) return false;
  bool second = strcmp(type, "cgroup2") == 0;
  if (!second && (strcmp(type, "cgroup") != 0 || !options || !has_word(options, controller))) return false;
  unescape(field[3]);
  unescape(field[4]);
  *found = (mount){field[3], field[4], second ? 2 : 1};
  return true;
}

/* The path of this process in a hierarchy, from lines ID:CONTROLLERS:PATH (version 2: "0::PATH"); free() it. */
static char *own_path(const char *root, const char *controller, int version) {
  char *line = NULL, *path = NULL;
  size_t capacity = 0;
  FILE *file = mno_open_in(root, "/proc/self/cgroup");
  while (!path && file && getline(&line, &capacity, file) > 0) {
    line[strcspn(line, "\n")] = 0;
    char *controllers = strchr(line, ':'), *end = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!end) continue;
    *end = 0;
    if (version == 2 ? controllers[1] == 0 : has_word(controllers + 1, controller)) path = strdup(end + 1);
  }
  if (file) fclose(file);
  free(line);
  return path;
}

/* What is left of a path below the group that is mounted; NULL if the process is not below it, as far as it can see. */
static const char *below(const char *path, const char *mounted) {
  size_t length = strcmp(mounted, "/") == 0 ? 0 : strlen(mounted);
  if (strncmp(path, mounted, length) != 0 || (path[length] != '/' && path[length] != 0)) return NULL;
  return strstr(path, "/..") ? NULL : path + length;
}

static void add(mno_cgroups *groups, const char *root, const char *point, const char *path, size_t length, int version) {
  mno_cgroup *grown = realloc(groups->group, (groups->count + 1) * sizeof *grown);
  if (!grown) return;
  groups->group = grown;
  mno_cgroup *group = &grown[groups->count];
  *group = (mno_cgroup){.name = strlen(root) + strlen(point), .version = version};
  if (asprintf(&group->folder, "%s%s%.*s", root, point, (int)length, path) >= 0) groups->count++;
}

/* The first number of a file, or that of a key; false also for "max" and what is as good as that. */
static bool read_number(const char *folder, const char *name, const char *key, double *number) {
  double found = -1;
  mno_read_keys_in(folder, name, &(mno_key){key, &found}, 1);
  if (found < 0 || found >= absurd) return false;
  *number = found;
  return true;
}

/* The group of a path below a mount, and its ancestors. Before use_hierarchy a group of version 1 was not part of its
 * parent. */
static void add_all(mno_cgroups *groups, const char *root, const mount *m, const char *path) {
  const char *point = strcmp(m->point, "/") == 0 ? "" : m->point;
  for (size_t length = strlen(path);;) {
    while (length && path[length - 1] == '/') length--;
    add(groups, root, point, path, length, m->version);
    while (length && path[length - 1] != '/') length--;
    if (!length) return;
    double together;
    char *parent;
    if (m->version == 1 && asprintf(&parent, "%s%s%.*s", root, point, (int)length, path) >= 0) {
      bool apart = read_number(parent, "/memory.use_hierarchy", "", &together) && together == 0;
      free(parent);
      if (apart) return;
    }
  }
}

/* The first mount of a hierarchy below which this process is. A container may see only its own part, under another path:
 * then what is mounted is the nearest there is. */
static void find_version(mno_cgroups *groups, const char *root, const char *controller, int version, bool anywhere) {
  char *line = NULL, *path = own_path(root, controller, version);
  size_t capacity = 0, before = groups->count;
  FILE *file = path ? mno_open_in(root, "/proc/self/mountinfo") : NULL;
  while (groups->count == before && file && getline(&line, &capacity, file) > 0) {
    mount m;
    if (!parse_mount(line, controller, &m) || m.version != version) continue;
    const char *rest = below(path, m.root);
    if (rest || anywhere) add_all(groups, root, &m, rest ? rest : "");
  }
  if (file) fclose(file);
  free(line);
  free(path);
}

mno_cgroups mno_cgroups_find(const char *root, const char *controller) {
  mno_cgroups groups = {0};
  for (int version = 1; version <= 2; version++) {
    size_t before = groups.count;
    find_version(&groups, root, controller, version, false);
    if (groups.count == before) find_version(&groups, root, controller, version, true);
  }
  return groups;
}

void mno_cgroups_free(mno_cgroups *groups) {
  for (size_t i = 0; i < groups->count; i++) free(groups->group[i].folder);
  free(groups->group);
  *groups = (mno_cgroups){0};
}

/* ---- What they say */

/* Takes a limit if it is the lower one. */
static void lower(const char *folder, const char *name, const char *key, double *limit) {
  double other;
  if (read_number(folder, name, key, &other) && other < *limit) *limit = other;
}

bool mno_cgroup_memory(const mno_cgroup *group, double *bytes) {
  const char *folder = group->folder;
  double limit = absurd, used, cache = 0;
  bool second = group->version == 2;
  lower(folder, second ? "/memory.max" : "/memory.limit_in_bytes", "", &limit);
  if (second)
    lower(folder, "/memory.high", "", &limit);
  else
    lower(folder, "/memory.stat", "hierarchical_memory_limit ", &limit); /* of ancestors, too, that cannot be seen */
  if (limit == absurd || !read_number(folder, second ? "/memory.current" : "/memory.usage_in_bytes", "", &used))
    return false;
  if (!read_number(folder, "/memory.stat", second ? "inactive_file " : "total_inactive_file ", &cache) && !second)
    read_number(folder, "/memory.stat", "inactive_file ", &cache);
  if (cache > used) cache = used;
  *bytes = limit > used - cache ? limit - (used - cache) : 0;
  return true;
}

bool mno_cgroup_cores(const mno_cgroup *group, double *cores) {
  double quota, period = 100000;
  if (group->version == 2) {
    FILE *file = mno_open_in(group->folder, "/cpu.max");
    int words = file ? fscanf(file, "%lf %lf", &quota, &period) : 0;
    if (file) fclose(file);
    if (words < 1) return false;
  } else {
    if (!read_number(group->folder, "/cpu.cfs_quota_us", "", &quota)) return false;
    read_number(group->folder, "/cpu.cfs_period_us", "", &period);
  }
  if (!(quota > 0 && period > 0 && quota < absurd)) return false;
  *cores = quota / period;
  return true;
}
