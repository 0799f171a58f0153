/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans: order of problems and instances, what ids depend on, pairs, nested embeddings, refusals of size. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct built {
  mno_sweep *sweep;
  mno_plan *plan;
} built;

static mno_status try_build(const char *text, mno_precision precision, built *b, mno_error *err) {
  mno_status status = mno_sweep_parse(text, strlen(text), "test.yaml", &b->sweep, err);
  b->plan = NULL;
  return status == MNO_OK ? mno_plan_build(b->sweep, precision, &b->plan, err) : status;
}

static built build(const char *text, mno_precision precision) {
  built b = {0};
  mno_error err = {0};
  assert_ok(try_build(text, precision, &b, &err));
  return b;
}

static void end(built b) {
  mno_plan_free(b.plan);
  mno_sweep_free(b.sweep);
}

#define DATA "data: {kind: gaussian, samples: 4, inputs: 3, targets: 2}\n"

static void order(void **state) {
  built b = build(DATA "model: {D: [3, 5], alpha: [2, 1]}\ntraining: {steps: 2}\n"
                       "sweep: {L: [4, 2], M: [3, 7], seeds: [9, 1, 5]}\n",
                  MNO_F64);
  const mno_plan *p = b.plan;
  assert_int_equal(p->problem_count, 4);
  assert_int_equal(p->instance_count, 4 * 2 * 2 * 3);
  assert_int_equal(p->step_count, 3);
  const size_t D[] = {3, 3, 5, 5};
  const double alpha[] = {2, 1, 2, 1};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(p->problem[i].D, D[i]);
    assert_true(p->problem[i].alpha == alpha[i]);
    assert_int_equal(p->problem[i].N, 4);
    assert_int_equal(p->problem[i].d_in, 3);
    assert_int_equal(p->problem[i].d_out, 2);
    assert_int_equal(p->problem[i].K, 2);
  }
  const int64_t L[] = {4, 2}, M[] = {3, 7};
  const uint64_t seed[] = {9, 1, 5};
  for (size_t i = 0; i < p->instance_count; i++) {
    const mno_instance *q = &p->instance[i];
    assert_int_equal(q->problem, i / 12);
    assert_int_equal(q->L, L[i / 6 % 2]);
    assert_int_equal(q->M, M[i / 3 % 2]);
    assert_int_equal(q->seed, seed[i % 3]);
    assert_int_equal(q->draw.width, q->M);
    assert_int_equal(q->draw.offset, 0);
    assert_int_equal(q->draw.sign, 1);
    assert_int_equal(q->id, mno_instance_id(&p->problem[q->problem], q, MNO_F64));
    for (size_t j = 0; j < i; j++) assert_int_not_equal(q->id, p->instance[j].id);
  }
  end(b);
}

/* Every data.seed draws its own data and embeddings, and is the same problem as alone. */
static void draws_of_the_data(void **state) {
  static const char rest[] = "model: {D: [3, 5], alpha: [2, 1]}\ntraining: {steps: 2}\nsweep: {L: 4, M: 3}\n";
  char text[400];
  snprintf(text, sizeof text, "data: {kind: gaussian, samples: 4, inputs: 3, targets: 2, seed: [7, 0, 9]}\n%s", rest);
  built all = build(text, MNO_F64);
  assert_int_equal(all.plan->problem_count, 12);
  assert_int_equal(all.plan->instance_count, 12);
  const int seed[] = {7, 0, 9};
  for (size_t s = 0; s < 3; s++) {
    snprintf(text, sizeof text, "data: {kind: gaussian, samples: 4, inputs: 3, targets: 2, seed: %d}\n%s", seed[s], rest);
    built one = build(text, MNO_F64);
    for (size_t p = 0; p < 4; p++) {
      const mno_problem *a = &all.plan->problem[4 * s + p], *b = &one.plan->problem[p];
      assert_int_equal(a->id, b->id);
      assert_memory_equal(a->x, b->x, 12 * sizeof(double));
      assert_memory_equal(a->w_embed, b->w_embed, a->D * 3 * sizeof(double));
      assert_true(s == 0 || a->x[0] != all.plan->problem[p].x[0]);
    }
    end(one);
  }
  end(all);

  built b = {0};
  mno_error err = {0};
  snprintf(text, sizeof text, "data: {kind: digits, samples: 4, seed: [2, 5]}\n%s", rest);
  assert_ok(try_build(text, MNO_F64, &b, &err)); /* the same digits, other embeddings */
  assert_ptr_equal(b.plan->problem[0].x, b.plan->problem[7].x);
  assert_ptr_equal(b.plan->problem[0].y, b.plan->problem[7].y);
  assert_true(b.plan->problem[0].w_embed[0] != b.plan->problem[4].w_embed[0]);
  end(b);
}

