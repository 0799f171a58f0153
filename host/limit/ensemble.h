/* SPDX-License-Identifier: BSD-3-Clause */
/* The units of all depth nodes of a Mean ODE, as weighted particles in the coordinates of the invariant subspace; an engine
 * holds them. */
#ifndef MNO_LIMIT_ENSEMBLE_H
#define MNO_LIMIT_ENSEMBLE_H

#include "limit/engine.h"
#include "limit/reduction.h"

typedef struct mno_ensemble {
  const mno_engine *engine;
  mno_particle_request holds;
  mno_particles *particles;
  const atomic_int *stop; /* may be NULL; nonzero: draws, and passes by way of their fault, are MNO_INTERRUPTED */
  mno_error fault;        /* of the first pass that failed; later ones do nothing */
} mno_ensemble;

/* Room for particles, to be drawn or written. engine NULL: the CPU; threads 0: one. */
mno_status mno_ensemble_new(const mno_engine *engine, mno_particle_request holds, mno_ensemble *ensemble, mno_error *err);
void mno_ensemble_free(mno_ensemble *ensemble);
size_t mno_ensemble_bytes(const mno_engine *engine, mno_particle_request holds);

/* Bytes that one place may use for particles (what the options allow of what is free), and how many places there are. */
mno_status mno_ensemble_budget(const mno_limit_options *options, size_t *bytes, int *places, mno_error *err);

/* Bytes of this machine that a limit of these options may use in all. */
double mno_limit_memory(const mno_limit_options *options);

/* Where a limit of these options is computed, for its parameters: "" on the CPU, or ", on cuda". */
const char *mno_ensemble_where(const mno_limit_options *options, char text[32]);

/* Dimension of the initial law of a unit in r coordinates. */
size_t mno_initial_dimension(const mno_problem *problem, size_t r);

/* The initial law by one scrambled Sobol sequence of m particles/2 points (inputs, output), each also taken as (inputs,
 * -output): node j holds one block of it (blocks in random order). The number of particles is a power of two, >= 64.
 * shared != 0: all nodes take block 0. */
mno_status mno_ensemble_draw(mno_ensemble *ensemble, const mno_reduction *reduction, int shared, uint64_t seed,
                             uint32_t randomisation, mno_error *err);

/* Which particles of a problem's initial law: of the engine, seed and stop of the options. */
typedef struct mno_drawing {
  const mno_limit_options *options;
  const mno_reduction *reduction; /* in its coordinates */
  int shared;
  uint32_t randomisation;
} mno_drawing;

/* An ensemble of so many nodes (holds.r follows from the drawing) with particles drawn. */
mno_status mno_ensemble_drawn(const mno_drawing *drawing, mno_particle_request holds, mno_ensemble *ensemble,
                              mno_error *err);

/* Threads of the host that options ask for. */
int mno_limit_threads(const mno_limit_options *options);

/* The particles of a node, and the weights that all nodes share. */
mno_status mno_ensemble_write(mno_ensemble *ensemble, size_t node, const double *z /* [particles][tensors][r] */,
                              mno_error *err);
mno_status mno_ensemble_read(mno_ensemble *ensemble, size_t node, double *z /* [particles][tensors][r] */, mno_error *err);
mno_status mno_ensemble_weigh(mno_ensemble *ensemble, const double *weight /* [particles] */, mno_error *err);

/* One pass: update with the fields of a step (or not), then evaluate at h, b (or not); count 0: over every node. When the
 * engine fails the results are NaN and mno_ensemble_check says why: whoever makes passes calls it before trusting them. */
void mno_ensemble_pass(mno_ensemble *ensemble, mno_particle_pass pass);
/* That the time is up is no failure. */
mno_status mno_ensemble_check(const mno_ensemble *ensemble, mno_error *err);

#endif
