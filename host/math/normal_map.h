/* SPDX-License-Identifier: BSD-3-Clause */
/* Standard normals from 32-bit fractions: Wichura's algorithm AS 241 (PPND16), relative accuracy 1e-16: one rational
 * function in the centre, two in the tails. Sums, products, quotients and square roots only, each rounded as written
 * (compiled without contraction), so that the host and every device map a point to the same bits. */
#ifndef MNO_MATH_NORMAL_MAP_H
#define MNO_MATH_NORMAL_MAP_H

#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define MNO_NORMAL_MAP static __host__ __device__ __forceinline__
#else
#define MNO_NORMAL_MAP static inline
#endif

#define MNO_HORNER(x, a0, a1, a2, a3, a4, a5, a6, a7)                                                                       \
  (((((((a7 * x + a6) * x + a5) * x + a4) * x + a3) * x + a2) * x + a1) * x + a0)

/* The fraction (x + 1/2) 2^-32 minus 1/2, exactly. */
MNO_NORMAL_MAP double mno_normal_offset(uint32_t x) { return ((double)x + 0.5) * 0x1p-32 - 0.5; }

/* |q| <= 0.425 */
MNO_NORMAL_MAP double mno_normal_centre(double q) {
  double r = 0.180625 - q * q;
  return q *
         MNO_HORNER(r, 3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
                    4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3) /
         MNO_HORNER(r, 1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
                    2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3);
}

/* log x for normal x > 0: x = 2^k m, log m = log((1 + s)/(1 - s)) by its series. */
MNO_NORMAL_MAP double mno_normal_log(double x) {
  uint64_t word;
  memcpy(&word, &x, sizeof word);
  int k = (int)(word >> 52) - 1023;
  word = (word & 0xfffffffffffffull) | 0x3ff0000000000000ull;
  double m;
  memcpy(&m, &word, sizeof m);
  if (m > 1.4142135623730951) {
    m = 0.5 * m;
    k++;
  }
  double s = (m - 1) / (m + 1), w = s * s, sum = 2.0 / 23;
  for (int i = 21; i >= 3; i -= 2) sum = sum * w + 2.0 / i;
  return k * 0x1.62e42fee00000p-1 + (k * 0x1.a39ef35793c76p-33 + (s * w * sum + 2 * s));
}

/* |q| > 0.425 */
MNO_NORMAL_MAP double mno_normal_tail(double q) {
  double r = __builtin_sqrt(-mno_normal_log(q < 0 ? 0.5 + q : 0.5 - q)), z, y;
  if (r <= 5) {
    y = r - 1.6;
    z = MNO_HORNER(y, 1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
                   1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2,
                   7.74545014278341407640e-4) /
        MNO_HORNER(y, 1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
                   1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
                   1.05075007164441684324e-9);
  } else {
    y = r - 5;
    z = MNO_HORNER(y, 6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
                   2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                   2.71155556874348757815e-5, 2.01033439929228813265e-7) /
        MNO_HORNER(y, 1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
                   7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
                   2.04426310338993978564e-15);
  }
  return q < 0 ? -z : z;
}

MNO_NORMAL_MAP int mno_normal_is_tail(double q) { return q > 0.425 || q < -0.425; }
MNO_NORMAL_MAP double mno_normal_map(uint32_t x) {
  double q = mno_normal_offset(x);
  return mno_normal_is_tail(q) ? mno_normal_tail(q) : mno_normal_centre(q);
}

#undef MNO_HORNER

#endif
