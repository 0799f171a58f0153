/* SPDX-License-Identifier: BSD-3-Clause */
/* A plan: the flat list of what will be computed. Problems x (L, M, seed) = instances, each with an id that hashes
 * everything which defines its numbers and nothing else (not its place in the sweep). */
#ifndef MEANODE_PLAN_H
#define MEANODE_PLAN_H

#include "meanode/model.h"
#include "meanode/status.h"
#include "meanode/sweep.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#define MNO_HOST_DEVICE __host__ __device__
#else
#define MNO_HOST_DEVICE
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* One training problem: data, embeddings and hyper-parameters; what all its instances and its limits share. */
typedef struct mno_problem {
  size_t N, d_in, d_out, D;
  size_t K; /* gradient steps */
  const mno_block *block;
  const mno_optimizer *optimizer;
  double alpha;
  double sigma[MNO_TENSORS_MOST], eta[MNO_TENSORS_MOST]; /* by tensor of the block: initial scale, learning rate */
  double knob[MNO_KNOBS_MOST];                           /* hyper-parameters of the optimiser */
  const double *schedule;                                /* [K] factors c_k of all learning rates; NULL: 1 */
  mno_activation activation;
  mno_loss loss;
  double *x;         /* [N][d_in]; the problems of a plan share x and y, those of equal D their embeddings */
  double *y;         /* [N][d_out] */
  double *w_embed;   /* W_E [D][d_in] */
  double *w_unembed; /* W_U [D][d_out] */
  uint64_t id;       /* hash of all of the above */
  int64_t
      data_seed; /* data.seed that drew what was drawn; not in the id, which hashes the draws themselves; -1: not known */
} mno_problem;

/* c_k eta of a tensor of the block at step k (0..K-1), and c_k eta/alpha: what multiplies its normalised gradient. */
static inline double mno_problem_eta(const mno_problem *problem, size_t k, size_t tensor) {
  return (problem->schedule ? problem->schedule[k] : 1) * problem->eta[tensor];
}
static inline double mno_problem_rate(const mno_problem *problem, size_t k, size_t tensor) {
  return mno_problem_eta(problem, k, tensor) / problem->alpha;
}

/* Which draws the units of an instance take. Unit j of layer l has flat index g = l M + j; it takes the draw of
 * (layer g / width, unit g % width + offset), with v multiplied by sign. The plain instance is {M, 0, +1}. */
typedef struct mno_draw {
  int64_t width, offset;
  int sign; /* +1 or -1 */
} mno_draw;

/* The (layer, unit) of random.h from which unit j of layer l takes its u and v; layers and units count from 0. */
MNO_HOST_DEVICE static inline int64_t mno_draw_layer(mno_draw draw, int64_t M, int64_t l, int64_t j) {
  return (l * M + j) / draw.width;
}
MNO_HOST_DEVICE static inline int64_t mno_draw_unit(mno_draw draw, int64_t M, int64_t l, int64_t j) {
  return (l * M + j) % draw.width + draw.offset;
}

typedef struct mno_instance {
  uint32_t problem; /* index into plan->problem */
  int64_t L, M;
  uint64_t seed;
  mno_draw draw;
  uint64_t id;
} mno_instance;

/* Are they of one problem and size, so that they cost the same? */
static inline bool mno_same_shape(const mno_instance *a, const mno_instance *b) {
  return a->problem == b->problem && a->L == b->L && a->M == b->M;
}

typedef struct mno_plan {
  mno_precision precision;
  size_t problem_count;
  mno_problem *problem; /* [problem_count] */
  size_t instance_count;
  mno_instance *instance; /* [instance_count]; the index is the row of the result table */
  size_t step_count;
  int64_t *step; /* [step_count] recorded steps, increasing */
  mno_recording recording;
  const mno_sweep *sweep; /* borrowed */
  char *data_source;      /* data.kind file: the data file, an absolute path; else NULL */
  char *data_taken_from;  /* the result file that held its data, if they come from there; else NULL */
  char *note;             /* how the data were understood that a person should know; NULL: nothing to say */
} mno_plan;

/* Data of a sweep of kind file that are at hand already: a result file holds those of its run (mno_result_held_data). */
typedef struct mno_held_data {
  size_t count;
  mno_problem *problem; /* [count] one for every D and data_seed: w_embed, w_unembed; the first also has x and y */
  char *data_source;    /* the file that they once came from, or NULL */
  char *taken_from;     /* who holds them: a path, for messages */
} mno_held_data;

/* Loads the data, draws the embeddings, multiplies out the sweep: for every D, for every alpha a problem; in it the plain
 * instances, for every L, for every M, for every seed, in the order of the file; then the instances that sweep.pairs adds:
 *   regroup     (L/2, 2 M) with the units of (L, M), for every even L
 *   jackknife   two of (L, M/2) with the first and the second half of the units of every layer of (L, M), for every even M
 *   antithetic  every plain instance with v -> -v
 * The first half of a jackknife is the plain (L, M/2). An instance that is there already is not added again; pairs for which
 * no L or M is even are an error.
 * Errors: MNO_ERR_INPUT for unreadable or malformed data (names file and dataset), for duplicates and for what this
 * version cannot compute or what this machine cannot hold; MNO_ERR_MEMORY. The sweep must outlive the plan. */
mno_status mno_plan_build(const mno_sweep *sweep, mno_precision precision, mno_plan **plan, mno_error *err);

/* The same with the data of a sweep of kind file held by somebody else, so that the data file need not be there; if it is,
 * and differs, plan->note says so. held NULL, or a sweep of another kind: as mno_plan_build. */
mno_status mno_plan_build_held(const mno_sweep *sweep, mno_precision precision, const mno_held_data *held, mno_plan **plan,
                               mno_error *err);

void mno_held_data_free(mno_held_data *held);

/* Which of "x", "y", "w_embed", "w_unembed" differ between two problems, as a list in text; empty if none. */
void mno_problem_difference(const mno_problem *a, const mno_problem *b, char text[64]);

void mno_plan_free(mno_plan *plan);

/* Ids are XXH3 (64 bits) of the defining values in a fixed little-endian layout: for a problem its shapes, hyper-parameters,
 * data and embeddings; for an instance the problem's id, L, M, seed, draw and the plan's precision. */
uint64_t mno_problem_id(const mno_problem *problem);
uint64_t mno_instance_id(const mno_problem *problem, const mno_instance *instance, mno_precision precision);

/* Floating point operations of one instance: K + 1 forward passes, K backward passes and updates, each of a product with
 * every tensor of the block; ~ 12 N D M L K for the two of the perceptron. */
double mno_instance_flops(const mno_problem *problem, const mno_instance *instance);

/* The rows that shard (0..shards-1) computes, in increasing order: rows [instance_count] receives *count of them. Shards are
 * balanced by floating point operations, so any machine deals the same plan the same way; the order of the sweep does not
 * matter, only the ids. Errors: MNO_ERR_USAGE, MNO_ERR_MEMORY. */
mno_status mno_plan_shard(const mno_plan *plan, int shard, int shards, size_t *rows, size_t *count, mno_error *err);

#ifdef __cplusplus
}
#endif
#endif
