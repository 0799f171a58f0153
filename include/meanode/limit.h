/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits: what networks converge to as L -> infinity, integrated with an error bar.
 *
 * Neural Mean ODE (MODEL: Chizat 2025): for each depth s a random unit Z_s = (u, v) drawn from the initial law,
 *   dh/ds = alpha E[v rho(<u,h>/D)],   db/ds = -alpha E[u rho'(<u,h>/D) <v,b>/D],   h_0 = W_E x,  b_1 from the loss,
 *   Z^{k+1} = Z^k - (1/alpha) (eta_u sum_i h_i rho' q_i, eta_v sum_i b_i rho).
 * The solution is the fields h^k_s, b^k_s on Gauss-Legendre collocation nodes in depth.
 *
 * Neural Tangent ODE (then alpha -> infinity): with h = h^k_s, and h' = h^{k'}_{s,i}, b' = b^{k'}_{s,i} of earlier steps,
 *   dh/ds = - sum_{k'<k} sum_i (eta_v kappa0 + eta_u sigma_v^2 kappa1 <h,h'>/D) b',   db/ds = - (derivative of that in h)^T
 * b, kappa0 = E[rho(p) rho(p')], kappa1 = E[rho'(p) rho'(p')], (p, p') centred Gaussian with the covariances of h, h' times
 *   sigma_u^2/D. */
#ifndef MEANODE_LIMIT_H
#define MEANODE_LIMIT_H

#include "meanode/plan.h"
#include "meanode/status.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mno_engine mno_engine; /* host/limit/engine.h */

typedef struct mno_limit_options {
  mno_limit_kind kind;
  double tolerance; /* wanted relative RMS error of the output at every step; 0 with explicit sizes below */
  double seconds;   /* time budget; 0: none */
  double memory;    /* bytes; 0: what the machine has free */
  mno_limit_method method;
  int64_t particles;        /* per node; 0: chosen */
  int64_t nodes;            /* 0: chosen */
  int64_t randomisations;   /* 0: chosen */
  uint64_t seed;            /* of the randomisations */
  int threads;              /* 0: one per core; never changes the numbers */
  const atomic_int *stop;   /* may be NULL */
  const mno_engine *engine; /* who holds the particles: mno_backend.engine; NULL: the CPU */
} mno_limit_options;

typedef struct mno_limit {
  mno_limit_kind kind;
  char method[64];      /* how it was computed, e.g. "sobol", "closure", "quadrature" */
  char parameters[256]; /* its parameters in words: "particles 65536, nodes 6, randomisations 8, dimension 16" */
  double tolerance;     /* that was wanted; NaN: not known */
  int certified;        /* 1: the estimated error is below the tolerance at every step */
  int64_t diverged;     /* first step without a solution (NaN from there on; the parameters say why), -1: none */
  int64_t degrees;      /* degrees of freedom of the standard errors (randomisations - 1); 0: deterministic */
  int64_t missing;      /* networks of an average that a time budget left out */
  size_t N, d_out, D, K, nodes;
  double *depth;           /* [nodes] in (0, 1) */
  double *loss;            /* [K+1] */
  double *output;          /* [K+1][N][d_out] */
  double *output_error;    /* [K+1] estimated RMS error of output / RMS of output */
  double *output_stderr;   /* [K+1][N][d_out] standard error of each output, depth error included */
  double *embedding;       /* [K+1][N][D], h at s = 1 */
  double *embedding_error; /* [K+1] the same for embedding */
  double *state;           /* [K+1][nodes][N][D] h */
  double *adjoint;         /* [K+1][nodes][N][D] b */
  double seconds;          /* wall time */
} mno_limit;

/* Solves one limit of one problem. The Neural Tangent ODE has a single method (leave MNO_METHOD_AUTO). Errors: MNO_ERR_INPUT
 * for a method that does not apply (says why), or fields beyond options->memory; MNO_ERR_MEMORY with the number;
 * MNO_INTERRUPTED. A budget that ends the search early is not an error: certified = 0, and the parameters name the budget;
 * steps that it did not reach are NaN from `diverged` on, errors of which nothing is known are NaN.
 *
 * The joint limit (D -> infinity too; Chaintron, Chizat and Maass 2026) is a Mean ODE in d_in + d_out dimensions. Its output
 * is the same for every D, its embedding W_E A + W_U B with the problem's own W_E, W_U. It supposes independent entries, of
 * variance 1/d_in in W_E, d_out in W_U. */
mno_status mno_limit_solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit, mno_error *err);

/* Can every limit of a plan be computed by the method that its sweep names? Errors: MNO_ERR_INPUT at the place of
 * limit.method in the configuration. */
mno_status mno_limit_check(const mno_plan *plan, mno_error *err);

/* The literature's habit: the average of the largest networks at hand as the limit. output [count][K+1][N][d_out] and
 * embedding [count][K+1][N][D] (one pointer per network) at every step; L, M their size. output_error is the standard error
 * over seeds: the bias of finite size is not in it, so such a limit is never certified. It has no fields (nodes = 0). */
mno_status mno_limit_largest(const mno_problem *problem, size_t count, const double *const *output,
                             const double *const *embedding, int64_t L, int64_t M, mno_limit **limit, mno_error *err);

/* The depth bias without seeds: L x RMS (over samples and coordinates) of the difference between networks of depth L with
 * infinitely many units per layer (the Euler scheme) and the Mean ODE, both on the same particles, at every step. As L grows
 * it tends to the constant a of the error law; the error from sampling is a small relative one. options: particles (default
 * 1024), nodes, seed, threads, stop. output, embedding: [K+1], either may be NULL. */
mno_status mno_limit_depth_bias(const mno_problem *problem, const mno_limit_options *options, size_t L, double *output,
                                double *embedding, mno_error *err);

/* A limit with room for the problem's steps and sizes and so many depth nodes (0: no fields), everything NaN; and the copy
 * of one. Errors: MNO_ERR_MEMORY. */
mno_status mno_limit_new(const mno_problem *problem, size_t nodes, mno_limit **limit, mno_error *err);
double mno_limit_bytes(const mno_problem *problem, size_t nodes);   /* of one */
double mno_limit_storing(const mno_problem *problem, size_t nodes); /* of one while it goes into a result file */
mno_status mno_limit_copy(const mno_limit *limit, mno_limit **copy, mno_error *err);
void mno_limit_free(mno_limit *limit);

/* The largest estimated error of the output over the steps, NaN if it is not known at one of them. */
double mno_limit_worst_error(const mno_limit *limit);

/* Was it computed from samples, so that its error has a part that only randomisations tell? */
bool mno_limit_is_sampled(const mno_limit *limit);

const char *mno_limit_kind_name(mno_limit_kind kind);       /* "mean-ode", "tangent-ode", ... */
const char *mno_limit_method_name(mno_limit_method method); /* "auto", "closure", ... */
const char *mno_limit_group_name(mno_limit_kind kind);      /* "limit_mean_ode", ... */

#ifdef __cplusplus
}
#endif
#endif