static uint64_t id_of(const mno_plan *p, double alpha, size_t D, int64_t L, int64_t M, uint64_t seed) {
  for (size_t i = 0; i < p->instance_count; i++) {
    const mno_instance *q = &p->instance[i];
    const mno_problem *r = &p->problem[q->problem];
    if (r->alpha == alpha && r->D == D && q->L == L && q->M == M && q->seed == seed) return q->id;
  }
  fail_msg("no such instance");
  return 0;
}

/* The place in the sweep, what else is in it, what is recorded, limits, comments: nothing of it is in an id. */
static void ids_do_not_know_the_sweep(void **state) {
  built a = build(DATA "model: {D: 4}\ntraining: {steps: 3}\nsweep: {L: 6, M: 5, seeds: [2]}\n", MNO_F64);
  built b = build("# another file\nrecord: {steps: [1, 3], weights: both, embedding: true}\nlimit: {kind: none}\n"
                  "sweep: {pairs: regroup, seeds: 4, M: [8, 5], L: [1, 6]}\n" DATA
                  "training: {eta_u: 1.0, steps: 3}\nmodel: {alpha: [3, 1], D: [9, 4], activation: tanh}\n",
                  MNO_F64);
  assert_int_equal(a.plan->instance_count, 1);
  assert_int_equal(a.plan->instance[0].id, id_of(b.plan, 1, 4, 6, 5, 2));
  end(a);
  end(b);
}

/* Everything that changes the numbers changes the id. */
static void ids_know_what_defines_the_instance(void **state) {
  static const char *const texts[] = {
      DATA "model: {D: 4}\ntraining: {steps: 3}\nsweep: {L: 6, M: 4}\n",
      DATA "model: {D: 5}\ntraining: {steps: 3}\nsweep: {L: 6, M: 4}\n",
      DATA "model: {D: 4}\ntraining: {steps: 4}\nsweep: {L: 6, M: 4}\n",
      DATA "model: {D: 4}\ntraining: {steps: 3}\nsweep: {L: 4, M: 6}\n",
      DATA "model: {D: 4}\ntraining: {steps: 3}\nsweep: {L: 6, M: 5}\n",
      DATA "model: {D: 4}\ntraining: {steps: 3}\nsweep: {L: 6, M: 4, seeds: [1]}\n",
      DATA "model: {D: 4, alpha: 2}\ntraining: {steps: 3}\nsweep: {L: 6, M: 4}\n",
      DATA "model: {D: 4, sigma_u: 2}\ntraining: {steps: 3}\nsweep: {L: 6, M: 4}\n",
      DATA "model: {D: 4, sigma_v: 2}\ntraining: {steps: 3}\nsweep: {L: 6, M: 4}\n",
      DATA "model: {D: 4, activation: erf}\ntraining: {steps: 3}\nsweep: {L: 6, M: 4}\n",
      DATA "model: {D: 4}\ntraining: {steps: 3, eta_u: 2}\nsweep: {L: 6, M: 4}\n",
      DATA "model: {D: 4}\ntraining: {steps: 3, eta_v: 2}\nsweep: {L: 6, M: 4}\n",
      "data: {kind: gaussian, samples: 5, inputs: 3, targets: 2}\n"
      "model: {D: 4}\ntraining: {steps: 3}\nsweep: {L: 6, M: 4}\n",
      "data: {kind: gaussian, samples: 4, inputs: 2, targets: 2}\n"
      "model: {D: 4}\ntraining: {steps: 3}\nsweep: {L: 6, M: 4}\n",
      "data: {kind: gaussian, samples: 4, inputs: 3, targets: 3}\n"
      "model: {D: 4}\ntraining: {steps: 3}\nsweep: {L: 6, M: 4}\n",
      "data: {kind: gaussian, samples: 4, inputs: 3, targets: 2, seed: 2}\n"
      "model: {D: 4}\ntraining: {steps: 3}\nsweep: {L: 6, M: 4}\n",
      "data: {kind: digits, samples: 4}\nmodel: {D: 4}\ntraining: {steps: 3}\nsweep: {L: 6, M: 4}\n",
      "data: {kind: digits, samples: 4}\nmodel: {D: 4}\ntraining: {steps: 3, loss: cross-entropy}\nsweep: {L: 6, M: 4}\n"};
  enum { TEXTS = sizeof texts / sizeof *texts };
  uint64_t id[TEXTS + 1];
  for (int i = 0; i <= TEXTS; i++) { /* the last: the first in the other precision */
    built b = build(texts[i % TEXTS], i == TEXTS ? MNO_F32 : MNO_F64);
    assert_int_equal(b.plan->instance_count, 1);
    id[i] = b.plan->instance[0].id;
    for (int j = 0; j < i; j++)
      if (id[i] == id[j]) fail_msg("the ids of configurations %d and %d are equal", i, j);
    end(b);
  }
}

