/* SPDX-License-Identifier: BSD-3-Clause */
/* A worker of kernel G: a host thread that trains batches of instances by calls of a device. */
#ifndef MNO_CUDA_GEMM_WORKER_H
#define MNO_CUDA_GEMM_WORKER_H

#include "common/gemm.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Instances that share their graphs: one problem, equal L. */
typedef struct mno_batch {
  size_t first, count; /* of the items */
} mno_batch;

/* What a worker is given. The arguments of the launch have the largest L of the items, and the most instances of a batch. */
typedef struct mno_gemm_run {
  const mno_gemm_api *api;
  mno_device *device;
  const mno_plan *plan;
  const mno_train_args *args;
  const mno_item *item;   /* of args, host copy */
  const mno_batch *batch; /* [batches] */
  size_t batches;
  atomic_size_t *next; /* batch to take */
  char *slot;          /* device memory of this worker */
  char *mailboxes;     /* [2][group][mailbox_bytes], pinned */
  double *loss;        /* [group], pinned */
} mno_gemm_run;

/* Batches of at most `group` items, which are sorted so that those of one problem and L follow each other; those of one
 * problem and L are of equal size, give or take one: a small one takes as long as a large one, and its graph is recorded
 * anew. Returns how many; batch has room for count of them. */
size_t mno_batches_make(const mno_item *item, size_t count, size_t group, mno_batch *batch);

/* The products of a layer: weights on a field, units into a field, units and field into a gradient. */
typedef enum mno_product_kind {
  MNO_PRODUCT_PROJECT,
  MNO_PRODUCT_COMBINE,
  MNO_PRODUCT_GRADIENT,
  MNO_PRODUCTS
} mno_product_kind;

/* They for this shape, without scale and pointers. */
void mno_gemm_products(const mno_shape *shape, mno_product product[MNO_PRODUCTS]);

/* Trains batches until none is left or the host's signal to stop is set. Mailboxes are handed over as the kernels of the
 * device do. */
mno_status mno_gemm_train(const mno_gemm_run *run, mno_error *err);

#endif
