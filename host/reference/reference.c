/* SPDX-License-Identifier: BSD-3-Clause */
#include "reference/reference.h"

#include "block/block.h"
#include "core/memory.h"
#include "math/vectors.h"
#include "meanode/random.h"
#include "optimizer/optimizer.h"
#include "readout/readout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t mno_reference_weights(const mno_problem *problem, size_t L, size_t M) {
  return problem->block->tensors * L * M * problem->D;
}

size_t mno_reference_unit_numbers(const mno_problem *problem, size_t L, size_t M) {
  return mno_reference_weights(problem, L, M) * (1 + problem->optimizer->states);
}

/* Places at which a formula is taken at once: the units of a layer, or the samples of a unit. */
static size_t places(const mno_problem *problem, size_t M) { return M > problem->N ? M : problem->N; }

size_t mno_reference_numbers(const mno_problem *problem, size_t L, size_t M) {
  size_t tensors = problem->block->tensors;
  return mno_reference_unit_numbers(problem, L, M) + 2 * (L + 1) * problem->N * problem->D +
         2 * problem->N * problem->d_out + tensors * problem->D + (2 * tensors - 1) * places(problem, M);
}

mno_reference_units mno_reference_place_units(const mno_problem *problem, size_t L, size_t M, double *numbers) {
  return (mno_reference_units){numbers, numbers + mno_reference_weights(problem, L, M)};
}

mno_reference mno_reference_place(const mno_problem *problem, size_t L, size_t M, double *numbers) {
  size_t fields = (L + 1) * problem->N * problem->D, outputs = problem->N * problem->d_out;
  mno_reference n = {.problem = problem, .L = L, .M = M, .units = mno_reference_place_units(problem, L, M, numbers)};
  n.h = numbers + mno_reference_unit_numbers(problem, L, M);
  n.b = n.h + fields;
  n.output = n.b + fields;
  n.gradient = n.output + outputs;
  n.g = n.gradient + outputs;
  n.p = n.g + problem->block->tensors * problem->D;
  n.slope = n.p + (problem->block->tensors - 1) * places(problem, M);
  n.s = n.slope + (problem->block->tensors - 1) * places(problem, M);
  return n;
}

void mno_reference_draw(const mno_problem *problem, const mno_instance *instance, double *w) {
  size_t D = problem->D, L = (size_t)instance->L, M = (size_t)instance->M;
  for (size_t t = 0; t < problem->block->tensors; t++) {
    const mno_tensor_spec *tensor = &problem->block->tensor[t];
    double scale = (tensor->flips ? instance->draw.sign : 1) * (problem->sigma[t] * sqrt((double)D));
    for (size_t l = 0; l < L; l++)
      for (size_t j = 0; j < M; j++) {
        uint32_t layer = (uint32_t)mno_draw_layer(instance->draw, instance->M, (int64_t)l, (int64_t)j),
                 unit = (uint32_t)mno_draw_unit(instance->draw, instance->M, (int64_t)l, (int64_t)j);
        double *own = w + ((t * L + l) * M + j) * D;
        mno_normals(instance->seed, tensor->draw, layer, unit, D, own);
        for (size_t a = 0; a < D; a++) own[a] *= scale;
      }
  }
}

/* Weights of tensor t of unit j of layer l. */
static const double *tensor_of(const mno_reference *n, const double *w, size_t t, size_t l, size_t j) {
  return w + ((t * n->L + l) * n->M + j) * n->problem->D;
}

static double branch_scale(const mno_reference *n) { return n->problem->alpha / ((double)n->L * (double)n->M); }

/* s [M] and its slopes [tensors - 1][M], either or NULL, of the units of layer l at the state h [D] of one sample. */
static void units_at(const mno_reference *n, const double *w, size_t l, const double *h, double *s, double *slope) {
  const mno_problem *problem = n->problem;
  for (size_t a = 0; a + 1 < problem->block->tensors; a++)
    for (size_t j = 0; j < n->M; j++)
      n->p[a * n->M + j] = mno_dot(tensor_of(n, w, a, l, j), h, problem->D) / (double)problem->D;
  problem->block->units(problem->activation, n->M, n->p, s, slope);
}

void mno_reference_branch(const mno_reference *n, const double *w, size_t l, const double *h, double *target) {
  size_t D = n->problem->D, output = n->problem->block->tensors - 1;
  double scale = branch_scale(n);
  for (size_t i = 0; i < n->problem->N; i++) {
    units_at(n, w, l, h + i * D, n->s, NULL);
    for (size_t j = 0; j < n->M; j++) mno_add(target + i * D, scale * n->s[j], tensor_of(n, w, output, l, j), D);
  }
}

double mno_reference_forward(mno_reference *n) {
  const mno_problem *problem = n->problem;
  size_t D = problem->D, d_out = problem->d_out, field = problem->N * D;
  mno_readout_embed(problem, n->h);
  for (size_t l = 0; l < n->L; l++) {
    memcpy(n->h + (l + 1) * field, n->h + l * field, field * sizeof(double));
    mno_reference_branch(n, n->units.w, l, n->h + l * field, n->h + (l + 1) * field);
  }
  for (size_t i = 0; i < problem->N; i++)
    for (size_t o = 0; o < d_out; o++) {
      n->output[i * d_out + o] = 0; /* divided term by term: the diagnostics of existing files have these bits */
      for (size_t a = 0; a < D; a++)
        n->output[i * d_out + o] += problem->w_unembed[a * d_out + o] * n->h[n->L * field + i * D + a] / (double)D;
    }
  return mno_loss_value(problem->loss, problem->N, d_out, n->output, problem->y, NULL);
}