static void ids_know_every_number_of_the_problem_and_the_draw(void **state) {
  built b = build(DATA "model: {D: 4}\ntraining: {steps: 3}\nsweep: {L: 6, M: 4}\n", MNO_F64);
  mno_problem *p = &b.plan->problem[0];
  uint64_t before = mno_problem_id(p);
  assert_int_equal(before, p->id);
  double *arrays[] = {p->x, p->y, p->w_embed, p->w_unembed};
  size_t sizes[] = {12, 8, 12, 8};
  for (int a = 0; a < 4; a++)
    for (size_t i = 0; i < sizes[a]; i++) {
      double old = arrays[a][i];
      arrays[a][i] = nextafter(old, 10);
      assert_int_not_equal(mno_problem_id(p), before);
      arrays[a][i] = old;
    }
  assert_int_equal(mno_problem_id(p), before);
  mno_instance q = b.plan->instance[0];
  const mno_draw draws[] = {{2, 0, 1}, {4, 1, 1}, {4, 0, -1}};
  for (int d = 0; d < 3; d++) {
    q.draw = draws[d];
    assert_int_not_equal(mno_instance_id(p, &q, MNO_F64), b.plan->instance[0].id);
  }
  end(b);
}

static bool has(const mno_plan *p, int64_t L, int64_t M, uint64_t seed, mno_draw draw) {
  size_t found = 0;
  for (size_t i = 0; i < p->instance_count; i++) {
    const mno_instance *q = &p->instance[i];
    found += q->L == L && q->M == M && q->seed == seed && q->draw.width == draw.width && q->draw.offset == draw.offset &&
             q->draw.sign == draw.sign;
  }
  assert_true(found < 2);
  return found == 1;
}

static void pairs(void **state) {
  built b = build(DATA "model: {D: 4}\ntraining: {steps: 1}\n"
                       "sweep: {L: [6, 3], M: [4, 2, 5], seeds: 2, pairs: [regroup, jackknife, antithetic]}\n",
                  MNO_F64);
  const mno_plan *p = b.plan;
  const int64_t L[] = {6, 3}, M[] = {4, 2, 5};
  size_t expected = 0;
  for (uint64_t seed = 0; seed < 2; seed++)
    for (int l = 0; l < 2; l++)
      for (int m = 0; m < 3; m++) {
        assert_true(has(p, L[l], M[m], seed, (mno_draw){M[m], 0, 1}));
        assert_true(has(p, L[l], M[m], seed, (mno_draw){M[m], 0, -1}));
        expected += 2;
        if (l == 0) {
          assert_true(has(p, 3, 2 * M[m], seed, (mno_draw){M[m], 0, 1}));
          expected++;
        }
        if (M[m] % 2 == 0) {
          assert_true(has(p, L[l], M[m] / 2, seed, (mno_draw){M[m] / 2, 0, 1}));
          assert_true(has(p, L[l], M[m] / 2, seed, (mno_draw){M[m] / 2, M[m] / 2, 1}));
          expected += M[m] == 4 ? 1 : 2; /* the first half of M = 4 is the plain M = 2 */
        }
      }
  assert_int_equal(p->instance_count, expected);
  /* the plain ones come first, in the order of the file */
  for (size_t i = 0; i < 12; i++) {
    assert_int_equal(p->instance[i].L, L[i / 6]);
    assert_int_equal(p->instance[i].M, M[i / 2 % 3]);
    assert_int_equal(p->instance[i].draw.sign, 1);
    assert_int_equal(p->instance[i].draw.width, p->instance[i].M);
  }
  end(b);
}

