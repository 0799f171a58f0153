/* SPDX-License-Identifier: BSD-3-Clause */
/* Who holds the particles of an ensemble and passes over them, as a table: the CPU (engine_cpu.c), or a device that fills
 * the same table. Engines agree to rounding; the numbers of one depend on neither threads nor the size of its machine. */
#ifndef MNO_LIMIT_ENGINE_H
#define MNO_LIMIT_ENGINE_H

#include "math/sobol.h"
#include "meanode/limit.h"
#include "meanode/plan.h"
#include "meanode/status.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* What an engine is asked to hold: m nodes of `particles` weighted particles. A particle is one unit of the problem's block
 * in r coordinates: z [tensors][r], and for every number of it the numbers that the problem's optimiser keeps (its
 * `states`), zero at first. */
typedef struct mno_particle_request {
  const mno_problem *problem; /* outlives the particles */
  size_t m, r, particles;
  mno_precision precision;
  int threads; /* of the host */
} mno_particle_request;

/* The initial law as scrambled Sobol points: point n of node j has number block[j] points + n. Of T tensors, coordinate a of
 * input t is scale[t] times normal T a + t, coordinate a of the output (t = T - 1) is scale[t] times sum_c axes[c][a] normal
 * T c + t; each point also counts with the output turned. */
typedef struct mno_initial {
  const mno_sobol *sobol; /* of T r dimensions */
  const uint32_t *block;  /* [m] */
  const double *axes;     /* [r][r] */
  double scale[MNO_TENSORS_MOST];
  size_t points;          /* particles / 2 */
  const atomic_int *stop; /* nonzero: an engine may leave its work undone; or NULL */
} mno_initial;

/* A pass over the nodes first .. first + count - 1; see pass.h for the formulas. Field arrays are [count][N][r], J is
 * [count][N][r][r]; old_h NULL: no update, else that of gradient step `step` (0..K-1) with the rates
 * mno_problem_rate(problem, step, tensor); h NULL: no evaluation; J: instead of G. */
typedef struct mno_particle_pass {
  size_t first, count, step;
  const double *old_h, *old_b, *h, *b;
  double *F, *G, *J;
  const atomic_int *stop; /* as above */
} mno_particle_pass;

typedef struct mno_particles mno_particles; /* the engine's own */

struct mno_engine {
  const char *name;    /* goes into the parameters of a limit: "cpu", "cuda" */
  const void *context; /* the engine's own */

  /* Bytes that one place (this machine, a card) has free for particles, and how many places there are. */
  mno_status (*memory)(const mno_engine *engine, size_t *bytes, int *places, mno_error *err);
  size_t (*bytes)(const mno_particle_request *request);

  /* Particles and weights are undefined until they are drawn, or written and weighed. Errors: MNO_ERR_MEMORY;
   * MNO_ERR_BACKEND for a block or an optimiser that the engine does not know. */
  mno_status (*create)(const mno_engine *engine, const mno_particle_request *request, mno_particles **particles,
                       mno_error *err);
  void (*destroy)(mno_particles *particles);

  /* Particles from the initial law, weights 1/particles. */
  mno_status (*draw)(mno_particles *particles, const mno_initial *initial, mno_error *err);

  mno_status (*write)(mno_particles *particles, size_t node, const double *z /* [particles][tensors][r] */, mno_error *err);
  mno_status (*read)(mno_particles *particles, size_t node, double *z /* [particles][tensors][r] */, mno_error *err);
  mno_status (*weigh)(mno_particles *particles, const double *weight /* [particles] */, mno_error *err);

  mno_status (*pass)(mno_particles *particles, const mno_particle_pass *pass, mno_error *err);
};

extern const mno_engine mno_engine_cpu;

#endif
