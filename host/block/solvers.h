/* SPDX-License-Identifier: BSD-3-Clause */
/* Ways to the limit of a network, as bits: a block and an optimiser say which of them know their equations. */
#ifndef MNO_BLOCK_SOLVERS_H
#define MNO_BLOCK_SOLVERS_H

enum {
  MNO_BY_PARTICLES = 1,  /* any unit block, any formula of an optimiser */
  MNO_BY_QUADRATURE = 2, /* a grid over (u, v), half of it where s is odd */
  MNO_BY_CLOSURE = 4,    /* second moments of (u, v), which move linearly when s is the identity */
  MNO_BY_TANGENT_ODE = 8 /* the lazy limit: Gaussian kernels, the sum of all motions so far */
};

#endif