/* A regrouped network takes every unit of its partner once, in order; the halves take those of each layer. */
static void draws_take_the_units_of_the_partner(void **state) {
  enum { L = 6, M = 4 };
  const mno_draw plain = {M, 0, 1}, regrouped = {M, 0, 1};
  for (int64_t l = 0; l < L; l++)
    for (int64_t j = 0; j < M; j++) {
      assert_int_equal(mno_draw_layer(plain, M, l, j), l);
      assert_int_equal(mno_draw_unit(plain, M, l, j), j);
      int64_t g = l * M + j;
      assert_int_equal(mno_draw_layer(regrouped, 2 * M, g / (2 * M), g % (2 * M)), l);
      assert_int_equal(mno_draw_unit(regrouped, 2 * M, g / (2 * M), g % (2 * M)), j);
      mno_draw half = {M / 2, j < M / 2 ? 0 : M / 2, 1};
      assert_int_equal(mno_draw_layer(half, M / 2, l, j % (M / 2)), l);
      assert_int_equal(mno_draw_unit(half, M / 2, l, j % (M / 2)), j);
    }
}

static void larger_problems_extend_smaller_ones(void **state) {
  built a = build(DATA "model: {D: [3, 7], alpha: [1, 2]}\ntraining: {steps: 1}\nsweep: {L: 1, M: 1}\n", MNO_F64);
  built b = build("data: {kind: gaussian, samples: 9, inputs: 3, targets: 2}\n"
                  "model: {D: 5}\ntraining: {steps: 1}\nsweep: {L: 1, M: 1}\n",
                  MNO_F64);
  const mno_problem *p = a.plan->problem, *q = b.plan->problem;
  assert_memory_equal(p[0].w_embed, p[2].w_embed, 3 * 3 * sizeof(double));
  assert_memory_equal(p[0].w_unembed, p[2].w_unembed, 3 * 2 * sizeof(double));
  assert_memory_equal(q[0].w_embed, p[2].w_embed, 5 * 3 * sizeof(double));
  assert_memory_equal(q[0].x, p[0].x, 4 * 3 * sizeof(double));
  assert_memory_equal(q[0].y, p[0].y, 4 * 2 * sizeof(double));
  assert_memory_not_equal(p[0].x, p[0].w_embed, 3 * 3 * sizeof(double));
  end(a);
  end(b);
}

