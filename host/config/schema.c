/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/schema.h"

#include "block/block.h"
#include "core/memory.h"
#include "optimizer/optimizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(mno_activation) == sizeof(int) && sizeof(mno_data_kind) == sizeof(int) &&
                   sizeof(mno_loss) == sizeof(int) && sizeof(mno_weights) == sizeof(int) &&
                   sizeof(mno_limit_kind) == sizeof(int) && sizeof(mno_limit_method) == sizeof(int) &&
                   sizeof(mno_figure) == sizeof(int),
               "choices are stored as int");

static const mno_choice limits_or_none_list[] = {MNO_LIMIT_KIND_LIST(MNO_CHOICE){"none", MNO_LIMIT_KINDS}};
static const mno_choices limits_or_none = {MNO_LIMIT_KINDS + 1, limits_or_none_list};

/* Names of the documentation that no folder computes yet, by owner. */
enum { DOCUMENTED = 4 };
static const char *const documented[][DOCUMENTED] = {
    [MNO_OWNER_BLOCK] = {"attention"}, [MNO_OWNER_OPTIMIZER] = {"sgd", "momentum", "adam"}};

#define AT(member) offsetof(mno_sweep, member)
#define RANGE(a, b) .from = (a), .to = (b)
#define REALS(a, b) .low = (a), .high = (b)
#define NAMES(list) .choices = &(list)
#define OF_BLOCK .owner = MNO_OWNER_BLOCK
#define OF_OPTIMIZER .owner = MNO_OWNER_OPTIMIZER
enum { SIZE = 1000000, DEPTH = 10000000, STEPS = 1000000 };

const mno_schema_section mno_schema_sections[MNO_SECTIONS] = {{"data", true},   {"model", true}, {"training", true},
                                                              {"limit", false}, {"sweep", true}, {"record", false}};

