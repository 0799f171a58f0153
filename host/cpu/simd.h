/* SPDX-License-Identifier: BSD-3-Clause */
/* Vectors behind a thin header: one source for AVX-512, AVX2 + FMA and 16-byte portable code, float and double.
 *
 * The instruction set follows the compiler's flags; MNO_SIMD_F32 defined before the first inclusion chooses float.
 * Arithmetic and comparison use the compiler's vector operators; only what they cannot say is named here.
 *   real   one number              vec    LANES of them
 *   word   integer of that width   ivec   LANES of them (signed), uvec (unsigned)
 *   wide   unsigned 64-bit lanes in the bytes of one vec, for products of 32-bit words
 *   mask   what a comparison gives to v_select
 *
 * MNO_SMALL_TILES asks the kernels for small register tiles: the same code, far less of it, for sanitizers. */
#ifndef MNO_CPU_SIMD_H
#define MNO_CPU_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define MNO_SIMD_AVX512 1
#define VEC_BYTES 64
#define VEC_REGISTERS 32
#include <immintrin.h>
#elif defined(__AVX2__) && defined(__FMA__)
#define MNO_SIMD_AVX2 1
#define VEC_BYTES 32
#define VEC_REGISTERS 16
#include <immintrin.h>
#else
#define VEC_BYTES 16
#define VEC_REGISTERS 16
#endif

#ifdef MNO_SIMD_F32
typedef float real;
typedef int32_t word;
typedef uint32_t uword;
#define REAL_C(x) x##f
#else
typedef double real;
typedef int64_t word;
typedef uint64_t uword;
#define REAL_C(x) x
#endif

enum { LANES = VEC_BYTES / sizeof(real), WIDE_LANES = VEC_BYTES / 8 };

typedef real vec __attribute__((vector_size(VEC_BYTES)));
typedef word ivec __attribute__((vector_size(VEC_BYTES)));
typedef uword uvec __attribute__((vector_size(VEC_BYTES)));
typedef uint64_t wide __attribute__((vector_size(VEC_BYTES)));

#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL _Pragma("GCC unroll 64")

INLINE vec v_set1(real x) { return x - (vec){0}; } /* x - 0 keeps the sign of zero */
INLINE ivec v_iset1(word x) { return x + (ivec){0}; }
INLINE uvec v_uset1(uword x) { return x + (uvec){0}; }

INLINE vec v_loadu(const real *p) {
  vec x;
  memcpy(&x, p, sizeof x);
  return x;
}
INLINE void v_storeu(real *p, vec x) { memcpy(p, &x, sizeof x); }

/* Fetches a line that is needed about a layer later: into the second-level cache, since the first would lose it again. */
INLINE void v_prefetch(const void *p) { __builtin_prefetch(p, 0, 2); }
INLINE void v_prefetch_write(const void *p) { __builtin_prefetch(p, 1, 2); }

/* v_min(a, b), v_max(a, b): b when either is NaN, so write the bound first to let a NaN through. */
#if defined(MNO_SIMD_AVX512) && defined(MNO_SIMD_F32)
typedef __mmask16 mask;
INLINE vec v_min(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE vec v_max(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vec v_sqrt(vec a) { return (vec)_mm512_sqrt_ps((__m512)a); }
INLINE mask v_lt(vec a, vec b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ); }
INLINE vec v_select(mask m, vec a, vec b) { return (vec)_mm512_mask_blend_ps(m, (__m512)b, (__m512)a); }
INLINE int v_any(mask m) { return m != 0; }
#elif defined(MNO_SIMD_AVX512)
typedef __mmask8 mask;
INLINE vec v_min(vec a, vec b) { return (vec)_mm512_min_pd((__m512d)a, (__m512d)b); }
INLINE vec v_max(vec a, vec b) { return (vec)_mm512_max_pd((__m512d)a, (__m512d)b); }
INLINE vec v_sqrt(vec a) { return (vec)_mm512_sqrt_pd((__m512d)a); }
INLINE mask v_lt(vec a, vec b) { return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ); }
INLINE vec v_select(mask m, vec a, vec b) { return (vec)_mm512_mask_blend_pd(m, (__m512d)b, (__m512d)a); }
INLINE int v_any(mask m) { return m != 0; }
#elif defined(MNO_SIMD_AVX2) && defined(MNO_SIMD_F32)
typedef ivec mask;
INLINE vec v_min(vec a, vec b) { return (vec)_mm256_min_ps((__m256)a, (__m256)b); }
INLINE vec v_max(vec a, vec b) { return (vec)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vec v_sqrt(vec a) { return (vec)_mm256_sqrt_ps((__m256)a); }
INLINE mask v_lt(vec a, vec b) { return a < b; }
INLINE vec v_select(mask m, vec a, vec b) { return (vec)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)m); }
INLINE int v_any(mask m) { return _mm256_movemask_ps((__m256)m) != 0; }
#elif defined(MNO_SIMD_AVX2)
typedef ivec mask;
INLINE vec v_min(vec a, vec b) { return (vec)_mm256_min_pd((__m256d)a, (__m256d)b); }
INLINE vec v_max(vec a, vec b) { return (vec)_mm256_max_pd((__m256d)a, (__m256d)b); }
INLINE vec v_sqrt(vec a) { return (vec)_mm256_sqrt_pd((__m256d)a); }
INLINE mask v_lt(vec a, vec b) { return a < b; }
INLINE vec v_select(mask m, vec a, vec b) { return (vec)_mm256_blendv_pd((__m256d)b, (__m256d)a, (__m256d)m); }
INLINE int v_any(mask m) { return _mm256_movemask_pd((__m256d)m) != 0; }
#else
typedef ivec mask;
INLINE mask v_lt(vec a, vec b) { return a < b; }
INLINE vec v_select(mask m, vec a, vec b) { return (vec)((m & (ivec)a) | (~m & (ivec)b)); }
INLINE vec v_min(vec a, vec b) { return v_select(a < b, a, b); }
INLINE vec v_max(vec a, vec b) { return v_select(a > b, a, b); }
INLINE vec v_sqrt(vec a) {
  for (int i = 0; i < LANES; i++) a[i] = sizeof(real) == 4 ? (real)sqrtf((float)a[i]) : (real)sqrt((double)a[i]);
  return a;
}
INLINE int v_any(mask m) {
  word any = 0;
  for (int i = 0; i < LANES; i++) any |= m[i];
  return any != 0;
}
#endif

