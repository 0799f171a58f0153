/* SPDX-License-Identifier: BSD-3-Clause */
/* Valid configurations: values, defaults, marks, grids, and the ways YAML has to write the same thing. */
#include "base.h"
#include "config/schema.h"
#include "test.h"

#include <locale.h>
#include <stdlib.h>

static mno_sweep *parse(const char *text) {
  mno_sweep *sweep = NULL;
  mno_error err = {0};
  assert_ok(mno_sweep_parse(text, strlen(text), "folder/test.yaml", &sweep, &err));
  return sweep;
}

static mno_sweep *parse_with(int line, const char *with) {
  char text[4096];
  base_with(text, sizeof text, line, with);
  return parse(text);
}

static void assert_integers(const mno_integers *list, size_t count, const int64_t *expected) {
  assert_int_equal(list->count, count);
  for (size_t i = 0; i < count; i++) assert_int_equal(list->value[i], expected[i]);
}

static void base(void **state) {
  mno_sweep *s = parse_with(0, NULL);
  assert_int_equal(s->data.kind, MNO_DATA_GAUSSIAN);
  assert_int_equal(s->data.samples, 10);
  assert_int_equal(s->data.inputs, 5);
  assert_int_equal(s->data.targets, 5);
  assert_integers(&s->data.seed, 1, (int64_t[]){1});
  assert_int_equal(s->model.activation, MNO_TANH);
  assert_integers(&s->model.D, 1, (int64_t[]){8});
  assert_int_equal(s->model.alpha.count, 1);
  assert_true(s->model.alpha.value[0] == 1);
  assert_int_equal(s->training.steps, 15);
  assert_int_equal(s->limit.count, 1);
  assert_int_equal(s->limit.kind[0], MNO_LIMIT_MEAN_ODE);
  assert_true(s->limit.tolerance == 1e-4);
  assert_integers(&s->sweep.L, 4, (int64_t[]){10, 20, 40, 80});
  assert_integers(&s->sweep.M, 3, (int64_t[]){1, 4, 16});
  assert_int_equal(s->sweep.seed_count, 32);
  for (uint64_t i = 0; i < 32; i++) assert_int_equal(s->sweep.seed[i], i);
  assert_int_equal(s->record.step_count, 16);
  for (int i = 0; i < 16; i++) assert_int_equal(s->record.step[i], i);
  assert_true(s->record.output);
  assert_false(s->record.embedding);
  assert_int_equal(s->record.weights, MNO_WEIGHTS_NONE);
  assert_string_equal(s->path, "folder/test.yaml");
  assert_int_equal(strlen(s->text), s->text_length);
  /* marks: line, column */
  assert_int_equal(s->sweep.L.mark[2].line, 24);
  assert_int_equal(s->sweep.L.mark[2].column, 15);
  assert_int_equal(s->model.activation_mark.line, 9);
  assert_int_equal(s->model.activation_mark.column, 15);
  assert_int_equal(s->limit.mark[0].line, 21);
  assert_int_equal(s->sweep.pairs_mark.line, 0);
  mno_sweep_free(s);
}

static void defaults(void **state) {
  mno_sweep *s = parse("data: {kind: digits}\nmodel: {D: 4}\ntraining: {steps: 2}\nsweep: {L: 3, M: 2}\n");
  assert_int_equal(s->data.kind, MNO_DATA_DIGITS);
  assert_int_equal(s->data.samples, 0);
  assert_int_equal(s->data.inputs, 64);
  assert_int_equal(s->data.targets, 10);
  assert_integers(&s->data.seed, 1, (int64_t[]){1});
  assert_int_equal(s->model.activation, MNO_TANH);
  assert_true(s->model.alpha.count == 1 && s->model.alpha.value[0] == 1);
  assert_true(s->model.sigma[MNO_U] == 1 && s->model.sigma[MNO_V] == 1);
  assert_true(s->training.eta[MNO_U] == 1 && s->training.eta[MNO_V] == 1);
  assert_int_equal(s->training.loss, MNO_SQUARED);
  assert_int_equal(s->limit.count, 1);
  assert_int_equal(s->limit.kind[0], MNO_LIMIT_MEAN_ODE);
  assert_true(s->limit.tolerance == 1e-4 && s->limit.seconds == 0 && s->limit.memory == 0);
  assert_int_equal(s->limit.method, MNO_METHOD_AUTO);
  assert_true(s->limit.particles == 0 && s->limit.nodes == 0 && s->limit.randomisations == 0);
  assert_int_equal(s->sweep.seed_count, 1);
  assert_int_equal(s->sweep.seed[0], 0);
  assert_int_equal(s->sweep.pairs, MNO_PAIRS_NONE);
  assert_int_equal(s->record.step_count, 3);
  assert_true(s->record.output && !s->record.embedding && !s->record.coupling && !s->record.path && !s->record.features);
  mno_sweep_free(s);
}

