/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* A journal stands for the result file that it belongs to. */
static void name_file(char *path) {
  char *end = strrchr(path, '.');
  if (end && end != path && strcmp(end, ".journal") == 0) *end = 0;
}

static int print_status(const char *path) {
  mno_error err = {0};
  mno_result_state state;
  mno_status status = mno_result_inspect(path, &state, &err);
  if (status != MNO_OK) return mno_report("status", status, &err);
  size_t planned = state.shards > 1 ? state.shard_instances : state.instances, there = state.done + state.diverged;
  size_t missing = planned > there ? planned - there : 0;
  printf("%s: ", path);
  if (state.shards > 1) printf("shard %d/%d, %zu of %zu instances; ", state.shard, state.shards, planned, state.instances);
  printf("%zu done, %zu diverged, %zu missing\n", state.done, state.diverged, missing);
  if (state.running) printf("  running: %s\n", state.owner);
  if (state.in_journal) printf("  %zu of them in the journal, not yet in the file\n", state.in_journal);
  if (!state.running && missing)
    printf("  no run is working on it; meanode run CONFIG.yaml -o %s --resume continues\n", path);
  if (state.note[0]) printf("  note: %s\n", state.note);
  return 0;
}

int mno_command_status(int argc, char **argv) {
  int code = mno_only_files("status", argc, argv), worst = 0;
  if (code >= 0) return code;
  if (optind == argc) return mno_usage("status", "which result file?");
  for (int i = optind; i < argc; i++) {
    name_file(argv[i]);
    code = print_status(argv[i]);
    if (code > worst) worst = code;
  }
  return worst;
}
