#include "cli/cli.h"

#include "cli/progress.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct run_arguments {
  const char *config;
  char *output; /* owned */
  mno_precision precision;
  bool dry_run;
  progress_style progress;
  mno_run_options options;
} run_arguments;

/* One of a list of words; -1 after a usage message. */
static int choice(const char *option, const char *value, const char *const *words, int count) {
  char list[128] = "";
  for (int i = 0; i < count; i++) {
    if (strcmp(value, words[i]) == 0) return i;
    strcat(strcat(list, i ? ", " : ""), words[i]);
  }
  mno_usage("run", "%s \"%s\": not one of %s", option, value, list);
  return -1;
}

static char *default_output(const char *config) {
  const char *name = strrchr(config, '/');
  name = name ? name + 1 : config;
  const char *dot = strrchr(name, '.');
  int length = dot && dot != name ? (int)(dot - name) : (int)strlen(name);
  char *path = malloc((size_t)length + 4);
  if (path) sprintf(path, "%.*s.h5", length, name);
  return path;
}

static char *join(int argc, char **argv) {
  size_t length = sizeof "meanode";
  for (int i = 0; i < argc; i++) length += strlen(argv[i]) + 1;
  char *text = malloc(length);
  if (!text) return NULL;
  strcpy(text, "meanode");
  for (int i = 0; i < argc; i++) strcat(strcat(text, " "), argv[i]);
  return text;
}

/* Returns -1 to go on, or an exit code. */
static int parse(int argc, char **argv, run_arguments *arguments) {
  enum { BACKEND = 256, PRECISION, THREADS, RESUME, FORCE, DRY_RUN, PROGRESS, LIMITS };
  static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                          {"backend", required_argument, NULL, BACKEND},
                                          {"precision", required_argument, NULL, PRECISION},
                                          {"threads", required_argument, NULL, THREADS},
                                          {"resume", no_argument, NULL, RESUME},
                                          {"force", no_argument, NULL, FORCE},
                                          {"dry-run", no_argument, NULL, DRY_RUN},
                                          {"progress", required_argument, NULL, PROGRESS},
                                          {"limits", required_argument, NULL, LIMITS},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
  static const char *const precisions[] = {[MNO_F64] = "f64", [MNO_F32] = "f32"};
  static const char *const styles[] = {"auto", "bar", "lines", "none"};
  bool resume = false, force = false;
  optind = 1;
  opterr = 0;
  for (int option; (option = getopt_long(argc, argv, ":o:h", options, NULL)) != -1;) {
    int picked;
    char *end;
    switch (option) {
    case 'o':
      free(arguments->output);
      arguments->output = strdup(optarg);
      break;
    case BACKEND: arguments->options.backend = optarg; break;
    case PRECISION:
      if ((picked = choice("--precision", optarg, precisions, 2)) < 0) return 2;
      arguments->precision = (mno_precision)picked;
      break;
    case THREADS: {
      long threads = strtol(optarg, &end, 10);
      if (end == optarg || *end || threads < 1 || threads > 4096)
        return mno_usage("run", "--threads \"%s\": not a number from 1 to 4096", optarg);
      arguments->options.threads = (int)threads;
      break;
    }
    case RESUME: resume = true; break;
    case FORCE: force = true; break;
    case DRY_RUN: arguments->dry_run = true; break;
    case PROGRESS:
      if ((picked = choice("--progress", optarg, styles, 4)) < 0) return 2;
      arguments->progress = (progress_style)picked;
      break;
    case LIMITS: arguments->options.limits_from = optarg; break;
    case 'h': mno_usage("run", "train every instance of a sweep and write a result file"); return 0;
    case ':': return mno_usage("run", "option %s needs a value", argv[optind - 1]);
    default: return mno_usage("run", "unknown option %s", argv[optind - 1]);
    }
  }
  if (optind != argc - 1)
    return mno_usage("run", optind == argc ? "which configuration?" : "one configuration at a time, not also %s",
                     argv[optind + 1]);
  if (resume && force) return mno_usage("run", "--resume and --force exclude each other");
  arguments->config = argv[optind];
  arguments->options.mode = resume ? MNO_RESUME : force ? MNO_FORCE : MNO_CREATE;
  if (!arguments->output) arguments->output = default_output(arguments->config);
  return -1;
}

static void summarise(const run_arguments *arguments, const mno_run_summary *summary) {
  printf("%s: %zu instances computed", arguments->output, summary->computed);
  if (summary->skipped) printf(", %zu were there", summary->skipped);
  if (summary->diverged) printf(", %zu diverged", summary->diverged);
  printf(" in %.1f s", summary->train_seconds);
  size_t limits = summary->limits_computed + summary->limits_reused;
  if (limits) printf("; %zu limit%s in %.1f s", limits, limits == 1 ? "" : "s", summary->limit_seconds);
  if (summary->limits_reused) printf(" (%zu reused)", summary->limits_reused);
  printf("\n");
  if (summary->limits_uncertified)
    printf("note: %zu limit%s did not reach the tolerance; output_error in the file says what was reached\n",
           summary->limits_uncertified, summary->limits_uncertified == 1 ? "" : "s");
}

static mno_status run_plan(run_arguments *arguments, const mno_plan *plan, mno_error *err) {
  mno_run_summary summary;
  progress_view view = progress_begin(arguments->progress);
  arguments->options.output = arguments->output;
  arguments->options.progress = progress_show;
  arguments->options.context = &view;
  arguments->options.stop = &mno_stop_requested;
  mno_catch_signals();
  mno_status status = mno_run(plan, &arguments->options, &summary, err);
  progress_end(&view);
  if (status == MNO_OK || status == MNO_DIVERGED) summarise(arguments, &summary);
  return status;
}

/* The check command on the same configuration with the same options. */
static int dry_run(const run_arguments *arguments) {
  char threads[16];
  char *argv[9] = {"check", (char *)arguments->config, "--precision", (char *)mno_precision_name(arguments->precision)};
  int argc = 4;
  if (arguments->options.backend) {
    argv[argc++] = "--backend";
    argv[argc++] = (char *)arguments->options.backend;
  }
  if (arguments->options.threads) {
    snprintf(threads, sizeof threads, "%d", arguments->options.threads);
    argv[argc++] = "--threads";
    argv[argc++] = threads;
  }
  return mno_command_check(argc, argv);
}

int mno_command_run(int argc, char **argv) {
  run_arguments arguments = {0};
  int code = parse(argc, argv, &arguments);
  if (code >= 0) {
    free(arguments.output);
    return code;
  }
  if (arguments.dry_run) {
    code = dry_run(&arguments);
    free(arguments.output);
    return code;
  }
  mno_error err = {0};
  mno_sweep *sweep = NULL;
  mno_plan *plan = NULL;
  char *command = join(argc, argv);
  arguments.options.command = command;
  mno_status status = mno_sweep_load(arguments.config, &sweep, &err);
  if (status == MNO_OK) status = mno_plan_build(sweep, arguments.precision, &plan, &err);
  if (status == MNO_OK) status = run_plan(&arguments, plan, &err);
  code = mno_status_exit_code(status);
  if (status != MNO_OK && status != MNO_DIVERGED) code = mno_report("run", status, &err);
  mno_plan_free(plan);
  mno_sweep_free(sweep);
  free(command);
  free(arguments.output);
  return code;
}
