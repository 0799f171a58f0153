#include "config/read.h"

#include "config/number.h"
#include "core/memory.h"
#include "core/nearest.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 80, ACCEPTS_SIZE = 400, GRID_LONGEST = 10000 };

/* The key in messages: "sweep.L". */
static const char *full_name(const mno_field *field, char buffer[NAME_SIZE]) {
  snprintf(buffer, NAME_SIZE, "%s.%s", field->section, field->key);
  return buffer;
}

/* "NAME is VALUE; accepted: ..." at the value. */
static mno_status refuse(const mno_reader *r, const mno_node *node, const char *name, const char *hint,
                         const char *accepts) {
  char quoted[MNO_QUOTE_SIZE];
  const char *value = mno_node_describe(node);
  double number;
  if (node->kind == MNO_NODE_SCALAR && !mno_node_is_null(node)) {
    bool number_like = node->plain && mno_number_real(node->text, &number) != MNO_NUMBER_NONE;
    value = number_like && strlen(node->text) < 40 ? node->text : mno_quote(quoted, node->text);
    if (!node->plain && mno_number_real(node->text, &number) == MNO_NUMBER_OK) hint = ": leave out the quotes";
  }
  return mno_source_fail(r->source, node->mark, r->err, "%s is %s%s; accepted: %s", name, value, hint, accepts);
}

static mno_status read_integer(const mno_reader *r, const mno_node *node, const char *name, int64_t from, int64_t to,
                               const char *accepts, int64_t *value) {
  if (node->kind != MNO_NODE_SCALAR || !node->plain) return refuse(r, node, name, "", accepts);
  mno_number status = mno_number_integer(node->text, value);
  if (status == MNO_NUMBER_NONE) return refuse(r, node, name, mno_number_hint(node->text, 1), accepts);
  if (status == MNO_NUMBER_RANGE || *value < from || *value > to) return refuse(r, node, name, "", accepts);
  return MNO_OK;
}

static mno_status read_real(const mno_reader *r, const mno_node *node, const char *name, const mno_field *field,
                            const char *accepts, double *value) {
  if (node->kind != MNO_NODE_SCALAR || !node->plain) return refuse(r, node, name, "", accepts);
  mno_number status = mno_number_real(node->text, value);
  if (status == MNO_NUMBER_NONE) return refuse(r, node, name, mno_number_hint(node->text, 0), accepts);
  if (status == MNO_NUMBER_RANGE || *value < field->low || *value > field->high || (field->below && *value == field->high))
    return refuse(r, node, name, "", accepts);
  *value += 0.0; /* -0 is 0 */
  return MNO_OK;
}

static mno_status read_flag(const mno_reader *r, const mno_node *node, const char *name, const char *accepts, bool *value) {
  static const char *const yes[] = {"true", "True", "TRUE"}, *const no[] = {"false", "False", "FALSE"};
  for (int i = 0; i < 3 && node->kind == MNO_NODE_SCALAR && node->plain; i++) {
    *value = strcmp(node->text, yes[i]) == 0;
    if (*value || strcmp(node->text, no[i]) == 0) return MNO_OK;
  }
  return refuse(r, node, name, "", accepts);
}

static mno_status read_choice(const mno_reader *r, const mno_field *field, const mno_node *node, int *value) {
  char name[NAME_SIZE], accepts[ACCEPTS_SIZE], quoted[MNO_QUOTE_SIZE];
  full_name(field, name);
  mno_field_accepts(field, accepts, sizeof accepts);
  if (node->kind != MNO_NODE_SCALAR || mno_node_is_null(node)) return refuse(r, node, name, "", accepts);
  const char *names[16];
  for (size_t i = 0; i < field->choice_count; i++) {
    names[i] = field->choice[i].name;
    if (strcmp(node->text, names[i]) != 0) continue;
    *value = field->choice[i].value;
    if (*value == MNO_NOT_COMPUTED)
      return mno_source_fail(r->source, node->mark, r->err, "%s \"%s\" is not computed by this version; accepted: %s", name,
                             names[i], accepts);
    return MNO_OK;
  }
  const char *nearest = mno_nearest(node->text, names, field->choice_count);
  if (nearest)
    return mno_source_fail(r->source, node->mark, r->err, "%s is %s; did you mean \"%s\"? Accepted: %s", name,
                           mno_quote(quoted, node->text), nearest, accepts);
  return refuse(r, node, name, "", accepts);
}

