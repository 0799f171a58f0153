/* SPDX-License-Identifier: BSD-3-Clause */
/* Every class of configuration error: status, line and column, the line shown, the caret under the column, the remedy. */
#include "base.h"
#include "test.h"

#include <stdlib.h>

typedef struct fault {
  int replaced;         /* line of the base that is replaced */
  const char *with;     /* NULL: removed */
  int line, column;     /* where the error is */
  const char *message;  /* must be part of it */
  const char *message2; /* may be NULL */
} fault;

static const fault faults[] = {
    /* keys */
    {9, "  activaton: tanh", 9, 3, "unknown key \"activaton\" in model", "did you mean \"activation\"?"},
    {27, "recrod:", 27, 1, "unknown key \"recrod\"", "did you mean \"record\"?"},
    {26, "  seeds: 32\n  eta_u: 1", 27, 3, "unknown key \"eta_u\" in sweep", "it belongs to section training"},
    {26, "  seeds: 32\n  zzzzzz: 1", 27, 3, "unknown key \"zzzzzz\" in sweep", "accepted: L, M, seeds, pairs"},
    {10, "  d: 8", 10, 3, "unknown key \"d\" in model", "did you mean \"D\"?"},
    {11, "  alpha: 1\n  alpha: 2", 12, 3, "key \"alpha\" in model is repeated", "the first is in line 11"},
    {20, "data:", 20, 1, "key \"data\" is repeated", "the first is in line 1"},
    {11, "  ? [a, b]\n  : 1", 11, 5, "a key must be a word", NULL},
    {11, "  <<: 1", 11, 3, "unknown key \"<<\"", NULL},
    {10, NULL, 7, 1, "section model has no key \"D\"", "integers from 1 to 1000000"},
    {3, NULL, 1, 1, "section data has no key \"samples\"", NULL},
    {2, NULL, 1, 1, "section data has no key \"kind\"", "gaussian, digits, file"},
    {15, NULL, 14, 1, "section training has no key \"steps\"", NULL},
    {24, NULL, 23, 1, "section sweep has no key \"L\"", NULL},
    {25, NULL, 23, 1, "section sweep has no key \"M\"", NULL},
    /* integers */
    {10, "  D: 8x", 10, 6, "model.D is \"8x\"", "accepted: integers from 1 to 1000000"},
    {10, "  D: 0", 10, 6, "model.D is 0; accepted", NULL},
    {10, "  D: -3", 10, 6, "model.D is -3; accepted", NULL},
    {10, "  D: 1000001", 10, 6, "model.D is 1000001; accepted: integers from 1 to 1000000", NULL},
    {10, "  D: 99999999999999999999999", 10, 6, "accepted: integers from 1 to 1000000", NULL},
    {10, "  D: 8.0", 10, 6, "model.D is 8.0", "without fraction and exponent"},
    {10, "  D: 1e3", 10, 6, "model.D is 1e3", "without fraction and exponent"},
    {10, "  D: 010", 10, 6, "model.D is \"010\"", "leave out the leading zeros"},
    {10, "  D: 0x10", 10, 6, "model.D is \"0x10\"", "write it in decimal"},
    {10, "  D: 0o17", 10, 6, "model.D is \"0o17\"", "write it in decimal"},
    {10, "  D: 1_000", 10, 6, "model.D is \"1_000\"", "without separators"},
    {10, "  D: \"8\"", 10, 6, "model.D is \"8\"", "leave out the quotes"},
    {10, "  D: true", 10, 6, "model.D is \"true\"", NULL},
    {10, "  D:", 10, 5, "model.D is nothing", NULL},
    {10, "  D: ~", 10, 6, "model.D is nothing", NULL},
    {10, "  D: 8 9", 10, 6, "model.D is \"8 9\"", NULL},
    {10, "  D: []", 10, 6, "model.D is an empty list", NULL},
    {10, "  D: [8, [9]]", 10, 10, "model.D is a list", NULL},
    {10, "  D: [8, 0]", 10, 10, "model.D is 0", NULL},
    {10, "  D:\n    - 8\n    - 16\n    - 8", 13, 7, "model.D repeats 8", NULL},
    {24, "  L: [10, 20, 10]", 24, 15, "sweep.L repeats 10", NULL},
    {24, "  L: 10000001", 24, 6, "integers from 1 to 10000000", NULL},
    {25, "  M: 0", 25, 6, "sweep.M is 0", NULL},
    {3, "  samples: 1000001", 3, 12, "data.samples is 1000001", NULL},
    {3, "  samples: [10]", 3, 12, "data.samples is a list", NULL},
    {15, "  steps: 1000001", 15, 10, "integers from 0 to 1000000", NULL},
    {15, "  steps: -1", 15, 10, "integers from 0 to 1000000", NULL},
    {6, "  seed: -1", 6, 9, "integers from 0 to 2^63-1", NULL},
    {6, "  seed: [4, 2, 4]", 6, 16, "data.seed repeats 4", NULL},
    {6, "  seed: 9223372036854775808", 6, 9, "integers from 0 to 2^63-1", NULL},
    /* reals */
    {11, "  alpha: 0.1abc", 11, 10, "model.alpha is \"0.1abc\"", "numbers from 1e-6 to 1e6"},
    {11, "  alpha: nan", 11, 10, "nan and infinity are not accepted", NULL},
    {11, "  alpha: .nan", 11, 10, "nan and infinity are not accepted", NULL},
    {11, "  alpha: .inf", 11, 10, "nan and infinity are not accepted", NULL},
    {11, "  alpha: -.INF", 11, 10, "nan and infinity are not accepted", NULL},
    {11, "  alpha: infinity", 11, 10, "nan and infinity are not accepted", NULL},
    {11, "  alpha: 1e999", 11, 10, "model.alpha is 1e999", NULL},
    {11, "  alpha: 1e-999", 11, 10, "model.alpha is 1e-999", NULL},
    {11, "  alpha: 0", 11, 10, "model.alpha is 0;", NULL},
    {11, "  alpha: -1", 11, 10, "model.alpha is -1;", NULL},
    {11, "  alpha: 1,5", 11, 10, "model.alpha is \"1,5\"", "without separators"},
    {11, "  alpha: 1e", 11, 10, "model.alpha is \"1e\"", NULL},
    {11, "  alpha: 0x1p3", 11, 10, "write it in decimal", NULL},
    {11, "  alpha: .", 11, 10, "model.alpha is \".\"", NULL},
    {11, "  alpha: [1, 1.0]", 11, 14, "model.alpha repeats 1", NULL},
    {11, "  alpha: {from: 2, to: 1, count: 3}", 11, 24, "\"to\" must be above its \"from\"", NULL},
    {12, "  sigma_u: 0", 12, 12, "model.sigma_u is 0", NULL},
    {17, "  eta_u: -1", 17, 10, "training.eta_u is -1", "numbers from 0 to 1e6"},
    {22, "  tolerance: 1", 22, 14, "numbers from 1e-15 to below 1", NULL},
    {22, "  tolerance: 0", 22, 14, "limit.tolerance is 0", NULL},
    {22, "  method: sobl", 22, 11, "limit.method is \"sobl\"; did you mean \"sobol\"?",
     "closure, quadrature, sobol, sobol-full"},
    /* names */
    {9, "  activation: tanhh", 9, 15, "model.activation is \"tanhh\"; did you mean \"tanh\"?", "softplus, sin, identity"},
    {9, "  activation: 7", 9, 15, "model.activation is 7; accepted: tanh", NULL},
    {9, "  activation: [tanh]", 9, 15, "model.activation is a list", NULL},
    {8, "  block: attention", 8, 10, "\"attention\" is not computed by this version; accepted: perceptron", NULL},
    {16, "  optimizer: adam", 16, 14, "\"adam\" is not computed by this version; accepted: gd", NULL},
    {16, "  optimizer: sdg", 16, 14, "did you mean \"sgd\"?", NULL},
    {19, "  loss: cross-entropy", 19, 9, "cross-entropy needs targets that are probabilities", NULL},
    {2, "  kind: gausian", 2, 9, "did you mean \"gaussian\"?", NULL},
    {21, "  kind: [mean-ode, mean-ode]", 21, 20, "limit.kind repeats \"mean-ode\"", NULL},
    {21, "  kind: [mean-ode, none]", 21, 20, "\"none\" stands alone", NULL},
    {21, "  kind: [none, mean-ode]", 21, 16, "\"none\" stands alone", NULL},
    {21, "  kind: []", 21, 9, "limit.kind is an empty list", NULL},
    {26, "  seeds: 2\n  pairs: [regroup, jacknife]", 27, 20, "did you mean \"jackknife\"?", NULL},
    {31, "  weights: all", 31, 12, "record.weights is \"all\"", "none, initial, final, both"},
    /* flags */
    {29, "  output: yes", 29, 11, "record.output is \"yes\"; accepted: true, false", NULL},
    {29, "  output: 1", 29, 11, "record.output is 1; accepted: true, false", NULL},
    {29, "  output: \"true\"", 29, 11, "accepted: true, false", NULL},
    /* grids */
    {24, "  L: {from: 8, to: 64}", 24, 6, "the grid has no \"count\"", NULL},
    {24, "  L: {from: 8, to: 64, count: 0}", 24, 31, "sweep.L.count is 0", NULL},
    {24, "  L: {from: 8, to: 4, count: 3}", 24, 20, "\"to\" must be above its \"from\"", NULL},
    {24, "  L: {from: 8, to: 64, count: 1}", 24, 31, "count of at least 2", NULL},
    {24, "  L: {from: 8, to: 64, count: 3, spacing: lin}", 24, 43, "sweep.L.spacing is \"lin\"", "log, linear"},
    {24, "  L: {from: 8, to: 64, count: 3, step: 3}", 24, 34, "unknown key \"step\" in sweep.L", NULL},
    {24, "  L: {from: 8, to: 1e9, count: 3}", 24, 20, "sweep.L.to is 1e9", NULL},
    {6, "  seed: {from: 0, to: 64, count: 3}", 6, 16, "a logarithmic grid starts above 0", "spacing: linear"},
    {26, "  seeds: {from: 1, to: 2, count: 2}", 26, 10, "sweep.seeds is a section; accepted: a count", NULL},
    /* seeds and steps */
    {26, "  seeds: 0", 26, 10, "a count from 1 to 1000000, or a list", NULL},
    {26, "  seeds: [1, -1]", 26, 14, "sweep.seeds is -1", NULL},
    {26, "  seeds: [3, 1, 3]", 26, 17, "sweep.seeds repeats 3", NULL},
    {26, "  seeds: [1234567, 1234567]", 26, 20, "sweep.seeds repeats 1234567", NULL},
    {28, "  steps: [0, 16]", 28, 14, "record.steps is 16; accepted: integers from 0 to 15", NULL},
    {28, "  steps: last", 28, 10, "record.steps is \"last\"", "\"all\" or a list of steps"},
    {28, "  steps: []", 28, 10, "record.steps is an empty list", NULL},
    {28, "  steps: [1, 1]", 28, 14, "record.steps repeats 1", NULL},
    /* data */
    {6, "  path: x.h5", 6, 3, "data.path goes with kind file only", NULL},
    {2, "  kind: file", 1, 1, "section data has no key \"path\"", NULL},
    {2, "  kind: file\n  path: a.h5", 5, 3, "data.inputs is read from the file; remove the key", NULL},
    {2, "  kind: file\n  path: \"\"", 3, 9, "data.path is \"\"; accepted: text that is not empty", NULL},
    {2, "  kind: digits", 4, 11, "the digits have 64 inputs", NULL},
    /* YAML */
    {11, "\talpha: 1", 11, 1, "not valid YAML", "indent with spaces"},
    {11, "  alpha: [1", 12, 10, "not valid YAML", NULL},
    {11, "  alpha: \"1", 32, 1, "not valid YAML", NULL},
    {11, "  alpha: &a 1", 11, 10, "anchors", "write the value out"},
    {11, "  alpha: *a", 11, 10, "aliases", "write the value out"},
    {11, "  alpha: !!float 1", 11, 10, "tags", NULL},
    {11, "  alpha: [[[[[[[[[1]]]]]]]]]", 11, 16, "nested more than 8 levels deep", NULL},
    {11, "---", 11, 1, "a second document starts here", NULL},
    {9, "  activation: \"ta\\0nh\"", 9, 15, "NUL character", NULL},
    {9, "  activation: ta\x01nh", 9, 17, "control character U+0001", NULL},
    {9, "  activation: ta\xffnh", 9, 17, "byte 0xff is not UTF-8", NULL},
    {9, "  activation: \xc3\xa9\xe2\x80\xa8", 9, 16, "control character U+2028", NULL},
    {9, "  activation: \xed\xa0\x80", 9, 15, "byte 0xed is not UTF-8", NULL},
    {9, "  activation: \xc0\x80", 9, 15, "byte 0xc0 is not UTF-8", NULL},
    /* characters that are not one byte wide, before the error */
    {9, "  activation: tanh  # \xc3\xa9\xe6\xbc\xa2\n  \"\xc3\xa9\": 1", 10, 3, "unknown key \"\xc3\xa9\"", NULL},
    {24, "  L: [10,\t20,\t10]", 24, 15, "sweep.L repeats 10", NULL},
};

