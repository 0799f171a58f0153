/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernel G: what host and device agree on, and what its workers need of a device, as a table: products, elementwise
 * operations and captured sequences of them. The CUDA side is gemm_cuda.c over cuBLASLt and CUDA graphs; the tests fill the
 * table with plain loops.
 *
 * A team is a batch of instances of one problem and equal L that every call treats alike. Per instance [L] layers of
 * weights, a row [M][ld_d] for each tensor of the block and then for each state of the optimiser, [L + 1] states of the
 * network [N][ld_d], projections p [inputs][N][ld_m] of all layers or of one, and buffers: t [N][ld_m], g [inputs][N][ld_m],
 * which holds q first, b [N][ld_d], and gradients [tensors][M][ld_d] if updates are not products; readout in double. Rows
 * are padded to 16 bytes, and what lies there is never used. */
#ifndef MNO_CUDA_GEMM_H
#define MNO_CUDA_GEMM_H

#include "common/device_layout.h"
#include "meanode/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Offsets from the start of an instance, in bytes. */
typedef struct mno_gemm_layout {
  int32_t ld_d, ld_m; /* elements of a row */
  size_t weights, states, p, t, g, b, f, step, gradients, each;
} mno_gemm_layout;

MNO_LAYOUT mno_gemm_layout mno_gemm_place(const mno_shape *s) {
  const size_t bytes = (size_t)s->bytes, L = (size_t)s->L, N = (size_t)s->N, row = 16 / bytes;
  const size_t inputs = (size_t)s->tensors - 1;
  mno_gemm_layout at;
  at.ld_d = (int32_t)mno_round_up((size_t)s->D, row);
  at.ld_m = (int32_t)mno_round_up((size_t)s->M, row);
  const size_t weights = (size_t)s->M * (size_t)at.ld_d * bytes; /* of a tensor and layer */
  const size_t state = N * (size_t)at.ld_d * bytes, projection = N * (size_t)at.ld_m * bytes;
  at.weights = 0;
  at.states = at.weights + L * (size_t)s->rows * weights;
  at.p = at.states + (L + 1) * state;
  at.t = at.p + (s->projections_stored ? L : 1) * inputs * projection;
  at.g = at.t + projection;
  at.b = at.g + inputs * projection;
  at.f = mno_round_up(at.b + state, 256);
  at.step = at.f + (2 * N * (size_t)s->d_out + N) * sizeof(double);
  at.gradients = mno_round_up(at.step + sizeof(int64_t), 256);
  at.each = at.gradients + (s->fused ? 0 : mno_round_up((size_t)s->tensors * weights, 256));
  return at;
}

/* Loops over numbers that are not products: one call of a body per (instance, element). */
typedef enum mno_elementwise {
  MNO_ELEMENTWISE_DRAW,     /* initial weights */
  MNO_ELEMENTWISE_START,    /* state 0 from the problem */
  MNO_ELEMENTWISE_ACTIVATE, /* t = s(p) of a layer */
  MNO_ELEMENTWISE_BACK,     /* t = s(p), g = (ds/dp) q of a layer */
  MNO_ELEMENTWISE_UPDATE,   /* the optimiser moves the weights of a layer, if gradients are not products onto them */
  MNO_ELEMENTWISE_STEP,     /* then counts the step */
  MNO_ELEMENTWISE_OUTPUT,   /* f */
  MNO_ELEMENTWISE_SAMPLE,   /* each sample's part of the loss, dloss/df */
  MNO_ELEMENTWISE_LOSS,     /* their sum, to the host */
  MNO_ELEMENTWISE_ADJOINT,  /* b at the last layer */
  MNO_ELEMENTWISE_RECORD,   /* outputs and states to a mailbox, as recorded step number `step` */
  MNO_ELEMENTWISE_WEIGHTS   /* final weights to a mailbox */
} mno_elementwise;

