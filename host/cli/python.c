/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands of the Python module, which draws. */
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has_module(const char *folder) {
  char file[PATH_MAX + 32];
  snprintf(file, sizeof file, "%s/meanode/__init__.py", folder);
  return access(file, R_OK) == 0;
}

/* Where the module is: next to an installed binary, or in the source tree this was built from. */
static bool find_module(const char *binary, char found[PATH_MAX]) {
  const char *slash = strrchr(binary, '/');
  int folder = slash ? (int)(slash - binary) : 0;
  snprintf(found, PATH_MAX, "%.*s/../share/meanode/python", folder < PATH_MAX - 64 ? folder : PATH_MAX - 64, binary);
  if (folder && has_module(found)) return true;
  snprintf(found, PATH_MAX, "%s", MNO_PYTHON_SOURCE);
  return has_module(found);
}

/* For a module that is installed as a Python package only: found without importing it, started as a file like any other. */
static const char by_name[] =
    "import importlib.util, os, runpy, site, sys\n"
    "sys.path.append(site.getusersitepackages())\n"
    "found = importlib.util.find_spec('meanode')\n"
    "if found is None:\n"
    "  sys.stderr.write('meanode: there is no Python module meanode beside the program (../share/meanode/python), in the "
    "source tree it was built from, or in ' + sys.executable + ': cmake --install puts it there\\n')\n"
    "  sys.exit(69)\n"
    "runpy.run_path(os.path.join(found.submodule_search_locations[0], '__main__.py'), run_name='__main__')\n";

/* Is help asked for? The options are those of the module. */
static bool asks_help(int argc, char **argv) {
  for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
  return false;
}

/* Replaces this process by `python3 .../meanode/__main__.py COMMAND ...`, which knows this binary as MEANODE.
 * Isolated: neither the working folder nor PYTHONPATH, PYTHONHOME or any other of Python's variables decides what is
 * imported and how it behaves; the module adds the user's own packages after those of the interpreter. */
int mno_command_of_python(int argc, char **argv) {
  if (asks_help(argc, argv)) return mno_help(argv[0]);
  char binary[PATH_MAX], module[PATH_MAX], file[PATH_MAX + 32];
  ssize_t length = readlink("/proc/self/exe", binary, PATH_MAX - 1);
  binary[length > 0 ? length : 0] = 0;
  const char *python = getenv("MEANODE_PYTHON"), *no_cache = getenv("PYTHONDONTWRITEBYTECODE");
  if (!python || !python[0]) python = access(MNO_PYTHON_DEFAULT, X_OK) == 0 ? MNO_PYTHON_DEFAULT : "python3";
  bool found = find_module(binary, module);
  snprintf(file, sizeof file, "%s/meanode/__main__.py", module);
  setenv("MEANODE", binary, 1);

  char **arguments = calloc((size_t)argc + 8, sizeof *arguments);
  if (!arguments) {
    fprintf(stderr, "meanode %s: out of memory\n", argv[0]);
    return mno_status_exit_code(MNO_ERR_MEMORY);
  }
  int count = 0;
  const char *head[] = {python, "-I", "-X", "utf8", "-B"};
  for (int i = 0; i < (no_cache && no_cache[0] ? 5 : 4); i++) arguments[count++] = (char *)head[i];
  if (!found) arguments[count++] = "-c";
  arguments[count++] = found ? file : (char *)by_name;
  for (int i = 0; i < argc; i++) arguments[count++] = argv[i];

  /* Until the module can end tidily an interrupt waits: the interpreter would show where it was. */
  sigset_t held, before;
  sigemptyset(&held);
  sigaddset(&held, SIGINT);
  sigaddset(&held, SIGTERM);
  sigaddset(&held, SIGHUP);
  sigprocmask(SIG_BLOCK, &held, &before);
  execvp(python, arguments);
  int why = errno;
  sigprocmask(SIG_SETMASK, &before, NULL);
  fprintf(stderr,
          "meanode %s: cannot start %s: %s. Figures are drawn by Python: apt-get install python3-matplotlib python3-xarray "
          "python3-h5netcdf python3-scipy, or set MEANODE_PYTHON to an interpreter that has them\n",
          argv[0], python, strerror(why));
  free(arguments);
  return mno_status_exit_code(MNO_ERR_BACKEND);
}
