#include "limit/sobol.h"

#include "core/memory.h"
#include "limit/sobol_table.h"
#include "meanode/random.h"

#include <math.h>
#include <stdlib.h>

enum { BITS = 32, SCRAMBLE_BLOCKS = BITS / 4 };

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
  for (uint32_t block = 0; block < SCRAMBLE_BLOCKS; block++)
    mno_philox(sobol->seed, MNO_TENSOR_SOBOL, sobol->randomisation, (uint32_t)dimension, block, words + 4 * block);
}

int mno_sobol_new(mno_sobol *sobol, size_t dimensions, uint64_t seed, uint32_t randomisation) {
  size_t tabled = dimensions < MNO_SOBOL_DIMENSIONS ? dimensions : MNO_SOBOL_DIMENSIONS;
  *sobol = (mno_sobol){.dimensions = dimensions, .seed = seed, .randomisation = randomisation};
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
  if (dimension >= MNO_SOBOL_DIMENSIONS) { /* blocks after those of the scrambling of this dimension */
    for (size_t n = 0; n < count; n++) {
      uint32_t words[4], number = first + (uint32_t)n;
      mno_philox(sobol->seed, MNO_TENSOR_SOBOL, sobol->randomisation, (uint32_t)dimension, SCRAMBLE_BLOCKS + number / 4,
                 words);
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

/* Wichura's algorithm AS 241 (PPND16), relative accuracy 1e-16: one rational function in the centre, two in the tails. */
static double polynomial(const double c[8], double x) {
  double sum = c[7];
  for (int i = 6; i >= 0; i--) sum = sum * x + c[i];
  return sum;
}

static const double centre_above[8] = {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
                                       1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                                       3.3430575583588128105e4, 2.5090809287301226727e3};
static const double centre_below[8] = {1.0,
                                       4.2313330701600911252e1,
                                       6.8718700749205790830e2,
                                       5.3941960214247511077e3,
                                       2.1213794301586595867e4,
                                       3.9307895800092710610e4,
                                       2.8729085735721942674e4,
                                       5.2264952788528545610e3};
static const double near_above[8] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                                     3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                                     2.27238449892691845833e-2, 7.74545014278341407640e-4};
static const double near_below[8] = {1.0,
                                     2.05319162663775882187e0,
                                     1.67638483018380384940e0,
                                     6.89767334985100004550e-1,
                                     1.48103976427480074590e-1,
                                     1.51986665636164571966e-2,
                                     5.47593808499534494600e-4,
                                     1.05075007164441684324e-9};
static const double far_above[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                                    2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                    2.71155556874348757815e-5, 2.01033439929228813265e-7};
static const double far_below[8] = {1.0,
                                    5.99832206555887937690e-1,
                                    1.36929880922735805310e-1,
                                    1.48753612908506148525e-2,
                                    7.86869131145613259100e-4,
                                    1.84631831751005468180e-5,
                                    1.42151175831644588870e-7,
                                    2.04426310338993978564e-15};

static double tail(double q) { /* q = p - 1/2, |q| > 0.425 */
  double r = sqrt(-log(q < 0 ? 0.5 + q : 0.5 - q)), z;
  if (r <= 5)
    z = polynomial(near_above, r - 1.6) / polynomial(near_below, r - 1.6);
  else
    z = polynomial(far_above, r - 5) / polynomial(far_below, r - 5);
  return q < 0 ? -z : z;
}

void mno_sobol_normals(const uint32_t *x, size_t count, double *out) {
  for (size_t n = 0; n < count; n++) { /* no branches: this loop is vectorised, the tails are corrected below */
    double q = ((double)x[n] + 0.5) * 0x1p-32 - 0.5, r = 0.180625 - q * q;
    out[n] = q * polynomial(centre_above, r) / polynomial(centre_below, r);
  }
  for (size_t n = 0; n < count; n++) {
    double q = ((double)x[n] + 0.5) * 0x1p-32 - 0.5;
    if (fabs(q) > 0.425) out[n] = tail(q);
  }
}
