/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/read.h"

#include "config/number.h"
#include "core/memory.h"
#include "core/nearest.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 80, ACCEPTS_SIZE = 400 };

/* A message that begins with the key, "sweep.L". */
static mno_status fail(const mno_reader *r, const mno_rule *rule, const mno_node *node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static mno_status fail(const mno_reader *r, const mno_rule *rule, const mno_node *node, const char *format, ...) {
  char message[1000];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  return mno_source_fail(r->source, node->mark, r->err, "%s.%s%s", rule->section, rule->key, message);
}

/* "NAME is VALUE; accepted: ..." at the value. */
static mno_status refuse(const mno_reader *r, const mno_rule *rule, const mno_node *node, const char *hint) {
  char accepts[ACCEPTS_SIZE], quoted[MNO_QUOTE_SIZE];
  const char *value = mno_node_describe(node);
  double number;
  if (node->kind == MNO_NODE_SCALAR && !mno_node_is_null(node)) {
    bool number_like = node->plain && mno_number_real(node->text, &number) != MNO_NUMBER_NONE;
    value = number_like && strlen(node->text) < 40 ? node->text : mno_quote(quoted, node->text);
    if (!node->plain && mno_number_real(node->text, &number) == MNO_NUMBER_OK) hint = ": leave out the quotes";
  }
  return fail(r, rule, node, " is %s%s; accepted: %s", value, hint, mno_rule_accepts(rule, accepts, sizeof accepts));
}

/* A value of a list under construction. */
typedef struct entry {
  int64_t key; /* what tells values apart: the integer, or the bits of the real */
  double real;
  const mno_node *node;
  size_t index;
} entry;

static mno_status read_number(const mno_reader *r, const mno_rule *rule, const mno_node *node, entry *e) {
  bool real = rule->type == MNO_RULE_REAL || rule->type == MNO_RULE_REALS;
  e->node = node;
  if (node->kind != MNO_NODE_SCALAR || !node->plain) return refuse(r, rule, node, "");
  mno_number status = real ? mno_number_real(node->text, &e->real) : mno_number_integer(node->text, &e->key);
  if (status == MNO_NUMBER_NONE) return refuse(r, rule, node, mno_number_hint(node->text, !real));
  if (status == MNO_NUMBER_RANGE) return refuse(r, rule, node, "");
  bool inside = real ? e->real >= rule->low && (rule->below ? e->real < rule->high : e->real <= rule->high)
                     : e->key >= rule->from && e->key <= rule->to;
  if (!inside) return refuse(r, rule, node, "");
  if (real) {
    e->real += 0.0; /* -0 is 0 */
    memcpy(&e->key, &e->real, sizeof e->key);
  } else {
    e->real = (double)e->key;
  }
  return MNO_OK;
}

static mno_status read_flag(const mno_reader *r, const mno_rule *rule, const mno_node *node, bool *value) {
  static const char *const yes[] = {"true", "True", "TRUE"}, *const no[] = {"false", "False", "FALSE"};
  for (int i = 0; i < 3 && node->kind == MNO_NODE_SCALAR && node->plain; i++) {
    *value = strcmp(node->text, yes[i]) == 0;
    if (*value || strcmp(node->text, no[i]) == 0) return MNO_OK;
  }
  return refuse(r, rule, node, "");
}

static mno_status read_choice(const mno_reader *r, const mno_rule *rule, const mno_node *node, int *value) {
  char accepts[ACCEPTS_SIZE], quoted[MNO_QUOTE_SIZE];
  mno_rule_accepts(rule, accepts, sizeof accepts);
  if (node->kind != MNO_NODE_SCALAR || mno_node_is_null(node)) return refuse(r, rule, node, "");
  if (mno_choice_named(rule->choices, node->text, value)) {
    if (*value != MNO_NOT_COMPUTED) return MNO_OK;
    return fail(r, rule, node, " \"%s\" is not computed by this version; accepted: %s", node->text, accepts);
  }
  const char *names[MNO_NAMES_MOST];
  for (size_t i = 0; i < rule->choices->count; i++) names[i] = rule->choices->choice[i].name;
  const char *nearest = mno_nearest(node->text, names, rule->choices->count);
  if (nearest)
    return fail(r, rule, node, " is %s; did you mean \"%s\"? Accepted: %s", mno_quote(quoted, node->text), nearest, accepts);
  return refuse(r, rule, node, "");
}

/* A choice or a list of distinct choices; "none" stands alone and is not counted. */
static mno_status read_choices(const mno_reader *r, const mno_rule *rule, const mno_node *node, int *value, mno_mark *mark,
                               size_t *count) {
  const mno_node *first = node->kind == MNO_NODE_LIST ? node->child : node;
  if (!first) return fail(r, rule, node, " is an empty list; write none");
  bool none = false;
  *count = 0;
  for (const mno_node *item = first; item; item = item == node ? NULL : item->next) {
    int choice = 0;
    mno_status status = read_choice(r, rule, item, &choice);
    if (status != MNO_OK) return status;
    for (size_t i = 0; i < *count; i++)
      if (value[i] == choice) return fail(r, rule, item, " repeats \"%s\"", item->text);
    none = none || strcmp(item->text, "none") == 0;
    if (none && (*count > 0 || item != first))
      return fail(r, rule, item, ": \"none\" stands alone; leave out the other values");
    if (none) continue;
    value[*count] = choice;
    mark[(*count)++] = item->mark;
  }
  return MNO_OK;
}

mno_status mno_read_keys(const mno_reader *r, const mno_node *map, const char *where, const char *const *names, size_t count,
                         const mno_node **key) {
  char quoted[MNO_QUOTE_SIZE], list[ACCEPTS_SIZE] = "";
  const char *in = *where ? " in " : "";
  for (size_t i = 0; i < count; i++) {
    key[i] = NULL;
    size_t used = strlen(list);
    snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
  }
  for (const mno_node *k = map->child; k; k = k->next->next) {
    if (k->kind != MNO_NODE_SCALAR)
      return mno_source_fail(r->source, k->mark, r->err, "a key must be a word; keys%s%s: %s", in, where, list);
    size_t i = 0;
    while (i < count && strcmp(k->text, names[i]) != 0) i++;
    if (i < count && key[i])
      return mno_source_fail(r->source, k->mark, r->err, "key \"%s\"%s%s is repeated; the first is in line %d", k->text, in,
                             where, key[i]->mark.line);
    if (i < count) {
      key[i] = k;
      continue;
    }
    const char *nearest = mno_nearest(k->text, names, count), *home = NULL;
    for (size_t f = 0; f < r->schema->count && !nearest; f++)
      if (strcmp(k->text, r->schema->rule[f].key) == 0) home = r->schema->rule[f].section;
    mno_quote(quoted, k->text);
    if (nearest)
      return mno_source_fail(r->source, k->mark, r->err, "unknown key %s%s%s; did you mean \"%s\"?", quoted, in, where,
                             nearest);
    if (home)
      return mno_source_fail(r->source, k->mark, r->err, "unknown key %s%s%s; it belongs to section %s", quoted, in, where,
                             home);
    return mno_source_fail(r->source, k->mark, r->err, "unknown key %s%s%s; accepted: %s", quoted, in, where, list);
  }
  return MNO_OK;
}

static int by_key(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return x->index < y->index ? -1 : 1;
}

static int by_index(const void *a, const void *b) {
  const entry *x = a, *y = b;
  return x->index < y->index ? -1 : 1;
}

/* Refuses repeated values; leaves the entries in the order of the file, or sorted. */
static mno_status check_distinct(const mno_reader *r, const mno_rule *rule, entry *e, size_t count, bool sorted) {
  qsort(e, count, sizeof *e, by_key);
  const entry *again = NULL;
  for (size_t i = 1; i < count; i++)
    if (e[i].key == e[i - 1].key && (!again || e[i].index < again->index)) again = &e[i];
  if (again) return fail(r, rule, again->node, " repeats %s", again->node->text);
  if (!sorted) qsort(e, count, sizeof *e, by_index);
  return MNO_OK;
}

/* Point i of 0..last of a grid of integers: rounded, exact at both ends. */
static int64_t integer_point(const entry *from, const entry *to, int64_t i, int64_t last, bool logarithmic) {
  if (i == 0) return from->key;
  if (logarithmic) {
    double value = from->real * pow(to->real / from->real, (double)i / (double)last);
    return i == last || value >= to->real ? to->key : llround(value);
  }
  int64_t span = to->key - from->key;
  return from->key + span / last * i + (2 * (span % last) * i + last) / (2 * last);
}

static double real_point(const entry *from, const entry *to, int64_t i, int64_t last, bool logarithmic) {
  double t = i == 0 ? 0 : (double)i / (double)last, a = from->real, b = to->real;
  return i == 0 ? a : i == last ? b : logarithmic ? a * pow(b / a, t) : a + (b - a) * t;
}

/* {from, to, count, spacing}: integers are rounded, and values that round to the same integer are taken once. */
static mno_status read_grid(const mno_reader *r, const mno_rule *rule, const mno_node *node, entry **made, size_t *count) {
  enum { FROM, TO, COUNT, SPACING, KEYS };
  static const char *const names[KEYS] = {"from", "to", "count", "spacing"};
  static const mno_choice names_of_spacings[] = {{"log", 1}, {"linear", 0}};
  static const mno_choices spacings = {2, names_of_spacings};
  const mno_node *key[KEYS];
  char name[NAME_SIZE];
  snprintf(name, sizeof name, "%s.%s", rule->section, rule->key);
  mno_status status = mno_read_keys(r, node, name, names, KEYS, key);
  if (status != MNO_OK) return status;
  for (int i = 0; i < SPACING; i++)
    if (!key[i])
      return fail(r, rule, node, ": the grid has no \"%s\"; write {from: .., to: .., count: .., spacing: log}", names[i]);
  mno_rule end = *rule;
  end.section = name;
  const mno_rule points = {
      .section = name, .key = names[COUNT], .type = MNO_RULE_INTEGER, .from = 1, .to = MNO_GRID_LONGEST};
  const mno_rule spacing = {.section = name, .key = names[SPACING], .type = MNO_RULE_CHOICE, .choices = &spacings};
  entry from = {0}, to = {0}, number = {0};
  int logarithmic = 1;
  end.key = names[FROM];
  status = read_number(r, &end, key[FROM]->next, &from);
  end.key = names[TO];
  if (status == MNO_OK) status = read_number(r, &end, key[TO]->next, &to);
  if (status == MNO_OK) status = read_number(r, &points, key[COUNT]->next, &number);
  if (status == MNO_OK && key[SPACING]) status = read_choice(r, &spacing, key[SPACING]->next, &logarithmic);
  if (status != MNO_OK) return status;
  int64_t last = number.key - 1;
  if (to.key < from.key || (to.key == from.key && last > 0)) /* bits of positive reals are ordered as the reals */
    return fail(r, rule, to.node, ": the grid's \"to\" must be above its \"from\"");
  if (last == 0 && to.key != from.key)
    return fail(r, rule, number.node, ": a grid from one value to another has a count of at least 2");
  if (logarithmic && from.real == 0 && last > 0)
    return fail(r, rule, from.node, ": a logarithmic grid starts above 0; start higher or write spacing: linear");
  entry *e = mno_alloc((size_t)number.key, sizeof *e);
  if (!e) return mno_fail_memory(r->err, (size_t)number.key * sizeof *e, "a grid");
  *count = 0;
  for (int64_t i = 0; i <= last; i++) {
    entry next = {.node = node, .index = *count};
    if (rule->type == MNO_RULE_REALS) {
      next.real = real_point(&from, &to, i, last, logarithmic);
      memcpy(&next.key, &next.real, sizeof next.key);
    } else {
      next.key = integer_point(&from, &to, i, last, logarithmic);
    }
    if (*count == 0 || next.key > e[*count - 1].key) e[(*count)++] = next;
  }
  *made = e;
  return MNO_OK;
}

/* A number, a list of distinct numbers or (grid) a grid. */
static mno_status read_numbers(const mno_reader *r, const mno_rule *rule, const mno_node *node, bool grid, bool sorted,
                               entry **made, size_t *count) {
  char accepts[ACCEPTS_SIZE];
  if (node->kind == MNO_NODE_MAP) return grid ? read_grid(r, rule, node, made, count) : refuse(r, rule, node, "");
  if (node->kind == MNO_NODE_LIST && node->count == 0)
    return fail(r, rule, node, " is an empty list; accepted: %s", mno_rule_accepts(rule, accepts, sizeof accepts));
  *count = node->kind == MNO_NODE_LIST ? node->count : 1;
  entry *e = mno_alloc(*count, sizeof *e);
  if (!e) return mno_fail_memory(r->err, *count * sizeof *e, "a list");
  const mno_node *item = node->kind == MNO_NODE_LIST ? node->child : node;
  mno_status status = MNO_OK;
  for (size_t i = 0; i < *count && status == MNO_OK; i++, item = item->next) {
    status = read_number(r, rule, item, &e[i]);
    e[i].index = i;
  }
  if (status == MNO_OK) status = check_distinct(r, rule, e, *count, sorted);
  if (status != MNO_OK) {
    free(e);
    return status;
  }
  *made = e;
  return MNO_OK;
}

/* Values and marks of a list that may be a grid, into an mno_integers or mno_reals. */
static mno_status read_values(const mno_reader *r, const mno_rule *rule, const mno_node *node, void *list) {
  mno_integers *integers = rule->type == MNO_RULE_INTEGERS ? list : NULL;
  mno_reals *reals = integers ? NULL : list;
  entry *e = NULL;
  size_t count = 0;
  mno_status status = read_numbers(r, rule, node, true, false, &e, &count);
  if (status != MNO_OK) return status;
  mno_mark *mark = mno_alloc(count, sizeof *mark);
  if (integers)
    *integers = (mno_integers){count, mno_alloc(count, sizeof *integers->value), mark};
  else
    *reals = (mno_reals){count, mno_alloc(count, sizeof *reals->value), mark};
  bool made = mark && (integers ? integers->value != NULL : reals->value != NULL);
  for (size_t i = 0; i < count && made; i++) {
    mark[i] = e[i].node->mark;
    if (integers)
      integers->value[i] = e[i].key;
    else
      reals->value[i] = e[i].real;
  }
  free(e);
  return made ? MNO_OK : mno_fail_memory(r->err, count * sizeof e->key, "a list");
}

/* The integers of a list, sorted if that is asked for; without a list 0..*count-1. */
static mno_status read_indices(const mno_reader *r, const mno_rule *each, const mno_node *list, bool sorted, size_t *count,
                               int64_t **made) {
  entry *e = NULL;
  mno_status status = list ? read_numbers(r, each, list, false, sorted, &e, count) : MNO_OK;
  if (status != MNO_OK) return status;
  *made = mno_alloc(*count, sizeof **made);
  for (size_t i = 0; i < *count && *made; i++) (*made)[i] = e ? e[i].key : (int64_t)i;
  free(e);
  return *made ? MNO_OK : mno_fail_memory(r->err, *count * sizeof **made, "a list");
}

static mno_status read_seeds(const mno_reader *r, const mno_rule *rule, const mno_node *node) {
  const bool is_list = node->kind == MNO_NODE_LIST;
  mno_rule each = *rule;
  each.type = MNO_RULE_INTEGER;
  each.from = 0;
  each.to = INT64_MAX;
  entry number = {0};
  int64_t *seed = NULL;
  mno_status status = is_list ? MNO_OK : read_number(r, rule, node, &number);
  r->sweep->sweep.seed_count = (size_t)number.key;
  if (status == MNO_OK) status = read_indices(r, &each, is_list ? node : NULL, false, &r->sweep->sweep.seed_count, &seed);
  r->sweep->sweep.seed = (uint64_t *)seed;
  return status;
}

static mno_status read_steps(const mno_reader *r, const mno_rule *rule, const mno_node *node) {
  const bool is_word = node->kind == MNO_NODE_SCALAR, all = is_word && strcmp(node->text, "all") == 0;
  mno_sweep *sweep = r->sweep;
  if (is_word && !all && (!node->plain || mno_node_describe(node)[0] == 't')) return refuse(r, rule, node, "");
  mno_rule each = *rule;
  each.type = MNO_RULE_INTEGER;
  each.to = sweep->training.steps;
  sweep->record.step_count = (size_t)sweep->training.steps + 1;
  return read_indices(r, &each, all ? NULL : node, true, &sweep->record.step_count, &sweep->record.step);
}

static mno_status read_text(const mno_reader *r, const mno_rule *rule, const mno_node *node, char **text) {
  if (node->kind != MNO_NODE_SCALAR || mno_node_is_null(node) || !*node->text) return refuse(r, rule, node, "");
  *text = strdup(node->text);
  return *text ? MNO_OK : mno_fail_memory(r->err, strlen(node->text), "a text");
}

mno_status mno_read_value(const mno_reader *r, const mno_rule *rule, const mno_node *node) {
  void *value = (char *)r->sweep + rule->value + (rule->owner ? (size_t)mno_rule_place(rule, r->sweep) * sizeof(double) : 0);
  if (rule->mark) *(mno_mark *)((char *)r->sweep + rule->mark) = node->mark;
  switch (rule->type) {
  case MNO_RULE_INTEGER:
  case MNO_RULE_REAL: {
    entry number;
    mno_status status = read_number(r, rule, node, &number);
    if (status == MNO_OK && rule->type == MNO_RULE_REAL) *(double *)value = number.real;
    if (status == MNO_OK && rule->type == MNO_RULE_INTEGER) *(int64_t *)value = number.key;
    return status;
  }
  case MNO_RULE_FLAG: return read_flag(r, rule, node, value);
  case MNO_RULE_CHOICE: return read_choice(r, rule, node, value);
  case MNO_RULE_BLOCK:
  case MNO_RULE_OPTIMIZER: {
    int known;
    mno_status status = read_choice(r, rule, node, &known);
    if (status == MNO_OK && rule->type == MNO_RULE_BLOCK) *(const mno_block **)value = mno_block_named(node->text);
    if (status == MNO_OK && rule->type == MNO_RULE_OPTIMIZER)
      *(const mno_optimizer **)value = mno_optimizer_named(node->text);
    return status;
  }
  case MNO_RULE_BITS: {
    int choice[8];
    mno_mark mark[8];
    size_t count = 0;
    mno_status status = read_choices(r, rule, node, choice, mark, &count);
    unsigned bits = 0;
    for (size_t i = 0; i < count; i++) bits |= (unsigned)choice[i];
    *(unsigned *)value = bits;
    return status;
  }
  case MNO_RULE_TEXT: return read_text(r, rule, node, value);
  case MNO_RULE_INTEGERS:
  case MNO_RULE_REALS: return read_values(r, rule, node, value);
  case MNO_RULE_LIMITS:
    return read_choices(r, rule, node, (int *)r->sweep->limit.kind, r->sweep->limit.mark, &r->sweep->limit.count);
  case MNO_RULE_SEEDS: return read_seeds(r, rule, node);
  default: return read_steps(r, rule, node);
  }
}