typedef struct mno_gemm_args {
  mno_shape shape; /* L: of these instances; group: how many there are */
  mno_gemm_layout at;
  const mno_device_problem *problem;
  const mno_item *item; /* [group] */
  char *batch;          /* [group][at.each] */
  char *mailboxes;      /* [group][mailbox_bytes], pinned */
  size_t mailbox_bytes;
  double *loss;     /* [group], pinned */
  uint32_t weights; /* bits of mno_weights to record */
  int32_t layer, step;
} mno_gemm_args;

/* Elements of an operation for one instance. */
MNO_LAYOUT size_t mno_elementwise_size(mno_elementwise operation, const mno_gemm_args *a) {
  const mno_shape *s = &a->shape;
  const size_t N = (size_t)s->N, D = (size_t)s->D, L = (size_t)s->L, M = (size_t)s->M;
  switch (operation) {
  case MNO_ELEMENTWISE_DRAW: return L * M * (size_t)s->tensors * ((D + 3) / 4);
  case MNO_ELEMENTWISE_ACTIVATE:
  case MNO_ELEMENTWISE_BACK: return N * (size_t)a->at.ld_m;
  case MNO_ELEMENTWISE_UPDATE: return M * D;
  case MNO_ELEMENTWISE_OUTPUT: return N * (size_t)s->d_out;
  case MNO_ELEMENTWISE_SAMPLE: return N;
  case MNO_ELEMENTWISE_STEP:
  case MNO_ELEMENTWISE_LOSS: return 1;
  case MNO_ELEMENTWISE_RECORD: return N * ((size_t)s->d_out + D);
  case MNO_ELEMENTWISE_WEIGHTS: return L * M * D;
  default: return N * D;
  }
}

/* to = scale op(A) op(B) + add, for each of `count` instances; matrices by columns, as BLAS has them. add may be `to` or
 * NULL (zero). op(A) is rows x inner, op(B) inner x columns. */
typedef struct mno_product {
  int bytes, count, tuning_count; /* of a number; instances; the number that the algorithm is chosen for */
  int transpose_a, transpose_b, rows, columns, inner;
  int lead_a, lead_b, lead_to; /* elements between columns */
  size_t stride;               /* elements between instances */
  double scale;
  const void *A, *B, *add;
  void *to;
} mno_product;

typedef struct mno_device mno_device;
typedef struct mno_gemm mno_gemm; /* a stream of calls, one after the other */

typedef enum mno_graph { MNO_GRAPH_FORWARD, MNO_GRAPH_BACKWARD, MNO_GRAPHS } mno_graph;

typedef struct mno_gemm_api {
  /* Is there a library for the products? Its name and version for the file (bits may depend on it), or why not. */
  mno_status (*available)(char *description, size_t size, mno_error *err);

  /* Has the library algorithms for products of these sizes on device `index`? If not, err says why. */
  mno_status (*serves)(int index, const mno_product *product, size_t count, int *served, mno_error *err);

  mno_status (*open)(mno_device *device, mno_gemm **gemm, mno_error *err);
  mno_status (*close)(mno_gemm *gemm, mno_error *err); /* goes on after a failure; the first is reported */

  /* Starts at once; between capture() and end(), kept for play() instead. */
  mno_status (*product)(mno_gemm *gemm, const mno_product *product, mno_error *err);
  mno_status (*elementwise)(mno_gemm *gemm, mno_elementwise operation, const mno_gemm_args *args, mno_error *err);

  mno_status (*capture)(mno_gemm *gemm, mno_error *err);
  mno_status (*end)(mno_gemm *gemm, mno_graph graph, mno_error *err); /* replaces what the graph was before */
  mno_status (*play)(mno_gemm *gemm, mno_graph graph, mno_error *err);

  mno_status (*wait)(mno_gemm *gemm, mno_error *err); /* for all that was started */
} mno_gemm_api;

#ifdef __cplusplus
}
#endif
#endif
