#include "cli/cli.h"
#include "cli/python.h"

int mno_command_report(int argc, char **argv) { return mno_exec_python(argc, argv); }
