/* The table of all keys as a text for people. */
#include "config/schema.h"

#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool takes_list(mno_field_type type) { return type == MNO_FIELD_INTEGERS || type == MNO_FIELD_REALS; }

static void put_key(FILE *out, const mno_field *field) {
  char accepts[400], owners[200];
  mno_field_accepts(field, accepts, sizeof accepts);
  mno_field_owners(field, owners, sizeof owners);
  fprintf(out, "  %-15s%s%s (", field->key, takes_list(field->type) ? "list, " : "", accepts);
  if (field->fallback)
    fprintf(out, "default %s", field->fallback);
  else if (field->required || field->owner)
    fprintf(out, "required");
  else
    fprintf(out, "without it: %s", field->absent);
  fprintf(out, "%s%s)\n  %-15s%s\n", owners[0] ? "; " : "", owners, "", field->meaning);
}

static void put_keys(FILE *out, const mno_schema *schema) {
  fputs(
      "A configuration is one YAML file of sections with keys: data, model, training, sweep and, if wanted, limit, record.\n"
      "list: a number, a list of distinct numbers, or a grid {from: 8, to: 1024, count: 8, spacing: log} (or linear).\n"
      "Every data.seed, D and alpha makes a problem; every L, M and seed an instance of each problem.\n",
      out);
  const char *section = "";
  for (size_t f = 0; f < schema->count; f++) {
    const mno_field *field = &schema->field[f];
    if (strcmp(section, field->section) != 0) fprintf(out, "\n%s:\n", section = field->section);
    put_key(out, field);
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
