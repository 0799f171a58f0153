/* SPDX-License-Identifier: BSD-3-Clause */
/* Independent randomisations of one discretisation: the solutions whose mean and spread are a sampled limit. */
#ifndef MNO_LIMIT_RANDOMISED_H
#define MNO_LIMIT_RANDOMISED_H

#include "limit/average.h"
#include "limit/trajectory.h"

enum { MNO_RANDOMISATIONS = 8, MNO_MOST_RANDOMISATIONS = 64 };

/* One discretisation. */
typedef struct mno_design {
  size_t nodes, particles; /* particles per node, or per layer */
  mno_precision precision;
  double tolerance; /* of the collocation equations */
  size_t layers;    /* not 0: the Euler scheme with so many layers (layers.h), whose fields are read off at the nodes */
} mno_design;

/* Its solutions on the same nodes. */
typedef struct mno_randomised {
  const mno_problem *problem;
  const mno_limit_options *options;
  const mno_reduction *reduction;
  mno_design design;
  mno_collocation method;
  size_t first, count;        /* randomisations first .. count - 1 are being computed, those before are there */
  mno_trajectory *trajectory; /* [MNO_MOST_RANDOMISATIONS or as many as asked for] */
  mno_status *status;         /* the same */
  mno_error *error;           /* the same */
  size_t memory;              /* bytes of particles that one place may hold */
  int places;
  double seconds; /* of all of them */
  int cut;        /* the time was up before two were complete */
} mno_randomised;

/* Errors: MNO_ERR_MEMORY; MNO_ERR_INPUT for a number of particles that the user chose and that is beyond the memory. */
mno_status mno_randomised_new(const mno_problem *problem, const mno_limit_options *options, const mno_reduction *reduction,
                              mno_design design, mno_randomised *solution, mno_error *err);
void mno_randomised_free(mno_randomised *solution);

/* Solves randomisations up to number count; those that are there are kept. Those that the end of the time budget cuts are
 * dropped if others are complete. */
mno_status mno_randomised_extend(mno_randomised *solution, size_t count, mno_error *err);

/* Why the first step that failed has no solution: MNO_GREW where all of them grow. */
mno_failure mno_randomised_failure(const mno_randomised *solution);

/* Bytes of the host when so many randomisations are there, and one of them is being computed. */
double mno_randomised_bytes(const mno_randomised *solution, const mno_design *design, size_t count);

/* The most randomisations that half of the memory holds, and the rest can compute; 0 if there is none. */
size_t mno_randomised_most(const mno_randomised *solution, const mno_design *design);

/* Particles of the ensemble that helps one of so many (sampled.c, randomised.c). */
size_t mno_coarse_particles(size_t r, size_t particles);

/* A number of particles that the user chose may be beyond the memory: said before anything is computed. A card's engine
 * says it itself. */
mno_status mno_randomised_fits(const mno_randomised *solution, const mno_design *design, mno_error *err);

#endif