static const mno_rule rows[] = {
    {"data", "kind", MNO_RULE_CHOICE, NULL, AT(data.kind), NAMES(mno_data_kinds),
     .meaning = "where inputs x and targets y come from"},
    {"data", "samples", MNO_RULE_INTEGER, NULL, AT(data.samples), AT(data.samples_mark), RANGE(1, SIZE),
     .absent = "all there are; gaussian: required", .meaning = "N; the first N of a file or of the 1797 digits"},
    {"data", "inputs", MNO_RULE_INTEGER, NULL, AT(data.inputs), RANGE(1, SIZE), .absent = "gaussian: required",
     .meaning = "dimension of x; digits have 64, a file has its own"},
    {"data", "targets", MNO_RULE_INTEGER, NULL, AT(data.targets), RANGE(1, SIZE), .absent = "gaussian: required",
     .meaning = "dimension of y; digits have 10, a file has its own"},
    {"data", "seed", MNO_RULE_INTEGERS, "1", AT(data.seed), RANGE(0, INT64_MAX),
     .meaning = "draws x and y (gaussian) and the embeddings W_E, W_U"},
    {"data", "path", MNO_RULE_TEXT, NULL, AT(data.path), .mark = AT(data.path_mark), .absent = "file: required",
     .meaning = "HDF5 file, relative to the folder of the configuration"},

    {"model", "block", MNO_RULE_BLOCK, "perceptron", AT(model.block), .meaning = "residual block"},
    {"model", "activation", MNO_RULE_CHOICE, "tanh", AT(model.activation), AT(model.activation_mark), NAMES(mno_activations),
     .meaning = "rho"},
    {"model", "D", MNO_RULE_INTEGERS, NULL, AT(model.D), RANGE(1, SIZE), .meaning = "embedding dimension"},
    {"model", "alpha", MNO_RULE_REALS, "1", AT(model.alpha), REALS(1e-6, 1e6), .meaning = "residual scale"},
    {"model", "sigma_*", MNO_RULE_REAL, "1", AT(model.sigma), REALS(1e-6, 1e3), OF_BLOCK,
     .meaning = "scale of the initial *: entries N(0, sigma_*^2 D)"},

    {"training", "steps", MNO_RULE_INTEGER, NULL, AT(training.steps), AT(training.steps_mark), RANGE(0, STEPS),
     .meaning = "K gradient steps; 0 is initialisation only"},
    {"training", "optimizer", MNO_RULE_OPTIMIZER, "gd", AT(training.optimizer), .meaning = "what moves the weights"},
    {"training", "eta_*", MNO_RULE_REAL, "1", AT(training.eta), REALS(0, 1e6), OF_BLOCK,
     .meaning = "learning rate of *; 0 freezes it"},
    {"training", "*", MNO_RULE_REAL, NULL, AT(training.knob), OF_OPTIMIZER},
    {"training", "loss", MNO_RULE_CHOICE, "squared", AT(training.loss), AT(training.loss_mark), NAMES(mno_losses),
     .meaning = "cross-entropy needs rows of y that are probabilities"},

    {"limit", "kind", MNO_RULE_LIMITS, "mean-ode", AT(limit.kind), NAMES(limits_or_none),
     .meaning = "one or a list; errors refer to the first; joint: the Mean ODE as D -> infinity"},
    {"limit", "tolerance", MNO_RULE_REAL, "1e-4", AT(limit.tolerance), AT(limit.tolerance_mark), REALS(1e-15, 1),
     .below = true, .meaning = "wanted relative RMS error of the limit's output"},
    {"limit", "seconds", MNO_RULE_REAL, NULL, AT(limit.seconds), REALS(1e-3, 1e9), .absent = "none",
     .meaning = "time budget of one limit"},
    {"limit", "memory", MNO_RULE_REAL, NULL, AT(limit.memory), REALS(1e-3, 1e6), .absent = "what is free",
     .meaning = "memory budget of one limit, GiB"},
    {"limit", "method", MNO_RULE_CHOICE, "auto", AT(limit.method), AT(limit.method_mark), NAMES(mno_limit_methods),
     .meaning = "how the Mean ODE computes expectations"},
    {"limit", "particles", MNO_RULE_INTEGER, NULL, AT(limit.particles), RANGE(1, 1000000000), .absent = "chosen",
     .meaning = "particles per depth node"},
    {"limit", "nodes", MNO_RULE_INTEGER, NULL, AT(limit.nodes), RANGE(1, 128), .absent = "chosen", .meaning = "depth nodes"},
    {"limit", "randomisations", MNO_RULE_INTEGER, NULL, AT(limit.randomisations), RANGE(1, 10000), .absent = "chosen",
     .meaning = "independent randomisations"},

    {"sweep", "L", MNO_RULE_INTEGERS, NULL, AT(sweep.L), AT(sweep.L_mark), RANGE(1, DEPTH), .meaning = "depth"},
    {"sweep", "M", MNO_RULE_INTEGERS, NULL, AT(sweep.M), AT(sweep.M_mark), RANGE(1, SIZE), .meaning = "hidden width"},
    {"sweep", "seeds", MNO_RULE_SEEDS, "1", AT(sweep.seed), AT(sweep.seeds_mark), RANGE(1, 1000000),
     .meaning = "seeds of the initial weights; a count n is 0..n-1"},
    {"sweep", "pairs", MNO_RULE_BITS, "none", AT(sweep.pairs), AT(sweep.pairs_mark), NAMES(mno_pairs_made),
     .meaning = "one or a list: extra instances that sharpen the fit; regroup needs an even L, jackknife an even M"},

    {"record", "steps", MNO_RULE_STEPS, "all", AT(record.step), RANGE(0, STEPS), .meaning = "steps whose results are kept"},
    {"record", "output", MNO_RULE_FLAG, "true", AT(record.output), .meaning = "outputs of every sample at these steps"},
    {"record", "embedding", MNO_RULE_FLAG, "false", AT(record.embedding),
     .meaning = "embeddings h^L of every sample at these steps"},
    {"record", "weights", MNO_RULE_CHOICE, "none", AT(record.weights), NAMES(mno_weights_kept),
     .meaning = "weights of every network"},
    {"record", "coupling", MNO_RULE_FLAG, "false", AT(record.coupling), .mark = AT(record.coupling_mark),
     .meaning = "distance of units to the coupled units of the Mean ODE, decorrelation of distinct units"},
    {"record", "path", MNO_RULE_FLAG, "false", AT(record.path), .mark = AT(record.path_mark),
     .meaning = "states over depth and their largest distance to the Mean ODE"},
    {"record", "features", MNO_RULE_FLAG, "false", AT(record.features), .mark = AT(record.features_mark),
     .meaning = "initial noise, local feature update, movement of the parameters"},
    {"record", "figure", MNO_RULE_CHOICE, "law", AT(record.figure), NAMES(mno_figures),
     .meaning = "what meanode plot draws of the file if it is not told a kind"},
};
enum { ROWS = sizeof rows / sizeof *rows };