/* Far too much for any machine: refused at once, with the number of GiB, before anything is allocated. */
static void sizes_are_refused(void **state) {
  static const struct {
    const char *text, *message;
  } cases[] = {{"data: {kind: gaussian, samples: 1000000, inputs: 1000000, targets: 1}\n"
                "model: {D: 1}\ntraining: {steps: 1}\nsweep: {L: 1, M: 1}\n",
                "the data needs 7.45e+03 GiB"},
               {"data: {kind: gaussian, samples: 1, inputs: 1000000, targets: 1}\n"
                "model: {D: 1000000}\ntraining: {steps: 1}\nsweep: {L: 1, M: 1}\n",
                "the set of embeddings W_E, W_U needs 7.45e+03 GiB"},
               {"data: {kind: gaussian, samples: 1, inputs: 1, targets: 1}\n"
                "model: {D: 1000000}\ntraining: {steps: 1}\nsweep: {L: 10000000, M: 1000000}\n",
                "the network of the largest L, M and D (its weights) needs"},
               {"data: {kind: gaussian, samples: 1000, inputs: 1, targets: 1}\n"
                "model: {D: 1000}\ntraining: {steps: 1000000}\nsweep: {L: 1, M: 1}\n",
                "the record of one network (steps, outputs, embeddings) needs 7.46e+03 GiB"},
               {"data: {kind: gaussian, samples: 1, inputs: 1, targets: 1}\nmodel: {D: 1000}\ntraining: {steps: 1}\n"
                "sweep: {L: 100000, M: 100000}\nrecord: {weights: final}\n",
                "the record of one network (steps, outputs, embeddings, weights) needs 1.49e+05 GiB"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    built b = {0};
    mno_error err = {0};
    mno_status status = try_build(cases[i].text, MNO_F64, &b, &err);
    assert_int_equal(status, MNO_ERR_INPUT);
    if (!strstr(err.message, cases[i].message)) fail_msg("expected %s in %s", cases[i].message, err.message);
    end(b);
  }
}

static void coupling_needs_the_mean_ode(void **state) {
  const char *text =
      DATA "model: {D: 4}\ntraining: {steps: 1}\nlimit: {kind: %s}\nsweep: {L: 1, M: 1}\nrecord: {coupling: true}\n";
  static const char *const kinds[] = {"none", "tangent-ode", "mean-ode"};
  for (int i = 0; i < 3; i++) {
    char written[400];
    snprintf(written, sizeof written, text, kinds[i]);
    built b = {0};
    mno_error err = {0};
    assert_int_equal(try_build(written, MNO_F64, &b, &err), i == 2 ? MNO_OK : MNO_ERR_INPUT);
    if (i < 2) assert_non_null(strstr(err.message, "test.yaml:6:20: record.coupling compares with the Mean ODE"));
    end(b);
  }
}

/* Pairs that the sweep has no place for are an error, not nothing. */
static void pairs_need_even_sizes(void **state) {
  static const struct {
    const char *sweep, *message;
  } cases[] = {{"{L: [1, 3], M: 2, pairs: regroup}", "test.yaml:4:33: sweep.pairs: regroup"},
               {"{L: 2, M: [1, 3], pairs: [regroup, jackknife]}", "test.yaml:4:33: sweep.pairs: jackknife"},
               {"{L: [1, 2], M: [1, 2], pairs: [regroup, jackknife]}", NULL},
               {"{L: 1, M: 1, pairs: antithetic}", NULL}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[300];
    snprintf(text, sizeof text, DATA "model: {D: 4}\ntraining: {steps: 1}\nsweep: %s\n", cases[i].sweep);
    built b = {0};
    mno_error err = {0};
    assert_int_equal(try_build(text, MNO_F64, &b, &err), cases[i].message ? MNO_ERR_INPUT : MNO_OK);
    if (cases[i].message && !strstr(err.message, cases[i].message))
      fail_msg("%s is not in %s", cases[i].message, err.message);
    end(b);
  }
}

static void flops(void **state) {
  const mno_problem problem = {.N = 10, .D = 8, .K = 15, .block = mno_block_named("perceptron")};
  const mno_instance instance = {.L = 200, .M = 16};
  /* 16 forward passes of 2 products and 15 of backward and update of 4, a product being 2 N D M operations a layer */
  assert_close(mno_instance_flops(&problem, &instance), 200 * (16 * 2 + 15 * 4) * 2.0 * 10 * 8 * 16, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(order),
                                     cmocka_unit_test(draws_of_the_data),
                                     cmocka_unit_test(ids_do_not_know_the_sweep),
                                     cmocka_unit_test(ids_know_what_defines_the_instance),
                                     cmocka_unit_test(ids_know_every_number_of_the_problem_and_the_draw),
                                     cmocka_unit_test(pairs),
                                     cmocka_unit_test(draws_take_the_units_of_the_partner),
                                     cmocka_unit_test(larger_problems_extend_smaller_ones),
                                     cmocka_unit_test(sizes_are_refused),
                                     cmocka_unit_test(coupling_needs_the_mean_ode),
                                     cmocka_unit_test(pairs_need_even_sizes),
                                     cmocka_unit_test(flops)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
