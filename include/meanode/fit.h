/* Constants of the error law from a result file.
 *
 * For a network of depth L and width M at a fixed step, as L M grows,
 *   E[f_{L,M}] - f_limit = A/L + C/(L M),   standard deviation over seeds = b/sqrt(L M),
 * with a = RMS of A over samples and coordinates (depth bias), c = RMS of C (width bias). */
#ifndef MEANODE_FIT_H
#define MEANODE_FIT_H

#include "meanode/result.h"
#include "meanode/status.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mno_estimate {
  double value, low, high; /* 95% interval; NaN: cannot be estimated, see warning */
  char warning[200];       /* empty if none */
} mno_estimate;

typedef enum mno_quantity { MNO_OUTPUT, MNO_EMBEDDING } mno_quantity;

typedef struct mno_fit {
  size_t problem; /* index into result->problems */
  int64_t step;
  mno_quantity quantity;
  mno_estimate a, b, c;
  mno_estimate slope_fluctuation; /* exponent in L M */
  mno_estimate slope_bias;        /* exponent in L of the depth bias */
} mno_fit;

typedef struct mno_fits {
  size_t count;
  mno_fit *fit; /* [count] ordered by problem, step, quantity */
} mno_fits;

mno_status mno_fit_result(mno_result *result, mno_fits **fits, mno_error *err);
void mno_fits_free(mno_fits *fits);

/* Writes the fits as the JSON of the documentation; the caller frees *text. */
mno_status mno_fits_json(const mno_result *result, const mno_fits *fits, char **text, mno_error *err);

/* Writes the fits as a table for a person; the caller frees *text. */
mno_status mno_fits_table(const mno_result *result, const mno_fits *fits, char **text, mno_error *err);

#ifdef __cplusplus
}
#endif
#endif
