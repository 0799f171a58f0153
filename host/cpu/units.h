/* What the layouts of one instance share: weights with units on lanes.
 *
 * The vectors of units of a layer are cut into blocks of at most UNITS_BLOCK, worked on one after the other or by several
 * threads: U, V [L][block][D][vectors of the block], so that rows of a block are contiguous. Units that pad the last vector
 * have zero weights and stay so. */
#ifndef MNO_CPU_UNITS_H
#define MNO_CPU_UNITS_H

#include "cpu/train.h"

enum { UNITS_BLOCK = 4 };

typedef struct units {
  size_t first, vectors; /* in vectors of units */
  size_t count;          /* units: less than the lanes where the layer ends */
  size_t weights;        /* of layer 0, in vectors: place in U and V */
} units;

INLINE size_t units_vectors(const run *r) { return (r->M + LANES - 1) / LANES; }

INLINE units units_at(const run *r, size_t block) {
  size_t all = units_vectors(r), first = block * all / r->blocks, last = (block + 1) * all / r->blocks;
  size_t count = (last * LANES < r->M ? last * LANES : r->M) - first * LANES;
  return (units){first, last - first, count, first * r->D};
}

static void units_sizes(run *r) {
  r->blocks = (units_vectors(r) + UNITS_BLOCK - 1) / UNITS_BLOCK;
  r->w_size = r->D * units_vectors(r) * LANES;
}

static void units_draw(run *r, size_t block) {
  const mno_problem *p = r->problem;
  const mno_instance *instance = r->batch->instance[0];
  uvec k0 = v_uset1((uint32_t)instance->seed), k1 = v_uset1((uint32_t)(instance->seed >> 32));
  double root = sqrt((double)p->D);
  units part = units_at(r, block);
  for (size_t l = 0; l < r->L; l++)
    for (size_t q = 0; q < part.vectors; q++) {
      uvec layer = {0}, unit = {0};
      vec scale_u = {0}, scale_v = {0};
      for (size_t lane = 0; lane < LANES; lane++) {
        int64_t j = (int64_t)((part.first + q) * LANES + lane);
        if (j >= (int64_t)r->M) break;
        layer[lane] = (uword)mno_draw_layer(instance->draw, (int64_t)r->M, (int64_t)l, j);
        unit[lane] = (uword)mno_draw_unit(instance->draw, (int64_t)r->M, (int64_t)l, j);
        scale_u[lane] = (real)(p->sigma[MNO_U] * root);
        scale_v[lane] = (real)(p->sigma[MNO_V] * root * instance->draw.sign);
      }
      size_t at = l * r->w_size / LANES + part.weights + q;
      vec *u = (vec *)r->u + at, *v = (vec *)r->v + at;
      for (size_t d = 0; d < r->D; d += 4) {
        vec z[4], y[4];
        v_normals(k0, k1, MNO_TENSOR_U, layer, unit, (uint32_t)(d / 4), z);
        v_normals(k0, k1, MNO_TENSOR_V, layer, unit, (uint32_t)(d / 4), y);
        for (size_t c = 0; c < 4 && d + c < r->D; c++) {
          u[(d + c) * part.vectors] = z[c] * scale_u;
          v[(d + c) * part.vectors] = y[c] * scale_v;
        }
      }
    }
}

static void units_weights(const run *r, size_t lane, const real *w, double *out) {
  for (size_t l = 0; l < r->L; l++)
    for (size_t i = 0; i < r->blocks; i++) {
      units part = units_at(r, i);
      const real *from = w + l * r->w_size + part.weights * LANES;
      for (size_t j = 0; j < part.count; j++)
        for (size_t d = 0; d < r->D; d++)
          out[(l * r->M + part.first * LANES + j) * r->D + d] = (double)from[d * part.vectors * LANES + j];
    }
}

#endif
