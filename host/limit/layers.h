/* SPDX-License-Identifier: BSD-3-Clause */
/* The Mean ODE as what it is the limit of: networks of L layers, here with a node of an ensemble as the units of a layer,
 * trained by gradient descent (the Euler scheme in depth). Of first order, but nothing has to be solved. */
#ifndef MNO_LIMIT_LAYERS_H
#define MNO_LIMIT_LAYERS_H

#include "limit/ensemble.h"
#include "limit/trajectory.h"

/* What becomes of step k: h and b are [L+1][N][r], h of layer l behind b of the layer above. 0: no more steps. */
typedef int (*mno_layers_sink)(void *context, size_t k, const double *h, const double *b);

/* Trains for K steps, and leaves the particles trained. The ensemble holds the initial units, a node per layer. Errors:
 * MNO_ERR_MEMORY, MNO_INTERRUPTED; if the time is up it ends early. */
mno_status mno_layers_train(const mno_problem *problem, const mno_reduction *reduction, mno_ensemble *ensemble,
                            mno_layers_sink sink, void *context, mno_error *err);

/* The same as a trajectory on the nodes of system->method, linear between layers. A step that is not finite is not an error.
 */
mno_status mno_trajectory_layers(const mno_system *system, mno_ensemble *ensemble, mno_trajectory *trajectory,
                                 mno_error *err);

#endif
