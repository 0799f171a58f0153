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

#include "meanode/model.h"

#define NUMBER double
#define SCALAR double
#define FORMULA static inline
#define RHO mno_formula_rho

static inline double mno_formula_rho(mno_activation activation, double p, double *slope) {
  double d[4];
  mno_activation_derivatives(activation, p, d);
  *slope = d[1];
  return d[0];
}

#endif