/* A choice or a list of distinct choices; "none" stands alone and is not counted. */
static mno_status read_choices(const mno_reader *r, const mno_field *field, const mno_node *node, int *value, mno_mark *mark,
                               size_t *count) {
  const mno_node *first = node->kind == MNO_NODE_LIST ? node->child : node;
  char name[NAME_SIZE];
  full_name(field, name);
  if (!first) return mno_source_fail(r->source, node->mark, r->err, "%s is an empty list; write none", name);
  bool none = false;
  *count = 0;
  for (const mno_node *item = first; item; item = item == node ? NULL : item->next) {
    int choice = 0;
    mno_status status = read_choice(r, field, item, &choice);
    if (status != MNO_OK) return status;
    for (size_t i = 0; i < *count; i++)
      if (value[i] == choice) return mno_source_fail(r->source, item->mark, r->err, "%s repeats \"%s\"", name, item->text);
    none = none || strcmp(item->text, "none") == 0;
    if (none && (*count > 0 || item != first))
      return mno_source_fail(r->source, item->mark, r->err, "%s: \"none\" stands alone; leave out the other values", name);
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
    for (size_t f = 0; f < mno_schema_count && !nearest; f++)
      if (strcmp(k->text, mno_schema[f].key) == 0) home = mno_schema[f].section;
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

/* Values of a list under construction. key: what tells values apart, as an integer (a real by its bits). */
typedef struct entry {
  int64_t key;
  double real;
  mno_mark mark;
  size_t index;
} entry;

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
static mno_status check_distinct(const mno_reader *r, const char *name, entry *e, size_t count, bool sorted) {
  qsort(e, count, sizeof *e, by_key);
  const entry *again = NULL;
  for (size_t i = 1; i < count; i++)
    if (e[i].key == e[i - 1].key && (!again || e[i].index < again->index)) again = &e[i];
  if (again) return mno_source_fail(r->source, again->mark, r->err, "%s repeats %g", name, again->real);
  if (!sorted) qsort(e, count, sizeof *e, by_index);
  return MNO_OK;
}

static mno_status read_number(const mno_reader *r, const mno_field *field, const char *name, const mno_node *node,
                              entry *e) {
  char accepts[ACCEPTS_SIZE];
  mno_field_accepts(field, accepts, sizeof accepts);
  e->mark = node->mark;
  if (field->type == MNO_FIELD_REALS) {
    mno_status status = read_real(r, node, name, field, accepts, &e->real);
    memcpy(&e->key, &e->real, sizeof e->key);
    return status;
  }
  mno_status status = read_integer(r, node, name, field->from, field->to, accepts, &e->key);
  e->real = (double)e->key;
  return status;
}

/* {from, to, count, spacing}: integers are rounded, and values that round to the same integer are taken once. */
static mno_status read_grid(const mno_reader *r, const mno_field *field, const mno_node *node, entry **made, size_t *count) {
  enum { FROM, TO, COUNT, SPACING, KEYS };
  static const char *const names[KEYS] = {"from", "to", "count", "spacing"};
  const mno_node *key[KEYS];
  char name[NAME_SIZE], part[NAME_SIZE + 16];
  full_name(field, name);
  mno_status status = mno_read_keys(r, node, name, names, KEYS, key);
  for (int i = 0; i < SPACING && status == MNO_OK; i++)
    if (!key[i])
      status = mno_source_fail(r->source, node->mark, r->err,
                               "%s: the grid has no \"%s\"; write {from: .., to: .., count: .., "
                               "spacing: log}",
                               name, names[i]);
  if (status != MNO_OK) return status;
  entry end[2] = {0};
  for (int i = FROM; i <= TO && status == MNO_OK; i++) {
    snprintf(part, sizeof part, "%s.%s", name, names[i]);
    status = read_number(r, field, part, key[i]->next, &end[i]);
  }
  int64_t points = 0;
  if (status == MNO_OK) {
    snprintf(part, sizeof part, "%s.count", name);
    status = read_integer(r, key[COUNT]->next, part, 1, GRID_LONGEST, "integers from 1 to 10000", &points);
  }
  if (status != MNO_OK) return status;
  if (end[TO].real < end[FROM].real || (end[TO].real == end[FROM].real && points > 1))
    return mno_source_fail(r->source, end[TO].mark, r->err, "%s: the grid's \"to\" must be above its \"from\"", name);
  if (points == 1 && end[TO].real != end[FROM].real)
    return mno_source_fail(r->source, key[COUNT]->next->mark, r->err,
                           "%s: a grid from one value to another has a count of at least 2", name);
  bool logarithmic = true;
  if (key[SPACING]) {
    static const mno_choice spacings[] = {{"log", 1}, {"linear", 0}};
    const mno_field spacing = {
        .section = name, .key = "spacing", .type = MNO_FIELD_CHOICE, .choice = spacings, .choice_count = 2};
    int choice = 1;
    status = read_choice(r, &spacing, key[SPACING]->next, &choice);
    if (status != MNO_OK) return status;
    logarithmic = choice;
  }
  entry *e = mno_alloc((size_t)points, sizeof *e);
  if (!e) return mno_fail_memory(r->err, (size_t)points * sizeof *e, "a grid");
  *count = 0;
  double a = end[FROM].real, b = end[TO].real;
  for (int64_t i = 0; i < points; i++) {
    double t = points > 1 ? (double)i / (double)(points - 1) : 0;
    double v = i == 0 ? a : i == points - 1 ? b : logarithmic ? a * pow(b / a, t) : a + (b - a) * t;
    entry next = {.real = v, .mark = node->mark, .index = *count};
    if (field->type == MNO_FIELD_REALS)
      memcpy(&next.key, &v, sizeof next.key);
    else
      next.key = llround(v);
    if (*count == 0 || next.key > e[*count - 1].key) e[(*count)++] = next;
  }
  *made = e;
  return MNO_OK;
}

/* A number, a list of distinct numbers or (grid) a grid. */
static mno_status read_numbers(const mno_reader *r, const mno_field *field, const mno_node *node, bool grid, bool sorted,
                               entry **made, size_t *count) {
  char name[NAME_SIZE], accepts[ACCEPTS_SIZE];
  full_name(field, name);
  if (node->kind == MNO_NODE_MAP && grid) return read_grid(r, field, node, made, count);
  mno_field_accepts(field, accepts, sizeof accepts);
  if (node->kind == MNO_NODE_MAP) return refuse(r, node, name, "", accepts);
  if (node->kind == MNO_NODE_LIST && node->count == 0)
    return mno_source_fail(r->source, node->mark, r->err, "%s is an empty list; accepted: %s", name, accepts);
  *count = node->kind == MNO_NODE_LIST ? node->count : 1;
  entry *e = mno_alloc(*count, sizeof *e);
  if (!e) return mno_fail_memory(r->err, *count * sizeof *e, "a list");
  const mno_node *item = node->kind == MNO_NODE_LIST ? node->child : node;
  mno_status status = MNO_OK;
  for (size_t i = 0; i < *count && status == MNO_OK; i++, item = item->next) {
    status = read_number(r, field, name, item, &e[i]);
    e[i].index = i;
  }
  if (status == MNO_OK) status = check_distinct(r, name, e, *count, sorted);
  if (status != MNO_OK) {
    free(e);
    return status;
  }
  *made = e;
  return MNO_OK;
}

static mno_status read_integers(const mno_reader *r, const mno_field *field, const mno_node *node, mno_integers *out) {
  entry *e = NULL;
  size_t count = 0;
  mno_status status = read_numbers(r, field, node, true, false, &e, &count);
  if (status != MNO_OK) return status;
  out->value = mno_alloc(count, sizeof *out->value);
  out->mark = mno_alloc(count, sizeof *out->mark);
  out->count = out->value && out->mark ? count : 0;
  for (size_t i = 0; i < out->count; i++) {
    out->value[i] = e[i].key;
    out->mark[i] = e[i].mark;
  }
  free(e);
  return out->count ? MNO_OK : mno_fail_memory(r->err, count * sizeof *out->value, "a list");
}

static mno_status read_reals(const mno_reader *r, const mno_field *field, const mno_node *node, mno_reals *out) {
  entry *e = NULL;
  size_t count = 0;
  mno_status status = read_numbers(r, field, node, true, false, &e, &count);
  if (status != MNO_OK) return status;
  out->value = mno_alloc(count, sizeof *out->value);
  out->mark = mno_alloc(count, sizeof *out->mark);
  out->count = out->value && out->mark ? count : 0;
  for (size_t i = 0; i < out->count; i++) {
    out->value[i] = e[i].real;
    out->mark[i] = e[i].mark;
  }
  free(e);
  return out->count ? MNO_OK : mno_fail_memory(r->err, count * sizeof *out->value, "a list");
}

static mno_status read_seeds(const mno_reader *r, const mno_field *field, const mno_node *node) {
  mno_sweep *sweep = r->sweep;
  char name[NAME_SIZE], accepts[ACCEPTS_SIZE];
  full_name(field, name);
  mno_field_accepts(field, accepts, sizeof accepts);
  entry *e = NULL;
  size_t count = 0;
  if (node->kind == MNO_NODE_MAP) return refuse(r, node, name, "", accepts);
  if (node->kind == MNO_NODE_SCALAR) {
    int64_t number = 0;
    mno_status status = read_integer(r, node, name, field->from, field->to, accepts, &number);
    if (status != MNO_OK) return status;
    count = (size_t)number;
  } else {
    mno_field each = *field;
    each.type = MNO_FIELD_INTEGER;
    each.from = 0;
    each.to = INT64_MAX;
    mno_status status = read_numbers(r, &each, node, false, false, &e, &count);
    if (status != MNO_OK) return status;
  }
  sweep->sweep.seed = mno_alloc(count, sizeof *sweep->sweep.seed);
  for (size_t i = 0; i < count && sweep->sweep.seed; i++) sweep->sweep.seed[i] = e ? (uint64_t)e[i].key : i;
  free(e);
  sweep->sweep.seed_count = count;
  return sweep->sweep.seed ? MNO_OK : mno_fail_memory(r->err, count * sizeof *sweep->sweep.seed, "the seeds");
}

static mno_status read_steps(const mno_reader *r, const mno_field *field, const mno_node *node) {
  mno_sweep *sweep = r->sweep;
  int64_t K = sweep->training.steps;
  entry *e = NULL;
  size_t count = (size_t)K + 1;
  if (node->kind != MNO_NODE_SCALAR || strcmp(node->text, "all") != 0) {
    if (node->kind == MNO_NODE_SCALAR && (!node->plain || mno_node_describe(node)[0] == 't')) {
      char name[NAME_SIZE], accepts[ACCEPTS_SIZE];
      return refuse(r, node, full_name(field, name), "", mno_field_accepts(field, accepts, sizeof accepts));
    }
    mno_field each = *field;
    each.type = MNO_FIELD_INTEGER;
    each.to = K;
    mno_status status = read_numbers(r, &each, node, false, true, &e, &count);
    if (status != MNO_OK) return status;
  }
  sweep->record.step = mno_alloc(count, sizeof *sweep->record.step);
  for (size_t i = 0; i < count && sweep->record.step; i++) sweep->record.step[i] = e ? e[i].key : (int64_t)i;
  free(e);
  sweep->record.step_count = count;
  return sweep->record.step ? MNO_OK : mno_fail_memory(r->err, count * sizeof *sweep->record.step, "the recorded steps");
}

static mno_status read_text(const mno_reader *r, const mno_field *field, const mno_node *node, char **text) {
  char name[NAME_SIZE];
  if (node->kind != MNO_NODE_SCALAR || mno_node_is_null(node) || !*node->text)
    return refuse(r, node, full_name(field, name), "", "text that is not empty");
  *text = strdup(node->text);
  return *text ? MNO_OK : mno_fail_memory(r->err, strlen(node->text), "a text");
}

static mno_status read_limits(const mno_reader *r, const mno_field *field, const mno_node *node) {
  int value[8];
  mno_mark mark[8];
  size_t count = 0;
  mno_status status = read_choices(r, field, node, value, mark, &count);
  if (status != MNO_OK) return status;
  r->sweep->limit.count = count;
  for (size_t i = 0; i < count; i++) {
    r->sweep->limit.kind[i] = (mno_limit_kind)value[i];
    r->sweep->limit.mark[i] = mark[i];
  }
  return MNO_OK;
}

mno_status mno_read_value(const mno_reader *r, const mno_field *field, const mno_node *node) {
  char nowhere[sizeof(double)], name[NAME_SIZE], accepts[ACCEPTS_SIZE];
  void *value = field->value == MNO_NOWHERE ? nowhere : (char *)r->sweep + field->value;
  if (field->mark != MNO_NOWHERE) *(mno_mark *)((char *)r->sweep + field->mark) = node->mark;
  full_name(field, name);
  mno_field_accepts(field, accepts, sizeof accepts);
  switch (field->type) {
  case MNO_FIELD_INTEGER: return read_integer(r, node, name, field->from, field->to, accepts, value);
  case MNO_FIELD_REAL: return read_real(r, node, name, field, accepts, value);
  case MNO_FIELD_FLAG: return read_flag(r, node, name, accepts, value);
  case MNO_FIELD_CHOICE: return read_choice(r, field, node, value);
  case MNO_FIELD_BITS: {
    int choice[8];
    mno_mark mark[8];
    size_t count = 0;
    mno_status status = read_choices(r, field, node, choice, mark, &count);
    unsigned bits = 0;
    for (size_t i = 0; i < count; i++) bits |= (unsigned)choice[i];
    *(unsigned *)value = bits;
    return status;
  }
  case MNO_FIELD_TEXT: return read_text(r, field, node, value);
  case MNO_FIELD_INTEGERS: return read_integers(r, field, node, value);
  case MNO_FIELD_REALS: return read_reals(r, field, node, value);
  case MNO_FIELD_LIMITS: return read_limits(r, field, node);
  case MNO_FIELD_SEEDS: return read_seeds(r, field, node);
  default: return read_steps(r, field, node);
  }
}
