/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "cli/cli.h"

#include "cli/process.h"
#include "cli/progress.h"
#include "cli/shard.h"
#include "mpi/mpi.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct run_arguments {
  const char *config; /* NULL with from */
  const char *from;   /* result file whose run is repeated, or NULL */
  bool precision_given;
  bool beside;        /* the shard is that of a job array, whose other files lie beside the output */
  const char *output; /* NULL: default_output */
  mno_precision precision;
  bool dry_run;
  progress_style progress;
  mno_run_options options;
} run_arguments;

/* CONFIG.h5, or CONFIG.shard-I-of-N.h5 */
static char *default_output(const char *config, const mno_run_options *options) {
  const char *name = strrchr(config, '/');
  name = name ? name + 1 : config;
  const char *dot = strrchr(name, '.');
  int length = dot && dot != name ? (int)(dot - name) : (int)strlen(name);
  char *path;
  int n = options->shards > 1 ? asprintf(&path, "%.*s.shard-%d-of-%d.h5", length, name, options->shard, options->shards)
                              : asprintf(&path, "%.*s.h5", length, name);
  return n < 0 ? NULL : path;
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

/* The value of an option (optarg): one of a list of names, or a number of threads. False after a usage message. */
static bool choose(const char *command, const char *option, const mno_choices *choices, int *value) {
  if (mno_choice_named(choices, optarg, value)) return true;
  char list[128] = "";
  for (size_t i = 0; i < choices->count; i++) strcat(strcat(list, i ? ", " : ""), choices->choice[i].name);
  mno_usage(command, "%s \"%s\": not one of %s", option, optarg, list);
  return false;
}

static bool count_threads(const char *command, int *threads) {
  char *end;
  const long number = strtol(optarg, &end, 10);
  *threads = (int)number;
  if (end != optarg && !*end && number >= 1 && number <= 4096) return true;
  mno_usage(command, "--threads \"%s\": not a number from 1 to 4096", optarg);
  return false;
}

enum { BACKEND = 256, PRECISION, THREADS, RESUME, FORCE, DRY_RUN, PROGRESS, LIMITS, SHARD, FROM, LIMITS_ONLY };
static const struct option run_options[] = {{"output", required_argument, NULL, 'o'},
                                            {"resume", no_argument, NULL, RESUME},
                                            {"force", no_argument, NULL, FORCE},
                                            {"dry-run", no_argument, NULL, DRY_RUN},
                                            {"progress", required_argument, NULL, PROGRESS},
                                            {"limits", required_argument, NULL, LIMITS},
                                            {"limits-only", no_argument, NULL, LIMITS_ONLY},
                                            {"shard", required_argument, NULL, SHARD},
                                            {"from", required_argument, NULL, FROM},
                                            /* those of check, too */
                                            {"backend", required_argument, NULL, BACKEND},
                                            {"precision", required_argument, NULL, PRECISION},
                                            {"threads", required_argument, NULL, THREADS},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
static const struct option *const check_options = run_options + 9;

/* Of run or check, which has some of run's options. Returns -1 to go on, or an exit code. */
static int parse(int argc, char **argv, const char *letters, const struct option *known, run_arguments *arguments) {
  const char *command = argv[0];
  bool resume = false, force = false;
  const char *shard = NULL;
  optind = 1;
  opterr = 0;
  for (int option; (option = getopt_long(argc, argv, letters, known, NULL)) != -1;) {
    int picked;
    switch (option) {
    case 'o': arguments->output = optarg; break;
    case BACKEND: arguments->options.backend = optarg; break;
    case PRECISION:
      if (!choose(command, "--precision", &mno_precisions, &picked)) return 2;
      arguments->precision = (mno_precision)picked;
      arguments->precision_given = true;
      break;
    case THREADS:
      if (!count_threads(command, &arguments->options.threads)) return 2;
      break;
    case RESUME: resume = true; break;
    case FORCE: force = true; break;
    case DRY_RUN: arguments->dry_run = true; break;
    case PROGRESS:
      if (!choose(command, "--progress", &progress_styles, &picked)) return 2;
      arguments->progress = (progress_style)picked;
      break;
    case SHARD: shard = optarg; break;
    case FROM: arguments->from = optarg; break;
    case LIMITS: arguments->options.limits_from = optarg; break;
    case LIMITS_ONLY: arguments->options.limits_only = 1; break;
    case 'h': return mno_help(command);
    default: return mno_usage_option(command, option, argv);
    }
  }
  if (arguments->from && optind < argc) return mno_usage(command, "a configuration and --from exclude each other");
  if (!arguments->from && optind != argc - 1)
    return mno_usage(command, optind == argc ? "which configuration?" : "one configuration at a time, not also %s",
                     argv[optind + 1]);
  if (resume && force) return mno_usage(command, "--resume and --force exclude each other");
  arguments->config = arguments->from ? NULL : argv[optind];
  if (arguments->from && arguments->dry_run) return mno_usage(command, "--dry-run needs a configuration file, not --from");
  arguments->options.mode = resume ? MNO_RESUME : force ? MNO_FORCE : MNO_CREATE;
  if (arguments->output && !arguments->output[0]) return mno_usage(command, "an output needs a name, not \"\"");
  if (!arguments->output && arguments->from) return mno_usage(command, "--from needs an output: -o OUT.h5");
  mno_error err = {0};
  if (shard &&
      mno_shard_parse(shard, arguments->output, &arguments->options.shard, &arguments->options.shards, &err) != MNO_OK)
    return mno_usage(command, "%s", err.message);
  arguments->beside = shard && strcmp(shard, "slurm") == 0 && arguments->output && !force;
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
  if (summary.note[0]) fprintf(stderr, "note: %s\n", summary.note);
  if (status == MNO_OK || status == MNO_DIVERGED) summarise(arguments, &summary);
  return status;
}

#ifdef MNO_HAVE_MPI
/* One of several ranks: rank 0 runs, the others help. */
static mno_status run_ranks(run_arguments *arguments, const mno_plan *plan, mno_error *err) {
  int rank, size;
  mno_status status = mno_mpi_begin(&rank, &size, err);
  if (status != MNO_OK) return status;
  const mno_backend *own;
  char device[256];
  mno_mpi_share_cards();
  if (arguments->options.threads == 0) arguments->options.threads = mno_mpi_threads();
  status = mno_backend_find(arguments->options.backend ? arguments->options.backend : "auto", &own, err);
  if (status == MNO_OK) status = own->probe(device, sizeof device);
  if (rank == 0 && status == MNO_OK) {
    arguments->options.use = mno_mpi_backend(own);
    status = run_plan(arguments, plan, err);
  } else if (rank > 0) {
    mno_catch_signals();
    status = mno_mpi_serve(status, plan, own, arguments->options.threads, &mno_stop_requested, err);
  }
  mno_mpi_end();
  return status;
}
#else
static mno_status run_ranks(run_arguments *arguments, const mno_plan *plan, mno_error *err) {
  return mno_fail(err, MNO_ERR_USAGE,
                  "started as one of several MPI ranks, but this build has no MPI; install one and build "
                  "again with -DMEANODE_MPI=ON, or run one process");
}
#endif

/* The configuration, precision and data (if they were read from a file) of the run behind a result file. */
static mno_status load_from(run_arguments *arguments, mno_sweep **sweep, mno_held_data **held, mno_error *err) {
  mno_result *result;
  mno_status status = mno_result_open(arguments->from, &result, err);
  if (status != MNO_OK) return status;
  char *name = mno_result_attribute(result, "precision");
  int precision;
  if (name && !arguments->precision_given && mno_choice_named(&mno_precisions, name, &precision))
    arguments->precision = (mno_precision)precision;
  free(name);
  if (result->config[0] == 0)
    status = mno_fail(err, MNO_ERR_INPUT, "%s holds no configuration", arguments->from);
  else
    status = mno_sweep_parse(result->config, strlen(result->config), arguments->from, sweep, err);
  if (status == MNO_OK && (*sweep)->data.kind == MNO_DATA_FILE) status = mno_result_held_data(result, held, err);
  mno_result_free(result);
  return status;
}

static int check(const run_arguments *arguments) {
  const mno_run_options *options = &arguments->options;
  return mno_check(arguments->config, arguments->precision, options->backend, options->threads);
}

int mno_command_check(int argc, char **argv) {
  run_arguments arguments = {0};
  int code = parse(argc, argv, ":h", check_options, &arguments);
  return code >= 0 ? code : check(&arguments);
}

int mno_command_run(int argc, char **argv) {
  run_arguments arguments = {0};
  int code = parse(argc, argv, ":o:h", run_options, &arguments);
  if (code >= 0) return code;
  if (arguments.dry_run) return check(&arguments);
  mno_error err = {0};
  mno_sweep *sweep = NULL;
  mno_plan *plan = NULL;
  mno_held_data *held = NULL;
  char *command = join(argc, argv), *output = arguments.output ? NULL : default_output(arguments.config, &arguments.options);
  if (output) arguments.output = output;
  arguments.options.command = command;
  mno_status status =
      arguments.from ? load_from(&arguments, &sweep, &held, &err) : mno_sweep_load(arguments.config, &sweep, &err);
  if (status == MNO_OK) status = mno_plan_build_held(sweep, arguments.precision, held, &plan, &err);
  mno_held_data_free(held);
  if (status == MNO_OK && mno_mpi_rank() == 0) mno_print_lines(stderr, "note: ", plan->note);
  if (status == MNO_OK && arguments.beside)
    status = mno_shard_beside(arguments.output, arguments.options.shards, sweep->text, &err);
  if (status == MNO_OK) status = mno_mpi_launched() ? run_ranks(&arguments, plan, &err) : run_plan(&arguments, plan, &err);
  code = mno_status_exit_code(status);
  if (status != MNO_OK && status != MNO_DIVERGED && mno_mpi_rank() == 0) code = mno_report("run", status, &err);
  mno_plan_free(plan);
  mno_sweep_free(sweep);
  free(command);
  free(output);
  return code;
}
