/* SPDX-License-Identifier: BSD-3-Clause */
/* Handing a command over to the Python module, which draws. */
#ifndef MNO_CLI_PYTHON_H
#define MNO_CLI_PYTHON_H

/* Replaces this process by `python3 .../meanode/__main__.py COMMAND ...`, which knows this binary as MEANODE. Returns only
 * on failure, with an exit code. */
int mno_exec_python(int argc, char **argv);

#endif
