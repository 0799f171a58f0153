/* SPDX-License-Identifier: BSD-3-Clause */
/* Vectorised elementary functions and activations, float and double.
 *
 * Largest errors over the whole range, as tests/cpu/vmath.c asserts them, in the precision's epsilon: of the value, and of
 * the derivative (absolute). Infinite arguments give the limits (sin: NaN), a NaN gives NaN; relu and identity are exact.
 *   tanh  3, relative   6      gelu      1, relative to max(1, |p|)   3      erf   2, relative   2
 *   sin   1, absolute   1      silu    1.5, relative to max(1, |p|)   2      softplus   1.5, relative to max(1, |p|)   1
 * exp saturates below the smallest normal number (about V_EXP_LOW) and is infinite beyond V_EXP_HIGH.
 * CUDA has a family of its own (cuda: elementary.h), from fma alone so that host and device give the same bits. The
 * coefficients of both, near-minimax on the interval that the reduction leaves, are made by host/core/coefficients.py. */
#ifndef MNO_CPU_VMATH_H
#define MNO_CPU_VMATH_H

#include "cpu/vmath_coefficients.h"
#include "cpu/simd.h"

#ifdef MNO_SIMD_F32
#define V_COEFFICIENTS(name) V_##name##_F32
#else
#define V_COEFFICIENTS(name) V_##name##_F64
#endif

/* Polynomial in x with the coefficients of that name. */
#define POLY(x, name)                                                                                                       \
  __extension__({                                                                                                           \
    static const real c_[] = {V_COEFFICIENTS(name)};                                                                        \
    v_horner(x, c_, sizeof c_ / sizeof *c_);                                                                                \
  })

INLINE vec v_horner(vec x, const real *c, int count) {
  vec p = v_set1(c[count - 1]);
  UNROLL for (int i = count - 2; i >= 0; i--) p = p * x + c[i];
  return p;
}

/* e^x = s (1 + *m) with s, the result, a power of two; x between V_EXP_LOW and V_EXP_HIGH. */
INLINE vec v_exp_parts(vec x, vec *m) {
#ifdef MNO_SIMD_F32
  vec k = x * 1.44269504088896341f + V_ROUND_MAGIC;
  ivec e = (ivec)((uvec)k << V_MANTISSA);
  k -= V_ROUND_MAGIC;
  vec r = x - k * 0.693359375f;
  r = r + k * 2.12194440e-4f;
#else
  vec k = x * 1.44269504088896340736 + V_ROUND_MAGIC;
  ivec e = (ivec)((uvec)k << V_MANTISSA);
  k -= V_ROUND_MAGIC;
  vec r = x - k * 6.93147180369123816490e-01;
  r = r - k * 1.90821492927058770002e-10;
#endif
  vec p = POLY(r, EXP);
  *m = p * (r * r) + r;
  return (vec)(e + (ivec)v_set1(1));
}

#ifdef MNO_SIMD_F32
#define V_EXP_LOW -87.0f
#define V_EXP_HIGH 88.3f
#else
#define V_EXP_LOW -708.0
#define V_EXP_HIGH 709.4
#endif

INLINE vec v_exp(vec x) {
  vec m, s = v_exp_parts(v_min(v_set1(V_EXP_HIGH), v_max(v_set1(V_EXP_LOW), x)), &m);
  vec y = s * m + s;
  return v_select(v_lt(v_set1(V_EXP_HIGH), x), v_set1(INFINITY), y);
}

/* e^-a for a >= 0. */
INLINE vec v_exp_minus(vec a) {
  vec m, s = v_exp_parts(v_max(v_set1(V_EXP_LOW), -a), &m);
  return s * m + s;
}

/* log(1 + z) for 0 <= z <= 1, as 2 atanh(z / (2 + z)). */
INLINE vec v_log1p_unit(vec z) {
  vec s = z / (z + 2), w = s * s;
  vec p = POLY(w, LOG1P);
  return 2 * (s + s * (w * p));
}

/* log of a normal positive number. */
INLINE vec v_log(vec x) {
#ifdef MNO_SIMD_F32
  const word half = 0x3f3504f3; /* bits of sqrt(1/2): mantissas from there to sqrt(2) */
  const real ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
#else
  const word half = 0x3fe6a09e667f3bcd;
  const real ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
#endif
  ivec e = ((ivec)x - half) >> V_MANTISSA;
  vec m = (vec)((uvec)x - ((uvec)e << V_MANTISSA));
  vec k = (vec)(e + (ivec)v_set1(V_ROUND_MAGIC)) - V_ROUND_MAGIC;
  vec r = m - 1, s = r / (r + 2), w = s * s;
  vec p = POLY(w, LOG);
  /* 2 atanh(s) = r - s (r - 2 w p): the leading term exact */
  return k * ln2_high + (r + (k * ln2_low - s * (r - 2 * (w * p))));
}

/* sin and cos of |x| <= pi/4. */
INLINE vec v_sin_kernel(vec x) {
  vec z = x * x;
  vec p = POLY(z, SIN);
  return x + x * (z * p);
}

INLINE vec v_cos_kernel(vec x) {
  vec z = x * x;
  vec p = POLY(z, COS);
  return 1 + z * (z * p - REAL_C(0.5));
}

/* sin and cos of (quarter turns q) + x. */
INLINE vec v_sincos_quadrant(ivec q, vec x, vec *cosine) {
  vec s = v_sin_kernel(x), c = v_cos_kernel(x);
  ivec take = -(q & 1);
  vec sine = (vec)(((ivec)c & take) | ((ivec)s & ~take)), cos_ = (vec)(((ivec)s & take) | ((ivec)c & ~take));
  const int top = 8 * sizeof(word) - 2;
  *cosine = v_flip(cos_, (ivec)((uvec)((q + 1) & 2) << top));
  return v_flip(sine, (ivec)((uvec)(q & 2) << top));
}

