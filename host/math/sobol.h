/* SPDX-License-Identifier: BSD-3-Clause */
/* Scrambled Sobol points: a digital (t, s)-sequence in base 2 with a random linear matrix scramble and digital shift
 * (Matousek 1998), which keeps the net and gives every point the uniform law. */
#ifndef MNO_MATH_SOBOL_H
#define MNO_MATH_SOBOL_H

#include <stddef.h>
#include <stdint.h>

/* Blocks of a dimension's random words that scramble it; the next ones are the points of a pseudo-random dimension. */
enum { MNO_SOBOL_SCRAMBLE_BLOCKS = 8 };

typedef struct mno_sobol {
  size_t dimensions, tabled; /* beyond the table of direction numbers coordinates are pseudo-random */
  uint32_t *direction;       /* [tabled][32] scrambled direction numbers */
  uint32_t *shift;           /* [tabled] */
  uint64_t seed;
  uint32_t randomisation;
} mno_sobol;

/* 0 when out of memory. Randomisations of one seed are independent. */
int mno_sobol_new(mno_sobol *sobol, size_t dimensions, uint64_t seed, uint32_t randomisation);
void mno_sobol_free(mno_sobol *sobol);

/* Coordinate `dimension` of the points with numbers first .. first + count - 1 (Gray code order, so that an aligned block of
 * 2^k numbers is a net), as 32-bit fractions. */
void mno_sobol_points(const mno_sobol *sobol, size_t dimension, uint32_t first, size_t count, uint32_t *out /* [count] */);

/* Standard normals (x + 1/2) 2^-32 -> Phi^-1, to rounding. */
void mno_sobol_normals(const uint32_t *x, size_t count, double *out);

#endif
