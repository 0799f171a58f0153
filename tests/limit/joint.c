/* SPDX-License-Identifier: BSD-3-Clause */
/* The joint limit, D -> infinity: embeddings with the products of that limit reach it exactly, drawn ones like 1/sqrt(D). */
#include "limit/problems.h"

enum { N = 4, D_IN = 2, D_OUT = 3, K = 4 };

static void make_orthogonal(mno_problem *p, size_t D) {
  memset(p->w_embed, 0, D * D_IN * sizeof(double));
  memset(p->w_unembed, 0, D * D_OUT * sizeof(double));
  for (size_t d = 0; d < D; d++) { /* every column has D/(D_IN + D_OUT) entries of its own */
    size_t column = d % (D_IN + D_OUT);
    double norm = sqrt((double)(D_IN + D_OUT)), sign = d / (D_IN + D_OUT) % 2 ? -1 : 1;
    if (column < D_IN)
      p->w_embed[d * D_IN + column] = sign * norm / sqrt(D_IN);
    else
      p->w_unembed[d * D_OUT + column - D_IN] = sign * norm * sqrt(D_OUT);
  }
}

static void orthogonal_embeddings_are_there_already(void **state) {
  const size_t D = 4 * (D_IN + D_OUT);
  mno_problem p = random_problem(N, D_IN, D_OUT, D, K);
  make_orthogonal(&p, D);
  p.activation = MNO_IDENTITY; /* no sampling */
  mno_limit *mean = solve_limit(&p, (mno_limit_options){.tolerance = 1e-9}),
            *joint = solve_limit(&p, (mno_limit_options){.kind = MNO_LIMIT_JOINT, .tolerance = 1e-9});
  assert_int_equal(joint->kind, MNO_LIMIT_JOINT);
  assert_int_equal(joint->nodes, mean->nodes);
  assert_true(rms(mean->output + K * N * D_OUT, N * D_OUT) > 0.1);
  for (size_t e = 0; e < (K + 1) * N * D_OUT; e++) assert_close(joint->output[e], mean->output[e], 1e-9);
  for (size_t e = 0; e < (K + 1) * N * D; e++) assert_close(joint->embedding[e], mean->embedding[e], 1e-9);
  for (size_t e = 0; e < (K + 1) * mean->nodes * N * D; e++) {
    assert_close(joint->state[e], mean->state[e], 1e-9);
    assert_close(joint->adjoint[e], mean->adjoint[e], 1e-9);
  }
  mno_limit_free(mean);
  mno_limit_free(joint);
  problem_free(&p);
}

/* RMS distances of outputs and embeddings at the last step, over a few draws of the embeddings. */
static void distances(size_t D, double *output, double *embedding) {
  enum { DRAWS = 12 };
  *output = *embedding = 0;
  mno_problem p = random_problem(N, D_IN, D_OUT, D, K);
  p.activation = MNO_IDENTITY;
  for (uint64_t draw = 0; draw < DRAWS; draw++) {
    for (size_t d = 0; d < D; d++) {
      mno_normals(draw, MNO_TENSOR_W_EMBED, 0, (uint32_t)d, D_IN, p.w_embed + d * D_IN);
      mno_normals(draw, MNO_TENSOR_W_UNEMBED, 0, (uint32_t)d, D_OUT, p.w_unembed + d * D_OUT);
    }
    for (size_t i = 0; i < D * D_IN; i++) p.w_embed[i] /= sqrt(D_IN);
    for (size_t i = 0; i < D * D_OUT; i++) p.w_unembed[i] *= sqrt(D_OUT);
    mno_limit *mean = solve_limit(&p, (mno_limit_options){.tolerance = 1e-7}),
              *joint = solve_limit(&p, (mno_limit_options){.kind = MNO_LIMIT_JOINT, .tolerance = 1e-7});
    double f = rms_difference(joint->output + K * N * D_OUT, mean->output + K * N * D_OUT, N * D_OUT),
           h = rms_difference(joint->embedding + K * N * D, mean->embedding + K * N * D, N * D);
    *output += f * f / DRAWS;
    *embedding += h * h / DRAWS;
    mno_limit_free(mean);
    mno_limit_free(joint);
  }
  problem_free(&p);
  *output = sqrt(*output);
  *embedding = sqrt(*embedding);
}

static void drawn_embeddings_come_closer(void **state) {
  double output[2], embedding[2];
  distances(64, &output[0], &embedding[0]);
  distances(4096, &output[1], &embedding[1]);
  print_message("distance to the joint limit times sqrt(D): output %.3f, %.3f, embedding %.3f, %.3f at D = 64, 4096\n",
                8 * output[0], 64 * output[1], 8 * embedding[0], 64 * embedding[1]);
  /* a factor of 8 in theory */
  assert_true(output[0] > 5 * output[1] && output[0] < 13 * output[1]);
  assert_true(embedding[0] > 5 * embedding[1] && embedding[0] < 13 * embedding[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(orthogonal_embeddings_are_there_already),
                                     cmocka_unit_test(drawn_embeddings_come_closer)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
