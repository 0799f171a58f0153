/* SPDX-License-Identifier: BSD-3-Clause */
/* Seams inside the CPU backend: batches, and the kernels compiled once per instruction set, precision and block. */
#ifndef MNO_CPU_CPU_H
#define MNO_CPU_CPU_H

#include "meanode/backend.h"
#include "meanode/random.h"

#include <stdatomic.h>

enum { MNO_CPU_LANES = 16 }; /* the most instances that one batch can hold */

/* How an instance lies in memory; see the file of that name in arrangements/. */
typedef enum mno_cpu_arrangement {
  MNO_SEEDS_ON_LANES,   /* a batch of instances that differ in seed or draw */
  MNO_UNITS_ON_LANES,   /* one instance */
  MNO_SAMPLES_ON_LANES, /* one instance */
  MNO_CPU_ARRANGEMENTS
} mno_cpu_arrangement;

/* Instances of one problem, L and M that are trained together. */
typedef struct mno_cpu_batch {
  const mno_plan *plan;
  const mno_problem *problem;
  size_t L, M, count;
  const mno_instance *instance[MNO_CPU_LANES]; /* [count] */
  mno_record *record[MNO_CPU_LANES];           /* [count] */
  const atomic_int *stop, *halt;               /* nonzero ends the work: the caller's wish (may be NULL), a failure */
  int threads;                                 /* that may work on the batch together; 0 is 1 */
  size_t state_bytes;                          /* most that the states of all layers may take; 0 is the default */
  void *arena;                                 /* 64-byte aligned, kernels->bytes(...) */
} mno_cpu_batch;

/* What the kernels compute with, number by number: rho and rho' at p, and the draws of meanode/random.h. */
typedef struct mno_cpu_numbers {
  void (*activate)(mno_activation activation, size_t count, const double *p, double *value, double *slope);
  double (*tanh_rate)(void); /* tanh per nanosecond, for the benchmark's bound */
  void (*normals)(uint64_t seed, uint32_t tensor, uint32_t layer, uint32_t unit, size_t count, double *out);
  void (*words)(uint64_t seed, uint32_t tensor, uint32_t layer, uint32_t unit, uint32_t block, uint32_t words[4]);
} mno_cpu_numbers;

/* The training kernels of a block. */
typedef struct mno_cpu_kernels {
  int lanes; /* numbers in a vector */

  /* Working set of a batch in that arrangement, with the batch's state_bytes. */
  size_t (*bytes)(const mno_problem *problem, size_t L, size_t M, mno_cpu_arrangement arrangement, size_t state_bytes);

  /* What each further thread of a team takes, with the default of state_bytes. */
  size_t (*helper_bytes)(const mno_problem *problem, size_t L, size_t M, mno_cpu_arrangement arrangement);

  /* Trains the batch, as many instances as the arrangement holds (seeds on lanes: `lanes`; else one), and fills its records.
   * Returns MNO_OK, MNO_INTERRUPTED if stop was seen, or MNO_ERR_INTERNAL if there are more instances. */
  mno_status (*train)(const mno_cpu_batch *batch, mno_cpu_arrangement arrangement);

  const mno_cpu_numbers *numbers;
} mno_cpu_kernels;

/* The kernels of a precision and block for the instruction set that runs (core/isa.h); NULL if it is missing. */
const mno_cpu_kernels *mno_cpu_kernels_choose(mno_precision precision, const mno_block *block);

/* The same for an instruction set by name; NULL if this processor or build lacks it. */
const mno_cpu_kernels *mno_cpu_kernels_named(mno_precision precision, const mno_block *block, const char *isa);

/* A pure function of the shape and the precision. Arrangements add up in different orders, so that an instance's bits depend
 * on this choice and on the instruction set (lanes), but on neither batch, threads nor place in the sweep. */
mno_cpu_arrangement mno_cpu_arrangement_choose(size_t D, size_t M, size_t L, size_t N, mno_precision precision);

/* How many of `wanted` threads are worth setting to one batch: they meet twice a layer and step. Also a pure function. */
int mno_cpu_team_choose(size_t D, size_t M, size_t N, int wanted);

/* End of a forward pass, in double whatever the precision: output and loss of h^L (h [N][D]), written to the record if
 * step k is recorded; with b not NULL also b^L [N][D]. Scratch: f and gradient [N][d_out]. Returns false, and marks the
 * record diverged, if the loss is not finite. */
bool mno_cpu_step_end(const mno_plan *plan, mno_record *record, size_t k, const double *h, double *b, double *f,
                      double *gradient);

/* Zeroed memory straight from the system, in huge pages where it gives them; rounds *bytes up. NULL if there is none. */
void *mno_cpu_pages_new(size_t *bytes);
void mno_cpu_pages_free(void *block, size_t bytes);

#endif
