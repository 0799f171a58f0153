/* SPDX-License-Identifier: BSD-3-Clause */
/* Constants of the error law, estimated from runs.
 *
 * For a network of depth L and width M at a fixed step, as L M grows,
 *   E[f_{L,M}] - f_limit = A/L + C/(L M),   standard deviation over seeds = b/sqrt(L M),
 * with a = RMS of A over samples and coordinates (depth bias), c = RMS of C (width bias).
 *
 * All intervals are at 95%. Runs of one seed share draws between shapes, so the unit of resampling is the seed with all its
 * shapes, never the single run. RMS values are debiased: the noise's share of the square is subtracted, with its own
 * uncertainty. */
#ifndef MEANODE_FIT_H
#define MEANODE_FIT_H

#include "meanode/plan.h"
#include "meanode/result.h"
#include "meanode/status.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mno_estimate {
  double value, low, high; /* 95% interval, low < high, value in it; low and high NaN: it has no statistical error; all NaN:
                            * cannot be estimated; both with a warning that says why */
  char method[32];         /* by which estimator, in words; empty if there is one only */
  char warning[200];       /* empty if none */
} mno_estimate;

typedef enum mno_quantity { MNO_OUTPUT, MNO_EMBEDDING } mno_quantity;
enum { MNO_QUANTITIES = 2 };

const char *mno_quantity_name(mno_quantity quantity); /* "output", "embedding" */

typedef struct mno_fit {
  size_t problem; /* index into result->problems */
  int64_t step;
  mno_quantity quantity;
  mno_estimate a, b, c;
  mno_estimate slope_fluctuation;   /* exponent in L M of the standard deviation over seeds */
  mno_estimate slope_fluctuation_L; /* its exponents in L and in M, fitted apart */
  mno_estimate slope_fluctuation_M;
  mno_estimate slope_bias;   /* exponent in L of the depth bias */
  mno_estimate slope_bias_M; /* exponent in M of the depth bias, the width bias apart: 0 in theory */
} mno_fit;

typedef struct mno_fits {
  size_t count;
  mno_fit *fit; /* [count] ordered by problem, step, quantity */
} mno_fits;

/* The pure core: one quantity of one problem at one step, as arrays. */
typedef struct mno_runs {
  size_t count, size;     /* runs; numbers per run (samples x coordinates) */
  const int64_t *L, *M;   /* [count] */
  const uint64_t *seed;   /* [count] */
  const mno_draw *draw;   /* [count], or NULL: all plain */
  const double *value;    /* [count][size]; a run with a number that is not finite is left out */
  const double *limit;    /* [size]; NULL: there is none, a number that is not finite: not known here; no a and c then */
  double limit_deviation; /* standard error of one number of the limit, same unit as value; NaN: not known, taken as 0 with
                           * a warning; infinite: as a limit that is not known */
} mno_runs;

/* Estimates all constants of one set of runs; fills every estimate of fit, leaves problem, step and quantity alone.
 * Errors: MNO_ERR_MEMORY; MNO_ERR_INPUT if two runs have the same shape, seed and draw. */
mno_status mno_fit_runs(const mno_runs *runs, mno_fit *fit, mno_error *err);

/* What to fit of a file. */
typedef struct mno_fit_options {
  size_t step_count;     /* 0: all recorded */
  const int64_t *step;   /* [step_count] */
  int output, embedding; /* which quantities; both 0: all recorded */
  int deterministic; /* a and slope_bias from networks of infinite width (mno_limit_depth_bias) instead of seeds: the data
                      * and embeddings of the file suffice, at the cost of a few limits */
} mno_fit_options;

/* Fits every problem, step and quantity of a file (options may be NULL: all).
 * Errors: MNO_ERR_INPUT for a step or quantity that was not recorded, for a file without outputs and embeddings or without
 * any finished run (which deterministic does not need); MNO_ERR_MEMORY; MNO_ERR_IO. */
mno_status mno_fit_select(mno_result *result, const mno_fit_options *options, mno_fits **fits, mno_error *err);
mno_status mno_fit_result(mno_result *result, mno_fits **fits, mno_error *err); /* everything */
void mno_fits_free(mno_fits *fits);

/* Writes the fits as the JSON of the documentation (README, "Results"); the caller frees *text.
 * Errors: MNO_ERR_MEMORY. */
mno_status mno_fits_json(const mno_result *result, const mno_fits *fits, char **text, mno_error *err);

/* Writes the fits as a table for a person; the caller frees *text. Errors: MNO_ERR_MEMORY. */
mno_status mno_fits_table(const mno_result *result, const mno_fits *fits, char **text, mno_error *err);

#ifdef __cplusplus
}
#endif
#endif