static void choices(void **state) {
  for (int a = 0; a < MNO_ACTIVATION_COUNT; a++) {
    char line[64];
    snprintf(line, sizeof line, "  activation: %s", mno_activation_name((mno_activation)a));
    mno_sweep *s = parse_with(9, line);
    assert_int_equal(s->model.activation, a);
    mno_sweep_free(s);
  }
  mno_sweep *s = parse_with(21, "  kind: [tangent-ode, mean-ode, largest]\n  method: sobol\n  particles: 64\n  nodes: 4\n"
                                "  randomisations: 3\n  seconds: 1.5\n  memory: 2");
  assert_int_equal(s->limit.count, 3);
  assert_int_equal(s->limit.kind[0], MNO_LIMIT_TANGENT_ODE);
  assert_int_equal(s->limit.kind[1], MNO_LIMIT_MEAN_ODE);
  assert_int_equal(s->limit.kind[2], MNO_LIMIT_LARGEST);
  assert_int_equal(s->limit.method, MNO_METHOD_SOBOL);
  assert_true(s->limit.particles == 64 && s->limit.nodes == 4 && s->limit.randomisations == 3);
  assert_true(s->limit.seconds == 1.5 && s->limit.memory == 2);
  mno_sweep_free(s);
  s = parse_with(21, "  kind: none");
  assert_int_equal(s->limit.count, 0);
  mno_sweep_free(s);
  s = parse_with(26, "  seeds: [5, 0, 9223372036854775807]\n  pairs: [antithetic, regroup]");
  assert_int_equal(s->sweep.seed_count, 3);
  assert_true(s->sweep.seed[0] == 5 && s->sweep.seed[1] == 0 && s->sweep.seed[2] == INT64_MAX);
  assert_int_equal(s->sweep.pairs, MNO_PAIRS_ANTITHETIC | MNO_PAIRS_REGROUP);
  mno_sweep_free(s);
  s = parse_with(31, "  weights: both\n  coupling: true\n  path: True\n  features: FALSE");
  assert_int_equal(s->record.weights, MNO_WEIGHTS_BOTH);
  assert_true(s->record.coupling && s->record.path && !s->record.features);
  mno_sweep_free(s);
}

static void steps(void **state) {
  mno_sweep *s = parse_with(28, "  steps: [15, 0, 5]");
  assert_int_equal(s->record.step_count, 3);
  assert_true(s->record.step[0] == 0 && s->record.step[1] == 5 && s->record.step[2] == 15);
  mno_sweep_free(s);
  s = parse_with(28, "  steps: 7");
  assert_int_equal(s->record.step_count, 1);
  assert_int_equal(s->record.step[0], 7);
  mno_sweep_free(s);
  s = parse_with(15, "  steps: 0");
  assert_int_equal(s->record.step_count, 1);
  mno_sweep_free(s);
}

