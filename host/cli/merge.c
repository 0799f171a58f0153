/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int mno_command_merge(int argc, char **argv) {
  enum { FORCE = 256, PARTIAL };
  static const struct option options[] = {
      {"force", no_argument, NULL, FORCE}, {"partial", no_argument, NULL, PARTIAL}, {"help", no_argument, NULL, 'h'}, {0}};
  mno_merge_options how = {0};
  char command[4096] = "meanode";
  for (int i = 0; i < argc && strlen(command) + strlen(argv[i]) + 2 < sizeof command; i++)
    strcat(strcat(command, " "), argv[i]);
  how.command = command;
  optind = 1;
  opterr = 0;
  for (int option; (option = getopt_long(argc, argv, ":h", options, NULL)) != -1;) switch (option) {
    case FORCE: how.force = true; break;
    case PARTIAL: how.partial = true; break;
    case 'h': return mno_help("merge");
    default: return mno_usage_option("merge", option, argv);
    }
  if (argc - optind < 2) return mno_usage("merge", "an output and at least one input, please");
  if (!argv[optind][0]) return mno_usage("merge", "an output needs a name, not \"\"");
  mno_error err = {0};
  mno_merge_report report;
  const char *output = argv[optind];
  mno_status status =
      mno_merge(output, (const char *const *)argv + optind + 1, (size_t)(argc - optind - 1), &how, &report, &err);
  if (status != MNO_OK) return mno_report("merge", status, &err);
  if (report.note[0]) fprintf(stderr, "note: %s\n", report.note);
  printf("%s: %zu of %zu instances from %d files", output, report.there, report.instances, argc - optind - 1);
  if (report.repeated) printf(", %zu of them in several files with equal content", report.repeated);
  if (report.missing) printf(", %zu MISSING", report.missing);
  printf("\n");
  return 0;
}
