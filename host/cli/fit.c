/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STEPS = 1024 };

static int parse_step(const char *text, int64_t *step) {
  char *end;
  errno = 0;
  *step = strtoll(text, &end, 10);
  return errno == 0 && end != text && *end == 0 && *step >= 0;
}

int mno_command_fit(int argc, char **argv) {
  static const struct option options[] = {
      {"json", no_argument, NULL, 'j'},           {"step", required_argument, NULL, 's'},
      {"quantity", required_argument, NULL, 'q'}, {"deterministic", no_argument, NULL, 'd'},
      {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};
  static int64_t steps[MAX_STEPS];
  mno_fit_options chosen = {.step = steps};
  int json = 0;
  optind = 1;
  opterr = 0;
  for (int option; (option = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
    if (option == 'j')
      json = 1;
    else if (option == 'd')
      chosen.deterministic = 1;
    else if (option == 's') {
      /* --step 1 5 15, --step 1,5,15 and --step 1 --step 5 all work. */
      if (optarg[strspn(optarg, ",")] == 0) return mno_usage("fit", "\"%s\" is not a step", optarg);
      char *copy = strdup(optarg);
      for (char *state, *word = copy ? strtok_r(copy, ",", &state) : NULL; word; word = strtok_r(NULL, ",", &state))
        if (chosen.step_count == MAX_STEPS || !parse_step(word, &steps[chosen.step_count++])) {
          free(copy);
          return mno_usage("fit", "\"%s\" is not a step", optarg);
        }
      free(copy);
      while (optind < argc && chosen.step_count < MAX_STEPS && parse_step(argv[optind], &steps[chosen.step_count])) {
        chosen.step_count++;
        optind++;
      }
    } else if (option == 'q') {
      if (strcmp(optarg, "output") == 0)
        chosen.output = 1;
      else if (strcmp(optarg, "embedding") == 0)
        chosen.embedding = 1;
      else
        return mno_usage("fit", "unknown quantity \"%s\": output or embedding", optarg);
    } else if (option == 'h')
      return mno_help("fit");
    else
      return mno_usage_option("fit", option, argv);
  }
  if (optind + 1 != argc) return mno_usage("fit", "%s", optind < argc ? "one file, please" : "which file?");

  mno_error err = {0};
  mno_result *result = NULL;
  mno_fits *fits = NULL;
  char *text = NULL;
  mno_status status = mno_result_open(argv[optind], &result, &err);
  if (status == MNO_OK) status = mno_fit_select(result, &chosen, &fits, &err);
  if (status == MNO_OK) status = (json ? mno_fits_json : mno_fits_table)(result, fits, &text, &err);
  if (status == MNO_OK) fputs(text, stdout);
  free(text);
  mno_fits_free(fits);
  mno_result_free(result);
  return status == MNO_OK ? 0 : mno_report("fit", status, &err);
}
