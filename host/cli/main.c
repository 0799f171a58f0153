/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/cli.h"

#include "cli/process.h"
#include "cli/streams.h"
#include "core/nearest.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const mno_command commands[] = {
    {"run",
     "CONFIG.yaml | --from FILE.h5 [-o OUT.h5] [--backend auto|cpu|cuda] [--precision f64|f32] [--threads N]\n"
     "          [--resume | --force] [--shard I/N|slurm] [--limits FILE.h5] [--limits-only] [--dry-run] [--progress "
     "auto|bar|lines|none]",
     "train every instance of a sweep, integrate its limits, write a result file",
     "  -o, --output OUT.h5   the result file (default: CONFIG.h5 in this folder; needed with --from)\n"
     "  --from FILE.h5        repeat the run behind a result file: its configuration, precision and data\n"
     "  --backend NAME        auto (default): CUDA if a device answers, else the CPU\n"
     "  --precision f64|f32   of training (default f64)\n"
     "  --threads N           CPU threads (default: one per core that this process may use, within the quotas of its\n"
     "                        control group and of Slurm); never changes the numbers\n"
     "  --resume              go on with OUT.h5, or add what CONFIG.yaml has gained; starts it if it is not there\n"
     "  --force               replace OUT.h5 once the run ends; without --resume or --force an existing file is never "
     "touched\n"
     "  --shard I/N           compute part I of N only, from 0; slurm: I and N of this task of a job array\n"
     "  --limits FILE.h5      take the limits of the same problems from a result file\n"
     "  --limits-only         compute the limits and no instance\n"
     "  --dry-run             what meanode check does\n"
     "  --progress STYLE      auto (default): a bar on a terminal, a line every few seconds elsewhere\n"
     "SIGINT (Ctrl-C), SIGTERM, SIGHUP, SIGUSR1 and SIGXCPU save what is finished and exit with 75. Keys of CONFIG.yaml:\n"
     "meanode help config.\n",
     mno_command_run},
    {"check", "CONFIG.yaml [--backend auto|cpu|cuda] [--precision f64|f32] [--threads N]",
     "validate, print the plan: problems, instances, memory, time estimate",
     "The options are those of run. Exit code 0: it can run; 65: the configuration or a data file is wrong, or too large "
     "for this\n"
     "machine (the message shows the place). Keys of CONFIG.yaml: meanode help config.\n",
     mno_command_check},
    {"merge", "OUT.h5 SHARD.h5... [--partial] [--force]", "copy shards into one file, with ids and counts verified",
     "  --partial   write although instances are missing; they stay marked as missing\n"
     "  --force     replace OUT.h5\n",
     mno_command_merge},
    {"status", "OUT.h5...", "what is done, running, diverged, missing",
     "Reads the journal of a run that goes on or was cut off, too.\n", mno_command_status},
    {"fit", "OUT.h5 [--json] [--step K...] [--quantity output|embedding] [--deterministic]",
     "constants a, b, c and exponents with 95% intervals",
     "  --json              for scripts; what cannot be estimated is null, with a warning beside it\n"
     "  --step K...         some of the recorded steps: --step 1 5 15 or --step 1,5,15 (default: all)\n"
     "  --quantity NAME     output or embedding (default: what was recorded)\n"
     "  --deterministic     the depth bias from networks of infinite width instead of seeds; takes seconds to minutes\n",
     mno_command_fit},
    {"plot", "OUT.h5 -o FIG.svg|.png|.pdf [--kind NAME] [--step K] [--quantity output|embedding] [--problem I] [--dpi DPI]",
     "draw a figure, print its verdicts",
     "  -o, --output FIG    .svg, .png or .pdf\n"
     "  --kind NAME         law, dimension, lazy, phase, chaos, depth-as-width, shape, authors (default: what the "
     "configuration\n"
     "                      names as record.figure, else law)\n"
     "  --step K            the step to show (default: the last)\n"
     "  --quantity NAME     output (default) or embedding\n"
     "  --problem I         which problem, from 0, for figures of one problem\n"
     "  --dpi DPI           resolution of a .png (default 300)\n",
     mno_command_of_python},
    {"report", "OUT.h5... [-o PAGE.html]", "one HTML page with the figures, verdicts and constants of result files",
     "  -o, --output PAGE   the page (default report.html)\n"
     "A file without a figure is named on the page and on stderr, the others are drawn, and the exit code is 65 (74 if the "
     "file\n"
     "is not there).\n",
     mno_command_of_python},
    {"info", "[OUT.h5]", "version, build, devices; or the provenance of a file", "", mno_command_info},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

int mno_report(const char *command, mno_status status, const mno_error *err) {
  fprintf(stderr, "meanode %s: %s\n", command, err->message[0] ? err->message : mno_status_text(status));
  return mno_status_exit_code(status);
}

