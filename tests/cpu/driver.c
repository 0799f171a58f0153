/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads cases from standard input, one a line:
 *   isa precision(0 f64, 1 f32) arrangement count activation loss D M L N d_in d_out K
 * trains `count` seeds of it in the named kernels and arrangement and writes, as raw doubles: x, y, W_E, W_U and, for each
 * seed, u0, v0, u, v, loss, output, embedding. A case that this processor cannot run writes nothing but a zero; else a one
 * comes first. */
#include "cpu/cpu.h"
#include "problem.h"

#include "core/memory.h"

#include <stdio.h>
#include <string.h>

static void put(const double *x, size_t count) {
  if (fwrite(x, sizeof *x, count, stdout) != count) exit(1);
}

int main(void) {
  char isa[32];
  int precision, arrangement, activation, loss;
  size_t count, D, M, L, N, d_in, d_out, K;
  while (scanf("%31s %d %d %zu %d %d %zu %zu %zu %zu %zu %zu %zu", isa, &precision, &arrangement, &count, &activation, &loss,
               &D, &M, &L, &N, &d_in, &d_out, &K) == 13) {
    const mno_cpu_kernels *kernels = mno_cpu_kernels_named((mno_precision)precision, mno_block_named("perceptron"), isa);
    double present = kernels != NULL;
    put(&present, 1);
    if (!kernels) {
      fflush(stdout);
      continue;
    }
    mno_problem problem = problem_make(D, N, d_in, d_out, K, (mno_activation)activation, (mno_loss)loss);
    mno_instance instance[MNO_CPU_LANES] = {{0}};
    int64_t step[64];
    for (size_t k = 0; k <= K; k++) step[k] = (int64_t)k;
    mno_plan plan = {.precision = (mno_precision)precision,
                     .problem_count = 1,
                     .problem = &problem,
                     .instance_count = count,
                     .instance = instance,
                     .step_count = K + 1,
                     .step = step,
                     .recording = {.output = true, .embedding = true, .weights = MNO_WEIGHTS_BOTH}};
    atomic_int halt = 0;
    mno_cpu_batch batch = {.plan = &plan, .problem = &problem, .L = L, .M = M, .halt = &halt};
    batch.arena = mno_alloc(kernels->bytes(&problem, L, M, (mno_cpu_arrangement)arrangement, 0), 1);
    if (!batch.arena || count > MNO_CPU_LANES) return 1;
    put(problem.x, N * d_in);
    put(problem.y, N * d_out);
    put(problem.w_embed, D * d_in);
    put(problem.w_unembed, D * d_out);
    const size_t most = arrangement == MNO_SEEDS_ON_LANES ? (size_t)kernels->lanes : 1;
    for (size_t first = 0; first < count; first += batch.count) {
      batch.count = count - first < most ? count - first : most;
      for (size_t i = 0; i < batch.count; i++) {
        instance[first + i] =
            (mno_instance){.L = (int64_t)L, .M = (int64_t)M, .seed = 1000 + first + i, .draw = {(int64_t)M, 0, 1}};
        batch.instance[i] = &instance[first + i];
        if (mno_record_new(&plan, first + i, &batch.record[i], NULL) != MNO_OK) return 1;
      }
      if (kernels->train(&batch, (mno_cpu_arrangement)arrangement) != MNO_OK) return 1;
      for (size_t i = 0; i < batch.count; i++) {
        const mno_record *r = batch.record[i];
        put(r->initial[MNO_U], L * M * D);
        put(r->initial[MNO_V], L * M * D);
        put(r->final[MNO_U], L * M * D);
        put(r->final[MNO_V], L * M * D);
        put(r->loss, K + 1);
        put(r->output, (K + 1) * N * d_out);
        put(r->embedding, (K + 1) * N * D);
        mno_record_free(batch.record[i]);
      }
    }
    fflush(stdout);
    free(batch.arena);
    problem_free(&problem);
  }
  return 0;
}
