#include "cli/cli.h"

#include "core/nearest.h"

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const mno_command commands[] = {
    {"run",
     "CONFIG.yaml | --from FILE.h5 [-o OUT.h5] [--backend auto|cpu|cuda] [--precision f64|f32] [--threads N]\n"
     "          [--resume | --force] [--shard I/N|slurm] [--limits FILE.h5] [--limits-only] [--dry-run] [--progress "
     "auto|bar|lines|none]",
     "train every instance of a sweep, integrate its limits, write a result file", mno_command_run},
    {"check", "CONFIG.yaml [--backend auto|cpu|cuda] [--precision f32|f64] [--threads N]",
     "validate, print the plan: problems, instances, memory, time estimate", mno_command_check},
    {"merge", "OUT.h5 SHARD.h5... [--partial] [--force]", "copy shards into one file, with ids and counts verified",
     mno_command_merge},
    {"status", "OUT.h5...", "what is done, running, diverged, missing", mno_command_status},
    {"fit", "OUT.h5 [--json] [--step K...] [--quantity output|embedding] [--deterministic]",
     "constants a, b, c and exponents with 95% intervals", mno_command_fit},
    {"plot", "OUT.h5 -o FIG.svg|.png|.pdf [--kind NAME] [--step K] [--quantity output|embedding] [--problem I]",
     "draw a figure, print its verdicts", mno_command_plot},
    {"report", "OUT.h5... [-o PAGE.html]", "one HTML page with the figures, verdicts and constants of result files",
     mno_command_report},
    {"info", "[OUT.h5]", "version, build, devices; or the provenance of a file", mno_command_info},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

atomic_int mno_stop_requested;

/* The first signal asks for a clean end; a second interrupt ends at once (what was recorded is on disk). */
static void on_signal(int signal_number) {
  if (atomic_fetch_add(&mno_stop_requested, 1) > 0 && signal_number == SIGINT) _exit(mno_status_exit_code(MNO_INTERRUPTED));
}

void mno_catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  int signals[] = {SIGINT, SIGTERM, SIGUSR1};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of the write */
}

int mno_report(const char *command, mno_status status, const mno_error *err) {
  fprintf(stderr, "meanode %s: %s\n", command, err->message[0] ? err->message : mno_status_text(status));
  return mno_status_exit_code(status);
}

static const mno_command *find(const char *name) {
  for (size_t i = 0; i < COMMANDS; i++)
    if (strcmp(name, commands[i].name) == 0) return &commands[i];
  return NULL;
}

int mno_help(const char *command) {
  const mno_command *known = find(command);
  printf("meanode %s: %s\n\nusage: meanode %s %s\n", command, known->summary, command, known->arguments);
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

static void help(FILE *out) {
  fprintf(out, "meanode %s: a laboratory for the infinite-depth limit of ResNets\n\n", mno_version());
  for (size_t i = 0; i < COMMANDS; i++)
    fprintf(out, "  meanode %s %s\n      %s\n", commands[i].name, commands[i].arguments, commands[i].summary);
  fprintf(out, "\nExit codes: 0 done; 2 usage; 3 done, some instances diverged; 65 bad configuration or input file;\n"
               "69 backend unavailable; 74 input/output; 75 interrupted, resumable; 1 internal.\n");
}

int main(int argc, char **argv) {
  if (argc < 2) {
    help(stderr);
    return mno_status_exit_code(MNO_ERR_USAGE);
  }
  const char *name = argv[1];
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
    help(stdout);
    return 0;
  }
  if (strcmp(name, "--version") == 0) {
    printf("meanode %s (%s)\n", mno_version(), mno_git_commit());
    return 0;
  }
  const mno_command *command = find(name);
  if (command) return command->run(argc - 1, argv + 1);
  const char *names[COMMANDS];
  for (size_t i = 0; i < COMMANDS; i++) names[i] = commands[i].name;
  const char *nearest = mno_nearest(name, names, COMMANDS);
  fprintf(stderr, "meanode: unknown command \"%s\"%s%s%s\n", name, nearest ? "; did you mean \"" : "",
          nearest ? nearest : "", nearest ? "\"?" : "");
  return mno_status_exit_code(MNO_ERR_USAGE);
}
