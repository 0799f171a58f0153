/* SPDX-License-Identifier: BSD-3-Clause */
/* Mean ODE minus Neural Tangent ODE against alpha, for odd and other activations. */
#include "bench.h"

#include <math.h>
#include <stdio.h>

int bench_lazy(void) {
  static const char *const activations[] = {"tanh", "gelu", "softplus", "relu"};
  printf("Mean ODE minus Neural Tangent ODE at k = %d, D = 8\n\n| activation | alpha | distance | error of the limits | "
         "slope |\n"
         "|---|---|---|---|---|\n",
         K);
  for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) {
    double alphas[5], gaps[5], spread;
    for (int a = 0; a < 5; a++) {
      alphas[a] = pow(2, a);
      bench_problem b = bench_problem_make(8, activations[i], alphas[a]);
      size_t f = b.problem->N * b.problem->d_out;
      mno_limit *tangent = bench_solve(b.problem, (mno_limit_options){.kind = MNO_LIMIT_TANGENT_ODE, .tolerance = 1e-6});
      mno_limit *mean = bench_solve(b.problem, (mno_limit_options){.tolerance = 1e-3, .particles = 65536, .nodes = 6});
      gaps[a] = bench_distance(mean->output + K * f, tangent->output + K * f, f);
      printf("| %s | %g | %.2e | %.1e |", activations[i], alphas[a], gaps[a],
             hypot(mean->output_error[K], tangent->output_error[K]));
      if (a > 0)
        printf(" %.2f |\n", log2(gaps[a] / gaps[a - 1]));
      else
        printf(" |\n");
      mno_limit_free(tangent);
      mno_limit_free(mean);
      bench_problem_free(&b);
    }
    double slope = bench_slope(alphas + 1, gaps + 1, 3, &spread);
    printf("| %s | 2 to 8 | | | %.2f +- %.2f |\n", activations[i], slope, spread);
  }
  return 1;
}
