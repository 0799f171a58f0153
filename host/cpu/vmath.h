/* Vectorised elementary functions and activations, float and double.
 *
 * Largest errors over the whole range, as tests/cpu/vmath.c asserts them, in the precision's epsilon: of the value, and of
 * the derivative (absolute). Infinite arguments give the limits (sin: NaN), a NaN gives NaN; relu and identity are exact.
 *   tanh  3, relative   6      gelu      1, relative to max(1, |p|)   3      erf   2, relative   2
 *   sin   1, absolute   1      silu    1.5, relative to max(1, |p|)   2      softplus   1.5, relative to max(1, |p|)   1
 * exp saturates below the smallest normal number (about V_EXP_LOW) and is infinite beyond V_EXP_HIGH.
 * Coefficients are minimax fits of the named function on the interval that its reduction leaves. */
#ifndef MNO_CPU_VMATH_H
#define MNO_CPU_VMATH_H

#include "cpu/simd.h"

/* Polynomial in x; coefficients from the constant term up. */
#define POLY(x, ...)                                                                                                        \
  __extension__({                                                                                                           \
    static const real c_[] = {__VA_ARGS__};                                                                                 \
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
  vec p = POLY(r, 0.5f, 0.1666657338f, 0.04166655011f, 0.008363773874f, 0.001392692661f);
#else
  vec k = x * 1.44269504088896340736 + V_ROUND_MAGIC;
  ivec e = (ivec)((uvec)k << V_MANTISSA);
  k -= V_ROUND_MAGIC;
  vec r = x - k * 6.93147180369123816490e-01;
  r = r - k * 1.90821492927058770002e-10;
  vec p = POLY(r, 0.5000000000000001128, 0.16666666666666667534, 0.041666666666620638584, 0.0083333333333297934996,
               0.0013888888918939167785, 0.00019841269864380513295, 0.000024801518641395993583, 2.7557266418612303703e-6,
               2.7621338669142923801e-7, 2.5101346928350340199e-8);
#endif
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
#ifdef MNO_SIMD_F32
  vec p = POLY(w, 0.3333333366f, 0.1999985317f, 0.14296179f, 0.108532879f, 0.1161216461f);
#else
  vec p = POLY(w, 0.33333333333333329281, 0.20000000000007291337, 0.14285714283554378581, 0.11111111358713931495,
               0.090908947180664290846, 0.076927850324793115517, 0.066570721048274680752, 0.060005364047953562676,
               0.044003692430723369411, 0.080820228059717661105);
#endif
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
#ifdef MNO_SIMD_F32
  vec p = POLY(w, 0.3333333327f, 0.200000628f, 0.1427519848f, 0.1167097169f);
#else
  vec p = POLY(w, 0.33333333333333349535, 0.19999999999946610882, 0.14285714314405497799, 0.11111105337119257623,
               0.090914612567579708165, 0.076653086533716524421, 0.073150156820614302402);
#endif
  /* 2 atanh(s) = r - s (r - 2 w p): the leading term exact */
  return k * ln2_high + (r + (k * ln2_low - s * (r - 2 * (w * p))));
}

/* sin and cos of |x| <= pi/4. */
INLINE vec v_sin_kernel(vec x) {
  vec z = x * x;
#ifdef MNO_SIMD_F32
  vec p = POLY(z, -0.166666646f, 0.008332736559f, -0.0001958537321f);
#else
  vec p = POLY(z, -0.16666666666666664498, 0.0083333333333308270041, -0.00019841269836575709034, 2.7557316008171551075e-6,
               -2.5051112272573243662e-8, 1.591672619388933742e-10);
#endif
  return x + x * (z * p);
}

INLINE vec v_cos_kernel(vec x) {
  vec z = x * x;
#ifdef MNO_SIMD_F32
  vec p = POLY(z, 0.0416666646f, -0.00138882913f, 2.454541908e-5f);
#else
  vec p = POLY(z, 0.04166666666666666531, -0.0013888888888887321242, 0.000024801587298651291568, -2.7557317212686590119e-7,
               2.0876134024090146233e-9, -1.1381754653662936763e-11);
#endif
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
#ifdef MNO_SIMD_F32
  vec p = POLY(t, 1.276978377f, -0.0927639492f, -0.1660304204f, 0.1640549213f, -0.05421426645f, -0.008060825113f,
               0.008664255154f, 0.001327790277f, -0.001264119488f, -0.0004241225289f);
#else
  vec p = POLY(t, 1.2329951186255525514, -0.13962111684056261502, 0.015379652102606334932, 0.068097054254708263354,
               -0.1010390660355888367, 0.093732834997800112493, -0.066330365827194051211, 0.037167515544958911137,
               -0.016197733896081706582, 0.0050319699333652433369, -0.00075777431195368806769, -0.0001992566134879184492,
               0.00015062572040252812298, -0.000024398824898573882106, -0.000011232269801279567832, 5.7071450402890542267e-6,
               3.1031025661972929841e-7, -8.1898319568679847739e-7, 5.8454934619448408094e-8, 1.0181275012136231325e-7,
               -9.2978141020789077083e-9, -8.8511592234498896915e-9);
#endif
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
  vec a = POLY(z, 0.99999998f, 0.1338096726f, 0.003495513756f, 2.060768964e-5f, 1.335247551e-8f);
  vec b = POLY(z, 1.0f, 0.4671428312f, 0.02587671192f, 0.0003285505481f, 7.775714747e-7f);
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
#ifdef MNO_SIMD_F32
  vec small = x * POLY(z, 1.128379166f, -0.3761262667f, 0.1128359472f, -0.02685421201f, 0.005189087423f, -0.0008016864287f,
                       7.875875063e-5f);
#else
  vec small =
      x * POLY(z, 1.1283791670955125665, -0.37612638903183540438, 0.11283791670945006266, -0.02686617064323777036,
               0.0052239776071164227321, -0.00085483259753896920806, 0.00012055294904839707917, -0.000014924736907419660338,
               1.644742470331736241e-6, -1.6208483801871705902e-7, 1.3720064546777685604e-8, -7.7958988270022421416e-10);
#endif
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
