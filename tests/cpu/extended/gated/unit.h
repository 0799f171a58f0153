/* SPDX-License-Identifier: BSD-3-Clause */
enum { gated_tensors = 3 };

/* s(p) = rho(p_0) p_1 */
FORMULA void gated_unit(mno_activation activation, const NUMBER *p, NUMBER *s, NUMBER *slope) {
  NUMBER rho_slope, rho = RHO(activation, p[0], &rho_slope), p1 = p[1];
  *s = rho * p1;
  slope[0] = rho_slope * p1;
  slope[1] = rho;
}