/* The parts of a message: the place, the line, the caret. */
static void check_message(const char *message, int line, int column, const char *source_line) {
  char place[64], shown[400];
  int prefix = snprintf(place, sizeof place, "test.yaml:%d:%d: ", line, column);
  if (strncmp(message, place, (size_t)prefix) != 0) fail_msg("expected %s at the start of\n%s", place, message);
  const char *second = strchr(message, '\n');
  assert_non_null(second);
  const char *third = strchr(second + 1, '\n');
  assert_non_null(third);
  snprintf(shown, sizeof shown, "%.*s", (int)(third - second - 1), second + 1);
  if (source_line) assert_string_equal(shown, source_line);
  const char *caret = third + 1;
  assert_int_equal(strspn(caret, " "), column - 1);
  assert_string_equal(caret + column - 1, "^");
}

/* The line of a text as messages show it: tabs and what cannot be shown take one column. */
static const char *source_line(const char *text, int line, char *out) {
  while (--line > 0 && text) {
    text = strchr(text, '\n');
    text += text != NULL;
  }
  size_t length = text ? strcspn(text, "\n") : 0;
  for (size_t i = 0; i < length; i++) out[i] = text[i] == '\t' ? ' ' : text[i];
  out[length] = '\0';
  return out;
}

static void every_fault(void **state) {
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
    const fault *f = &faults[i];
    char text[4096], line[400];
    size_t length = base_with(text, sizeof text, f->replaced, f->with);
    mno_sweep *sweep = NULL;
    mno_error err = {0};
    mno_status status = mno_sweep_parse(text, length, "test.yaml", &sweep, &err);
    if (status != MNO_ERR_INPUT) fail_msg("accepted: line %d: %s", f->replaced, f->with);
    assert_int_equal(err.status, MNO_ERR_INPUT);
    assert_int_equal(mno_status_exit_code(status), 65);
    assert_null(sweep);
    if (!strstr(err.message, f->message)) fail_msg("expected %s in\n%s", f->message, err.message);
    if (f->message2 && !strstr(err.message, f->message2)) fail_msg("expected %s in\n%s", f->message2, err.message);
    source_line(text, f->line, line);
    bool clean = true;
    for (const char *p = line; *p; p++) clean = clean && ((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f);
    check_message(err.message, f->line, f->column, clean ? line : NULL);
  }
}

