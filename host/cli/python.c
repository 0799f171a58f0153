#include "cli/python.h"

#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Folder of this executable, without a slash at its end; "" if unknown. */
static void own_folder(char folder[PATH_MAX], char binary[PATH_MAX]) {
  ssize_t length = readlink("/proc/self/exe", binary, PATH_MAX - 1);
  binary[length > 0 ? length : 0] = 0;
  memcpy(folder, binary, PATH_MAX);
  char *slash = strrchr(folder, '/');
  if (slash)
    *slash = 0;
  else
    folder[0] = 0;
}

static int has_module(const char *folder) {
  char file[PATH_MAX + 32];
  snprintf(file, sizeof file, "%s/meanode/__init__.py", folder);
  return access(file, R_OK) == 0;
}

/* Where the module is: next to an installed binary, or in the source tree this was built from. */
static int find_module(const char *own, char found[PATH_MAX]) {
  snprintf(found, PATH_MAX, "%.*s/../share/meanode/python", PATH_MAX - 64, own);
  if (own[0] && has_module(found)) return 1;
  snprintf(found, PATH_MAX, "%s", MNO_PYTHON_SOURCE);
  return has_module(found);
}

int mno_exec_python(int argc, char **argv) {
  char own[PATH_MAX], binary[PATH_MAX], module[PATH_MAX], path[2 * PATH_MAX + 2];
  own_folder(own, binary);
  const char *python = getenv("MEANODE_PYTHON"), *before = getenv("PYTHONPATH");
  if (!python || !python[0]) python = access(MNO_PYTHON_DEFAULT, X_OK) == 0 ? MNO_PYTHON_DEFAULT : "python3";
  if (find_module(own, module)) {
    snprintf(path, sizeof path, "%s%s%s", module, before && before[0] ? ":" : "", before ? before : "");
    setenv("PYTHONPATH", path, 1);
  }
  setenv("MEANODE", binary, 1);

  char **arguments = calloc((size_t)argc + 4, sizeof *arguments);
  if (!arguments) {
    fprintf(stderr, "meanode %s: out of memory\n", argv[0]);
    return mno_status_exit_code(MNO_ERR_MEMORY);
  }
  char *head[] = {(char *)python, "-m", "meanode"};
  memcpy(arguments, head, sizeof head);
  for (int i = 0; i < argc; i++) arguments[3 + i] = argv[i];
  execvp(python, arguments);
  fprintf(stderr,
          "meanode %s: cannot start %s: %s. Figures are drawn by Python: apt-get install python3-matplotlib python3-xarray "
          "python3-h5netcdf python3-scipy, or set MEANODE_PYTHON to an interpreter that has them\n",
          argv[0], python, strerror(errno));
  free(arguments);
  return mno_status_exit_code(MNO_ERR_BACKEND);
}