static void grids(void **state) {
  mno_sweep *s = parse_with(24, "  L: {from: 8, to: 1024, count: 8, spacing: log}");
  assert_integers(&s->sweep.L, 8, (int64_t[]){8, 16, 32, 64, 128, 256, 512, 1024});
  assert_int_equal(s->sweep.L.mark[3].line, 24);
  mno_sweep_free(s);
  s = parse_with(24, "  L: {from: 1, to: 4, count: 10}"); /* rounded, each once */
  assert_integers(&s->sweep.L, 4, (int64_t[]){1, 2, 3, 4});
  mno_sweep_free(s);
  s = parse_with(24, "  L: {spacing: linear, count: 5, to: 50, from: 10}");
  assert_integers(&s->sweep.L, 5, (int64_t[]){10, 20, 30, 40, 50});
  mno_sweep_free(s);
  s = parse_with(24, "  L: {from: 7, to: 7, count: 1}");
  assert_integers(&s->sweep.L, 1, (int64_t[]){7});
  mno_sweep_free(s);
  /* seeds go up to 2^63-1, where doubles are coarse: ends and linear grids are exact */
  s = parse_with(6, "  seed: {from: 9007199254740993, to: 9007199254740999, count: 4, spacing: linear}");
  assert_integers(&s->data.seed, 4, (int64_t[]){9007199254740993, 9007199254740995, 9007199254740997, 9007199254740999});
  mno_sweep_free(s);
  s = parse_with(6, "  seed: {from: 1, to: 9223372036854775807, count: 2}");
  assert_integers(&s->data.seed, 2, (int64_t[]){1, INT64_MAX});
  mno_sweep_free(s);
  s = parse_with(6, "  seed: {from: 0, to: 9223372036854775807, count: 3, spacing: linear}");
  assert_integers(&s->data.seed, 3, (int64_t[]){0, INT64_MAX / 2 + 1, INT64_MAX});
  mno_sweep_free(s);
  s = parse_with(11, "  alpha: {from: 0.25, to: 4, count: 5}");
  const double powers[] = {0.25, 0.5, 1, 2, 4};
  assert_int_equal(s->model.alpha.count, 5);
  for (int i = 0; i < 5; i++) assert_close(s->model.alpha.value[i], powers[i], 1e-14);
  assert_true(s->model.alpha.value[0] == 0.25 && s->model.alpha.value[4] == 4);
  mno_sweep_free(s);
}

static void numbers(void **state) {
  static const struct {
    const char *text;
    double value;
  } reals[] = {{"1", 1},      {"+1", 1},          {"1.", 1},
               {".5", 0.5},   {"0.5", 0.5},       {"1e2", 100},
               {"1E+2", 100}, {"1.5e-3", 0.0015}, {"12345.678", 12345.678},
               {"0.1", 0.1}};
  for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
    char line[64];
    snprintf(line, sizeof line, "  alpha: %s", reals[i].text);
    mno_sweep *s = parse_with(11, line);
    assert_true(s->model.alpha.value[0] == reals[i].value);
    mno_sweep_free(s);
  }
  mno_sweep *s = parse_with(17, "  eta_u: 0");
  assert_true(s->training.eta[MNO_U] == 0);
  mno_sweep_free(s);
  s = parse_with(17, "  eta_u: -0.0");
  assert_true(s->training.eta[MNO_U] == 0 && !signbit(s->training.eta[MNO_U]));
  mno_sweep_free(s);
}

/* A program that embeds the library may have a locale whose decimal point is a comma. */
static void locale_does_not_matter(void **state) {
  static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
  bool set = false;
  for (size_t i = 0; i < 4 && !set; i++) set = setlocale(LC_NUMERIC, names[i]) != NULL;
  mno_sweep *s = parse_with(11, "  alpha: 0.5");
  assert_true(s->model.alpha.value[0] == 0.5);
  mno_sweep_free(s);
  setlocale(LC_NUMERIC, "C");
}

