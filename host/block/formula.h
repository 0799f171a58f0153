/* SPDX-License-Identifier: BSD-3-Clause */
/* How a formula is written once for every kind of number. A file of formulas (block/NAME/unit.h, optimizer/NAME/apply.h) is
 * included where these are defined:
 *   NUMBER   what is computed with: a vector of the CPU kernels, float or double of a card, double of the reference
 *   SCALAR   the number that all lanes of a NUMBER share
 *   FORMULA  what stands before a function, e.g. static inline
 *   RHO(activation, p, slope)   rho(p) as a NUMBER; *slope receives rho'(p)
 * A kernel compiled for a constant activation loses the choice in the compiler. This file defines them for double. */
#ifndef MNO_BLOCK_FORMULA_H
#define MNO_BLOCK_FORMULA_H

#include "core/activation.h"
#include "meanode/model.h"

#include <stddef.h>

#define NUMBER double
#define SCALAR double
#define FORMULA static inline
#define RHO mno_formula_rho

static inline double mno_formula_rho(mno_activation activation, double p, double *slope) {
  double d[4];
  mno_activation_at(activation, p, d);
  *slope = d[1];
  return d[0];
}

/* What mno_block.units asks for, by the formula of one unit. Inlined where the formula is known, so that what is not asked
 * for is not computed either. */
typedef void mno_formula_unit(mno_activation activation, const double *p, double *s, double *slope);
static inline __attribute__((always_inline)) void mno_formula_values(mno_formula_unit *formula, size_t inputs,
                                                                     mno_activation activation, size_t count,
                                                                     const double *p, double *s, double *slope) {
  for (size_t i = 0; i < count; i++) {
    double at[MNO_TENSORS_MOST], value, slopes[MNO_TENSORS_MOST];
    for (size_t a = 0; a < inputs; a++) at[a] = p[a * count + i];
    formula(activation, at, &value, slopes);
    if (s) s[i] = value;
    for (size_t a = 0; slope && a < inputs; a++) slope[a * count + i] = slopes[a];
  }
}
static inline __attribute__((always_inline)) void mno_formula_units(mno_formula_unit *formula, size_t inputs,
                                                                    mno_activation activation, size_t count, const double *p,
                                                                    double *s, double *slope) {
  if (!slope)
    mno_formula_values(formula, inputs, activation, count, p, s, NULL);
  else if (!s)
    mno_formula_values(formula, inputs, activation, count, p, NULL, slope);
  else
    mno_formula_values(formula, inputs, activation, count, p, s, slope);
}

#endif
