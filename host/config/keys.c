/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of all keys as a text for people. */
#include "config/schema.h"

#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool takes_list(mno_rule_type type) { return type == MNO_RULE_INTEGERS || type == MNO_RULE_REALS; }

static void put_key(FILE *out, const mno_rule *rule) {
  char accepts[400], owners[200];
  mno_rule_accepts(rule, accepts, sizeof accepts);
  mno_rule_owners(rule, owners, sizeof owners);
  fprintf(out, "  %-15s%s%s (", rule->key, takes_list(rule->type) ? "list, " : "", accepts);
  if (rule->fallback)
    fprintf(out, "default %s", rule->fallback);
  else if (rule->absent)
    fprintf(out, "without it: %s", rule->absent);
  else
    fprintf(out, "required");
  fprintf(out, "%s%s)\n  %-15s%s\n", owners[0] ? "; " : "", owners, "", rule->meaning);
}

static void put_keys(FILE *out, const mno_schema *schema) {
  fputs(
      "A configuration is one YAML file of sections with keys: data, model, training, sweep and, if wanted, limit, record.\n"
      "list: a number, a list of distinct numbers, or a grid {from: 8, to: 1024, count: 8, spacing: log} (or linear).\n"
      "Every data.seed, D and alpha makes a problem; every L, M and seed an instance of each problem.\n",
      out);
  const char *section = "";
  for (size_t f = 0; f < schema->count; f++) {
    const mno_rule *rule = &schema->rule[f];
    if (strcmp(section, rule->section) != 0) fprintf(out, "\n%s:\n", section = rule->section);
    put_key(out, rule);
  }
  fputs("\nmeanode check CONFIG.yaml finds every error, with its place, before anything is computed.\n", out);
}

mno_status mno_sweep_keys(char **text, mno_error *err) { return mno_schema_text(put_keys, text, err); }

mno_status mno_schema_text(void put(FILE *, const mno_schema *), char **text, mno_error *err) {
  mno_schema *schema;
  mno_status status = mno_schema_new(&schema, err);
  if (status != MNO_OK) return status;
  size_t size = 0;
  FILE *out = open_memstream(text, &size);
  if (out) put(out, schema);
  free(schema);
  return out && fclose(out) == 0 ? MNO_OK : mno_fail_memory(err, size, "the text of the keys");
}
