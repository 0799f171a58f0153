/* SPDX-License-Identifier: BSD-3-Clause */
/* How fast and how accurate the limits are. bench/results/limit.md has a run of everything. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* For bench/choices.py: processor seconds, then what was found. */
static int one(size_t D, const char *activation, double tolerance) {
  bench_problem b = bench_problem_make(D, activation, 1);
  mno_limit *limit = bench_solve(b.problem, (mno_limit_options){.tolerance = tolerance});
  printf("%.3f %.1e%s, %s\n", limit->seconds, limit->output_error[K], limit->certified ? "" : " not certified",
         limit->parameters);
  mno_limit_free(limit);
  bench_problem_free(&b);
  return 1;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  size_t D = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
  int done = 0;
  if (strcmp(what, "truth") == 0 && argc == 6 && D)
    done = bench_truth(D, argv[3], atoi(argv[4]), atoi(argv[5]));
  else if (strcmp(what, "curve") == 0 && argc == 4 && D)
    done = bench_curve(D, argv[3]);
  else if (strcmp(what, "orders") == 0)
    done = bench_orders();
  else if (strcmp(what, "lazy") == 0)
    done = bench_lazy();
  else if (strcmp(what, "chaos") == 0)
    done = bench_chaos();
  else if (strcmp(what, "methods") == 0)
    done = bench_methods();
  else if (strcmp(what, "one") == 0 && argc == 5 && D)
    done = one(D, argv[3], strtod(argv[4], NULL));
  else
    fprintf(stderr, "usage: bench_limit truth D FILE LOG2_PARTICLES RANDOMISATIONS   a tight solution, for curve\n"
                    "       bench_limit curve D FILE     error against time: the prototype's method and the library\n"
                    "       bench_limit orders           orders of the depth schemes and of the particle rule\n"
                    "       bench_limit lazy             Mean ODE minus Neural Tangent ODE against alpha\n"
                    "       bench_limit chaos            coupled units against L M\n"
                    "       bench_limit methods          quadrature against sampling, D = 1 and 2\n"
                    "       bench_limit one D ACTIVATION TOLERANCE   seconds and what was found\n");
  return done ? 0 : 2;
}
