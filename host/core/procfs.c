/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "core/procfs.h"

#include <stdlib.h>
#include <string.h>

FILE *mno_open_in(const char *folder, const char *name) {
  char *path;
  if (asprintf(&path, "%s%s", folder, name) < 0) return NULL;
  FILE *file = fopen(path, "re");
  free(path);
  return file;
}

void mno_read_keys_in(const char *folder, const char *name, const mno_key *keys, size_t count) {
  char line[256];
  FILE *file = mno_open_in(folder, name);
  if (!file) return;
  for (bool first = true; fgets(line, sizeof line, file); first = false)
    for (size_t i = 0; i < count; i++) {
      const size_t length = strlen(keys[i].name);
      if ((first || length) && strncmp(line, keys[i].name, length) == 0) sscanf(line + length, "%lf", keys[i].value);
    }
  fclose(file);
}

bool mno_process_look(long pid, mno_process *process) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%ld/stat", pid);
  FILE *file = fopen(path, "re");
  if (!file) return false;
  size_t n = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[n] = 0;
  char *after_name = strrchr(text, ')'); /* a name may hold anything */
  unsigned long long user, system;
  if (!after_name ||
      sscanf(after_name + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu",
             &process->state, &user, &system, &process->start) != 4)
    return false;
  process->ticks = user + system;
  return true;
}
