/* SPDX-License-Identifier: BSD-3-Clause */
/* Times the training kernels of one core on one shape:
 *   bench_cpu f64|f32 D M L N [K [arrangement [isa [threads [seconds]]]]]
 * Best of several batches, at least three and that long (1); prints GF/s of the K steps (12 N D M L flops each: the
 * difference between a training of K steps and one of none), the same for the whole training with its draws, and
 * milliseconds per step and instance. bench_cpu peak prints the peak of the fused multiply-adds, and of v tanh, as this
 * processor runs them. */
#include "cpu/cpu.h"

#include "core/isa.h"
#include "core/memory.h"
#include "peak.h"
#include "problem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct timing {
  double seconds; /* of one batch */
  size_t instances;
} timing;

/* Of the processor, which does not count what else it does; of the clock for a team. */
static double now(int threads) {
  struct timespec t;
  if (threads > 1 || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0) return mno_now();
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static timing measure(const mno_cpu_kernels *kernels, mno_cpu_arrangement arrangement, mno_problem *problem,
                      mno_precision precision, size_t M, size_t L, size_t K, int threads, double seconds_least,
                      void *arena) {
  problem->K = K;
  mno_instance instance[MNO_CPU_LANES];
  int64_t step[1] = {(int64_t)K};
  size_t count = arrangement == MNO_SEEDS_ON_LANES ? (size_t)kernels->lanes : 1;
  mno_plan plan = {.precision = precision,
                   .problem_count = 1,
                   .problem = problem,
                   .instance_count = count,
                   .instance = instance,
                   .step_count = 1,
                   .step = step,
                   .recording = {.output = true}};
  atomic_int halt = 0;
  timing best = {INFINITY, count};
  double total = 0;
  for (int repeat = 0; repeat < 3 || (total < seconds_least && repeat < 200); repeat++) {
    mno_cpu_batch batch = {.plan = &plan,
                           .problem = problem,
                           .L = L,
                           .M = M,
                           .count = count,
                           .halt = &halt,
                           .threads = threads,
                           .arena = arena};
    for (size_t i = 0; i < count; i++) {
      instance[i] = (mno_instance){.L = (int64_t)L, .M = (int64_t)M, .seed = i, .draw = {(int64_t)M, 0, 1}};
      batch.instance[i] = &instance[i];
      if (mno_record_new(&plan, i, &batch.record[i], NULL) != MNO_OK) exit(1);
    }
    double start = now(threads);
    if (kernels->train(&batch, arrangement) != MNO_OK) exit(1);
    double seconds = now(threads) - start;
    total += seconds;
    if (seconds < best.seconds) best.seconds = seconds;
    for (size_t i = 0; i < count; i++) mno_record_free(batch.record[i]);
  }
  return best;
}

/* tanh per nanosecond of data in the first-level cache. */
static double tanh_rate(mno_precision precision) {
  const mno_cpu_kernels *kernels = mno_cpu_kernels_choose(precision, mno_block_named("perceptron"));
  return kernels ? kernels->numbers->tanh_rate() : NAN;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "peak") == 0) {
    printf("peak f32 %.1f f64 %.1f GF/s tanh f32 %.3f f64 %.3f per ns\n", peak_f32(), peak_f64(), tanh_rate(MNO_F32),
           tanh_rate(MNO_F64));
    return 0;
  }
  if (argc < 6) {
    fprintf(stderr, "usage: bench_cpu f64|f32 D M L N [K [arrangement [isa]]] | bench_cpu peak\n");
    return 2;
  }
  mno_precision precision = strcmp(argv[1], "f32") == 0 ? MNO_F32 : MNO_F64;
  size_t D = (size_t)atol(argv[2]), M = (size_t)atol(argv[3]), L = (size_t)atol(argv[4]), N = (size_t)atol(argv[5]),
         K = argc > 6 ? (size_t)atol(argv[6]) : 15;
  const char *isa = argc > 8 && strcmp(argv[8], "auto") != 0 ? argv[8] : mno_isa();
  const mno_cpu_kernels *kernels = isa ? mno_cpu_kernels_named(precision, mno_block_named("perceptron"), isa) : NULL;
  if (!kernels) return 1;
  mno_cpu_arrangement arrangement = argc > 7 && strcmp(argv[7], "auto") != 0
                                        ? (mno_cpu_arrangement)atoi(argv[7])
                                        : mno_cpu_arrangement_choose(D, M, L, N, precision);
  static const char *const names[] = {
      [MNO_SEEDS_ON_LANES] = "seeds", [MNO_UNITS_ON_LANES] = "units", [MNO_SAMPLES_ON_LANES] = "samples"};
  enum { WIDTH = 5 };
  mno_problem problem = problem_plain(N, WIDTH, WIDTH, D, K);
  problem_draw(&problem, 1, PROBLEM_FLAT);
  int threads = argc > 9 ? atoi(argv[9]) : 1;
  double least = argc > 10 ? atof(argv[10]) : 1;
  size_t bytes = kernels->bytes(&problem, L, M, arrangement, 0);
  void *arena = mno_cpu_pages_new(&bytes);
  if (!arena) return 1;
  timing full = measure(kernels, arrangement, &problem, precision, M, L, K, threads, least, arena),
         none = measure(kernels, arrangement, &problem, precision, M, L, 0, threads, least, arena);
  double pass = 4.0 * (double)(N * D * M * L) * (double)full.instances, k = (double)K;
  printf("%s %-8s %s D %zu M %zu L %zu N %zu: steps %.1f GF/s, whole %.1f GF/s, %.4f ms per step and instance, %.1f MiB\n",
         argv[1], isa, names[arrangement], D, M, L, N, 3 * pass * k / (full.seconds - none.seconds) / 1e9,
         pass * (3 * k + 1) / full.seconds / 1e9, (full.seconds - none.seconds) / k / (double)full.instances * 1e3,
         (double)bytes / 0x1p20);
  mno_cpu_pages_free(arena, bytes);
  problem_free(&problem);
  return 0;
}
