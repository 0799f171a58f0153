/* SPDX-License-Identifier: BSD-3-Clause */
/* Vectorised Philox4x32-10 and Box-Muller: the draws of meanode/random.h, lane by lane. The raw words are the same bits as
 * mno_philox's; normals agree with mno_normals to 4e-15 (double) and 1e-6 (float). */
#ifndef MNO_CPU_VRANDOM_H
#define MNO_CPU_VRANDOM_H

#include "cpu/vmath.h"

#ifdef MNO_SIMD_F32
/* 32-bit lanes: even and odd words multiplied apart. */
INLINE void v_mulhilo(uvec a, wide m, uvec *high, uvec *low) {
  wide even = v_mul32((wide)a, m), odd = v_mul32((wide)a >> 32, m);
  *low = (uvec)((even & 0xffffffffu) | (odd << 32));
  *high = (uvec)((even >> 32) | (odd & 0xffffffff00000000u));
}

INLINE void v_philox(uvec c[4], uvec k0, uvec k1) {
  const wide m0 = 0xD2511F53u + (wide){0}, m1 = 0xCD9E8D57u + (wide){0};
  UNROLL for (int round = 0; round < 10; round++) {
    uvec h0, l0, h1, l1;
    v_mulhilo(c[0], m0, &h0, &l0);
    v_mulhilo(c[2], m1, &h1, &l1);
    c[0] = h1 ^ c[1] ^ k0;
    c[1] = l1;
    c[2] = h0 ^ c[3] ^ k1;
    c[3] = l0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

/* Two normals from two words. log(u) near u = 1 is taken from 1 - u, exact in integers. */
INLINE void v_box_muller(uvec w0, uvec w1, vec *z0, vec *z1) {
  /* 2^32 u = w + 1/2 = 2 (w / 2) + ..., converted in two halves: 16 + 16 bits are exact in float */
  ivec high = (ivec)(w0 >> 16), low = (ivec)(w0 & 0xffff);
  vec u = __builtin_convertvector(high, vec) * 0x1p-16f + (__builtin_convertvector(low, vec) + 0.5f) * 0x1p-32f;
  uvec rest = ~w0; /* 2^32 (1 - u) = rest + 1/2 */
  vec v = __builtin_convertvector((ivec)(rest >> 16), vec) * 0x1p-16f +
          (__builtin_convertvector((ivec)(rest & 0xffff), vec) + 0.5f) * 0x1p-32f;
  vec near_one = -2 * v / (2 - v), s = near_one * 0.5f, w = s * s; /* 2 atanh(s), s = -v / (2 - v) */
  vec log_near = near_one + near_one * (w * POLY(w, LOG));
  vec log_u = v_select(v_lt(v, v_set1(0.25f)), log_near, v_log(u));
  vec r = v_sqrt(-2 * log_u);
  ivec q = (ivec)((w1 + 0x20000000u) >> 30);
  ivec residue = (ivec)(w1 << 2) >> 2;                                                  /* w1 - q 2^30, in [-2^29, 2^29) */
  vec angle = (__builtin_convertvector(residue, vec) + 0.5f) * 1.46291807926715968e-9f; /* 2 pi 2^-32 */
  vec c, sine = v_sincos_quadrant(q, angle, &c);
  *z0 = r * c;
  *z1 = r * sine;
}

#else
/* 64-bit lanes with the words in their low halves. High halves may hold anything until the end: products ignore them. */
INLINE void v_philox(uvec c[4], uvec k0, uvec k1) {
  const wide m0 = 0xD2511F53u + (wide){0}, m1 = 0xCD9E8D57u + (wide){0};
  UNROLL for (int round = 0; round < 10; round++) {
    wide p0 = v_mul32(c[0], m0), p1 = v_mul32(c[2], m1);
    c[0] = (p1 >> 32) ^ c[1] ^ k0;
    c[1] = p1;
    c[2] = (p0 >> 32) ^ c[3] ^ k1;
    c[3] = p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int i = 0; i < 4; i++) c[i] &= 0xffffffffu;
}

INLINE void v_box_muller(uvec w0, uvec w1, vec *z0, vec *z1) {
  const uint64_t two52 = 0x4330000000000000; /* bits of 2^52: a 32-bit integer below makes the double 2^52 + w */
  vec u = ((vec)(w0 | two52) - (0x1p52 - 0.5)) * 0x1p-32;
  vec r = v_sqrt(-2 * v_log(u));
  ivec q = (ivec)((w1 + 0x20000000u) >> 30) & 3;
  vec residue = ((vec)(((w1 + 0x20000000u) & 0x3fffffffu) | two52) - 0x1p52) - (0x1p29 - 0.5);
  vec c, sine = v_sincos_quadrant(q, residue * 1.46291807926715972111e-9, &c);
  *z0 = r * c;
  *z1 = r * sine;
}
#endif

/* Normals of coordinates 4 block .. 4 block + 3 of lane-wise (key, layer, unit). */
INLINE void v_normals(uvec k0, uvec k1, uint32_t tensor, uvec layer, uvec unit, uint32_t block, vec z[4]) {
  uvec c[4] = {v_uset1(block), unit, layer, v_uset1(tensor)};
  v_philox(c, k0, k1);
  v_box_muller(c[0], c[1], &z[0], &z[1]);
  v_box_muller(c[2], c[3], &z[2], &z[3]);
}

#endif
