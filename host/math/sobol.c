/* SPDX-License-Identifier: BSD-3-Clause */
#include "math/sobol.h"

#include "core/memory.h"
#include "math/normal_map.h"
#include "math/sobol_table.h"
#include "meanode/random.h"

#include <stdlib.h>

enum { BITS = 32 };

/* Direction numbers of one dimension, v[j] with its leading one at bit 31 - j. */
static void unscrambled(size_t dimension, uint32_t v[BITS]) {
  unsigned polynomial = sobol_table[dimension].polynomial;
  int degree = 0;
  while (polynomial >> (degree + 1)) degree++;
  for (int j = 0; j < BITS; j++) {
    if (dimension == 0) {
      v[j] = 1u << (31 - j);
    } else if (j < degree) {
      v[j] = (uint32_t)sobol_table[dimension].initial[j] << (31 - j);
    } else {
      v[j] = v[j - degree] ^ (v[j - degree] >> degree);
      for (int i = 1; i < degree; i++)
        if (polynomial >> (degree - i) & 1) v[j] ^= v[j - i];
    }
  }
}

static void random_words(const mno_sobol *sobol, size_t dimension, uint32_t words[BITS]) {
  for (uint32_t block = 0; block < MNO_SOBOL_SCRAMBLE_BLOCKS; block++)
    mno_philox(sobol->seed, MNO_TENSOR_SOBOL, sobol->randomisation, (uint32_t)dimension, block, words + 4 * block);
}

int mno_sobol_new(mno_sobol *sobol, size_t dimensions, uint64_t seed, uint32_t randomisation) {
  size_t tabled = dimensions < MNO_SOBOL_DIMENSIONS ? dimensions : MNO_SOBOL_DIMENSIONS;
  *sobol = (mno_sobol){.dimensions = dimensions, .tabled = tabled, .seed = seed, .randomisation = randomisation};
  sobol->direction = mno_alloc(tabled * BITS, sizeof(uint32_t));
  sobol->shift = mno_alloc(tabled, sizeof(uint32_t));
  if (!sobol->direction || !sobol->shift) {
    mno_sobol_free(sobol);
    return 0;
  }
  for (size_t d = 0; d < tabled; d++) {
    uint32_t v[BITS], row[BITS];
    unscrambled(d, v);
    random_words(sobol, d, row);
    sobol->shift[d] = row[0]; /* row 0 of the matrix is fixed: its word is free */
    for (int j = 0; j < BITS; j++) {
      uint32_t scrambled = v[j] & 1u << 31;
      for (int i = 1; i < BITS; i++) { /* digit i = digit i + random combination of digits before it */
        uint32_t before = ~0u << (32 - i), own = 1u << (31 - i);
        scrambled |= (uint32_t)__builtin_parity((row[i] & before & v[j]) ^ (v[j] & own)) << (31 - i);
      }
      sobol->direction[d * BITS + (size_t)j] = scrambled;
    }
  }
  return 1;
}

void mno_sobol_free(mno_sobol *sobol) {
  free(sobol->direction);
  free(sobol->shift);
  *sobol = (mno_sobol){0};
}

void mno_sobol_points(const mno_sobol *sobol, size_t dimension, uint32_t first, size_t count, uint32_t *out) {
  if (dimension >= sobol->tabled) { /* blocks after those of the scrambling of this dimension */
    for (size_t n = 0; n < count; n++) {
      uint32_t words[4], number = first + (uint32_t)n;
      mno_philox(sobol->seed, MNO_TENSOR_SOBOL, sobol->randomisation, (uint32_t)dimension,
                 MNO_SOBOL_SCRAMBLE_BLOCKS + number / 4, words);
      out[n] = words[number % 4];
    }
    return;
  }
  const uint32_t *v = sobol->direction + dimension * BITS;
  uint32_t x = sobol->shift[dimension], gray = first ^ (first >> 1);
  for (int j = 0; j < BITS; j++)
    if (gray >> j & 1) x ^= v[j];
  for (size_t n = 0; n < count; n++) {
    out[n] = x;
    uint32_t next = first + (uint32_t)n + 1;
    if (next) x ^= v[__builtin_ctz(next)];
  }
}

void mno_sobol_normals(const uint32_t *x, size_t count, double *out) {
  for (size_t n = 0; n < count; n++) /* no branches: this loop is vectorised, the tails are corrected below */
    out[n] = mno_normal_centre(mno_normal_offset(x[n]));
  for (size_t n = 0; n < count; n++) {
    double q = mno_normal_offset(x[n]);
    if (mno_normal_is_tail(q)) out[n] = mno_normal_tail(q);
  }
}
