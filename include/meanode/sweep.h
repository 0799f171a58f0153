/* SPDX-License-Identifier: BSD-3-Clause */
/* A sweep: the configuration file, typed and validated; every value knows its line and column.
 *
 * Keys, ranges and defaults are one table, host/config/schema.h; README, "Configuration", explains them. Numbers are those
 * of YAML 1.2 in decimal notation. Accepted sizes: L up to 10^7, M, D, N, inputs, targets up to 10^6, steps 0..10^6, a list
 * of seeds within 0..2^63-1 or a count up to 10^6 (seeds 0..count-1), alpha within 1e-6..1e6. A grid {from, to, count,
 * spacing: log | linear} stands wherever a list of sizes or of alpha does. */
#ifndef MEANODE_SWEEP_H
#define MEANODE_SWEEP_H

#include "meanode/model.h"
#include "meanode/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mno_mark {
  int line, column; /* both from 1; line 0: the value is a default, not in the file */
} mno_mark;

typedef struct mno_integers {
  size_t count;
  int64_t *value; /* [count], distinct, in the order of the file */
  mno_mark *mark; /* [count] */
} mno_integers;

typedef struct mno_reals {
  size_t count;
  double *value;  /* [count], distinct, in the order of the file */
  mno_mark *mark; /* [count] */
} mno_reals;

#define MNO_DATA_KIND_LIST(X)                                                                                               \
  X(MNO_DATA_GAUSSIAN, "gaussian")                                                                                          \
  X(MNO_DATA_DIGITS, "digits")                                                                                              \
  X(MNO_DATA_FILE, "file")

typedef enum mno_data_kind { MNO_DATA_KIND_LIST(MNO_ENUMERATOR) } mno_data_kind;

/* X(enumerator, name, number in journals, group in result files)
 *   mean-ode     Neural Mean ODE: L -> infinity at fixed alpha
 *   tangent-ode  Neural Tangent ODE: then alpha -> infinity
 *   joint        the Mean ODE as D -> infinity, for embeddings that are drawn
 *   largest      the sweep's own largest network, averaged over seeds: the literature's habit */
#define MNO_LIMIT_KIND_LIST(X)                                                                                              \
  X(MNO_LIMIT_MEAN_ODE, "mean-ode", 0, "limit_mean_ode")                                                                    \
  X(MNO_LIMIT_TANGENT_ODE, "tangent-ode", 1, "limit_tangent_ode")                                                           \
  X(MNO_LIMIT_JOINT, "joint", 3, "limit_joint")                                                                             \
  X(MNO_LIMIT_LARGEST, "largest", 2, "limit_largest")

typedef enum mno_limit_kind { MNO_LIMIT_KIND_LIST(MNO_NUMBERED) } mno_limit_kind;
enum { MNO_LIMIT_KINDS = 4 };

/* How the Mean ODE computes expectations over units (limit.h)
 *   auto        the first of those below that applies and pays
 *   closure     moments; identity activation only
 *   quadrature  tensor rule; invariant subspace of at most 2 dimensions
 *   sobol       randomised quasi-Monte Carlo in the invariant subspace
 *   sobol-full  the same in all D coordinates: checks the reduction */
#define MNO_LIMIT_METHOD_LIST(X)                                                                                            \
  X(MNO_METHOD_AUTO, "auto")                                                                                                \
  X(MNO_METHOD_CLOSURE, "closure")                                                                                          \
  X(MNO_METHOD_QUADRATURE, "quadrature")                                                                                    \
  X(MNO_METHOD_SOBOL, "sobol")                                                                                              \
  X(MNO_METHOD_SOBOL_FULL, "sobol-full")

typedef enum mno_limit_method { MNO_LIMIT_METHOD_LIST(MNO_ENUMERATOR) } mno_limit_method;

#define MNO_WEIGHTS_LIST(X)                                                                                                 \
  X(MNO_WEIGHTS_NONE, "none", 0)                                                                                            \
  X(MNO_WEIGHTS_INITIAL, "initial", 1)                                                                                      \
  X(MNO_WEIGHTS_FINAL, "final", 2)                                                                                          \
  X(MNO_WEIGHTS_BOTH, "both", 3)

typedef enum mno_weights { MNO_WEIGHTS_LIST(MNO_NUMBERED) } mno_weights;

/* What is recorded beside the loss. */
typedef struct mno_recording {
  bool output, embedding;
  mno_weights weights;
  bool coupling, path, features; /* diagnostics, see record.h */
} mno_recording;

static inline bool mno_recording_diagnoses(const mno_recording *recording) {
  return recording->coupling || recording->path || recording->features;
}

/* Kinds of figures: host/python/meanode/figures.py has what they show. */
#define MNO_FIGURE_LIST(X)                                                                                                  \
  X(MNO_FIGURE_LAW, "law")                                                                                                  \
  X(MNO_FIGURE_DIMENSION, "dimension")                                                                                      \
  X(MNO_FIGURE_LAZY, "lazy")                                                                                                \
  X(MNO_FIGURE_PHASE, "phase")                                                                                              \
  X(MNO_FIGURE_CHAOS, "chaos")                                                                                              \
  X(MNO_FIGURE_DEPTH_AS_WIDTH, "depth-as-width")                                                                            \
  X(MNO_FIGURE_SHAPE, "shape")                                                                                              \
  X(MNO_FIGURE_AUTHORS, "authors")