/* The same configuration with CRLF, CR, a byte order mark, a document marker, comments, quotes, flow style. */
static void writings(void **state) {
  char text[4096], other[8192];
  base_with(text, sizeof text, 0, NULL);
  const char *breaks[] = {"\r\n", "\r", "\n"};
  for (int b = 0; b < 3; b++) {
    strcpy(other, b == 1 ? "" : "\xef\xbb\xbf");
    size_t used = strlen(other);
    for (const char *p = text; *p; p++)
      used += (size_t)(*p == '\n' ? snprintf(other + used, sizeof other - used, "%s", breaks[b])
                                  : snprintf(other + used, sizeof other - used, "%c", *p));
    mno_sweep *s = parse(other);
    assert_integers(&s->sweep.L, 4, (int64_t[]){10, 20, 40, 80});
    assert_int_equal(s->sweep.L.mark[0].line, 24);
    assert_int_equal(s->sweep.L.mark[0].column, 7);
    assert_int_equal(s->data.mark.column, 1);
    mno_sweep_free(s);
  }
  snprintf(other, sizeof other, "%%YAML 1.2\n---\n# comment\n%s...\n", text);
  mno_sweep_free(parse(other));
  mno_sweep *s = parse("{\"data\": {'kind': \"gaussian\", samples: 3, inputs: 2, targets: 1}, model: {D: [4,\n 2]},\n"
                       "training: {steps: 2}, sweep: {L: 3, M:   # comment\n 2}, limit: , record: ~}\n");
  assert_integers(&s->model.D, 2, (int64_t[]){4, 2});
  assert_int_equal(s->model.D.mark[1].line, 2);
  assert_int_equal(s->model.D.mark[1].column, 2);
  mno_sweep_free(s);
  /* sections and keys in any order, whatever needs what */
  s = parse("record: {steps: [0, 7]}\nsweep: {M: 2, L: 3}\ntraining: {eta_u: 2, steps: 7}\nmodel: {sigma_v: 3, D: 4, block: "
            "perceptron}\ndata: {targets: 2, kind: gaussian, samples: 4, inputs: 3}\n");
  assert_true(s->record.step_count == 2 && s->record.step[1] == 7 && s->training.eta[MNO_U] == 2);
  assert_true(s->model.sigma[MNO_U] == 1 && s->model.sigma[MNO_V] == 3);
  mno_sweep_free(s);
}

/* The README's table names every key with its accepted values and default, as the schema has them. */
static void readme_agrees(void **state) {
  FILE *file = fopen(MNO_TEST_README, "r");
  assert_non_null(file);
  static char readme[1 << 18];
  size_t length = fread(readme, 1, sizeof readme - 1, file);
  fclose(file);
  readme[length] = '\0';
  mno_schema *schema;
  assert_int_equal(mno_schema_new(&schema, NULL), MNO_OK);
  for (size_t f = 0; f < schema->count; f++) {
    const mno_rule *rule = &schema->rule[f];
    char accepts[400], start[100];
    snprintf(start, sizeof start, "| `%s.%s` |", rule->section, rule->key);
    const char *row = strstr(readme, start);
    if (!row) fail_msg("README has no row %s", start);
    char line[1000];
    snprintf(line, sizeof line, "%.*s", (int)strcspn(row, "\n"), row);
    mno_rule_accepts(rule, accepts, sizeof accepts);
    if (rule->type != MNO_RULE_TEXT && !strstr(line, accepts)) fail_msg("README, %s: expected \"%s\"", start, accepts);
    char end[400];
    snprintf(end, sizeof end, "| %s | %s |",
             rule->fallback ? rule->fallback
             : rule->absent ? rule->absent
                            : "required",
             rule->meaning);
    if (!strstr(line, end)) fail_msg("README, %s: expected \"%s\"", start, end);
  }
  free(schema);
}

/* So does the text for people, section by section. */
static void keys_as_text(void **state) {
  char *text = NULL;
  assert_int_equal(mno_sweep_keys(&text, NULL), MNO_OK);
  const char *at = text;
  mno_schema *schema;
  assert_int_equal(mno_schema_new(&schema, NULL), MNO_OK);
  for (size_t f = 0; f < schema->count; f++) {
    char start[64];
    snprintf(start, sizeof start, "\n  %s ", schema->rule[f].key);
    at = strstr(at, start);
    if (!at) fail_msg("no line%s", start);
    const char *meaning = strstr(at, schema->rule[f].meaning), *next = strchr(strchr(at + 1, '\n') + 1, '\n');
    if (!meaning || meaning > next) fail_msg("%s: no meaning", start);
  }
  free(schema);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(base),          cmocka_unit_test(defaults),
                                     cmocka_unit_test(choices),       cmocka_unit_test(steps),
                                     cmocka_unit_test(grids),         cmocka_unit_test(numbers),
                                     cmocka_unit_test(writings),      cmocka_unit_test(locale_does_not_matter),
                                     cmocka_unit_test(readme_agrees), cmocka_unit_test(keys_as_text)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
