/* SPDX-License-Identifier: BSD-3-Clause */
#include "meanode/random.h"

#include <math.h>
#include <Random123/philox.h>

void mno_philox(uint64_t seed, uint32_t tensor, uint32_t layer, uint32_t unit, uint32_t block, uint32_t words[4]) {
  philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
  philox4x32_ctr_t counter = {{block, unit, layer, tensor}};
  counter = philox4x32(counter, key);
  for (int i = 0; i < 4; i++) words[i] = counter.v[i];
}

void mno_normals(uint64_t seed, uint32_t tensor, uint32_t layer, uint32_t unit, size_t count, double *out) {
  const double two_pi = 6.283185307179586477;
  for (size_t block = 0; 4 * block < count; block++) {
    uint32_t w[4];
    mno_philox(seed, tensor, layer, unit, (uint32_t)block, w);
    double z[4];
    for (int half = 0; half < 2; half++) {
      double r = sqrt(-2 * log((w[2 * half] + 0.5) * 0x1p-32)), angle = two_pi * ((w[2 * half + 1] + 0.5) * 0x1p-32);
      z[2 * half] = r * cos(angle);
      z[2 * half + 1] = r * sin(angle);
    }
    for (size_t i = 0; i < 4 && 4 * block + i < count; i++) out[4 * block + i] = z[i];
  }
}