static void every_required_section(void **state) {
  static const struct {
    int from, to;
    const char *name;
  } sections[] = {{1, 6, "data"}, {7, 13, "model"}, {14, 19, "training"}, {23, 26, "sweep"}};
  for (size_t s = 0; s < 4; s++) {
    char text[4096], expected[64];
    size_t used = 0;
    for (int i = 1; i <= BASE_LINES; i++)
      if (i < sections[s].from || i > sections[s].to)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s\n", base_lines[i - 1]);
    mno_sweep *sweep = NULL;
    mno_error err = {0};
    assert_int_equal(mno_sweep_parse(text, used, "test.yaml", &sweep, &err), MNO_ERR_INPUT);
    snprintf(expected, sizeof expected, "section \"%s\" is missing", sections[s].name);
    assert_non_null(strstr(err.message, expected));
    check_message(err.message, 1, 1, s == 0 ? "model:" : "data:");
  }
}

static mno_status parse(const char *text, size_t length, mno_error *err) {
  mno_sweep *sweep = NULL;
  mno_status status = mno_sweep_parse(text, length, "test.yaml", &sweep, err);
  mno_sweep_free(sweep);
  return status;
}

static void texts_that_are_no_configuration(void **state) {
  mno_error err;
  const struct {
    const char *text;
    size_t length;
    const char *message;
  } texts[] = {{"", 0, "the file is empty"},
               {"# nothing\n", 10, "the file is empty"},
               {"null\n", 5, "the file is empty"},
               {"a\n", 2, "here is text"},
               {"[1]\n", 4, "here is a list"},
               {"sweep: 3\n", 9, "test.yaml:1:8: section sweep holds a number"},
               {"data: [1]\n", 10, "test.yaml:1:7: section data holds a list"},
               {"x: 1\n", 5, "unknown key \"x\"; accepted: data, model, training, limit, sweep, record"},
               {"data\0: 1\n", 9, "control character U+0000"},
               {"\xff\xfe"
                "d\0",
                4, "UTF-16"},
               {"\xe2\x82", 2, "byte 0xe2 is not UTF-8"}};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    assert_int_equal(parse(texts[i].text, texts[i].length, &err), MNO_ERR_INPUT);
    if (!strstr(err.message, texts[i].message)) fail_msg("expected %s in\n%s", texts[i].message, err.message);
    assert_non_null(strstr(err.message, "test.yaml:1:"));
  }
}