typedef enum mno_figure { MNO_FIGURE_LIST(MNO_ENUMERATOR) } mno_figure;

/* Extra instances that estimate one constant with little variance (see fit.h). Bits: a list is allowed.
 *   regroup     the same units as (L, M) and (L/2, 2 M): isolates a
 *   jackknife   the two halves of the units of each layer: isolates c
 *   antithetic  v -> -v: sharpens seed averages */
#define MNO_PAIRS_LIST(X)                                                                                                   \
  X(MNO_PAIRS_NONE, "none", 0)                                                                                              \
  X(MNO_PAIRS_REGROUP, "regroup", 1)                                                                                        \
  X(MNO_PAIRS_JACKKNIFE, "jackknife", 2)                                                                                    \
  X(MNO_PAIRS_ANTITHETIC, "antithetic", 4)

typedef enum mno_pairs { MNO_PAIRS_LIST(MNO_NUMBERED) } mno_pairs;

typedef struct mno_sweep {
  char *path; /* as given; its folder is where relative data paths start */
  char *text; /* [text_length + 1] the whole configuration, as read; no NUL inside */
  size_t text_length;

  struct {
    mno_data_kind kind;
    int64_t samples; /* 0: all there are (digits, file) */
    int64_t inputs, targets;
    mno_integers seed; /* each draws X, Y (gaussian), W_E, W_U (unless the file has them) */
    char *path;        /* kind file: as written */
    mno_mark mark, samples_mark, path_mark;
  } data;

  struct {
    const mno_block *block;
    mno_activation activation;
    mno_integers D;
    mno_reals alpha;
    double sigma[MNO_TENSORS_MOST]; /* by tensor of the block */
    mno_mark activation_mark;
  } model;

  struct {
    int64_t steps; /* K >= 0 */
    const mno_optimizer *optimizer;
    double eta[MNO_TENSORS_MOST]; /* by tensor of the block */
    double knob[MNO_KNOBS_MOST];  /* by hyper-parameter of the optimiser */
    mno_loss loss;
    mno_mark steps_mark, loss_mark;
  } training;

  struct {
    size_t count; /* 0: kind none */
    mno_limit_kind kind[MNO_LIMIT_KINDS];
    mno_mark mark[MNO_LIMIT_KINDS];
    double tolerance; /* wanted relative RMS error of the output at every step */
    double seconds;   /* time budget per limit; 0: none */
    double memory;    /* memory budget, GiB; 0: what the machine has free */
    mno_limit_method method;
    int64_t particles;      /* per depth node; 0: chosen by the program */
    int64_t nodes;          /* depth nodes; 0: chosen by the program */
    int64_t randomisations; /* 0: chosen by the program */
    mno_mark tolerance_mark, method_mark;
  } limit;

  struct {
    mno_integers L, M;
    size_t seed_count;
    uint64_t *seed; /* [seed_count], distinct */
    mno_mark L_mark, M_mark, seeds_mark;
    unsigned pairs; /* bits of mno_pairs */
    mno_mark pairs_mark;
  } sweep;

  struct {
    size_t step_count;
    int64_t *step; /* [step_count], increasing, within 0..K */
    bool output, embedding;
    mno_weights weights;
    bool coupling, path, features; /* diagnostics, see record.h */
    mno_figure figure;             /* what `meanode plot` draws of the file if it is not told a kind */
    mno_mark mark, coupling_mark, path_mark, features_mark;
  } record;
} mno_sweep;

/* Reads and validates a configuration file.
 * Errors: MNO_ERR_IO if it cannot be read; MNO_ERR_INPUT with "file:line:column: message", the line and a caret. */
mno_status mno_sweep_load(const char *path, mno_sweep **sweep, mno_error *err);

/* The same from memory; name stands for the file in messages. */
mno_status mno_sweep_parse(const char *text, size_t length, const char *name, mno_sweep **sweep, mno_error *err);

void mno_sweep_free(mno_sweep *sweep);

/* Every key of a configuration with what it accepts, its default and its meaning, as a text for a person; the caller frees
 * *text. Errors: MNO_ERR_MEMORY. */
mno_status mno_sweep_keys(char **text, mno_error *err);

/* The same as a JSON Schema (draft 2020-12). */
mno_status mno_sweep_json_schema(char **text, mno_error *err);

/* A configuration error found by a later stage: like mno_fail(err, MNO_ERR_INPUT, ...), with file, line and caret of mark.
 */
mno_status mno_sweep_fail(const mno_sweep *sweep, mno_mark mark, mno_error *err, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 4, 5)))
#endif
    ;

#ifdef __cplusplus
}
#endif
#endif
