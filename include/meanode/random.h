/* SPDX-License-Identifier: BSD-3-Clause */
/* Random draws addressed by meaning, never by memory position.
 *
 * Philox4x32-10 (Salmon et al. 2011; Random123, cuRAND) with
 *   key     = (low 32 bits of the seed, high 32 bits of the seed)
 *   counter = (coordinate / 4, unit, layer, tensor)
 * The four words of a call give the normals of coordinates 4 c .. 4 c + 3 by Box-Muller: words (0, 1) the first two,
 * words (2, 3) the last two; r = sqrt(-2 log((w + 1/2) 2^-32)), angle = 2 pi (w' + 1/2) 2^-32, normals r cos, r sin.
 * So a draw never depends on batch, thread, layout or device, and a wider, deeper or higher-dimensional network extends
 * the draw of the smaller one. */
#ifndef MEANODE_RANDOM_H
#define MEANODE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Fourth counter word. Values are part of the file format: never renumber. */
typedef enum mno_tensor {
  MNO_TENSOR_U = 1,         /* u: (layer, unit, coordinate) */
  MNO_TENSOR_V = 2,         /* v: (layer, unit, coordinate) */
  MNO_TENSOR_X = 3,         /* inputs: (0, sample, input) */
  MNO_TENSOR_Y = 4,         /* targets: (0, sample, target) */
  MNO_TENSOR_W_EMBED = 5,   /* W_E: (0, embed, input) */
  MNO_TENSOR_W_UNEMBED = 6, /* W_U: (0, embed, target) */
  MNO_TENSOR_SOBOL = 7,     /* scrambling of quasi-random points */
  MNO_TENSOR_BOOTSTRAP = 8  /* resampling in statistics */
} mno_tensor;

/* The four raw words of one Philox4x32-10 call. */
void mno_philox(uint64_t seed, uint32_t tensor, uint32_t layer, uint32_t unit, uint32_t block, uint32_t words[4]);

/* Standard normals of coordinates 0..count-1 of one (tensor, layer, unit), double precision; the reference. */
void mno_normals(uint64_t seed, uint32_t tensor, uint32_t layer, uint32_t unit, size_t count, double *out /* [count] */);

#ifdef __cplusplus
}
#endif
#endif
