/* SPDX-License-Identifier: BSD-3-Clause */
/* Particles as the units of a finite network: passes over them train it as the reference does, whatever the block, the
 * optimiser, the schedule, the precision and the instruction set. */
#include "test.h"

#include "problem.h"

#include "block/block.h"
#include "core/isa.h"
#include "cpu/isas.h"
#include "limit/layers.h"
#include "optimizer/optimizer.h"
#include "reference/reference.h"

enum { L = 3, M = 37, D = 5, N = 3, K = 4 };

static int keep(void *context, size_t k, const double *h, const double *b) {
  memcpy((double *)context + k * N * D, h + L * N * D, N * D * sizeof *h);
  return 1;
}

static void fill(mno_ensemble *e, const mno_problem *p, const double *w) {
  mno_error err;
  size_t tensors = p->block->tensors;
  double *z = malloc(M * tensors * D * sizeof *z), weight[M];
  for (size_t l = 0; l < L; l++) {
    for (size_t j = 0; j < M; j++)
      for (size_t t = 0; t < tensors; t++) memcpy(z + (j * tensors + t) * D, w + ((t * L + l) * M + j) * D, D * sizeof *z);
    assert_ok(mno_ensemble_write(e, l, z, &err));
  }
  for (size_t j = 0; j < M; j++) weight[j] = 1.0 / M;
  assert_ok(mno_ensemble_weigh(e, weight, &err));
  free(z);
}

static void compare(const mno_problem *p, mno_precision precision, double tolerance) {
  mno_error err;
  mno_instance instance = {.L = L, .M = M, .seed = 3, .draw = {M, 0, 1}};
  size_t weights = mno_reference_weights(p, L, M);
  double wanted[(K + 1) * N * D], got[(K + 1) * N * D], *w = malloc(weights * sizeof *w);
  assert_ok(mno_reference_train(p, &instance, (mno_reference_results){.embedding = wanted, .initial = w}, &err));
  mno_reduction reduction;
  mno_ensemble e;
  assert_ok(mno_reduction_new(p, 1, &reduction, &err));
  assert_ok(mno_ensemble_new(NULL, (mno_particle_request){p, L, D, M, precision, 2}, &e, &err));
  for (int again = 0; again < 2; again++) { /* what the optimiser kept is forgotten */
    fill(&e, p, w);
    assert_ok(mno_layers_train(p, &reduction, &e, keep, got, &err));
    double error = rms_difference(got, wanted, (K + 1) * N * D) / rms(wanted, (K + 1) * N * D);
    if (!(error < tolerance))
      fail_msg("%s, %s, %s, %s: %g", p->block->name, p->optimizer->name, mno_activation_name(p->activation),
               mno_precision_name(precision), error);
  }
  assert_true(rms_difference(wanted, wanted + K * N * D, N * D) > 0.05 * rms(wanted, N * D)); /* it was trained */
  mno_ensemble_free(&e);
  mno_reduction_free(&reduction);
  free(w);
}

static void particles_train_a_network(void **state) {
  const double schedule[K] = {1, 0.5, 1.5, 0.7};
  size_t blocks, optimizers;
  const mno_block *const *block = mno_blocks(&blocks);
  const mno_optimizer *const *optimizer = mno_optimizers(&optimizers);
  for (int i = 0; i < ISAS; i++)
    for (size_t b = 0; b < blocks; b++)
      for (size_t o = 0; o < optimizers; o++) {
        setenv("MEANODE_ISA", isas[i], 1);
        if (!mno_isa() || !(block[b]->solvers & MNO_BY_PARTICLES)) continue;
        mno_problem p = random_problem(N, 2, 2, D, K);
        p.block = block[b];
        p.optimizer = optimizer[o];
        p.schedule = schedule;
        p.alpha = 1.2;
        for (size_t t = 0; t < block[b]->tensors; t++) {
          p.sigma[t] = 0.8 + 0.1 * (double)t;
          p.eta[t] = 0.4 - 0.1 * (double)t;
        }
        for (size_t n = 0; n < optimizer[o]->knobs; n++) p.knob[n] = atof(optimizer[o]->knob[n].fallback);
        for (int a = 0; a < MNO_ACTIVATION_COUNT; a++) {
          p.activation = (mno_activation)a;
          compare(&p, MNO_F64, 1e-11);
          compare(&p, MNO_F32, 1e-4);
        }
        problem_free(&p);
      }
  unsetenv("MEANODE_ISA");
}

int main(void) {
  isas_say_skipped();
  const struct CMUnitTest tests[] = {cmocka_unit_test(particles_train_a_network)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
