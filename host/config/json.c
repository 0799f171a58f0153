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

static void put_number(FILE *out, const mno_field *field) {
  if (field->type == MNO_FIELD_REAL || field->type == MNO_FIELD_REALS)
    fprintf(out, "\"type\": \"number\", \"minimum\": %.15g, \"%s\": %.15g", field->low,
            field->below ? "exclusiveMaximum" : "maximum", field->high);
  else
    fprintf(out, "\"type\": \"integer\", \"minimum\": %" PRId64 ", \"maximum\": %" PRId64, field->from, field->to);
}

/* One value, or a list of distinct ones. */
static void put_list(FILE *out, const mno_field *one, const mno_field *each, void put(FILE *, const mno_field *)) {
  fputs("{", out);
  put(out, one);
  fputs("}, {\"type\": \"array\", \"minItems\": 1, \"uniqueItems\": true, \"items\": {", out);
  put(out, each);
  fputs("}", out);
}

static void put_grid(FILE *out, const mno_field *field) {
  fputs("{\"type\": \"object\", \"properties\": {\"from\": {", out);
  put_number(out, field);
  fputs("}, \"to\": {", out);
  put_number(out, field);
  fprintf(out,
          "}, \"count\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": %d}, \"spacing\": {\"enum\": [\"log\", "
          "\"linear\"], "
          "\"default\": \"log\"}}, \"required\": [\"from\", \"to\", \"count\"], \"additionalProperties\": false}",
          MNO_GRID_LONGEST);
}

static void put_field_names(FILE *out, const mno_field *field) { put_names(out, field->choices); }

static void put_lists(FILE *out, const mno_field *field) {
  mno_field each = *field;
  fputs("\"anyOf\": [", out);
  switch (field->type) {
  case MNO_FIELD_SEEDS:
    each.from = 0;
    each.to = INT64_MAX;
    put_list(out, field, &each, put_number);
    fputs("}", out);
    break;
  case MNO_FIELD_STEPS:
    put_list(out, field, field, put_number);
    fputs("}, {\"const\": \"all\"}", out);
    break;
  case MNO_FIELD_INTEGERS:
  case MNO_FIELD_REALS:
    put_list(out, field, field, put_number);
    fputs("}, ", out);
    put_grid(out, field);
    break;
  default:
    put_list(out, field, field, put_field_names);
    fputs(", \"not\": {\"minItems\": 2, \"contains\": {\"const\": \"none\"}}}", out);
  }
  fputs("]", out);
}

static void put_accepted(FILE *out, const mno_field *field) {
  switch (field->type) {
  case MNO_FIELD_INTEGER:
  case MNO_FIELD_REAL: put_number(out, field); break;
  case MNO_FIELD_FLAG: fputs("\"type\": \"boolean\"", out); break;
  case MNO_FIELD_TEXT: fputs("\"type\": \"string\", \"minLength\": 1", out); break;
  case MNO_FIELD_CHOICE:
  case MNO_FIELD_BLOCK:
  case MNO_FIELD_OPTIMIZER: put_names(out, field->choices); break;
  default: put_lists(out, field);
  }
}

static void put_default(FILE *out, const mno_field *field) {
  double number;
  fputs(", \"default\": ", out);
  if (field->type == MNO_FIELD_FLAG || mno_number_real(field->fallback, &number) == MNO_NUMBER_OK)
    fputs(field->fallback, out);
  else
    put_string(out, field->fallback);
}

static void put_key(FILE *out, const mno_field *field) {
  char text[600], owners[200];
  mno_field_owners(field, owners, sizeof owners);
  snprintf(text, sizeof text, "%s%s%s%s%s", field->meaning, field->absent ? "; without it: " : "",
           field->absent ? field->absent : "", owners[0] ? "; goes with " : "", owners);
  put_string(out, field->key);
  fputs(": {\"description\": ", out);
  put_string(out, text);
  fputs(", ", out);
  put_accepted(out, field);
  if (field->fallback) put_default(out, field);
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
  for (const mno_field *field = schema->field; field < schema->field + schema->count; field++) {
    if (strcmp(field->section, section->name) != 0 || !field->required) continue;
    if (shown++) fputs(", ", out);
    put_string(out, field->key);
  }
  fputs("], \"properties\": {", out);
  shown = 0;
  for (const mno_field *field = schema->field; field < schema->field + schema->count; field++) {
    if (strcmp(field->section, section->name) != 0) continue;
    fputs(shown++ ? ",\n      " : "\n      ", out);
    put_key(out, field);
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