static void append(char *buffer, size_t size, const char *text) {
  size_t used = strlen(buffer);
  snprintf(buffer + used, size - used, "%s", text);
}

/* ---- The rows of blocks and optimisers */

/* A block or an optimiser as owner of rows. */
typedef struct holder {
  const char *name;
  const mno_block *block;         /* or NULL */
  const mno_optimizer *optimizer; /* or NULL */
  size_t count;                   /* of its tensors or hyper-parameters */
} holder;

static holder holder_of(const mno_block *block, const mno_optimizer *optimizer) {
  return block ? (holder){block->name, block, NULL, block->tensors}
               : (holder){optimizer->name, NULL, optimizer, optimizer->knobs};
}

/* Number i of a kind; false: there are no more. */
static bool holder_at(mno_owner owner, size_t i, holder *h) {
  size_t blocks, optimizers;
  const mno_block *const *block = mno_blocks(&blocks);
  const mno_optimizer *const *optimizer = mno_optimizers(&optimizers);
  bool of_block = owner == MNO_OWNER_BLOCK;
  if (i >= (of_block ? blocks : optimizers)) return false;
  *h = of_block ? holder_of(block[i], NULL) : holder_of(NULL, optimizer[i]);
  return true;
}

static const char *name_of(const holder *h, size_t j) {
  return h->block ? h->block->tensor[j].name : h->optimizer->knob[j].name;
}

static int place_in(const holder *h, const char *name) {
  for (size_t j = 0; j < h->count; j++)
    if (strcmp(name_of(h, j), name) == 0) return (int)j;
  return -1;
}

/* Names of the blocks or optimisers, computed and documented. */
static void list_names(mno_owner owner, mno_choices *choices, mno_choice list[MNO_NAMES_MOST]) {
  holder h;
  int known;
  choices->choice = list;
  for (size_t i = 0; i < MNO_NAMES_MOST && holder_at(owner, i, &h); i++)
    list[choices->count++] = (mno_choice){h.name, (int)i};
  for (size_t i = 0; i < DOCUMENTED && documented[owner][i] && choices->count < MNO_NAMES_MOST; i++)
    if (!mno_choice_named(choices, documented[owner][i], &known))
      list[choices->count++] = (mno_choice){documented[owner][i], MNO_NOT_COMPUTED};
}

/* The text with the name in the place of every "*". */
static const char *with_name(char *buffer, size_t size, const char *text, const char *name) {
  for (buffer[0] = '\0'; *text; text++) append(buffer, size, *text == '*' ? name : (const char[]){*text, '\0'});
  return buffer;
}

static mno_status add_rule(mno_schema *s, const mno_rule *rule, mno_error *err) {
  if (s->count == MNO_RULES_MOST)
    return mno_fail(err, MNO_ERR_INTERNAL, "a configuration has more than %d keys", MNO_RULES_MOST);
  s->rule[s->count++] = *rule;
  return MNO_OK;
}

/* The row of number j of a holder, unless another one that has it too has brought it. */
static mno_status add_owned(mno_schema *s, const mno_rule *row, const holder *h, size_t j, mno_error *err) {
  mno_rule rule = *row;
  if (h->optimizer) {
    const mno_knob_spec *knob = &h->optimizer->knob[j];
    rule.fallback = knob->fallback;
    rule.low = knob->low;
    rule.high = knob->high;
    rule.below = knob->below;
    rule.meaning = knob->meaning;
  }
  rule.owned = name_of(h, j);
  for (size_t f = 0; f < s->count; f++)
    if (s->rule[f].value == row->value && strcmp(s->rule[f].owned, rule.owned) == 0) return MNO_OK;
  size_t used = s->count < MNO_RULES_MOST ? s->count : 0;
  rule.key = with_name(s->text[used].key, sizeof s->text->key, row->key, rule.owned);
  rule.meaning = with_name(s->text[used].meaning, sizeof s->text->meaning, rule.meaning, rule.owned);
  return add_rule(s, &rule, err);
}

/* What the row of the optimiser says, and what each of them is. */
static const char *with_meanings(char *buffer, size_t size, const char *meaning) {
  holder h;
  buffer[0] = '\0';
  append(buffer, size, meaning);
  for (size_t i = 0; holder_at(MNO_OWNER_OPTIMIZER, i, &h); i++) {
    const char *const parts[] = {i ? ", " : "; ", h.name, " is ", h.optimizer->meaning};
    for (size_t j = 0; j < sizeof parts / sizeof *parts; j++) append(buffer, size, parts[j]);
  }
  return buffer;
}

