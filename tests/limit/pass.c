/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernels of passes over particles: which one is taken, and that it keeps to its scratch. */
#include "test.h"

#include "limit/pass.h"

#include "cpu/cpu.h"
#include "cpu/isas.h"

#include <stdlib.h>
#include <string.h>

static void isa_pins_the_kernel(void **state) {
  const mno_block *block = mno_block_named("perceptron");
  for (int precision = 0; precision < 2; precision++) {
    const mno_kernel *kernels[ISAS] = {NULL}, *best = NULL;
    for (int i = ISAS - 1; i >= 0; i--) {
      setenv("MEANODE_ISA", isas[i], 1);
      kernels[i] = mno_kernel_find((mno_precision)precision, block);
      assert_int_equal(kernels[i] != NULL, isas_kernels((mno_precision)precision, isas[i]) != NULL);
      if (kernels[i]) best = kernels[i];
      for (int j = i + 1; kernels[i] && j < ISAS; j++) assert_ptr_not_equal(kernels[i], kernels[j]);
    }
    setenv("MEANODE_ISA", "mmx", 1);
    assert_null(mno_kernel_find((mno_precision)precision, block));
    unsetenv("MEANODE_ISA");
    assert_ptr_equal(mno_kernel_find((mno_precision)precision, block), best);
  }
}

/* Every kernel and small odd sizes: a guard behind the scratch stays as it was. */
static void scratch_is_enough(void **state) {
  enum { GUARD = 1024, TILES = 2 };
  for (int i = 0; i < 2 * ISAS; i++) {
    setenv("MEANODE_ISA", isas[i / 2], 1);
    const mno_kernel *kernel = mno_kernel_find((mno_precision)(i % 2), mno_block_named("perceptron"));
    if (!kernel) continue;
    for (size_t r = 1; r <= 5; r++)
      for (size_t N = 1; N <= 5; N++) {
        size_t bytes = kernel->scratch_bytes(r, N), cells = N * r * r;
        size_t particles = TILES * kernel->width * kernel->element;
        assert_int_equal(bytes % 64, 0);
        char *scratch = aligned_alloc(64, bytes + GUARD);
        void *particle = aligned_alloc(64, 2 * r * particles), *weight = aligned_alloc(64, particles);
        double *fields = calloc(4 * N * r, sizeof *fields), *sums = calloc(3 * cells, sizeof *sums);
        memset(scratch, 0x5a, bytes + GUARD);
        memset(particle, 0, 2 * r * particles);
        memset(weight, 0, particles);
        mno_problem problem = {.N = N,
                               .D = 1,
                               .K = 1,
                               .block = mno_block_named("perceptron"),
                               .optimizer = mno_optimizer_named("gd"),
                               .alpha = 1,
                               .activation = MNO_SIN};
        for (int jacobian = 0; jacobian < 2; jacobian++)
          kernel->run(&(mno_pass){.problem = &problem,
                                  .r = r,
                                  .tiles = TILES,
                                  .state = particle,
                                  .weight = weight,
                                  .old_h = fields,
                                  .old_b = fields + N * r,
                                  .h = fields + 2 * N * r,
                                  .b = fields + 3 * N * r,
                                  .F = sums,
                                  .G = sums + cells,
                                  .J = jacobian ? sums + 2 * cells : NULL,
                                  .scratch = scratch});
        for (size_t e = 0; e < GUARD; e++) assert_int_equal(scratch[bytes + e], 0x5a);
        free(scratch);
        free(particle);
        free(weight);
        free(fields);
        free(sums);
      }
  }
  unsetenv("MEANODE_ISA");
}

int main(void) {
  isas_say_skipped();
  const struct CMUnitTest tests[] = {cmocka_unit_test(isa_pins_the_kernel), cmocka_unit_test(scratch_is_enough)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
