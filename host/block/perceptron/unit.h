/* SPDX-License-Identifier: BSD-3-Clause */
enum { perceptron_tensors = 2 };

/* s(p) = rho(p) */
FORMULA void perceptron_unit(mno_activation activation, const NUMBER *p, NUMBER *s, NUMBER *slope) {
  *s = RHO(activation, p[0], &slope[0]);
}