void mno_print_lines(FILE *out, const char *before, const char *text) {
  for (const char *at = text ? text : ""; *at;) {
    size_t length = strcspn(at, "\n");
    fprintf(out, "%s%.*s\n", before, (int)length, at);
    at += length + (at[length] == '\n');
  }
}

static const mno_command *find(const char *name) {
  for (size_t i = 0; i < COMMANDS; i++)
    if (strcmp(name, commands[i].name) == 0) return &commands[i];
  return NULL;
}

int mno_help(const char *command) {
  const mno_command *known = find(command);
  printf("meanode %s: %s\n\nusage: meanode %s %s\n%s%s", command, known->summary, command, known->arguments,
         known->details[0] ? "\n" : "", known->details);
  return 0;
}

int mno_usage(const char *command, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "meanode %s: ", command);
  vfprintf(stderr, format, args);
  va_end(args);
  const mno_command *known = find(command);
  fprintf(stderr, "\nusage: meanode %s %s\n", command, known ? known->arguments : "");
  return mno_status_exit_code(MNO_ERR_USAGE);
}

int mno_usage_option(const char *command, int option, char **argv) {
  const char *given = argv[optind - 1];
  if (option == ':') return mno_usage(command, "option %s needs a value", given);
  if (strncmp(given, "--", 2) == 0) return mno_usage(command, "unknown option %s", given);
  return mno_usage(command, "unknown option -%c", optopt);
}

int mno_only_files(const char *command, int argc, char **argv) {
  static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
  optind = 1;
  opterr = 0;
  for (int option; (option = getopt_long(argc, argv, ":h", options, NULL)) != -1;)
    return option == 'h' ? mno_help(command) : mno_usage_option(command, option, argv);
  return -1;
}

static void help(FILE *out) {
  fprintf(out, "meanode %s: a laboratory for the infinite-depth limit of ResNets\n\n", mno_version());
  for (size_t i = 0; i < COMMANDS; i++)
    fprintf(out, "  meanode %s %s\n      %s\n", commands[i].name, commands[i].arguments, commands[i].summary);
  fprintf(out,
          "\nmeanode help COMMAND explains its options, meanode help config the keys of a configuration (--json: as a JSON "
          "Schema).\n"
          "Exit codes: 0 done; 2 usage; 3 done, some instances diverged; 65 bad configuration or input file;\n"
          "69 backend unavailable or failing; 74 input/output; 75 interrupted, resumable; 1 internal, or out of memory.\n");
}

/* The nearest command to a word that is none; returns 2. */
static int unknown(const char *name) {
  const char *names[COMMANDS];
  for (size_t i = 0; i < COMMANDS; i++) names[i] = commands[i].name;
  const char *nearest = mno_nearest(name, names, COMMANDS);
  fprintf(stderr, "meanode: unknown command \"%s\"%s%s%s\n", name,
          nearest ? "; did you mean \"" : "; meanode help lists them", nearest ? nearest : "", nearest ? "\"?" : "");
  return mno_status_exit_code(MNO_ERR_USAGE);
}

/* meanode help [COMMAND | config [--json]] */
static int help_on(int argc, char **argv) {
  if (argc < 2) {
    help(stdout);
    return 0;
  }
  if (strcmp(argv[1], "config") != 0) return find(argv[1]) ? mno_help(argv[1]) : unknown(argv[1]);
  const bool json = argc > 2 && strcmp(argv[2], "--json") == 0;
  if (argc > 2 + json) {
    fprintf(stderr, "meanode help config: unknown argument %s; accepted: --json\n", argv[2 + json]);
    return mno_status_exit_code(MNO_ERR_USAGE);
  }
  mno_error err = {0};
  char *text = NULL;
  mno_status status = json ? mno_sweep_json_schema(&text, &err) : mno_sweep_keys(&text, &err);
  if (status != MNO_OK) return mno_report("help", status, &err);
  fputs(text, stdout);
  free(text);
  return 0;
}

static int dispatch(int argc, char **argv) {
  unsetenv("POSIXLY_CORRECT"); /* options may follow file names, whatever other programs are told */
  if (argc < 2) {
    help(stderr);
    return mno_status_exit_code(MNO_ERR_USAGE);
  }
  const char *name = argv[1];
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
    return help_on(argc - 1, argv + 1);
  if (strcmp(name, "--version") == 0) {
    printf("meanode %s (%s)\n", mno_version(), mno_git_commit());
    return 0;
  }
  const mno_command *command = find(name);
  return command ? command->run(argc - 1, argv + 1) : unknown(name);
}

int main(int argc, char **argv) {
  int code = mno_streams_open();
  if (code != 0) return code;
  mno_fit_into_limits();
  code = dispatch(argc, argv);
  return mno_streams_close(argc > 1 && find(argv[1]) ? argv[1] : NULL, code);
}
