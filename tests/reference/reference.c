/* SPDX-License-Identifier: BSD-3-Clause */
/* The reference network: its gradients against finite differences of its loss, one step written out, and what it trains. */
#include "test.h"

#include "problem.h"

#include "reference/reference.h"

#include "block/block.h"
#include "optimizer/optimizer.h"

#include <string.h>

/* A block and an optimiser that the program does not have, so that neither is taken for granted. */
static void gated_units(mno_activation activation, size_t count, const double *p, double *s, double *slope) {
  for (size_t i = 0; i < count; i++) {
    double rho = mno_activation_derivative(activation, 0, p[i]), gate = p[count + i];
    if (s) s[i] = rho * gate;
    if (!slope) continue;
    slope[i] = mno_activation_derivative(activation, 1, p[i]) * gate;
    slope[count + i] = rho;
  }
}
static const mno_tensor_spec gated_tensor[] = {MNO_TENSOR("u", "", MNO_TENSOR_U, false), MNO_TENSOR("w", "", 77, false),
                                               MNO_TENSOR("v", "", MNO_TENSOR_V, true)};
static const mno_block gated = {.name = "gated", .tensors = 3, .tensor = gated_tensor, .units = gated_units};

static double heavy_ball(double w, double g, double rate, const double *knob, double *state) {
  state[0] = knob[0] * state[0] + g;
  return w - rate * state[0];
}
static const mno_optimizer momentum = {.name = "momentum", .states = 1, .knobs = 1, .apply = heavy_ball};

typedef struct network {
  mno_reference n;
  double *block;
} network;

static network initial_network(const mno_problem *p, const mno_instance *instance) {
  size_t L = (size_t)instance->L, M = (size_t)instance->M;
  network made = {.block = calloc(mno_reference_numbers(p, L, M), sizeof(double))};
  made.n = mno_reference_place(p, L, M, made.block);
  mno_reference_draw(p, instance, made.n.units.w);
  return made;
}

/* dloss/dw = alpha/(L M D) x normalised gradient, for every weight of every block. */
static void check_gradients(mno_problem *p) {
  mno_instance instance = {.L = 3, .M = 2, .seed = 5, .draw = {2, 0, 1}};
  network made = initial_network(p, &instance);
  mno_reference *n = &made.n;
  size_t D = p->D, tensors = p->block->tensors;
  const double ones[MNO_TENSORS_MOST] = {1, 1, 1, 1}, step = 1e-4;
  double *g = malloc(tensors * D * sizeof *g), largest = 0;
  mno_reference_forward(n);
  mno_reference_backward(n);
  double *h = malloc(2 * 4 * p->N * D * sizeof *h), *b = h + 4 * p->N * D;
  memcpy(h, n->h, 4 * p->N * D * sizeof *h);
  memcpy(b, n->b, 4 * p->N * D * sizeof *b);
  for (size_t l = 0; l < n->L; l++)
    for (size_t j = 0; j < n->M; j++) {
      mno_reference_gradient(n, n->units.w, l, j, h, b, ones, g);
      for (size_t e = 0; e < tensors * D; e++) {
        double *w = &n->units.w[((e / D * n->L + l) * n->M + j) * D + e % D], before = *w, loss[4];
        for (int i = 0; i < 4; i++) {
          *w = before + (i - 1.5) * 2 * step; /* at -3, -1, 1, 3 steps */
          loss[i] = mno_reference_forward(n);
        }
        *w = before;
        double slope = (27 * (loss[2] - loss[1]) - (loss[3] - loss[0])) / (48 * step),
               wanted = p->alpha / ((double)(n->L * n->M) * (double)D) * g[e];
        assert_close(slope, wanted, 1e-10);
        largest = fmax(largest, fabs(wanted));
      }
    }
  assert_true(largest > 1e-3); /* there was something to find */
  free(g);
  free(h);
  free(made.block);
}

static void gradients(void **state) {
  const mno_block *blocks[] = {mno_block_named("perceptron"), &gated};
  for (size_t i = 0; i < 2; i++)
    for (int activation = 0; activation < MNO_ACTIVATION_COUNT; activation++)
      for (int loss = 0; loss < 2; loss++) {
        if (activation == MNO_RELU) continue; /* kinked */
        mno_problem p = random_problem(3, 2, 2, 4, 1);
        p.block = blocks[i];
        p.activation = (mno_activation)activation;
        p.loss = (mno_loss)loss;
        p.alpha = 1.3;
        for (size_t t = 0; t < p.block->tensors; t++) p.sigma[t] = 0.8 + 0.1 * (double)t;
        if (loss)
          for (size_t e = 0; e < 6; e++) p.y[e] = e % 2 == e / 2 % 2;
        check_gradients(&p);
        problem_free(&p);
      }
}

/* One unit, one layer, one sample, D = 1: steps as on paper, with a schedule. */
static void steps_on_paper(const mno_optimizer *optimizer, double beta) {
  mno_problem p = random_problem(1, 1, 1, 1, 3);
  const double schedule[3] = {0.5, 2, 1};
  p.alpha = 2;
  p.optimizer = optimizer;
  p.knob[0] = beta;
  p.schedule = schedule;
  p.eta[MNO_U] = 0.3;
  p.eta[MNO_V] = 0.7;
  mno_instance instance = {.L = 1, .M = 1, .seed = 9, .draw = {1, 0, -1}};
  double u, v, w[2], trained[2], loss[4], output[4], mu = 0, mv = 0;
  mno_normals(9, MNO_TENSOR_U, 0, 0, 1, &u);
  mno_normals(9, MNO_TENSOR_V, 0, 0, 1, &v);
  v = -v;
  mno_error err;
  assert_ok(mno_reference_train(
      &p, &instance, (mno_reference_results){.loss = loss, .output = output, .initial = w, .trained = trained}, &err));
  assert_close(w[0], u, 0);
  assert_close(w[1], v, 0);
  for (int k = 0; k <= 3; k++) {
    double h = p.w_embed[0] * p.x[0], rho = tanh(u * h), f = p.w_unembed[0] * (h + 2 * v * rho),
           b = p.w_unembed[0] * (f - p.y[0]);
    assert_close(output[k], f, 1e-14);
    assert_close(loss[k], (f - p.y[0]) * (f - p.y[0]) / 2, 1e-14);
    if (k == 3) break;
    mu = beta * mu + h * (1 - rho * rho) * v * b;
    mv = beta * mv + b * rho;
    u -= schedule[k] * 0.3 / 2 * mu;
    v -= schedule[k] * 0.7 / 2 * mv;
  }
  assert_close(trained[0], u, 1e-14);
  assert_close(trained[1], v, 1e-14);
  problem_free(&p);
}

static void gd_steps(void **state) { steps_on_paper(mno_optimizer_named("gd"), 0); }
static void momentum_steps(void **state) { steps_on_paper(&momentum, 0.9); }

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(gradients), cmocka_unit_test(gd_steps),
                                     cmocka_unit_test(momentum_steps)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
