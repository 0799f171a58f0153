/* SPDX-License-Identifier: BSD-3-Clause */
/* The training dynamics of one discretised limit: K gradient steps on the fields of the collocation nodes. */
#ifndef MNO_LIMIT_TRAJECTORY_H
#define MNO_LIMIT_TRAJECTORY_H

#include "limit/collocation.h"
#include "limit/ensemble.h"
#include "limit/reduction.h"

#include <stdatomic.h>
#include <stdint.h>

#define MNO_LARGEST_GROWTH 1e8 /* of the states over the depth: exp(18), what is left of 16 digits is none */

/* Why a step has no solution. */
typedef enum mno_failure {
  MNO_SOLVED,
  MNO_UNSOLVED, /* the iteration finds none */
  MNO_GREW,     /* states grow by more than MNO_LARGEST_GROWTH */
  MNO_OUT_OF_TIME,
  MNO_UNRESOLVED, /* one was found that the depth nodes do not determine */
} mno_failure;

typedef struct mno_trajectory {
  size_t m, N, r, K;
  double *h, *b;       /* [K+1][m][N][r] */
  double *h1, *b1;     /* [K+1][N][r] states at s = 1 */
  int64_t failed;      /* first step without a finite solution, -1: none; its fields and the later ones are NaN */
  mno_failure failure; /* why */
  size_t fine_passes;  /* passes over the fine ensemble, those that only evaluate included */
} mno_trajectory;

mno_status mno_trajectory_new(const mno_problem *problem, size_t r, size_t m, mno_trajectory *trajectory, mno_error *err);
double mno_trajectory_bytes(const mno_problem *problem, size_t r, size_t m); /* of one */
double mno_trajectory_work(const mno_problem *problem, size_t r, size_t m);  /* of its solver, particles apart */
void mno_trajectory_free(mno_trajectory *trajectory);

/* The equations of a step: dh/ds = alpha x drift, solved by collocation to a relative tolerance. */
typedef struct mno_system {
  const mno_problem *problem;
  const mno_reduction *reduction;
  const mno_collocation *method;
  double alpha;           /* that of the problem for the Mean ODE, 1 for the Neural Tangent ODE */
  double tolerance;       /* of the solution of the collocation equations */
  const atomic_int *stop; /* may be NULL */
  int pilot;              /* 1: its differences are the depth error of another limit, its solution is not used */
} mno_system;

/* Is the activation only piecewise smooth? Then a finite ensemble has a drift with kinks and an adjoint drift with jumps. */
static inline int mno_system_is_kinked(const mno_system *system) { return system->problem->activation == MNO_RELU; }

/* A system of the Mean ODE without a scheme yet. */
mno_system mno_system_of(const mno_problem *problem, const mno_reduction *reduction, double tolerance,
                         const atomic_int *stop);

/* Step 0, which is known: h = h(0), b = b(1) at every depth. */
void mno_trajectory_start(const mno_system *system, mno_trajectory *trajectory);

/* The Mean ODE with particles. The drift of the fine ensemble is expensive, so the equations are solved for the drift of the
 * coarse ensemble (another discretisation of the same law, trained on the same fields) plus its difference to the fine one,
 * which hardly depends on the fields and is taken at the last solution: one or two passes over the fine ensemble per step.
 * Without a coarse ensemble (NULL) Newton's method runs on the fine one. The ensembles hold the initial units, and are left
 * trained. Errors: MNO_ERR_MEMORY, MNO_INTERRUPTED; a step without solution, or without time, is not an error. */
mno_status mno_trajectory_particles(const mno_system *system, mno_ensemble *fine, mno_ensemble *coarse,
                                    mno_trajectory *trajectory, mno_error *err);

/* Extrapolates the fields of the steps before k to step k: the guess of the solver. */
void mno_trajectory_guess(const mno_trajectory *trajectory, size_t k, double *h /* [m][N][r] */);

/* What a step is solved with. */
typedef struct mno_step_drift {
  mno_drift drift;
  void *context;
  const double *extra_F, *extra_G; /* [m][N][r] added to the drift and its adjoint, or NULL */
  double tolerance;
} mno_step_drift;

/* Solves step k from the guess in trajectory->h, forward and then, from output and loss gradient, backward. F [m][N][r] and
 * J [m][N][r][r] receive the drift at the solution. 0: failed. */
int mno_trajectory_solve(const mno_system *system, mno_trajectory *trajectory, size_t k, const mno_step_drift *with,
                         double *F, double *J);

/* Step k and later ones have no finite solution. */
void mno_trajectory_forget(mno_trajectory *trajectory, size_t k, mno_failure failure);

/* The same for a step that found none: MNO_OUT_OF_TIME if the time is up, else failure. */
void mno_trajectory_fail(const mno_system *system, mno_trajectory *trajectory, size_t k, mno_failure failure);

/* What an interrupted computation is: if the time is up MNO_OK, and step 0 alone, which needs none, is known. */
mno_status mno_trajectory_settle(const mno_system *system, mno_trajectory *trajectory, mno_status status);

/* Was it cut by the time budget? */
static inline int mno_trajectory_is_cut(const mno_trajectory *t) { return t->failed >= 0 && t->failure == MNO_OUT_OF_TIME; }

/* The first step whose fields are not determined by their values at the nodes, or -1. At a rate far above the number of
 * nodes the collocation equations have a solution that is none of the differential equation (states near 0 at the nodes, and
 * at s = 1 those of s = 0), and it looks the same with more nodes. */
int64_t mno_trajectory_unresolved(const mno_system *system, const mno_trajectory *trajectory);

/* A failure in words, to be put behind the parameters of a limit: "; at step 3 ...". */
const char *mno_failure_text(mno_failure failure, int64_t step, char text[64]);

#endif
