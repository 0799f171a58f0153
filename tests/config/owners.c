/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys of blocks and optimisers, with lists of several in the place of the program's: which keys there are, whose they are,
 * where their values go, what of them defines a problem. */
#include "block/block.h"
#include "config/schema.h"
#include "optimizer/optimizer.h"
#include "plan/problem.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The lists */

static const mno_tensor_spec two[] = {{.name = "u"}, {.name = "v"}}, three[] = {{.name = "u"}, {.name = "w"}, {.name = "v"}};
static const mno_block perceptron = {.name = "perceptron", .tensors = 2, .tensor = two};
static const mno_block gated = {.name = "gated", .tensors = 3, .tensor = three};
static const mno_block *const blocks[] = {&perceptron, &gated};

static const mno_knob_spec adam_knobs[] = {{"beta1", "memory of the first moment", "0.9", 0, 1, true},
                                           {"beta2", "memory of the second moment", "0.999", 0, 1, true}};
static const mno_knob_spec heavy_knobs[] = {{"friction", "what is lost a step", NULL, 0, 1, false},
                                            {"beta1", "memory of the first moment", "0.9", 0, 1, true}};
static const mno_optimizer gd = {.name = "gd", .meaning = "plain"};
static const mno_optimizer adam = {.name = "adam", .meaning = "two moments", .knobs = 2, .knob = adam_knobs};
static const mno_optimizer heavy = {.name = "heavy", .meaning = "a ball", .knobs = 2, .knob = heavy_knobs};
static const mno_optimizer *const optimizers[] = {&gd, &adam, &heavy};

const mno_block *const *mno_blocks(size_t *count) {
  *count = sizeof blocks / sizeof *blocks;
  return blocks;
}

const mno_block *mno_block_named(const char *name) {
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
    if (strcmp(blocks[i]->name, name) == 0) return blocks[i];
  return NULL;
}

const char *mno_block_name(const mno_block *block) { return block->name; }

const mno_optimizer *const *mno_optimizers(size_t *count) {
  *count = sizeof optimizers / sizeof *optimizers;
  return optimizers;
}

const mno_optimizer *mno_optimizer_named(const char *name) {
  for (size_t i = 0; i < sizeof optimizers / sizeof *optimizers; i++)
    if (strcmp(optimizers[i]->name, name) == 0) return optimizers[i];
  return NULL;
}

const char *mno_optimizer_name(const mno_optimizer *optimizer) { return optimizer->name; }

/* ---- The tests */

static mno_status parse(const char *model, const char *training, mno_sweep **sweep, mno_error *err) {
  char text[1000];
  int length = snprintf(text, sizeof text,
                        "data: {kind: gaussian, samples: 4, inputs: 3, targets: 2}\n"
                        "model: {D: 4%s}\n"
                        "training: {steps: 2%s}\n"
                        "sweep: {L: 3, M: 2}\n",
                        model, training);
  return mno_sweep_parse(text, (size_t)length, "test.yaml", sweep, err);
}

static mno_sweep *parsed(const char *model, const char *training) {
  mno_sweep *sweep = NULL;
  mno_error err = {0};
  assert_ok(parse(model, training, &sweep, &err));
  return sweep;
}

static void values_go_to_their_places(void **state) {
  mno_sweep *s = parsed(", sigma_v: 3", ", eta_v: 0.5");
  assert_ptr_equal(s->model.block, &perceptron);
  assert_ptr_equal(s->training.optimizer, &gd);
  assert_true(s->model.sigma[0] == 1 && s->model.sigma[1] == 3 && s->training.eta[0] == 1 && s->training.eta[1] == 0.5);
  mno_sweep_free(s);

  s = parsed(", sigma_v: 3, block: gated, sigma_w: 2", ", beta2: 0.5, eta_w: 0, optimizer: adam");
  assert_ptr_equal(s->model.block, &gated);
  assert_ptr_equal(s->training.optimizer, &adam);
  assert_true(s->model.sigma[0] == 1 && s->model.sigma[1] == 2 && s->model.sigma[2] == 3);
  assert_true(s->training.eta[0] == 1 && s->training.eta[1] == 0 && s->training.eta[2] == 1);
  assert_true(s->training.knob[0] == 0.9 && s->training.knob[1] == 0.5);
  mno_sweep_free(s);

  s = parsed("", ", optimizer: heavy, friction: 1");
  assert_true(s->training.knob[0] == 1 && s->training.knob[1] == 0.9);
  mno_sweep_free(s);
}