static mno_status add_row(mno_schema *s, const mno_rule *row, mno_error *err) {
  mno_status status = MNO_OK;
  holder h;
  for (size_t i = 0; row->owner && holder_at(row->owner, i, &h); i++)
    for (size_t j = 0; j < h.count && status == MNO_OK; j++) status = add_owned(s, row, &h, j, err);
  if (row->owner) return status;
  mno_rule rule = *row;
  if (row->type == MNO_RULE_BLOCK) rule.choices = &s->blocks;
  if (row->type == MNO_RULE_OPTIMIZER) {
    rule.choices = &s->optimizers;
    rule.meaning = with_meanings(s->optimizer_meaning, sizeof s->optimizer_meaning, row->meaning);
  }
  return add_rule(s, &rule, err);
}

mno_status mno_schema_new(mno_schema **schema, mno_error *err) {
  mno_schema *s = mno_alloc(1, sizeof *s);
  if (!s) return mno_fail_memory(err, sizeof *s, "the table of keys");
  list_names(MNO_OWNER_BLOCK, &s->blocks, s->block);
  list_names(MNO_OWNER_OPTIMIZER, &s->optimizers, s->optimizer);
  mno_status status = MNO_OK;
  for (size_t i = 0; i < ROWS && status == MNO_OK; i++) status = add_row(s, &rows[i], err);
  if (status == MNO_OK)
    *schema = s;
  else
    free(s);
  return status;
}

int mno_rule_place(const mno_rule *rule, const mno_sweep *sweep) {
  holder h = holder_of(rule->owner == MNO_OWNER_BLOCK ? sweep->model.block : NULL, sweep->training.optimizer);
  return place_in(&h, rule->owned);
}

const char *mno_rule_owners(const mno_rule *rule, char *buffer, size_t size) {
  size_t owners = 0, i = 0;
  holder h;
  snprintf(buffer, size, rule->owner == MNO_OWNER_BLOCK ? "block" : "optimizer");
  for (; rule->owner && holder_at(rule->owner, i, &h); i++) {
    if (place_in(&h, rule->owned) < 0) continue;
    append(buffer, size, owners++ ? ", " : " ");
    append(buffer, size, h.name);
  }
  if (owners == i) buffer[0] = '\0';
  return buffer;
}

/* ---- What a key accepts */

/* A number without the filling of %g's exponents: 1e6, 1e-6. */
static void append_number(char *buffer, size_t size, double number) {
  char text[32];
  snprintf(text, sizeof text, "%g", number);
  char *exponent = strchr(text, 'e');
  if (exponent) sprintf(exponent + 1, "%d", atoi(exponent + 1));
  append(buffer, size, text);
}

const char *mno_rule_accepts(const mno_rule *rule, char *buffer, size_t size) {
  buffer[0] = '\0';
  switch (rule->type) {
  case MNO_RULE_SEEDS: snprintf(buffer, size, "a count from 1 to 1000000, or a list of integers from 0 to 2^63-1"); break;
  case MNO_RULE_STEPS: append(buffer, size, "\"all\" or a list of steps from 0 to training.steps"); break;
  case MNO_RULE_INTEGER:
  case MNO_RULE_INTEGERS:
    if (rule->to == INT64_MAX)
      snprintf(buffer, size, "integers from %" PRId64 " to 2^63-1", rule->from);
    else
      snprintf(buffer, size, "integers from %" PRId64 " to %" PRId64, rule->from, rule->to);
    break;
  case MNO_RULE_REAL:
  case MNO_RULE_REALS:
    append(buffer, size, "numbers from ");
    append_number(buffer, size, rule->low);
    append(buffer, size, rule->below ? " to below " : " to ");
    append_number(buffer, size, rule->high);
    break;
  case MNO_RULE_FLAG: append(buffer, size, "true, false"); break;
  case MNO_RULE_TEXT: append(buffer, size, "text that is not empty"); break;
  default:
    for (size_t i = 0, shown = 0; i < rule->choices->count; i++) {
      if (rule->choices->choice[i].value == MNO_NOT_COMPUTED) continue;
      if (shown++) append(buffer, size, ", ");
      append(buffer, size, rule->choices->choice[i].name);
    }
  }
  return buffer;
}