/* The window of a long line holds the error, and the caret is below it. */
static void long_lines_are_cut(void **state) {
  enum { LONG = 5000 };
  static char text[LONG + 4096], line[LONG + 100];
  int used = snprintf(line, sizeof line, "  M: [");
  int column = 0;
  for (int i = 1; used < LONG; i++) {
    if (i == 700) column = used + 1;
    used += snprintf(line + used, sizeof line - (size_t)used, i == 700 ? "7x7, " : "%d, ", i);
  }
  snprintf(line + used, sizeof line - (size_t)used, "9000]");
  mno_error err = {0};
  size_t length = base_with(text, sizeof text, 25, line);
  assert_int_equal(parse(text, length, &err), MNO_ERR_INPUT);
  char place[64];
  snprintf(place, sizeof place, "test.yaml:25:%d: ", column);
  assert_memory_equal(err.message, place, strlen(place));
  const char *second = strchr(err.message, '\n') + 1, *third = strchr(second, '\n') + 1;
  assert_true(third - second < 130);
  assert_memory_equal(second, "...", 3);
  size_t caret = strspn(third, " ");
  assert_memory_equal(second + caret, "7x7", 3);
}

static void long_names_and_values_fit(void **state) {
  static char name[9000], text[20000], value[9000];
  memset(name, 'n', sizeof name - 1);
  memset(value, 'v', sizeof value - 1);
  char *line = malloc(sizeof value + 20);
  snprintf(line, sizeof value + 20, "  activation: %s", value);
  size_t length = base_with(text, sizeof text, 9, line);
  free(line);
  mno_sweep *sweep = NULL;
  mno_error err = {0};
  assert_int_equal(mno_sweep_parse(text, length, name, &sweep, &err), MNO_ERR_INPUT);
  assert_true(strlen(err.message) < 2000);
  assert_non_null(strstr(err.message, ":9:15: model.activation is \"vvvv"));
  assert_non_null(strstr(err.message, "\n              ^"));
}

