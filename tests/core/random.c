/* SPDX-License-Identifier: BSD-3-Clause */
/* Random draws: known answers of Philox4x32-10 (Salmon et al. 2011, kat_vectors), moments, addressing. */
#include "test.h"

static void known_answers(void **state) {
  uint32_t w[4];
  mno_philox(0, 0, 0, 0, 0, w);
  assert_int_equal(w[0], 0x6627e8d5);
  assert_int_equal(w[1], 0xe169c58d);
  assert_int_equal(w[2], 0xbc57ac4c);
  assert_int_equal(w[3], 0x9b00dbd8);
  mno_philox(0x299f31d0a4093822u, 0x03707344, 0x13198a2e, 0x85a308d3, 0x243f6a88, w);
  assert_int_equal(w[0], 0xd16cfe09);
  assert_int_equal(w[1], 0x94fdcceb);
  assert_int_equal(w[2], 0x5001e420);
  assert_int_equal(w[3], 0x24126ea1);
}

static void moments(void **state) {
  enum { UNITS = 20000, D = 7 };
  double m1 = 0, m2 = 0, m4 = 0, neighbours = 0;
  for (uint32_t unit = 0; unit < UNITS; unit++) {
    double z[D];
    mno_normals(5, MNO_TENSOR_U, 3, unit, D, z);
    for (int i = 0; i < D; i++) {
      m1 += z[i];
      m2 += z[i] * z[i];
      m4 += z[i] * z[i] * z[i] * z[i];
      neighbours += z[i] * z[(i + 1) % D];
    }
  }
  double n = (double)UNITS * D; /* bounds: five standard errors */
  assert_close(m1 / n, 0, 5 / sqrt(n));
  assert_close(m2 / n, 1, 5 * sqrt(2 / n));
  assert_close(m4 / n, 3, 5 * sqrt(96 / n));
  assert_close(neighbours / n, 0, 5 / sqrt(n));
}

static void longer_draws_extend(void **state) {
  double small[3], large[9];
  mno_normals(11, MNO_TENSOR_V, 2, 4, 3, small);
  mno_normals(11, MNO_TENSOR_V, 2, 4, 9, large);
  for (int i = 0; i < 3; i++) assert_true(small[i] == large[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(known_answers), cmocka_unit_test(moments),
                                     cmocka_unit_test(longer_draws_extend)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
