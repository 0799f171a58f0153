/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/procfs.h"

#include <stdio.h>
#include <string.h>

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