/* The lanes beyond the bound go to the C library: rare, and one copy of it is enough. */
static __attribute__((noinline, cold, unused)) void v_sincos_far(const vec *x, real bound, vec *sine, vec *cosine) {
  for (int i = 0; i < LANES; i++)
    if ((*x)[i] > bound || (*x)[i] < -bound) {
      (*sine)[i] = (real)sin((double)(*x)[i]);
      (*cosine)[i] = (real)cos((double)(*x)[i]);
    }
}

/* sin and cos of any x: three-part reduction by pi/2 within its range. */
INLINE vec v_sincos(vec x, vec *cosine) {
#ifdef MNO_SIMD_F32
  const real bound = 8000.0f;
  vec k = x * 0.636619772367581343f + V_ROUND_MAGIC;
  ivec q = (ivec)k;
  k -= V_ROUND_MAGIC;
  vec r = ((x - k * 1.5703125f) - k * 4.837512969970703125e-4f) - k * 7.54978995489188216e-8f;
#else
  const real bound = 1e6;
  vec k = x * 0.63661977236758134308 + V_ROUND_MAGIC;
  ivec q = (ivec)k;
  k -= V_ROUND_MAGIC;
  vec r = ((x - k * 1.57079625129699707031) - k * 7.54978941586159635335e-8) - k * 5.39030285815811905290e-15;
#endif
  vec s = v_sincos_quadrant(q, r, cosine);
  if (v_any(v_lt(v_set1(bound), v_abs(x)))) { /* copies, so that what is in registers stays there otherwise */
    vec argument = x, far_sine = s, far_cosine = *cosine;
    v_sincos_far(&argument, bound, &far_sine, &far_cosine);
    s = far_sine;
    *cosine = far_cosine;
  }
  return s;
}

/* erfc(z) e^{z^2} for 0 <= z <= 27 (double) or 10 (float): (1 + 2 z) erfcx(z) is smooth in (z - k)/(z + k). */
INLINE vec v_erfcx(vec z) {
#ifdef MNO_SIMD_F32
  const real k = 2;
#else
  const real k = 4;
#endif
  vec a = 1 + 2 * z, b = z + k, inverse = 1 / (a * b), t = (z - k) * a * inverse;
  vec p = POLY(t, ERFCX);
  return p * (b * inverse);
}

#ifdef MNO_SIMD_F32
#define V_ERF_LIMIT 9.3f
#else
#define V_ERF_LIMIT 26.6
#endif

/* Activations: value rho(p), derivative rho'(p) in *slope. */

INLINE vec v_tanh(vec p) {
#ifdef MNO_SIMD_F32
  /* x P(x^2) / Q(x^2) on [-9, 9], where tanh rounds to 1 */
  vec x = v_max(v_set1(-9), v_min(v_set1(9), p)), z = x * x;
  vec a = POLY(z, TANH_P), b = POLY(z, TANH_Q);
  return v_max(v_set1(-1), v_min(v_set1(1), x * a / b));
#else
  ivec sign = v_sign(p);
  vec m, s = v_exp_parts(2 * v_min(v_set1(20), v_abs(p)), &m);
  vec e = s * m + (s - 1); /* e^{2|p|} - 1 */
  return v_flip(e / (e + 2), sign);
#endif
}

INLINE vec v_erf(vec p, vec *slope) {
  vec x = v_min(v_set1(V_ERF_LIMIT), v_abs(p)), z = x * x, e = v_exp_minus(z);
  vec small = x * POLY(z, ERF);
  *slope = e * REAL_C(1.12837916709551257390);
  vec y = v_select(v_lt(x, v_set1(1)), small, 1 - e * v_erfcx(x));
  return v_flip(y, v_sign(p));
}

INLINE vec v_gelu(vec p, vec *slope) {
  vec a = v_min(v_set1(V_ERF_LIMIT * REAL_C(1.4142135)), v_abs(p)), e = v_exp_minus(a * a * REAL_C(0.5));
  vec tail = REAL_C(0.5) * e * v_erfcx(a * REAL_C(0.70710678118654752440)); /* Phi(-|p|) */
  vec phi = v_select(v_lt(p, v_set1(0)), tail, 1 - tail);
  *slope = phi + v_flip(a, v_sign(p)) * (e * REAL_C(0.39894228040143267794));
  return v_max(v_set1(-V_ERF_LIMIT * REAL_C(1.4142135)), p) * phi;
}

/* 1/(1 + e^-p); *complement its value at -p. */
INLINE vec v_logistic(vec p, vec *complement) {
  vec z = v_exp_minus(v_abs(p)), big = 1 / (1 + z), small = z * big;
  mask negative = v_lt(p, v_set1(0));
  *complement = v_select(negative, big, small);
  return v_select(negative, small, big);
}

INLINE vec v_silu(vec p, vec *slope) {
  vec c, s = v_logistic(p, &c);
  *slope = s + v_max(v_set1(V_EXP_LOW), v_min(v_set1(-V_EXP_LOW), p)) * s * c;
  return v_max(v_set1(V_EXP_LOW), p) * s;
}

INLINE vec v_softplus(vec p, vec *slope) {
  vec c, z = v_exp_minus(v_abs(p));
  *slope = v_logistic(p, &c);
  return v_max(v_set1(0), p) + v_log1p_unit(z);
}

#endif
