/* The units of all depth nodes of a Mean ODE, as weighted particles in the coordinates of the invariant subspace. */
#ifndef MNO_LIMIT_ENSEMBLE_H
#define MNO_LIMIT_ENSEMBLE_H

#include "limit/pass.h"
#include "limit/reduction.h"
#include "meanode/plan.h"
#include "meanode/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct mno_ensemble {
  const mno_problem *problem;
  const mno_kernel *kernel;
  size_t m, r, tiles; /* tiles per node */
  int threads;
  void *state;   /* [m][tiles][2][r][width] u, v */
  void *weight;  /* [tiles][width], sum 1; the same at every node */
  void *scratch; /* [threads][scratch] */
  size_t scratch_bytes;
} mno_ensemble;

/* Room for at least `particles` per node, all zero with weight zero. */
mno_status mno_ensemble_new(const mno_problem *problem, size_t r, size_t m, size_t particles, mno_precision precision,
                            int threads, mno_ensemble *ensemble, mno_error *err);
void mno_ensemble_free(mno_ensemble *ensemble);
size_t mno_ensemble_bytes(size_t r, size_t m, size_t particles, mno_precision precision);

/* Coordinate a of u (part 0) or v (part 1) of a particle, and its weight. */
void mno_ensemble_set(mno_ensemble *ensemble, size_t node, size_t particle, int part, size_t a, double value);
double mno_ensemble_get(const mno_ensemble *ensemble, size_t node, size_t particle, int part, size_t a);
void mno_ensemble_set_weight(mno_ensemble *ensemble, size_t particle, double weight);

/* The initial law by one scrambled Sobol sequence of m particles/2 points (u, v), each also taken as (u, -v): node j holds
 * one block of it (blocks in random order). particles: a power of two, >= 64. blocks: of which sequence (>= m); shared != 0:
 * all nodes take block 0. */
mno_status mno_ensemble_draw(mno_ensemble *ensemble, const mno_reduction *reduction, size_t particles, int shared,
                             uint64_t seed, uint32_t randomisation, mno_error *err);

/* One pass over every node: update with the fields of the last step (or NULL), then evaluate at h, b (or NULL). Arrays
 * [m][N][r], J [m][N][r][r]; see pass.h. */
void mno_ensemble_pass(mno_ensemble *ensemble, const double *old_h, const double *old_b, const double *h, const double *b,
                       double *F, double *G, double *J);

#endif
