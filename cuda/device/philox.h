/* SPDX-License-Identifier: BSD-3-Clause */
/* The draws of meanode/random.h: raw words equal those of mno_philox bit for bit, normals agree with mno_normals to 4e-15.
 */
#ifndef MNO_CUDA_PHILOX_H
#define MNO_CUDA_PHILOX_H

#include "device/elementary.h"

namespace mno {

MNO_DEVICE void philox(uint64_t seed, uint32_t tensor, uint32_t layer, uint32_t unit, uint32_t block, uint32_t c[4]) {
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  c[0] = block;
  c[1] = unit;
  c[2] = layer;
  c[3] = tensor;
  MNO_UNROLL for (int round = 0; round < 10; round++) {
    uint32_t h0 = high_product(0xD2511F53u, c[0]), l0 = 0xD2511F53u * c[0];
    uint32_t h1 = high_product(0xCD9E8D57u, c[2]), l1 = 0xCD9E8D57u * c[2];
    c[0] = h1 ^ c[1] ^ k0;
    c[1] = l1;
    c[2] = h0 ^ c[3] ^ k1;
    c[3] = l0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

/* Normals of coordinates 4 block .. 4 block + 3. The angle is reduced in integers, exactly. */
MNO_DEVICE void normals(uint64_t seed, uint32_t tensor, uint32_t layer, uint32_t unit, uint32_t block, double z[4]) {
  uint32_t w[4];
  philox(seed, tensor, layer, unit, block, w);
  MNO_UNROLL for (int half = 0; half < 2; half++) {
    double r = sqrt_(-2.0 * log_(((double)w[2 * half] + 0.5) * 0x1p-32));
    uint32_t turn = w[2 * half + 1] + 0x20000000u;
    double rest = (double)(turn & 0x3fffffffu) - (0x20000000 - 0.5), cosine;
    double sine = sincos_quadrant((int)(turn >> 30), rest * 1.46291807926715972111e-9, &cosine);
    z[2 * half] = r * cosine;
    z[2 * half + 1] = r * sine;
  }
}

} // namespace mno

#endif
