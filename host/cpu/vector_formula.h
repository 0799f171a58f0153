/* SPDX-License-Identifier: BSD-3-Clause */
/* Formulas of blocks and optimisers (block/formula.h) for vectors of the kernels. */
#ifndef MNO_CPU_VECTOR_FORMULA_H
#define MNO_CPU_VECTOR_FORMULA_H

#include "cpu/vmath.h"
#include "meanode/model.h"

#define NUMBER vec
#define SCALAR real
#define FORMULA INLINE
#define RHO v_rho

/* rho(p), *slope receives rho'(p); what is not used vanishes in the compiler. */
INLINE vec v_rho(mno_activation activation, vec p, vec *slope) {
  vec value;
  switch (activation) {
  case MNO_TANH:
    value = v_tanh(p);
    *slope = 1 - value * value;
    return value;
  case MNO_ERF: return v_erf(p, slope);
  case MNO_GELU: return v_gelu(p, slope);
  case MNO_SILU: return v_silu(p, slope);
  case MNO_RELU: *slope = v_select(v_lt(v_set1(0), p), v_set1(1), v_set1(0)); return v_max(v_set1(0), p);
  case MNO_SOFTPLUS: return v_softplus(p, slope);
  case MNO_SIN: return v_sincos(p, slope);
  case MNO_IDENTITY:
  case MNO_ACTIVATION_COUNT: break; /* no default: a new activation without a case is a warning here */
  }
  *slope = v_set1(1);
  return p;
}

#endif
