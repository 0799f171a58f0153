/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits without sampling: the number of depth nodes grows until two solutions agree. */
#ifndef MNO_LIMIT_REFINE_H
#define MNO_LIMIT_REFINE_H

#include "limit/average.h"

/* Solves one trajectory on the nodes of system->method. *floor is the largest relative error that more nodes cannot cure, as
 * far as the method knows. */
typedef mno_status (*mno_run_trajectory)(void *context, const mno_system *system, mno_trajectory *trajectory, double *floor,
                                         mno_error *err);

/* Bytes that this needs on so many nodes, the trajectory and its solver apart; NULL: next to nothing. */
typedef double (*mno_run_bytes)(const void *context, const mno_system *system, size_t nodes);

/* Numbers of nodes worth trying, in rising order, ended by 0. */
extern const size_t mno_node_counts[];

/* system: everything but the collocation scheme. options->nodes fixes the number of nodes; otherwise the finer of the first
 * two solutions that differ by less than half the tolerance is taken. Errors of the limit: that difference, or what
 * it bounds where convergence is algebraic. Numbers of nodes that
 * do not fit the memory budget are not tried. Its parameters are empty, or say what ended the search before the tolerance
 * ("; stopped at the time budget"): the caller puts its own before that. */
mno_status mno_refine(const mno_limit_options *options, mno_system system, size_t r, mno_run_trajectory run,
                      mno_run_bytes bytes, void *context, mno_limit **limit, mno_error *err);

/* Sets the method, and puts its parameters before those that there are. */
void mno_limit_describe(mno_limit *limit, const char *method, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* What ended the search ("; stopped at ..."), behind the parameters and in place of what is said so far;
 * or the parameters of another limit, for what ended that. */
void mno_limit_end(mno_limit *limit, const char *ended);

#endif