static void keys_of_others_are_refused(void **state) {
  static const struct {
    const char *model, *training;
    int line, column;
    const char *message;
  } cases[] = {
      {", sigma_w: 2", "", 2, 15, "model.sigma_w goes with block gated, not perceptron; remove the key"},
      {"", ", eta_w: 2", 3, 22, "training.eta_w goes with block gated, not perceptron"},
      {"", ", beta1: 0", 3, 22, "training.beta1 goes with optimizer adam, heavy, not gd; remove the key"},
      {"", ", optimizer: heavy, friction: 1, beta2: 0", 3, 53, "training.beta2 goes with optimizer adam, not heavy"},
      {"", ", optimizer: heavy", 3, 1, "section training has no key \"friction\"; accepted: numbers from 0 to 1"},
      {"", ", optimizer: adam, beta1: 1", 3, 46, "training.beta1 is 1; accepted: numbers from 0 to below 1"},
      {", block: gated, sigma_w: 0", "", 2, 38, "model.sigma_w is 0; accepted: numbers from 1e-6 to 1000"},
      {", sigma_ww: 2", "", 2, 15, "unknown key \"sigma_ww\" in model; did you mean \"sigma_w\"?"},
      {", block: attention", "", 2, 22,
       "model.block \"attention\" is not computed by this version; accepted: perceptron, gated"},
      {"", ", optimizer: sgd", 3, 33,
       "training.optimizer \"sgd\" is not computed by this version; accepted: gd, adam, heavy"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mno_sweep *sweep = NULL;
    mno_error err = {0};
    char expected[300];
    assert_int_equal(parse(cases[i].model, cases[i].training, &sweep, &err), MNO_ERR_INPUT);
    snprintf(expected, sizeof expected, "test.yaml:%d:%d: %s", cases[i].line, cases[i].column, cases[i].message);
    if (strncmp(err.message, expected, strlen(expected)) != 0) fail_msg("expected\n%s\nnot\n%s", expected, err.message);
  }
}

/* Every key once, although heavy and adam both have beta1. */
static void keys_are_told_apart(void **state) {
  char *text = NULL;
  mno_schema *schema = NULL;
  assert_int_equal(mno_schema_new(&schema, NULL), MNO_OK);
  for (size_t f = 0; f < schema->count; f++)
    for (size_t g = 0; g < f; g++)
      assert_false(strcmp(schema->rule[f].section, schema->rule[g].section) == 0 &&
                   strcmp(schema->rule[f].key, schema->rule[g].key) == 0);
  free(schema);
  assert_int_equal(mno_sweep_keys(&text, NULL), MNO_OK);
  static const char *const lines[] = {
      "  sigma_u        numbers from 1e-6 to 1000 (default 1)\n                 scale of the initial u: entries N(0, "
      "sigma_u^2 D)\n",
      "  sigma_w        numbers from 1e-6 to 1000 (default 1; block gated)\n",
      "what moves the weights; gd is plain, adam is two moments, heavy is a ball\n",
      "  beta1          numbers from 0 to below 1 (default 0.9; optimizer adam, heavy)\n",
      "  friction       numbers from 0 to 1 (required; optimizer heavy)\n                 what is lost a step\n"};
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
    if (!strstr(text, lines[i])) fail_msg("no\n%s in\n%s", lines[i], text);
  free(text);
}

static uint64_t id_of(const char *model, const char *training) {
  mno_sweep *sweep = parsed(model, training);
  mno_plan *plan = NULL;
  mno_error err = {0};
  assert_ok(mno_plan_build(sweep, MNO_F64, &plan, &err));
  uint64_t id = plan->problem[0].id;
  mno_plan_free(plan);
  mno_sweep_free(sweep);
  return id;
}

static void ids_know_block_optimizer_and_knobs(void **state) {
  const uint64_t id[] = {id_of("", ""),
                         id_of(", block: gated", ""),
                         id_of(", block: gated, sigma_w: 2", ""),
                         id_of(", block: gated", ", eta_w: 2"),
                         id_of("", ", optimizer: adam"),
                         id_of("", ", optimizer: adam, beta1: 0.5"),
                         id_of("", ", optimizer: adam, beta2: 0.5"),
                         id_of(", block: gated", ", optimizer: adam")};
  assert_int_equal(id[0], id_of(", block: perceptron", ", optimizer: gd"));
  assert_int_equal(id[5], id_of("", ", beta2: 0.999, beta1: 0.5, optimizer: adam"));
  for (size_t i = 0; i < sizeof id / sizeof *id; i++)
    for (size_t j = 0; j < i; j++) assert_int_not_equal(id[i], id[j]);
}

/* A reader fills a problem in the order of its parameters; what goes without saying is not written. */
static void parameters_can_be_read_back(void **state) {
  mno_problem from = {.K = 7,
                      .block = &gated,
                      .optimizer = &adam,
                      .alpha = 2,
                      .sigma = {1, 2, 3},
                      .eta = {4, 5, 6},
                      .knob = {0.25, 0.5},
                      .activation = MNO_GELU,
                      .loss = MNO_CROSS_ENTROPY},
              to = {0};
  static const char *const names[] = {"block", "optimizer", "steps", "alpha", "sigma_u", "sigma_w",    "sigma_v",
                                      "eta_u", "eta_w",     "eta_v", "beta1", "beta2",   "activation", "loss"};
  mno_parameter p;
  size_t i = 0;
  for (; mno_problem_parameter(&to, i, &p); i++) {
    assert_true(i < sizeof names / sizeof *names);
    assert_string_equal(p.name, names[i]);
    assert_false(mno_parameter_is_implied(&from, &p));
    if (p.type == MNO_PARAMETER_NAME)
      assert_true(mno_parameter_set_name(&to, &p, mno_parameter_name(&from, &p)));
    else
      mno_parameter_set_number(&to, &p, mno_parameter_number(&from, &p));
  }
  assert_int_equal(i, sizeof names / sizeof *names);
  assert_int_equal(mno_problem_id(&from), mno_problem_id(&to));
  assert_true(to.K == 7 && to.sigma[1] == 2 && to.eta[2] == 6 && to.knob[0] == 0.25 && to.loss == MNO_CROSS_ENTROPY);

  from.block = &perceptron;
  from.optimizer = &gd;
  size_t implied = 0;
  for (i = 0; mno_problem_parameter(&from, i, &p); i++) implied += mno_parameter_is_implied(&from, &p);
  assert_int_equal(implied, 2);
  assert_true(mno_problem_parameter(&to, 0, &p) && !mno_parameter_set_name(&to, &p, "no such block"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_go_to_their_places),   cmocka_unit_test(keys_of_others_are_refused),
      cmocka_unit_test(keys_are_told_apart),         cmocka_unit_test(ids_know_block_optimizer_and_knobs),
      cmocka_unit_test(parameters_can_be_read_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
