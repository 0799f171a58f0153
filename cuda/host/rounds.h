/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device computes when: instances of equal D, M, N and d_out form a group, which is one launch; groups whose memory
 * fits run at the same time, in a round. Pure functions. */
#ifndef MNO_CUDA_ROUNDS_H
#define MNO_CUDA_ROUNDS_H

#include "host/shape.h"
#include "meanode/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mno_group {
  mno_shape shape; /* L: the largest */
  size_t count;
  size_t *rows;                    /* [count] longest first */
  size_t mailbox_bytes;            /* of one instance's results */
  size_t slot_bytes, pinned_bytes; /* of a team */
  double seconds;                  /* modelled, all rows */
  /* filled for a device */
  mno_fit_on_card fit;
  int wanted; /* teams that could run at once */
  int teams;  /* teams that it gets */
  int round;
} mno_group;

typedef struct mno_groups {
  size_t count;
  mno_group *group; /* most work first */
  size_t *rows;
} mno_groups;

/* What a device can do. products: is there a library for matrix products? candidate: what shapes have to be, or NULL; where
 * one is prescribed, the library is not asked. serves: whether the library for products serves a shape of kernel G; NULL:
 * any. */
typedef struct mno_abilities {
  bool products;
  const mno_candidate *candidate;
  mno_status (*serves)(void *context, const mno_shape *shape, int *served, mno_error *err);
  void *context;
} mno_abilities;

/* What the shape of an instance follows from. Errors: MNO_ERR_BACKEND if there are no kernels for its block and optimiser.
 */
mno_status mno_dimensions_of(const mno_plan *plan, size_t row, mno_dimensions *dimensions, mno_error *err);

/* Groups the rows of a job (NULL: all of the plan) that fall to device `index` of `devices`: rows are dealt longest first,
 * each to the device that has least to do. A shape that the library for products does not serve goes to another kernel.
 * Errors: MNO_ERR_BACKEND when a shape does not fit the kernels; MNO_ERR_MEMORY. */
mno_status mno_groups_make(const mno_job *job, const mno_abilities *abilities, int index, int devices, mno_groups *groups,
                           mno_error *err);
void mno_groups_free(mno_groups *groups);

/* Teams that could run at once and have work. */
size_t mno_group_teams(const mno_group *group);

/* Is there a problem with so many samples that kernel G may take it? Otherwise cuBLAS need not be loaded. */
int mno_products_pay(const mno_plan *plan);

/* Deals memory (bytes) and pinned memory to the groups, in rounds: sets teams and round. A group gets at least one team; one
 * that does not fit is given a smaller footprint (fewer instances at a time, projections computed again). Groups of kernel G
 * have rounds of their own. Errors: MNO_ERR_MEMORY with the numbers when one team alone does not fit. */
mno_status mno_rounds_plan(mno_groups *groups, size_t memory, size_t pinned, int *rounds, mno_error *err);

#ifdef __cplusplus
}
#endif
#endif
