/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/read.h"
#include "core/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a configuration wrote: the key node of every rule of the schema and of every section, NULL where it did not. */
typedef struct written {
  const mno_node *section[MNO_SECTIONS];
  const mno_node *rule[MNO_RULES_MOST];
} written;

static size_t section_index(const char *name) {
  size_t i = 0;
  while (strcmp(mno_schema_sections[i].name, name) != 0) i++;
  return i;
}

static const mno_rule *find_rule(const mno_reader *r, const char *section, const char *key) {
  const mno_rule *rule = r->schema->rule;
  while (strcmp(rule->section, section) != 0 || strcmp(rule->key, key) != 0) rule++;
  return rule;
}

static const mno_node *find_key(const mno_reader *r, const written *w, const char *section, const char *key) {
  return w->rule[find_rule(r, section, key) - r->schema->rule];
}

/* Finds the keys of one section, whose rules stand together in the schema. */
static mno_status find_keys(const mno_reader *r, size_t section, const mno_node *map, written *w) {
  const mno_rule *rules = r->schema->rule;
  const char *name = mno_schema_sections[section].name, *names[MNO_RULES_MOST];
  size_t first = 0, count = 0;
  while (strcmp(rules[first].section, name) != 0) first++;
  for (; first + count < r->schema->count && strcmp(rules[first + count].section, name) == 0; count++)
    names[count] = rules[first + count].key;
  if (mno_node_is_null(map)) return MNO_OK;
  if (map->kind != MNO_NODE_MAP)
    return mno_source_fail(r->source, map->mark, r->err, "section %s holds %s; it needs lines \"key: value\", indented",
                           name, mno_node_describe(map));
  return mno_read_keys(r, map, name, names, count, w->rule + first);
}

/* Defaults go through the same readers as what users write. */
static mno_status read_default(const mno_reader *r, const mno_rule *rule) {
  char text[32];
  snprintf(text, sizeof text, "%s", rule->fallback);
  const mno_node node = {.kind = MNO_NODE_SCALAR, .text = text, .plain = true};
  return mno_read_value(r, rule, &node);
}

static mno_status fail_missing(const mno_reader *r, const written *w, const mno_rule *rule) {
  char accepts[400];
  return mno_source_fail(r->source, w->section[section_index(rule->section)]->mark, r->err,
                         "section %s has no key \"%s\"; accepted: %s", rule->section, rule->key,
                         mno_rule_accepts(rule, accepts, sizeof accepts));
}

/* What is written, or the default. A key of another block or optimiser than the chosen one must not be there. */
static mno_status read_rule(const mno_reader *r, const written *w, const mno_rule *rule) {
  const mno_node *key = w->rule[rule - r->schema->rule];
  if (rule->owner && mno_rule_place(rule, r->sweep) < 0) {
    char owners[200];
    if (!key) return MNO_OK;
    return mno_source_fail(r->source, key->mark, r->err, "%s.%s goes with %s, not %s; remove the key", rule->section,
                           rule->key, mno_rule_owners(rule, owners, sizeof owners),
                           rule->owner == MNO_OWNER_BLOCK ? mno_block_name(r->sweep->model.block)
                                                          : mno_optimizer_name(r->sweep->training.optimizer));
  }
  if (key) return mno_read_value(r, rule, key->next);
  if (rule->fallback) return read_default(r, rule);
  return rule->absent ? MNO_OK : fail_missing(r, w, rule);
}

/* Which keys of data go with which kind. */
static mno_status check_data(const mno_reader *r, const written *w) {
  static const char *const sizes[] = {"samples", "inputs", "targets"};
  mno_sweep *sweep = r->sweep;
  const mno_node *path = find_key(r, w, "data", "path"), *inputs = find_key(r, w, "data", "inputs"),
                 *targets = find_key(r, w, "data", "targets");
  if (path && sweep->data.kind != MNO_DATA_FILE)
    return mno_source_fail(r->source, path->mark, r->err,
                           "data.path goes with kind file only; remove it or write kind: file");
  switch (sweep->data.kind) {
  case MNO_DATA_GAUSSIAN:
    for (size_t i = 0; i < 3; i++)
      if (!find_key(r, w, "data", sizes[i])) return fail_missing(r, w, find_rule(r, "data", sizes[i]));
    break;
  case MNO_DATA_DIGITS:
    if (sweep->data.samples > MNO_DIGITS_SAMPLES)
      return mno_source_fail(r->source, sweep->data.samples_mark, r->err, "the digits have %d samples; accepted: 1 to %d",
                             MNO_DIGITS_SAMPLES, MNO_DIGITS_SAMPLES);
    if (inputs && sweep->data.inputs != MNO_DIGITS_INPUTS)
      return mno_source_fail(r->source, inputs->next->mark, r->err, "the digits have %d inputs; remove the key",
                             MNO_DIGITS_INPUTS);
    if (targets && sweep->data.targets != MNO_DIGITS_TARGETS)
      return mno_source_fail(r->source, targets->next->mark, r->err, "the digits have %d targets; remove the key",
                             MNO_DIGITS_TARGETS);
    sweep->data.inputs = MNO_DIGITS_INPUTS;
    sweep->data.targets = MNO_DIGITS_TARGETS;
    break;
  case MNO_DATA_FILE:
    if (!path) return fail_missing(r, w, find_rule(r, "data", "path"));
    if (inputs || targets)
      return mno_source_fail(r->source, (inputs ? inputs : targets)->mark, r->err,
                             "data.%s is read from the file; remove the key", inputs ? "inputs" : "targets");
    break;
  }
  if (sweep->data.kind == MNO_DATA_GAUSSIAN && sweep->training.loss == MNO_CROSS_ENTROPY)
    return mno_source_fail(r->source, sweep->training.loss_mark, r->err,
                           "cross-entropy needs targets that are probabilities, which data of kind gaussian does not have; "
                           "use kind digits or file, or loss: squared");
  return MNO_OK;
}

