/* SPDX-License-Identifier: BSD-3-Clause */
/* Random valid configurations, written in random YAML styles, come back as they were; damaged ones never crash. */
#include "test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state;

static uint64_t next(uint64_t bound) { /* splitmix64 */
  uint64_t z = random_state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (z ^ (z >> 31)) % bound;
}

typedef struct text {
  char out[1 << 14];
  size_t used;
  const char *line_break;
} text;

static void put(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(text *t, const char *format, ...) {
  va_list args;
  va_start(args, format);
  t->used += (size_t)vsnprintf(t->out + t->used, sizeof t->out - t->used, format, args);
  va_end(args);
  assert_true(t->used < sizeof t->out);
}

static void end_line(text *t) {
  static const char *const comments[] = {"", "", "", "  # a comment", "   ", " # \xc3\xa9 \xe6\xbc\xa2: [x"};
  put(t, "%s%s", comments[next(6)], t->line_break);
  if (next(8) == 0) put(t, "%s# {%s", next(2) ? "   " : "", t->line_break);
}

/* A key with a scalar value; words may be quoted. */
static void put_word(text *t, const char *key, const char *word) {
  const char *quote = next(3) ? "" : next(2) ? "\"" : "'";
  put(t, "  %s:%s%s%s%s", key, next(2) ? " " : "    ", quote, word, quote);
  end_line(t);
}

static void put_integer(text *t, const char *key, int64_t value) {
  put(t, "  %s: %s%" PRId64, key, next(5) ? "" : "+", value);
  end_line(t);
}

static void put_real(text *t, const char *key, double value) {
  put(t, next(2) ? "  %s: %.17g" : "  %s: %.17e", key, value);
  end_line(t);
}

static void put_list(text *t, const char *key, const mno_integers *list) {
  int style = list->count == 1 ? (int)next(3) : 1 + (int)next(2);
  if (style == 0) {
    put_integer(t, key, list->value[0]);
    return;
  }
  put(t, style == 1 ? "  %s: [" : "  %s:%s", key, style == 1 ? "" : t->line_break);
  for (size_t i = 0; i < list->count; i++) {
    if (style == 1)
      put(t, "%s%" PRId64 "%s", i ? "," : "", list->value[i], next(2) ? " " : "");
    else
      put(t, "    - %" PRId64 "%s", list->value[i], t->line_break);
    if (style == 1 && next(6) == 0) put(t, "%s      ", t->line_break);
  }
  if (style == 1) {
    put(t, "]");
    end_line(t);
  }
}

static void random_list(mno_integers *list, int64_t most) {
  list->count = 0;
  size_t wanted = 1 + next(6);
  while (list->count < wanted) {
    int64_t v = next(2) ? 1 + (int64_t)next((uint64_t)most) : 1 + (int64_t)next(20);
    bool there = false;
    for (size_t i = 0; i < list->count; i++) there = there || list->value[i] == v;
    if (!there) list->value[list->count++] = v;
  }
}

typedef struct expected {
  mno_integers D, L, M;
  int64_t value[3][8];
  int64_t samples, steps, seeds;
  uint64_t data_seed;
  double alpha, eta_u, sigma_v;
  mno_activation activation;
  unsigned pairs;
  bool embedding, has_limit;
} expected;

static void random_expected(expected *e) {
  e->D.value = e->value[0];
  e->L.value = e->value[1];
  e->M.value = e->value[2];
  random_list(&e->D, 1000000);
  random_list(&e->L, 10000000);
  random_list(&e->M, 1000000);
  e->samples = 1 + (int64_t)next(1000000);
  e->steps = (int64_t)next(2000);
  e->seeds = 1 + (int64_t)next(1000);
  e->data_seed = next(INT64_MAX);
  e->alpha = ldexp(1 + (double)next(1u << 30), (int)next(20) - 45);
  e->alpha = e->alpha < 1e-6 ? 1e-6 : e->alpha;
  e->eta_u = (double)next(1000) / 7;
  e->sigma_v = (1 + (double)next(1000)) / 9;
  e->activation = (mno_activation)next(MNO_ACTIVATION_COUNT);
  e->pairs = (unsigned)next(8);
  e->embedding = next(2);
  e->has_limit = next(2);
}

static void write_section(text *t, const expected *e, int section) {
  static const char *const names[] = {"data", "model", "training", "sweep", "limit", "record"};
  static const char *const pair[] = {"regroup", "jackknife", "antithetic"};
  put(t, next(4) ? "%s:" : "\"%s\":", names[section]);
  end_line(t);
  switch (section) {
  case 0:
    put_word(t, "kind", "gaussian");
    put_integer(t, "samples", e->samples);
    put_integer(t, "targets", 3);
    put_integer(t, "seed", (int64_t)e->data_seed);
    put_integer(t, "inputs", 2);
    break;
  case 1:
    put_list(t, "D", &e->D);
    put_word(t, "activation", mno_activation_name(e->activation));
    put_real(t, "alpha", e->alpha);
    put_real(t, "sigma_v", e->sigma_v);
    break;
  case 2:
    put_real(t, "eta_u", e->eta_u);
    put_integer(t, "steps", e->steps);
    break;
  case 3:
    put_list(t, "M", &e->M);
    put_integer(t, "seeds", e->seeds);
    put_list(t, "L", &e->L);
    if (e->pairs) {
      put(t, "  pairs: [");
      for (int i = 0, n = 0; i < 3; i++)
        if (e->pairs & (1u << i)) put(t, "%s%s", n++ ? ", " : "", pair[i]);
      put(t, "]");
      end_line(t);
    }
    break;
  case 4: put_word(t, "kind", e->has_limit ? "tangent-ode" : "none"); break;
  default: put_word(t, "weights", "final"); put(t, "  embedding: %s%s", e->embedding ? "true" : "false", t->line_break);
  }
}

static void write_configuration(text *t, const expected *e) {
  static const char *const breaks[] = {"\n", "\r\n", "\n"};
  int order[6] = {0, 1, 2, 3, 4, 5};
  t->used = 0;
  t->line_break = breaks[next(3)];
  if (next(4) == 0) put(t, "\xef\xbb\xbf");
  if (next(4) == 0) put(t, "---%s", t->line_break);
  for (int i = 5; i > 0; i--) {
    int j = (int)next((uint64_t)i + 1), swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }
  for (int i = 0; i < 6; i++) write_section(t, e, order[i]);
}

static void assert_list(const mno_integers *a, const mno_integers *b, const mno_sweep *s) {
  assert_int_equal(a->count, b->count);
  for (size_t i = 0; i < a->count; i++) {
    assert_int_equal(a->value[i], b->value[i]);
    /* the mark points at the number in the text */
    const char *p = s->text;
    if (strncmp(p, "\xef\xbb\xbf", 3) == 0) p += 3;
    for (int line = 1; line < b->mark[i].line; line++) p = strchr(p, '\n') + 1;
    assert_int_equal(strtoll(p + b->mark[i].column - 1, NULL, 10), a->value[i]);
  }
}

static void round_trip(void **state) {
  static text t;
  for (int round = 0; round < 2000; round++) {
    random_state = (uint64_t)round * 7919;
    expected e;
    random_expected(&e);
    write_configuration(&t, &e);
    mno_sweep *s = NULL;
    mno_error err = {0};
    if (mno_sweep_parse(t.out, t.used, "random.yaml", &s, &err) != MNO_OK) fail_msg("%s\nin\n%s", err.message, t.out);
    assert_list(&e.D, &s->model.D, s);
    assert_list(&e.L, &s->sweep.L, s);
    assert_list(&e.M, &s->sweep.M, s);
    assert_int_equal(s->data.samples, e.samples);
    assert_int_equal(s->data.seed.value[0], e.data_seed);
    assert_int_equal(s->training.steps, e.steps);
    assert_int_equal(s->record.step_count, e.steps + 1);
    assert_int_equal(s->sweep.seed_count, e.seeds);
    assert_true(s->model.alpha.value[0] == e.alpha);
    assert_true(s->model.sigma[MNO_V] == e.sigma_v && s->model.sigma[MNO_U] == 1);
    assert_true(s->training.eta[MNO_U] == e.eta_u && s->training.eta[MNO_V] == 1);
    assert_int_equal(s->model.activation, e.activation);
    assert_int_equal(s->sweep.pairs, e.pairs);
    assert_int_equal(s->limit.count, e.has_limit);
    assert_int_equal(s->record.embedding, e.embedding);
    assert_int_equal(s->record.weights, MNO_WEIGHTS_FINAL);
    assert_memory_equal(s->text, t.out, t.used);
    mno_sweep_free(s);
  }
}

/* Every error has a message that starts with the name and has a place within the text. */
static void damage(void **state) {
  static text t;
  static const char bytes[] = "\0\t\n\r:-[]{}\"'#&*!%|>0x.e ,?\xff\xc3";
  int refused = 0;
  for (int round = 0; round < 20000; round++) {
    random_state = (uint64_t)round * 104729 + 1;
    expected e;
    random_expected(&e);
    write_configuration(&t, &e);
    for (uint64_t i = 0, n = 1 + next(4); i < n && t.used > 0; i++) {
      size_t at = (size_t)next(t.used);
      switch (next(3)) {
      case 0: t.out[at] = bytes[next(sizeof bytes - 1)]; break;
      case 1: t.used = at + 1; break;
      default: memmove(t.out + at, t.out + at + 1, --t.used - at);
      }
    }
    mno_sweep *s = NULL;
    mno_error err = {0};
    mno_status status = mno_sweep_parse(t.out, t.used, "damaged.yaml", &s, &err);
    if (status != MNO_OK) {
      int line = 0, column = 0;
      refused++;
      assert_int_equal(status, MNO_ERR_INPUT);
      assert_null(s);
      assert_int_equal(sscanf(err.message, "damaged.yaml:%d:%d: ", &line, &column), 2);
      assert_true(line >= 1 && column >= 1);
      assert_int_equal(err.message[strlen(err.message) - 1], '^');
    }
    mno_sweep_free(s);
  }
  assert_true(refused > 5000);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(damage)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