static void huge_files_are_refused(void **state) {
  size_t length = (1 << 20) + 1;
  char *text = malloc(length);
  memset(text, '#', length);
  mno_error err = {0};
  assert_int_equal(parse(text, length, &err), MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "1048577 bytes"));
  free(text);
}

static void unreadable_files(void **state) {
  mno_sweep *sweep = NULL;
  mno_error err = {0};
  assert_int_equal(mno_sweep_load("/no/such/file.yaml", &sweep, &err), MNO_ERR_IO);
  assert_non_null(strstr(err.message, "/no/such/file.yaml: No such file or directory"));
  assert_int_equal(mno_sweep_load("/", &sweep, &err), MNO_ERR_IO);
}

/* A later stage's error carries the place of a value of the sweep. */
static void later_errors_have_places(void **state) {
  char text[4096];
  size_t length = base_with(text, sizeof text, 0, NULL);
  mno_sweep *sweep = NULL;
  mno_error err = {0};
  assert_ok(mno_sweep_parse(text, length, "test.yaml", &sweep, &err));
  assert_int_equal(mno_sweep_fail(sweep, sweep->sweep.L.mark[1], &err, "too deep: %d", 7), MNO_ERR_INPUT);
  assert_string_equal(err.message, "test.yaml:24:11: too deep: 7\n  L: [10, 20, 40, 80]\n          ^");
  assert_int_equal(mno_sweep_fail(sweep, sweep->sweep.pairs_mark, &err, "a default"), MNO_ERR_INPUT);
  assert_string_equal(err.message, "test.yaml: a default");
  mno_sweep_free(sweep);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_fault),
                                     cmocka_unit_test(every_required_section),
                                     cmocka_unit_test(texts_that_are_no_configuration),
                                     cmocka_unit_test(long_lines_are_cut),
                                     cmocka_unit_test(long_names_and_values_fit),
                                     cmocka_unit_test(huge_files_are_refused),
                                     cmocka_unit_test(unreadable_files),
                                     cmocka_unit_test(later_errors_have_places)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
