/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/cli.h"
#include "cli/python.h"

int mno_command_report(int argc, char **argv) {
  return mno_asks_help(argc, argv) ? mno_help("report") : mno_exec_python(argc, argv);
}