void mno_reference_backward(mno_reference *n) {
  const mno_problem *problem = n->problem;
  size_t D = problem->D, field = problem->N * D, output = problem->block->tensors - 1;
  double scale = branch_scale(n);
  mno_loss_value(problem->loss, problem->N, problem->d_out, n->output, problem->y, n->gradient);
  mno_readout_adjoint(problem, D, problem->w_unembed, n->gradient, n->b + n->L * field);
  for (size_t l = n->L; l-- > 0;) {
    double *b = n->b + l * field;
    const double *above = b + field, *h = n->h + l * field;
    memcpy(b, above, field * sizeof(double));
    for (size_t i = 0; i < problem->N; i++) {
      units_at(n, n->units.w, l, h + i * D, NULL, n->slope);
      for (size_t j = 0; j < n->M; j++) {
        double q = mno_dot(tensor_of(n, n->units.w, output, l, j), above + i * D, D) / (double)D;
        for (size_t a = 0; a < output; a++)
          mno_add(b + i * D, scale * n->slope[a * n->M + j] * q, tensor_of(n, n->units.w, a, l, j), D);
      }
    }
  }
}

void mno_reference_gradient(const mno_reference *n, const double *w, size_t l, size_t j, const double *h, const double *b,
                            const double *scale, double *g) {
  const mno_problem *problem = n->problem;
  size_t D = problem->D, N = problem->N, output = problem->block->tensors - 1;
  h += l * N * D;
  b += (l + 1) * N * D;
  for (size_t a = 0; a < output; a++)
    for (size_t i = 0; i < N; i++) n->p[a * N + i] = mno_dot(tensor_of(n, w, a, l, j), h + i * D, D) / (double)D;
  problem->block->units(problem->activation, N, n->p, n->s, n->slope);
  memset(g, 0, problem->block->tensors * D * sizeof(double));
  for (size_t i = 0; i < N; i++) {
    double q = mno_dot(tensor_of(n, w, output, l, j), b + i * D, D) / (double)D;
    for (size_t a = 0; a < output; a++) mno_add(g + a * D, scale[a] * n->slope[a * N + i] * q, h + i * D, D);
    mno_add(g + output * D, scale[output] * n->s[i], b + i * D, D);
  }
}

void mno_reference_update(const mno_reference *n, size_t k, const double *h, const double *b, mno_reference_units units) {
  const mno_problem *problem = n->problem;
  const mno_optimizer *optimizer = problem->optimizer;
  size_t D = problem->D, tensors = problem->block->tensors;
  double rate[MNO_TENSORS_MOST], scale[MNO_TENSORS_MOST];
  for (size_t t = 0; t < tensors; t++) {
    rate[t] = mno_problem_rate(problem, k, t);
    scale[t] = optimizer->fuses ? -rate[t] : 1; /* fused: what is added up is the motion itself */
  }
  for (size_t l = 0; l < n->L; l++)
    for (size_t j = 0; j < n->M; j++) {
      mno_reference_gradient(n, units.w, l, j, h, b, scale, n->g);
      for (size_t t = 0; t < tensors; t++) {
        size_t first = ((t * n->L + l) * n->M + j) * D;
        for (size_t a = 0; a < D; a++) {
          double *w = &units.w[first + a], *kept = units.kept + (first + a) * optimizer->states, g = n->g[t * D + a];
          *w = optimizer->fuses ? *w + g : optimizer->apply(*w, g, rate[t], problem->knob, kept);
        }
      }
    }
}

static void keep(double *to, size_t place, const double *from, size_t count) {
  if (to) memcpy(to + place * count, from, count * sizeof(double));
}

mno_status mno_reference_train(const mno_problem *problem, const mno_instance *instance, mno_reference_results results,
                               mno_error *err) {
  size_t L = (size_t)instance->L, M = (size_t)instance->M, count = mno_reference_numbers(problem, L, M),
         field = problem->N * problem->D;
  double *block = mno_alloc(count, sizeof(double));
  if (!block) return mno_fail_memory(err, count * sizeof(double), "a reference network");
  mno_reference n = mno_reference_place(problem, L, M, block);
  mno_reference_draw(problem, instance, n.units.w);
  keep(results.initial, 0, n.units.w, mno_reference_weights(problem, L, M));
  for (size_t k = 0; k <= problem->K; k++) {
    double loss = mno_reference_forward(&n);
    keep(results.loss, k, &loss, 1);
    keep(results.output, k, n.output, problem->N * problem->d_out);
    keep(results.embedding, k, n.h + L * field, field);
    if (k == problem->K) break;
    mno_reference_backward(&n);
    mno_reference_update(&n, k, n.h, n.b, n.units);
  }
  keep(results.trained, 0, n.units.w, mno_reference_weights(problem, L, M));
  free(block);
  return MNO_OK;
}
