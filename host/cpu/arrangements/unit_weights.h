/* SPDX-License-Identifier: BSD-3-Clause */
/* What the arrangements of one instance share: weights with units on lanes.
 *
 * The vectors of units of a layer are cut into slices of at most UNITS_SLICE: a tensor is [L][slice][D][vectors of the
 * slice], so that rows of a slice are contiguous. Units that pad the last vector have zero weights and stay so. */
#ifndef MNO_CPU_UNIT_WEIGHTS_H
#define MNO_CPU_UNIT_WEIGHTS_H

#include "cpu/network.h"
#include "cpu/vrandom.h"

enum { UNITS_SLICE = 4 };

INLINE size_t unit_vectors(const network *n) { return (n->M + LANES - 1) / LANES; }

/* But for the numbers by unit and sample. */
INLINE unit_slice unit_weights_slice(const network *n, size_t slice) {
  size_t all = unit_vectors(n), first = slice * all / n->slices, last = (slice + 1) * all / n->slices;
  size_t count = (last * LANES < n->M ? last * LANES : n->M) - first * LANES;
  return (unit_slice){.first = first * LANES, .count = count, .vectors = last - first, .weights = first * n->D};
}

static void unit_weights_sizes(network *n) {
  n->slices = (unit_vectors(n) + UNITS_SLICE - 1) / UNITS_SLICE;
  n->w_size = n->D * unit_vectors(n) * LANES;
  n->slice_weights = n->D * UNITS_SLICE;
}

static void unit_weights_draw(const network *n, size_t slice) {
  const mno_problem *p = n->problem;
  const mno_tensor_spec *tensor = p->block->tensor;
  const mno_instance *instance = n->batch->instance[0];
  uvec k0 = v_uset1((uint32_t)instance->seed), k1 = v_uset1((uint32_t)(instance->seed >> 32));
  double root = sqrt((double)p->D);
  const unit_slice part = n->slice[slice];
  for (size_t l = 0; l < n->L; l++)
    for (size_t q = 0; q < part.vectors; q++) {
      uvec layer = {0}, unit = {0};
      vec scale[TENSORS] = {{0}};
      for (size_t lane = 0; lane < LANES; lane++) {
        int64_t j = (int64_t)(part.first + q * LANES + lane);
        if (j >= (int64_t)n->M) break;
        layer[lane] = (uword)mno_draw_layer(instance->draw, (int64_t)n->M, (int64_t)l, j);
        unit[lane] = (uword)mno_draw_unit(instance->draw, (int64_t)n->M, (int64_t)l, j);
        for (size_t t = 0; t < TENSORS; t++)
          scale[t][lane] = (real)(p->sigma[t] * root * (tensor[t].flips ? instance->draw.sign : 1));
      }
      size_t at = l * n->w_size / LANES + part.weights + q;
      for (size_t d = 0; d < n->D; d += 4) UNROLL for (size_t t = 0; t < TENSORS; t++) {
          vec z[4], *w = (vec *)n->w[t] + at;
          v_normals(k0, k1, tensor[t].draw, layer, unit, (uint32_t)(d / 4), z);
          for (size_t c = 0; c < 4 && d + c < n->D; c++) w[(d + c) * part.vectors] = z[c] * scale[t];
        }
    }
}

static void unit_weights_export(const network *n, size_t lane, const real *w, double *out) {
  for (size_t l = 0; l < n->L; l++)
    for (size_t i = 0; i < n->slices; i++) {
      const unit_slice part = n->slice[i];
      const real *from = w + l * n->w_size + part.weights * LANES;
      for (size_t j = 0; j < part.count; j++)
        for (size_t d = 0; d < n->D; d++)
          out[(l * n->M + part.first + j) * n->D + d] = (double)from[d * part.vectors * LANES + j];
    }
}

#endif
