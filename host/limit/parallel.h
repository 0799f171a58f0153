/* SPDX-License-Identifier: BSD-3-Clause */
/* A loop over independent pieces of work on several threads. Pieces are handed out in order; what a piece computes must not
 * depend on the thread that runs it. */
#ifndef MNO_LIMIT_PARALLEL_H
#define MNO_LIMIT_PARALLEL_H

#include <stddef.h>

/* Calls work(context, piece, worker) for piece = 0 .. count-1, with worker in 0 .. min(threads, count)-1. */
void mno_parallel(int threads, size_t count, void (*work)(void *context, size_t piece, int worker), void *context);

#endif
