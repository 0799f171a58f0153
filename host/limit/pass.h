/* One pass over the units of a depth node: what the Mean ODE costs. A unit is a particle (u, v) with a weight; particles lie
 * on lanes, in tiles. A pass may update every particle with the fields of the last step and then take, at the fields of the
 * next, the drift F_i = sum w v rho(p_i), the adjoint drift G_i = sum w u rho'(p_i) q_i and the Jacobian of F
 * J_i = sum w v rho'(p_i) u^T / D; p_i = <u, h_i>/D, q_i = <v, b_i>/D. */
#ifndef MNO_LIMIT_PASS_H
#define MNO_LIMIT_PASS_H

#include "meanode/model.h"

#include <stdatomic.h>
#include <stddef.h>

typedef struct mno_pass {
  mno_activation activation;
  size_t r, N, tiles;
  double D;
  void *state;        /* [tiles][2][r][width] u, v; single or double precision */
  const void *weight; /* [tiles][width] */
  /* u <- u + step_u sum_i h_i rho'(p_i) q_i,  v <- v + step_v sum_i b_i rho(p_i); skipped when old_h is NULL */
  const double *old_h, *old_b; /* [N][r] */
  double step_u, step_v;
  /* evaluation; skipped when h is NULL */
  const double *h, *b;    /* [N][r]; b may be NULL */
  double *F, *G;          /* [N][r]; G may be NULL */
  double *J;              /* [N][r][r]; may be NULL; then G is not computed */
  void *scratch;          /* scratch_bytes(r, N), aligned to 64 bytes */
  const atomic_int *stop; /* nonzero: the rest is left undone, and the results are none; may be NULL */
} mno_pass;

typedef struct mno_kernel {
  size_t width, element; /* particles per tile, bytes per number */
  size_t (*scratch_bytes)(size_t r, size_t N);
  void (*run)(const mno_pass *pass);
} mno_kernel;

/* The kernel for a precision, of the instruction set that trains (cpu/cpu.h); NULL if MEANODE_ISA asks for one that is not
 * there.
 */
const mno_kernel *mno_kernel_find(mno_precision precision);

#endif