/* Products of the low 32 bits of each 64-bit lane. */
INLINE wide v_mul32(wide a, wide b) {
#if defined(MNO_SIMD_AVX512)
  return (wide)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(MNO_SIMD_AVX2)
  return (wide)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#else
  return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

/* The sign bit, |a|, and b with the sign of a flipped in. */
INLINE ivec v_sign(vec a) { return (ivec)a & (ivec)v_set1(REAL_C(-0.0)); }
INLINE vec v_abs(vec a) { return (vec)((ivec)a & ~(ivec)v_set1(REAL_C(-0.0))); }
INLINE vec v_flip(vec b, ivec sign) { return (vec)((ivec)b ^ sign); }

/* Nearest integer of |x| < 2^21 (float) or 2^50 (double) in one addition: adding 1.5 2^mantissa leaves it in the low bits.
 */
#ifdef MNO_SIMD_F32
#define V_ROUND_MAGIC 12582912.0f
enum { V_MANTISSA = 23 };
#else
#define V_ROUND_MAGIC 6755399441055744.0
enum { V_MANTISSA = 52 };
#endif

/* Transposes a square of vectors: first squares of numbers within 16 bytes, then squares of 16-byte chunks. Lists are lanes
 * of (a, b); those of `wide` serve both precisions. */
enum { V_CHUNKS = VEC_BYTES / 16, V_CHUNK = LANES / V_CHUNKS };

#if VEC_BYTES == 64
#define V_LOW_WORDS 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define V_HIGH_WORDS 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define V_LOW_PAIRS 0, 8, 2, 10, 4, 12, 6, 14
#define V_HIGH_PAIRS 1, 9, 3, 11, 5, 13, 7, 15
#elif VEC_BYTES == 32
#define V_LOW_WORDS 0, 8, 1, 9, 4, 12, 5, 13
#define V_HIGH_WORDS 2, 10, 3, 11, 6, 14, 7, 15
#define V_LOW_PAIRS 0, 4, 2, 6
#define V_HIGH_PAIRS 1, 5, 3, 7
#else
#define V_LOW_WORDS 0, 4, 1, 5
#define V_HIGH_WORDS 2, 6, 3, 7
#define V_LOW_PAIRS 0, 2
#define V_HIGH_PAIRS 1, 3
#endif
#define V_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

/* x[j], chunk i <-> x[i], chunk j, of V_CHUNKS vectors that lie `step` apart. */
INLINE void v_transpose_chunks(wide *x, int step) {
#if VEC_BYTES == 64
  wide a = V_SHUFFLE(x[0], x[step], 0, 1, 2, 3, 8, 9, 10, 11), b = V_SHUFFLE(x[0], x[step], 4, 5, 6, 7, 12, 13, 14, 15),
       c = V_SHUFFLE(x[2 * step], x[3 * step], 0, 1, 2, 3, 8, 9, 10, 11),
       d = V_SHUFFLE(x[2 * step], x[3 * step], 4, 5, 6, 7, 12, 13, 14, 15);
  x[0] = V_SHUFFLE(a, c, 0, 1, 4, 5, 8, 9, 12, 13);
  x[step] = V_SHUFFLE(a, c, 2, 3, 6, 7, 10, 11, 14, 15);
  x[2 * step] = V_SHUFFLE(b, d, 0, 1, 4, 5, 8, 9, 12, 13);
  x[3 * step] = V_SHUFFLE(b, d, 2, 3, 6, 7, 10, 11, 14, 15);
#elif VEC_BYTES == 32
  wide a = x[0], b = x[step];
  x[0] = V_SHUFFLE(a, b, 0, 1, 4, 5);
  x[step] = V_SHUFFLE(a, b, 2, 3, 6, 7);
#endif
}

INLINE void v_transpose(vec x[LANES]) {
  wide y[LANES];
  UNROLL for (int i = 0; i < LANES; i += V_CHUNK) {
#ifdef MNO_SIMD_F32
    wide a = (wide)V_SHUFFLE(x[i], x[i + 1], V_LOW_WORDS), b = (wide)V_SHUFFLE(x[i], x[i + 1], V_HIGH_WORDS),
         c = (wide)V_SHUFFLE(x[i + 2], x[i + 3], V_LOW_WORDS), d = (wide)V_SHUFFLE(x[i + 2], x[i + 3], V_HIGH_WORDS);
    y[i + 2] = V_SHUFFLE(b, d, V_LOW_PAIRS);
    y[i + 3] = V_SHUFFLE(b, d, V_HIGH_PAIRS);
#else
    wide a = (wide)x[i], c = (wide)x[i + 1];
#endif
    y[i] = V_SHUFFLE(a, c, V_LOW_PAIRS);
    y[i + 1] = V_SHUFFLE(a, c, V_HIGH_PAIRS);
  }
  UNROLL for (int i = 0; i < V_CHUNK; i++) v_transpose_chunks(y + i, V_CHUNK);
  UNROLL for (int i = 0; i < LANES; i++) x[i] = (vec)y[i];
}

#endif
