/* SPDX-License-Identifier: BSD-3-Clause */
/* What the process agrees on with the system: signals that end a run in good order, and limits on stacks and address space.
 */
#ifndef MNO_CLI_PROCESS_H
#define MNO_CLI_PROCESS_H

#include <stdatomic.h>

/* Set by SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGXCPU once the handlers are installed: finish or drop what is in flight,
 * exit 75. */
extern atomic_int mno_stop_requested;
void mno_catch_signals(void);

/* Near the start of main, before there are threads: makes stacks and heaps suit the limits that the process was started
 * with. */
void mno_fit_into_limits(void);

#endif