static mno_status read_all(const mno_reader *r, const mno_node *root) {
  written found = {0}, *w = &found;
  mno_sweep *sweep = r->sweep;
  const char *names[MNO_SECTIONS];
  for (size_t s = 0; s < MNO_SECTIONS; s++) names[s] = mno_schema_sections[s].name;
  mno_mark start = root ? root->mark : (mno_mark){1, 1};
  if (!root || mno_node_is_null(root))
    return mno_source_fail(r->source, start, r->err,
                           "the file is empty; a configuration has the sections data, model, training "
                           "and sweep");
  if (root->kind != MNO_NODE_MAP)
    return mno_source_fail(r->source, start, r->err, "a configuration is made of sections \"name:\", but here is %s",
                           mno_node_describe(root));
  mno_status status = mno_read_keys(r, root, "", names, MNO_SECTIONS, w->section);
  for (const mno_node *k = root->child; k && status == MNO_OK; k = k->next->next)
    status = find_keys(r, section_index(k->text), k->next, w);
  for (size_t s = 0; s < MNO_SECTIONS && status == MNO_OK; s++)
    if (mno_schema_sections[s].required && !w->section[s])
      status = mno_source_fail(r->source, start, r->err, "section \"%s\" is missing", names[s]);
  for (size_t f = 0; f < r->schema->count && status == MNO_OK; f++) status = read_rule(r, w, &r->schema->rule[f]);
  if (status == MNO_OK) status = check_data(r, w);
  if (status != MNO_OK) return status;
  const mno_node *data = w->section[section_index("data")], *record = w->section[section_index("record")];
  sweep->data.mark = data->mark;
  if (record) sweep->record.mark = record->mark;
  return MNO_OK;
}

mno_status mno_sweep_parse(const char *text, size_t length, const char *name, mno_sweep **sweep, mno_error *err) {
  const mno_source source = {name, text, length};
  mno_status status = mno_source_check(&source, err);
  if (status != MNO_OK) return status;
  mno_node *root = NULL;
  status = mno_tree_parse(&source, &root, err);
  if (status != MNO_OK) return status;
  mno_sweep *made = mno_alloc(1, sizeof *made);
  mno_schema *schema = NULL;
  status = mno_schema_new(&schema, err);
  if (made) {
    made->path = strdup(name);
    made->text = mno_alloc(length + 1, 1);
    made->text_length = length;
  }
  if (status == MNO_OK && made && made->text && made->path) {
    memcpy(made->text, text, length);
    const mno_reader reader = {.source = &source, .schema = schema, .sweep = made, .err = err};
    status = read_all(&reader, root);
  } else if (status == MNO_OK) {
    status = mno_fail_memory(err, length + sizeof *made, "the configuration");
  }
  free(schema);
  mno_tree_free(root);
  if (status == MNO_OK)
    *sweep = made;
  else
    mno_sweep_free(made);
  return status;
}

mno_status mno_sweep_load(const char *path, mno_sweep **sweep, mno_error *err) {
  FILE *file;
  do file = fopen(path, "rb");
  while (!file && errno == EINTR);
  if (!file) return mno_fail(err, MNO_ERR_IO, "%s: %s", path, strerror(errno));
  size_t size = MNO_SOURCE_LIMIT + 1;
  char *text = mno_alloc(size, 1);
  if (!text) {
    fclose(file);
    return mno_fail_memory(err, size, "the configuration");
  }
  size_t length = fread(text, 1, size, file);
  int failed = ferror(file) ? errno : 0;
  fclose(file);
  mno_status status;
  if (failed)
    status = mno_fail(err, MNO_ERR_IO, "%s: %s", path, strerror(failed));
  else if (length == size)
    status =
        mno_fail(err, MNO_ERR_INPUT, "%s: the file has more than %d bytes; is it a configuration?", path, MNO_SOURCE_LIMIT);
  else
    status = mno_sweep_parse(text, length, path, sweep, err);
  free(text);
  return status;
}

void mno_sweep_free(mno_sweep *sweep) {
  if (!sweep) return;
  free(sweep->path);
  free(sweep->text);
  free(sweep->data.seed.value);
  free(sweep->data.seed.mark);
  free(sweep->data.path);
  free(sweep->model.D.value);
  free(sweep->model.D.mark);
  free(sweep->model.alpha.value);
  free(sweep->model.alpha.mark);
  free(sweep->sweep.L.value);
  free(sweep->sweep.L.mark);
  free(sweep->sweep.M.value);
  free(sweep->sweep.M.mark);
  free(sweep->sweep.seed);
  free(sweep->record.step);
  free(sweep);
}

mno_status mno_sweep_fail(const mno_sweep *sweep, mno_mark mark, mno_error *err, const char *format, ...) {
  const mno_source source = {sweep->path, sweep->text, sweep->text_length};
  va_list args;
  va_start(args, format);
  mno_status status = mno_source_vfail(&source, mark, err, format, args);
  va_end(args);
  return status;
}
