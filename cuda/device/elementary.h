/* SPDX-License-Identifier: BSD-3-Clause */
/* Elementary functions from additions, products and fma only: no division, no special-function unit, no library, so that
 * host and device give the same bits. Errors against the exact value, measured over each function's range by the tests:
 * at most 4 units in the last place (sin: while |x| < 2^20; gelu, silu and softplus: of the larger of |rho(p)| and |p|/64).
 * The CPU kernels have others (host/cpu/vmath.h); host/core/coefficients.py makes the coefficients of both.
 */
#ifndef MNO_CUDA_ELEMENTARY_H
#define MNO_CUDA_ELEMENTARY_H

#include "device/elementary_coefficients.h"
#include "device/portable.h"
#include "meanode/model.h"

namespace mno {

template <class T> struct real;
template <> struct real<float> {
  typedef uint32_t word;
  typedef int32_t integer;
  static constexpr int mantissa = 23, bias = 127;
  static constexpr float rounder = 12582912.0f; /* 1.5 x 2^23: adding it rounds to an integer in the low bits */
  static constexpr float log2e = 1.44269504f, ln2_high = 0.693145752f, ln2_low = 1.42860677e-6f;
  static constexpr float exp_top = 88.8f, exp_bottom = -104.0f, tanh_top = 9.2f, erf_top = 4.0f, erfc_top = 10.1f;
  static constexpr float sin_top = 1e6f;
  static constexpr uint32_t reciprocal_magic = 0x7ef311c7u;
  static constexpr int reciprocal_steps = 3;
};
template <> struct real<double> {
  typedef uint64_t word;
  typedef int64_t integer;
  static constexpr int mantissa = 52, bias = 1023;
  static constexpr double rounder = 6755399441055744.0; /* 1.5 x 2^52 */
  static constexpr double log2e = 1.4426950408889634, ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
  static constexpr double exp_top = 709.8, exp_bottom = -746.0, tanh_top = 19.2, erf_top = 5.95, erfc_top = 27.3;
  static constexpr double sin_top = 1e15;
  static constexpr uint64_t reciprocal_magic = 0x7fde623822fc16e6ull;
  static constexpr int reciprocal_steps = 4;
};

template <class T> MNO_DEVICE T abs_(T x) {
  return from_bits((typename real<T>::word)(bits(x) & ~(typename real<T>::word)0 >> 1));
}
template <class T> MNO_DEVICE T copy_sign(T magnitude, T sign) {
  typedef typename real<T>::word word;
  const word top = ~(~(word)0 >> 1);
  return from_bits((word)((bits(magnitude) & ~top) | (bits(sign) & top)));
}
/* NaN goes to limit as well: callers that must keep NaN test for it. */
template <class T> MNO_DEVICE T at_most(T x, T limit) { return x < limit ? x : limit; }
template <class T> MNO_DEVICE bool finite(T x) {
  return abs_(x) <= from_bits((typename real<T>::word)(((typename real<T>::word)(2 * real<T>::bias) << real<T>::mantissa) |
                                                       (((typename real<T>::word)1 << real<T>::mantissa) - 1)));
}

/* Horner's rule, coefficients by falling power. */
#define MNO_POLY(name)                                                                                                      \
  MNO_DEVICE float poly_##name(float x) {                                                                                   \
    constexpr float c[] = {MNO_##name##_F32};                                                                               \
    float p = c[0];                                                                                                         \
    MNO_UNROLL for (int i = 1; i < (int)(sizeof c / sizeof *c); i++) p = fma_(p, x, c[i]);                                  \
    return p;                                                                                                               \
  }                                                                                                                         \
  MNO_DEVICE double poly_##name(double x) {                                                                                 \
    constexpr double c[] = {MNO_##name##_F64};                                                                              \
    double p = c[0];                                                                                                        \
    MNO_UNROLL for (int i = 1; i < (int)(sizeof c / sizeof *c); i++) p = fma_(p, x, c[i]);                                  \
    return p;                                                                                                               \
  }
MNO_POLY(EXP)
MNO_POLY(LOG)
MNO_POLY(SIN)
MNO_POLY(COS)
MNO_POLY(ERF)
MNO_POLY(ERFC)
#undef MNO_POLY

/* 1/d for normal d in [2^-60, 2^60]: a guess from the exponent, STEPS of Newton's iteration. A constant, so that the loop
 * unrolls: as a loop it would keep the compiler from overlapping the functions of several arguments. */
template <int STEPS, class T> MNO_DEVICE T newton_reciprocal(T d) {
  T q = from_bits((typename real<T>::word)(real<T>::reciprocal_magic - bits(d)));
  MNO_UNROLL for (int i = 0; i < STEPS; i++) q = fma_(q, fma_(-d, q, (T)1), q);
  return q;
}
template <class T> MNO_DEVICE T reciprocal(T d) { return newton_reciprocal<real<T>::reciprocal_steps>(d); }

/* a/d from r = reciprocal(d), with one correction. */
template <class T> MNO_DEVICE T quotient(T a, T d, T r) {
  T t = a * r;
  return fma_(fma_(-t, d, a), r, t);
}

template <class T> MNO_DEVICE T power_of_two(int k) {
  return from_bits((typename real<T>::word)((typename real<T>::word)(k + real<T>::bias) << real<T>::mantissa));
}

/* x = k ln 2 + r, |r| <= ln(2)/2; low receives what r lost to rounding. */
template <class T> MNO_DEVICE T reduce_ln2(T x, int *k) {
  T z = fma_(x, real<T>::log2e, real<T>::rounder);
  T n = z - real<T>::rounder;
  *k = (int)(uint32_t)(bits(z) - bits(real<T>::rounder)); /* n, without a conversion */
  return fma_(n, -real<T>::ln2_low, fma_(n, -real<T>::ln2_high, x));
}

template <class T> MNO_DEVICE T exp_(T x) {
  if (!(x < real<T>::exp_top))
    return x - x == 0 || x > 0
               ? from_bits((typename real<T>::word)((typename real<T>::word)(2 * real<T>::bias + 1) << real<T>::mantissa))
               : x;
  if (x < real<T>::exp_bottom) return 0;
  int k;
  T r = reduce_ln2(x, &k), e = fma_(poly_EXP(r), r * r, r);
  int half = k / 2; /* in two factors: 2^k itself may not be normal */
  return ((T)1 + e) * power_of_two<T>(half) * power_of_two<T>(k - half);
}

/* exp(y) - 1 for y in [0, 40] */
template <class T> MNO_DEVICE T expm1_positive(T y) {
  int k;
  T r = reduce_ln2(y, &k), e = fma_(poly_EXP(r), r * r, r), scale = power_of_two<T>(k);
  return fma_(scale, e, scale - (T)1);
}

template <class T> MNO_DEVICE T tanh_(T x) {
  T a = at_most(abs_(x), real<T>::tanh_top); /* there the quotient is 1 */
  T m = expm1_positive(a + a), d = m + (T)2;
  /* in f32 the quotient's correction stands in for the last step of the reciprocal */
  constexpr int steps = sizeof(T) == 4 ? 2 : real<T>::reciprocal_steps;
  T t = copy_sign(quotient(m, d, newton_reciprocal<steps>(d)), x);
  return x == x ? t : x;
}

/* 1/(1 + exp(-x)); slope receives the derivative. */
template <class T> MNO_DEVICE T logistic(T x, T *slope) {
  T e = exp_(-abs_(x)), d = (T)1 + e, r = reciprocal(d);
  *slope = e * r * r;
  return quotient(x < 0 ? e : (T)1, d, r);
}

/* log((1 + s)/(1 - s)), 0 <= s <= 1/3 in size */
template <class T> MNO_DEVICE T log_ratio(T s) {
  T w = s * s;
  return fma_(s * w, poly_LOG(w), s + s);
}

/* log x for normal x > 0 */
template <class T> MNO_DEVICE T log_(T x) {
  typedef typename real<T>::word word;
  word b = bits(x);
  int k = (int)(b >> real<T>::mantissa) - real<T>::bias;
  T m = from_bits((word)((b & (((word)1 << real<T>::mantissa) - 1)) | (word)real<T>::bias << real<T>::mantissa));
  if (m > (T)1.41421356) m *= (T)0.5, k++;
  T d = m + (T)1, n = (T)k;
  T s = quotient(m - (T)1, d, reciprocal(d));
  return fma_(n, real<T>::ln2_high, fma_(n, real<T>::ln2_low, log_ratio(s)));
}

/* log(1 + y), 0 <= y <= 1 */
template <class T> MNO_DEVICE T log1p_(T y) {
  T d = y + (T)2;
  return log_ratio(quotient(y, d, reciprocal(d)));
}

/* sin and cos of (quarter turns) pi/2 + r, |r| <= pi/4 */
template <class T> MNO_DEVICE T sincos_quadrant(int quarter, T r, T *cosine) {
  T w = r * r, s = fma_(r * w, poly_SIN(w), r), c = fma_(w * w, poly_COS(w), fma_(w, (T)-0.5, (T)1));
  T sine = quarter & 1 ? c : s, other = quarter & 1 ? s : c;
  *cosine = (quarter + 1) & 2 ? -other : other;
  return quarter & 2 ? -sine : sine;
}

MNO_DEVICE double reduce_quarter(double x, int *quarter) {
  double n = fma_(x, 0x1.45f306dc9c883p-1, real<double>::rounder) - real<double>::rounder;
  *quarter = (int)((int64_t)n & 3);
  double r = fma_(n, -0x1.921fb54442d18p+0, x);
  r = fma_(n, -0x1.1a62633145c07p-54, r);
  return fma_(n, 0x1.f1976b7ed8fbcp-110, r);
}

/* sin x; NaN where |x| is so large that no digit is left (the training has diverged long before). */
MNO_DEVICE double sincos_(double x, double *cosine) {
  if (!(abs_(x) < real<double>::sin_top)) return *cosine = from_bits((uint64_t)0x7ff8000000000000ull);
  int quarter;
  double r = reduce_quarter(x, &quarter);
  return sincos_quadrant(quarter, r, cosine);
}
MNO_DEVICE float sincos_(float x, float *cosine) {
  if (!(abs_(x) < real<float>::sin_top)) return *cosine = from_bits((uint32_t)0x7fc00000u);
  int quarter;
  double r = reduce_quarter((double)x, &quarter);
  return sincos_quadrant(quarter, (float)r, cosine);
}

/* erfc(z) for z >= 3/4 */
template <class T> MNO_DEVICE T erfc_tail(T z) {
  if (!(z < real<T>::erfc_top)) return z > 0 ? (T)0 : z;
  T d = z + (T)3.75, y = quotient(z - (T)3.75, d, reciprocal(d));
  T square = z * z, lost = fma_(z, z, -square); /* exp(-z^2) with the square to twice the precision */
  T e = exp_(-square), d2 = fma_(z, (T)2, (T)1);
  e = fma_(e, -lost, e);
  return quotient(e * poly_ERFC(y), d2, reciprocal(d2));
}

template <class T> MNO_DEVICE T erf_(T x) {
  T a = abs_(x);
  if (a < (T)0.75) return x * poly_ERF(x * x);
  if (!(a < real<T>::erf_top)) return a > 0 ? copy_sign((T)1, x) : x;
  return copy_sign((T)1 - erfc_tail(a), x);
}

/* The standard normal distribution function. */
template <class T> MNO_DEVICE T normal_cdf(T p) {
  T z = p * (T)0.70710678118654752440, a = abs_(z);
  if (a < (T)0.75) return fma_((T)0.5 * z, poly_ERF(z * z), (T)0.5);
  T tail = (T)0.5 * erfc_tail(a);
  return p < 0 ? tail : (T)1 - tail;
}

/* rho(p); slope receives rho'(p). */
template <class T> MNO_DEVICE T activate(int activation, T p, T *slope) {
  switch (activation) {
  case MNO_TANH: {
    T t = tanh_(p);
    *slope = fma_(-t, t, (T)1);
    return t;
  }
  case MNO_ERF: {
    *slope = (T)1.12837916709551257390 * exp_(-(p * p));
    return erf_(p);
  }
  case MNO_GELU: {
    T c = normal_cdf(p), density = (T)0.39894228040143267794 * exp_((T)-0.5 * (p * p));
    *slope = fma_(p, finite(p) ? density : (T)0, c);
    return p * c;
  }
  case MNO_SILU: {
    T d, s = logistic(p, &d);
    *slope = fma_(finite(p) ? p : (T)0, d, s);
    return p * s;
  }
  case MNO_RELU: {
    *slope = p > 0 ? (T)1 : (T)0;
    return p > 0 ? p : p - p == 0 ? (T)0 : p;
  }
  case MNO_SOFTPLUS: {
    T d;
    *slope = logistic(p, &d);
    return (p > 0 ? p : (T)0) + log1p_(exp_(-abs_(p)));
  }
  case MNO_SIN: return sincos_(p, slope);
  default: *slope = 1; return p;
  }
}

} // namespace mno

#endif
