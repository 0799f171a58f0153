/* SPDX-License-Identifier: BSD-3-Clause */
/* One run over many MPI ranks. Rank 0 holds the store and deals rows; it also computes. The other ranks compute what they
 * are dealt and send the records. To the rest of the program this is a backend whose run() takes the other ranks' help. */
#ifndef MNO_MPI_H
#define MNO_MPI_H

#include "meanode/backend.h"

#include <stdbool.h>

/* Was the program started by an MPI launcher with more than one rank? Needs no MPI. */
bool mno_mpi_launched(void);
int mno_mpi_rank(void); /* as the launcher says; 0 outside */

/* The cards of the list "0,1,2" that one of the ranks of a machine takes: its share, or one that it shares with other ranks
 * where there are more ranks than cards. Empty for an empty list. */
void mno_mpi_cards(const char *list, int rank, int ranks, char *own, size_t size);

#ifdef MNO_HAVE_MPI

/* Starts MPI; call once, before the rest. */
mno_status mno_mpi_begin(int *rank, int *size, mno_error *err);

/* Threads that this rank should use when the user names none: its share of the machine's cores. */
int mno_mpi_threads(void);

/* Leaves this rank its share of the cards of its machine (CUDA_VISIBLE_DEVICES), unless the launcher has dealt them already.
 * Before the first use of a backend. */
void mno_mpi_share_cards(void);

/* Rank 0: a backend that computes on `own` and deals to the other ranks. Valid until mno_mpi_end. */
const mno_backend *mno_mpi_backend(const mno_backend *own);

/* Other ranks: computes what rank 0 deals until it has no more. ready: what went wrong before (then err says it), to be
 * passed on to rank 0. Returns MNO_OK, or why this rank stopped. */
mno_status mno_mpi_serve(mno_status ready, const mno_plan *plan, const mno_backend *own, int threads, const atomic_int *stop,
                         mno_error *err);

/* Tells the other ranks that there is nothing (more) to do, ends MPI. */
void mno_mpi_end(void);

#endif
#endif
