/* SPDX-License-Identifier: BSD-3-Clause */
/* The peer of the limit benchmark: the Mean ODE as the prototype that came before this library integrated it. Double
 * precision, one thread, ordinary loops over particles that the compiler vectorises (tanh from its vector library), the same
 * scrambled Sobol points and collocation nodes as the library, every equation solved by Picard iteration: sweeps over all
 * particles of all nodes until the fields stand still, from the quadratic extrapolation of the last three steps. */
#ifndef BENCH_LIMIT_PROTOTYPE_H
#define BENCH_LIMIT_PROTOTYPE_H

#include "meanode/meanode.h"

typedef struct prototype_cost {
  double seconds;            /* processor time */
  double evaluations;        /* passes over the particles per node and step, updates not counted */
  double seconds_evaluating; /* of them */
} prototype_cost;

/* output [K+1][N][d_out] of one randomisation with `particles` (a power of two) per node; tanh only. tolerance: relative RMS
 * change of the fields that ends the iteration. 0 when out of memory. */
int prototype_solve(const mno_problem *problem, size_t nodes, size_t particles, uint64_t seed, uint32_t randomisation,
                    double tolerance, double *output, prototype_cost *cost);

#endif
