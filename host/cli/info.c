#include "cli/cli.h"

#include <stdio.h>

int mno_command_info(int argc, char **argv) {
  printf("meanode %s (commit %s)\nbuild: %s\n", mno_version(), mno_git_commit(), mno_build());
  return 0;
}
