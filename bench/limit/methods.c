/* SPDX-License-Identifier: BSD-3-Clause */
/* Quadrature against sampling where both apply: D = 1 and 2, that is two and four dimensions. */
#include "bench.h"

#include <stdio.h>
#include <time.h>

int bench_methods(void) {
  static const mno_limit_method methods[] = {MNO_METHOD_QUADRATURE, MNO_METHOD_SOBOL};
  printf("Seconds for a tolerance, one core, tanh, %d steps (budget 40 s)\n\n"
         "| D | tolerance | method | seconds | claimed at k = 15 | certified | sizes |\n|---|---|---|---|---|---|---|\n",
         K);
  for (size_t D = 1; D <= 2; D++) {
    bench_problem b = bench_problem_make(D, "tanh", 1);
    for (double tolerance = 1e-2; tolerance > (D == 1 ? 0.5e-6 : 0.5e-4); tolerance /= 10)
      for (int which = 0; which < 2; which++) {
        mno_limit_options options = {.tolerance = tolerance, .method = methods[which], .seconds = 40, .threads = 1};
        mno_limit *limit = NULL;
        mno_error err = {0};
        clock_t start = clock();
        mno_status status = mno_limit_solve(b.problem, &options, &limit, &err);
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        printf("| %zu | %.0e | %s | %.2f |", D, tolerance, mno_limit_method_name(methods[which]), seconds);
        if (status == MNO_OK)
          printf(" %.1e | %s | %s |\n", limit->output_error[K], limit->certified ? "yes" : "no", limit->parameters);
        else
          printf(" | no | %s |\n", err.message);
        fflush(stdout);
        mno_limit_free(limit);
      }
    bench_problem_free(&b);
  }
  return 1;
}
