/* SPDX-License-Identifier: BSD-3-Clause */
/* One source for the device and for the host that tests it. Arithmetic is explicit: additions, products and fma in the order
 * written, compiled without contraction on both sides, so that both give the same bits. */
#ifndef MNO_CUDA_PORTABLE_H
#define MNO_CUDA_PORTABLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define MNO_DEVICE __host__ __device__ __forceinline__
#else
#define MNO_DEVICE inline
#endif

#ifdef __CUDA_ARCH__
#define MNO_UNROLL _Pragma("unroll")
/* Short loops of an unknown length: unrolled, their ends cost more than they save. */
#define MNO_ROLL _Pragma("unroll 1")
/* Inner loops over rows: as many at a time as the registers hold. */
#define MNO_UNROLL_ROWS _Pragma("unroll(Team::template rows<T>)")
/* Partial sums in flight hide latency. */
#define MNO_UNROLL_CHUNKS _Pragma("unroll 8")
#else
#define MNO_UNROLL
#define MNO_ROLL
#define MNO_UNROLL_ROWS
#define MNO_UNROLL_CHUNKS
#endif

namespace mno {

MNO_DEVICE float fma_(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
MNO_DEVICE double fma_(double a, double b, double c) { return __builtin_fma(a, b, c); }

MNO_DEVICE float sqrt_(float a) { return __builtin_sqrtf(a); }
MNO_DEVICE double sqrt_(double a) { return __builtin_sqrt(a); }

MNO_DEVICE uint32_t bits(float a) {
  uint32_t b;
  memcpy(&b, &a, sizeof b);
  return b;
}
MNO_DEVICE uint64_t bits(double a) {
  uint64_t b;
  memcpy(&b, &a, sizeof b);
  return b;
}
MNO_DEVICE float from_bits(uint32_t b) {
  float a;
  memcpy(&a, &b, sizeof a);
  return a;
}
MNO_DEVICE double from_bits(uint64_t b) {
  double a;
  memcpy(&a, &b, sizeof a);
  return a;
}

/* The same value, of which the compiler forgets how it came about: what is asked of it later is not decided before. */
MNO_DEVICE uint32_t forget(uint32_t x) {
#ifdef __CUDA_ARCH__
  asm volatile("" : "+r"(x));
#endif
  return x;
}

/* What is read once leaves the cache to the rest. */
template <class T> MNO_DEVICE T load_once(const T *from) {
#ifdef __CUDA_ARCH__
  return __ldcs(from);
#else
  return *from;
#endif
}

MNO_DEVICE uint32_t high_product(uint32_t a, uint32_t b) {
#ifdef __CUDA_ARCH__
  return __umulhi(a, b);
#else
  return (uint32_t)((uint64_t)a * b >> 32);
#endif
}

} // namespace mno

#endif
