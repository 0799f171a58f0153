/* Runs arranged as shapes x seeds. */
#ifndef MNO_STATS_CELLS_H
#define MNO_STATS_CELLS_H

#include "meanode/fit.h"

#include <stddef.h>

/* What a cell holds for each seed: the plain run of its shape, or a combination of runs that share their units.
 *   MNO_PAIRS_NONE        f(L, M)
 *   MNO_PAIRS_REGROUP     f(L, M) - f(L/2, 2 M)                          expectation -A/L + O(L^-2)
 *   MNO_PAIRS_JACKKNIFE   f(L, M) - mean of the two halves of each layer  expectation -C/(L M) + O((L M)^-2)
 *   MNO_PAIRS_ANTITHETIC  mean of f(L, M) for v and for -v               expectation that of f(L, M)
 * A cell is a shape (L, M) with at least two seeds. */
typedef struct mno_cells {
  size_t size;          /* numbers per run */
  size_t count;         /* cells, ordered by L, then M */
  size_t seeds;         /* distinct seeds over all cells */
  double *L, *M;        /* [count] */
  size_t *n;            /* [count] seeds present */
  const double **value; /* [count][seeds][size], NULL where missing; in the runs or in combined */
  double *combined;     /* [runs][size] or NULL */
  double *mean;         /* [count][size] over seeds */
  size_t unusable;      /* runs left out: not finite (diverged) */
  size_t lonely;        /* shapes left out: a single seed */
} mno_cells;

mno_status mno_cells_new(const mno_runs *runs, mno_pairs kind, mno_cells **cells, mno_error *err);
void mno_cells_free(mno_cells *cells);

/* Number of different values in v [count]. */
size_t mno_distinct(const double *v, size_t count);

#endif
