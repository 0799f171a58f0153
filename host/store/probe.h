/* Reading a file of unknown origin: HDF5 may crash or hang on damaged metadata, so a child process tries it first. */
#ifndef MNO_STORE_PROBE_H
#define MNO_STORE_PROBE_H

#include "meanode/status.h"

/* Runs attempt(path) in a child process and returns its status and message; a child that dies or takes too long
 * gives MNO_ERR_INPUT. */
mno_status mno_probe(mno_status (*attempt)(const char *path, mno_error *err), const char *path, mno_error *err);

#endif
