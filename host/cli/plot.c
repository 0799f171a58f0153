#include "cli/cli.h"
#include "cli/python.h"

int mno_command_plot(int argc, char **argv) { return mno_exec_python(argc, argv); }
