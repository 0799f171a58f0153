/* Handing a command over to the Python module, which draws. */
#ifndef MNO_CLI_PYTHON_H
#define MNO_CLI_PYTHON_H

/* Replaces this process by `python3 -m meanode COMMAND ...` with the module and this binary on its paths. Returns only on
 * failure, with an exit code. */
int mno_exec_python(int argc, char **argv);

#endif
