/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/cli.h"

#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_machine(void) {
  printf("meanode %s (commit %s)\nbuild: %s\n", mno_version(), mno_git_commit(), mno_build());
  size_t count;
  const mno_backend *const *backend = mno_backends(&count);
  for (size_t i = 0; i < count; i++) {
    char description[256] = "";
    mno_status status = mno_backend_describe(backend[i], NULL, description, sizeof description);
    printf("backend %s: %s%s\n", backend[i]->name, status == MNO_OK ? "" : "not available: ", description);
  }
}

/* One attribute; further lines of its text are indented. */
static void print_attribute(const mno_result *result, const char *name) {
  char *text = mno_result_attribute(result, name);
  if (!text) return;
  printf("%s: ", name);
  for (const char *at = text; *at; at++) {
    putchar(*at);
    if (*at == '\n') printf("  ");
  }
  printf("\n");
  free(text);
}

static int print_file(const char *path) {
  static const char *const attributes[] = {"title",     "source",    "history",  "references",  "backend",        "device",
                                           "precision", "generator", "settings", "data_source", "data_taken_from"};
  mno_error err = {0};
  mno_result *result;
  mno_status status = mno_result_open(path, &result, &err);
  if (status != MNO_OK) return mno_report("info", status, &err);
  for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) print_attribute(result, attributes[i]);
  size_t done = 0;
  for (size_t i = 0; i < result->instance_count; i++) done += result->status[i] >= 0;
  printf("instances: %zu planned, %zu there\nsteps recorded: %zu\n", result->instance_count, done, result->step_count);
  for (size_t p = 0; p < result->problem_count; p++) {
    const mno_result_problem *problem = &result->problems[p];
    printf("%s: N = %zu, d_in = %zu, d_out = %zu, D = %zu, alpha = %g, ", problem->name, problem->N, problem->d_in,
           problem->d_out, problem->D, problem->alpha);
    if (problem->data_seed >= 0) printf("data.seed = %" PRId64 ", ", problem->data_seed);
    printf("%zu runs\n", problem->run_count);
    for (size_t i = 0; i < problem->limit_count; i++) {
      const mno_limit *limit = problem->limit[i];
      double worst = mno_limit_worst_error(limit);
      char error[32] = "not known at every step";
      if (isfinite(worst)) snprintf(error, sizeof error, "%.2g", worst);
      printf("  %s: %s%s%s, %s, estimated error %s, %.1f s\n", mno_limit_kind_name(limit->kind), limit->method,
             limit->parameters[0] ? ", " : "", limit->parameters, limit->certified ? "certified" : "not certified", error,
             limit->seconds);
    }
  }
  printf("config:\n");
  mno_print_lines(stdout, "  ", result->config);
  mno_result_free(result);
  return 0;
}

int mno_command_info(int argc, char **argv) {
  int code = mno_only_files("info", argc, argv);
  if (code >= 0) return code;
  if (argc - optind > 1) return mno_usage("info", "one result file at a time, not also %s", argv[optind + 1]);
  if (optind < argc) return print_file(argv[optind]);
  print_machine();
  return 0;
}
