/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs arranged as shapes x seeds. */
#ifndef MNO_STATS_CELLS_H
#define MNO_STATS_CELLS_H

#include "meanode/fit.h"

#include <stdbool.h>
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
  size_t runs;          /* that there were, of any draw */
  size_t unusable;      /* of these left out: not finite (diverged) */
  size_t lonely;        /* shapes left out: a single seed */
} mno_cells;

mno_status mno_cells_new(const mno_runs *runs, mno_pairs kind, mno_cells **cells, mno_error *err);
void mno_cells_free(mno_cells *cells);

/* Columns of a linear model of the cells. In DEPTH and WIDTH the power is the exponent that is fitted. */
typedef enum mno_column {
  MNO_X_ONE,
  MNO_X_LOG_LM,
  MNO_X_LOG_L,
  MNO_X_LOG_M,
  MNO_X_DEPTH, /* L^power */
  MNO_X_WIDTH, /* M^power/L */
  MNO_X_L,     /* 1/L, and so on */
  MNO_X_LM,
  MNO_X_LL,
  MNO_X_LLM,
  MNO_X_LML,
  MNO_X_LMLM
} mno_column;

enum { MNO_DESIGN_MAX = 4 };

typedef struct mno_design {
  size_t columns;
  mno_column column[MNO_DESIGN_MAX];
} mno_design;

/* x [count][columns] */
void mno_cells_design(const mno_cells *cells, const mno_design *design, double power, double *x);

/* Why no shape has so many seeds as an estimate needs (3), or NULL if all have them. */
const char *mno_cells_lack(const mno_cells *cells);

/* Are the numbers of v and w [count] the same up to the rounding of a sum of so many terms as large as those of v? */
bool mno_same_numbers(const double *v, const double *w, size_t count, size_t terms);

/* Number of different values in v [count]. */
size_t mno_distinct(const double *v, size_t count);

#endif
