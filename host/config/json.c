/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of all keys as a JSON Schema (draft 2020-12), for editors and validators. A schema is written as the members of
 * its object, without braces. */
#include "config/number.h"
#include "config/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put_string(FILE *out, const char *text) {
  fputc('"', out);
  for (; *text; text++) fprintf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
  fputc('"', out);
}

static void put_names(FILE *out, const mno_choices *choices) {
  fputs("\"enum\": [", out);
  for (size_t i = 0, shown = 0; i < choices->count; i++) {
    if (choices->choice[i].value == MNO_NOT_COMPUTED) continue;
    if (shown++) fputs(", ", out);
    put_string(out, choices->choice[i].name);
  }
  fputs("]", out);
}

static void put_number(FILE *out, const mno_rule *rule) {
  if (rule->type == MNO_RULE_REAL || rule->type == MNO_RULE_REALS)
    fprintf(out, "\"type\": \"number\", \"minimum\": %.15g, \"%s\": %.15g", rule->low,
            rule->below ? "exclusiveMaximum" : "maximum", rule->high);
  else
    fprintf(out, "\"type\": \"integer\", \"minimum\": %" PRId64 ", \"maximum\": %" PRId64, rule->from, rule->to);
}

static void put_one(FILE *out, const mno_rule *rule) {
  if (rule->choices)
    put_names(out, rule->choices);
  else
    put_number(out, rule);
}

static void put_grid(FILE *out, const mno_rule *rule) {
  fputs(", {\"type\": \"object\", \"properties\": {\"from\": {", out);
  put_number(out, rule);
  fputs("}, \"to\": {", out);
  put_number(out, rule);
  fprintf(out,
          "}, \"count\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": %d}, \"spacing\": {\"enum\": [\"log\", "
          "\"linear\"], "
          "\"default\": \"log\"}}, \"required\": [\"from\", \"to\", \"count\"], \"additionalProperties\": false}",
          MNO_GRID_LONGEST);
}

/* One value, a list of distinct ones, and what else stands for a list. */
static void put_lists(FILE *out, const mno_rule *rule) {
  mno_rule each = *rule;
  if (rule->type == MNO_RULE_SEEDS) {
    each.from = 0;
    each.to = INT64_MAX;
  }
  fputs("\"anyOf\": [{", out);
  put_one(out, rule);
  fputs("}, {\"type\": \"array\", \"minItems\": 1, \"uniqueItems\": true, \"items\": {", out);
  put_one(out, &each);
  fputs(rule->choices ? "}, \"not\": {\"minItems\": 2, \"contains\": {\"const\": \"none\"}}}" : "}}", out);
  if (rule->type == MNO_RULE_STEPS) fputs(", {\"const\": \"all\"}", out);
  if (rule->type == MNO_RULE_INTEGERS || rule->type == MNO_RULE_REALS) put_grid(out, rule);
  fputs("]", out);
}

static void put_accepted(FILE *out, const mno_rule *rule) {
  switch (rule->type) {
  case MNO_RULE_FLAG: fputs("\"type\": \"boolean\"", out); break;
  case MNO_RULE_TEXT: fputs("\"type\": \"string\", \"minLength\": 1", out); break;
  case MNO_RULE_INTEGER:
  case MNO_RULE_REAL:
  case MNO_RULE_CHOICE:
  case MNO_RULE_BLOCK:
  case MNO_RULE_OPTIMIZER: put_one(out, rule); break;
  default: put_lists(out, rule);
  }
}

static void put_default(FILE *out, const mno_rule *rule) {
  double number;
  fputs(", \"default\": ", out);
  if (rule->type == MNO_RULE_FLAG || mno_number_real(rule->fallback, &number) == MNO_NUMBER_OK)
    fputs(rule->fallback, out);
  else
    put_string(out, rule->fallback);
}

static void put_key(FILE *out, const mno_rule *rule) {
  char text[600], owners[200];
  mno_rule_owners(rule, owners, sizeof owners);
  snprintf(text, sizeof text, "%s%s%s%s%s", rule->meaning, rule->absent ? "; without it: " : "",
           rule->absent ? rule->absent : "", owners[0] ? "; goes with " : "", owners);
  put_string(out, rule->key);
  fputs(": {\"description\": ", out);
  put_string(out, text);
  fputs(", ", out);
  put_accepted(out, rule);
  if (rule->fallback) put_default(out, rule);
  fputs("}", out);
}

/* An object that has no other keys than those in its properties, which follow. */
static void put_object(FILE *out, bool required) {
  fprintf(out, "\"type\": %s, \"additionalProperties\": false, ", required ? "\"object\"" : "[\"object\", \"null\"]");
}

static void put_section(FILE *out, const mno_schema *schema, const mno_schema_section *section) {
  size_t shown = 0;
  put_string(out, section->name);
  fputs(": {", out);
  put_object(out, section->required);
  fputs("\"required\": [", out);
  for (const mno_rule *rule = schema->rule; rule < schema->rule + schema->count; rule++) {
    if (strcmp(rule->section, section->name) != 0 || rule->fallback || rule->absent || rule->owner) continue;
    if (shown++) fputs(", ", out);
    put_string(out, rule->key);
  }
  fputs("], \"properties\": {", out);
  shown = 0;
  for (const mno_rule *rule = schema->rule; rule < schema->rule + schema->count; rule++) {
    if (strcmp(rule->section, section->name) != 0) continue;
    fputs(shown++ ? ",\n      " : "\n      ", out);
    put_key(out, rule);
  }
  fputs("}}", out);
}

static void put_schema(FILE *out, const mno_schema *schema) {
  fputs("{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Configuration of meanode\",\n  ",
        out);
  put_object(out, true);
  fputs("\"required\": [", out);
  for (size_t s = 0, shown = 0; s < MNO_SECTIONS; s++) {
    if (!mno_schema_sections[s].required) continue;
    if (shown++) fputs(", ", out);
    put_string(out, mno_schema_sections[s].name);
  }
  fputs("],\n  \"properties\": {", out);
  for (size_t s = 0; s < MNO_SECTIONS; s++) {
    fputs(s ? ",\n    " : "\n    ", out);
    put_section(out, schema, &mno_schema_sections[s]);
  }
  fputs("}}\n", out);
}

mno_status mno_sweep_json_schema(char **text, mno_error *err) { return mno_schema_text(put_schema, text, err); }
