/* SPDX-License-Identifier: BSD-3-Clause */
/* No number out of no data: every estimate is whole, or none with the reason. */
#include "test.h"

#include "stats/synthetic.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

static const int64_t depths[] = {4, 8, 16}, widths[] = {1, 2, 4};
static const synthetic standard = {.size = 6,
                                   .L = depths,
                                   .M = widths,
                                   .L_count = 3,
                                   .M_count = 3,
                                   .seeds = 6,
                                   .a = 2,
                                   .b = 1,
                                   .c = 3,
                                   .depth_exponent = -1};

enum { A, B, C, SLOPE_LM, SLOPE_L, SLOPE_M, SLOPE_BIAS, SLOPE_BIAS_M, ESTIMATES };
enum { BIASES = 1 << A | 1 << C | 1 << SLOPE_BIAS | 1 << SLOPE_BIAS_M };
enum { FLUCTUATIONS = 1 << B | 1 << SLOPE_LM | 1 << SLOPE_L | 1 << SLOPE_M };

static void list(const mno_fit *f, const mno_estimate *e[ESTIMATES]) {
  const mno_estimate *all[] = {
      &f->a,          &f->b,           &f->c, &f->slope_fluctuation, &f->slope_fluctuation_L, &f->slope_fluctuation_M,
      &f->slope_bias, &f->slope_bias_M};
  memcpy(e, all, sizeof all);
}

static int is_none(const mno_estimate *e) { return isnan(e->value) && isnan(e->low) && isnan(e->high); }

static void check_whole(const char *name, const mno_fit *fit) {
  const mno_estimate *e[ESTIMATES];
  list(fit, e);
  for (int i = 0; i < ESTIMATES; i++) {
    int whole = isfinite(e[i]->low) && isfinite(e[i]->high) && e[i]->low <= e[i]->value && e[i]->value <= e[i]->high;
    int exact =
        isfinite(e[i]->value) && isnan(e[i]->low) && isnan(e[i]->high) && strstr(e[i]->warning, "no statistical error");
    if (!whole && !exact && !(is_none(e[i]) && e[i]->warning[0]))
      fail_msg("%s, estimate %d: %g [%g, %g] \"%s\"", name, i, e[i]->value, e[i]->low, e[i]->high, e[i]->warning);
  }
}

/* What is done to the runs. */
static void limit_nan(synthetic_runs *s) { s->limit[3] = NAN; }
static void limit_infinite(synthetic_runs *s) { s->limit[0] = -INFINITY; }
static void limit_missing(synthetic_runs *s) { s->runs.limit = NULL; }
static void limit_far(synthetic_runs *s) { s->limit[0] = 1e200; }
static void limit_zero(synthetic_runs *s) { memset(s->limit, 0, s->runs.size * sizeof *s->limit); }
static void error_infinite(synthetic_runs *s) { s->runs.limit_deviation = INFINITY; }
static void error_large(synthetic_runs *s) { s->runs.limit_deviation = 1e6; }
static void error_overflows(synthetic_runs *s) { s->runs.limit_deviation = 1e200; }
static void error_unknown(synthetic_runs *s) { s->runs.limit_deviation = NAN; }
static void no_runs(synthetic_runs *s) { s->runs.count = 0; }
static void all_diverged(synthetic_runs *s) {
  for (size_t r = 0; r < s->runs.count; r++) s->value[r * s->runs.size + r % s->runs.size] = r % 2 ? NAN : INFINITY;
}
static void all_diverged_no_limit(synthetic_runs *s) {
  all_diverged(s);
  limit_nan(s);
}
static void one_run(synthetic_runs *s) { s->runs.count = 1; }
static void set_seeds(synthetic_runs *s, uint64_t from, double value) {
  for (size_t r = 0; r < s->runs.count; r++)
    for (size_t x = 0; x < s->runs.size && s->seed[r] >= from; x++) s->value[r * s->runs.size + x] = value;
}
static void one_seed(synthetic_runs *s) { set_seeds(s, 1, NAN); }
static void two_seeds(synthetic_runs *s) { set_seeds(s, 2, NAN); }
static void three_seeds_two_equal(synthetic_runs *s) {
  set_seeds(s, 3, NAN);
  for (size_t r = 0; r < s->runs.count; r++)
    for (size_t x = 0; x < s->runs.size && s->seed[r] < 2; x++) s->value[r * s->runs.size + x] = s->limit[x];
}
static void equal_to_limit(synthetic_runs *s) {
  for (size_t i = 0; i < s->runs.count * s->runs.size; i++) s->value[i] = s->limit[i % s->runs.size];
}
static void equal_up_to_rounding(synthetic_runs *s) {
  for (size_t i = 0; i < s->runs.count * s->runs.size; i++)
    s->value[i] = s->limit[i % s->runs.size] * (1 + (double)(i % 3) * DBL_EPSILON);
}
static void constant(synthetic_runs *s) { set_seeds(s, 0, 0.1); }
static void zero(synthetic_runs *s) { set_seeds(s, 0, 0); }
static void one_seed_huge(synthetic_runs *s) {
  for (size_t r = 0; r < s->runs.count; r++)
    for (size_t x = 0; x < s->runs.size && s->seed[r] == 1; x++) s->value[r * s->runs.size + x] *= 1e200;
}
static void one_run_huge(synthetic_runs *s) { s->value[2] = 1e308; }
static void multiply(synthetic_runs *s, double by, double limit_by) {
  for (size_t i = 0; i < s->runs.count * s->runs.size; i++) s->value[i] *= by;
  for (size_t x = 0; x < s->runs.size; x++) s->limit[x] *= limit_by;
}
static void huge(synthetic_runs *s) { multiply(s, 1e200, 1e200); }
static void huge_runs(synthetic_runs *s) { multiply(s, 1e200, 1); }
static void largest(synthetic_runs *s) { multiply(s, 1e307, 1e307); }
static void small(synthetic_runs *s) { multiply(s, 1e-170, 1e-170); }
static void subnormal(synthetic_runs *s) { multiply(s, 1e-315, 1e-315); }
static void smallest(synthetic_runs *s) { multiply(s, 1e-323, 1e-323); }
static void as_it_is(synthetic_runs *s) {}

static const struct {
  const char *name;
  void (*change)(synthetic_runs *s);
  int none, known;    /* sets of estimates */
  const char *reason; /* of those that are none */
} inputs[] = {
    {"as it is", as_it_is, 0, BIASES | FLUCTUATIONS, ""},
    {"limit NaN", limit_nan, BIASES, FLUCTUATIONS, "the limit is not known at this step"},
    {"limit infinite", limit_infinite, BIASES, FLUCTUATIONS, "the limit is not known at this step"},
    {"limit missing", limit_missing, BIASES, FLUCTUATIONS, "needs a limit"},
    {"limit far", limit_far, BIASES, FLUCTUATIONS, "finite"},
    {"limit zero", limit_zero, 0, 1 << A | 1 << C | FLUCTUATIONS, ""},
    {"error infinite", error_infinite, BIASES, FLUCTUATIONS, "the limit is not known at this step"},
    {"error large", error_large, BIASES, FLUCTUATIONS, "as large as the limit"},
    {"error overflows", error_overflows, BIASES, FLUCTUATIONS, "as large as the limit"},
    {"error unknown", error_unknown, 0, BIASES | FLUCTUATIONS, ""},
    {"no runs", no_runs, BIASES | FLUCTUATIONS, 0, "no run of this problem is finished"},
    {"all diverged", all_diverged, BIASES | FLUCTUATIONS, 0, "no run is finite at this step"},
    {"all diverged, no limit", all_diverged_no_limit, BIASES | FLUCTUATIONS, 0, "at this step"},
    {"one run", one_run, BIASES | FLUCTUATIONS, 0, "needs at least 3 seeds"},
    {"one seed", one_seed, BIASES | FLUCTUATIONS, 0, "needs at least 3 seeds"},
    {"two seeds", two_seeds, BIASES | FLUCTUATIONS, 0, "needs at least 3 seeds"},
    {"three seeds, two equal", three_seeds_two_equal, 1 << SLOPE_LM | 1 << SLOPE_L | 1 << SLOPE_M, 0, "no finite interval"},
    {"equal to limit", equal_to_limit, FLUCTUATIONS | 1 << SLOPE_BIAS | 1 << SLOPE_BIAS_M, 1 << A | 1 << C, ""},
    {"equal up to rounding", equal_up_to_rounding, FLUCTUATIONS | 1 << SLOPE_BIAS | 1 << SLOPE_BIAS_M, 1 << A | 1 << C, ""},
    {"constant", constant, FLUCTUATIONS, 1 << A | 1 << C, "the seeds of a shape do not differ"},
    {"zero", zero, FLUCTUATIONS, 1 << A | 1 << C, "the seeds of a shape do not differ"},
    {"one seed huge", one_seed_huge, 1 << SLOPE_LM, 0, "no finite interval"},
    {"one run huge", one_run_huge, FLUCTUATIONS, 0, "differ too much in size"},
    {"huge", huge, 0, BIASES | FLUCTUATIONS, ""},
    {"huge runs", huge_runs, 0, FLUCTUATIONS, ""},
    {"largest", largest, 0, FLUCTUATIONS, ""},
    {"small", small, 0, BIASES | FLUCTUATIONS, ""},
    {"subnormal", subnormal, 0, FLUCTUATIONS, ""},
    {"smallest", smallest, 0, 0, ""},
};
enum { INPUTS = sizeof inputs / sizeof *inputs };

static mno_fit fit_changed(void (*change)(synthetic_runs *s)) {
  mno_error err = {0};
  mno_fit fit = {0};
  synthetic_runs s = synthetic_make(&standard);
  change(&s);
  assert_ok(mno_fit_runs(&s.runs, &fit, &err));
  synthetic_free(&s);
  return fit;
}

static void none_where_nothing_is_known(void **state) {
  for (int i = 0; i < INPUTS; i++) {
    mno_fit fit = fit_changed(inputs[i].change);
    const mno_estimate *e[ESTIMATES];
    list(&fit, e);
    check_whole(inputs[i].name, &fit);
    for (int k = 0; k < ESTIMATES; k++) {
      if (inputs[i].none >> k & 1 && !(is_none(e[k]) && strstr(e[k]->warning, inputs[i].reason)))
        fail_msg("%s, estimate %d: %g [%g, %g] \"%s\"", inputs[i].name, k, e[k]->value, e[k]->low, e[k]->high,
                 e[k]->warning);
      if (inputs[i].known >> k & 1 && is_none(e[k]))
        fail_msg("%s, estimate %d: none, \"%s\"", inputs[i].name, k, e[k]->warning);
    }
  }
}

/* Nothing but rounding is no bias. */
static void rounding_is_no_bias(void **state) {
  mno_fit fit = fit_changed(equal_up_to_rounding);
  assert_true(fit.a.value == 0 && fit.c.value == 0);
  assert_true(fit.a.high < 1e-13 && fit.c.high < 1e-13);
}

/* The estimates know no unit: another one multiplies the constants, to the bit for a power of two, and leaves the exponents.
 */
static void any_unit_will_do(void **state) {
  static const int powers[] = {-1000, -600, -80, 3, 90, 600, 1000};
  mno_fit one = fit_changed(as_it_is);
  const mno_estimate *e[ESTIMATES], *f[ESTIMATES];
  list(&one, e);
  for (size_t i = 0; i < sizeof powers / sizeof *powers; i++) {
    mno_error err = {0};
    mno_fit fit = {0};
    synthetic_runs s = synthetic_make(&standard);
    multiply(&s, ldexp(1, powers[i]), ldexp(1, powers[i]));
    assert_ok(mno_fit_runs(&s.runs, &fit, &err));
    list(&fit, f);
    for (int k = 0; k < ESTIMATES; k++) {
      double unit = k <= C ? ldexp(1, powers[i]) : 1;
      if (k <= C)
        assert_true(f[k]->value == e[k]->value * unit && f[k]->low == e[k]->low * unit && f[k]->high == e[k]->high * unit);
      else
        assert_close(f[k]->value, e[k]->value, 1e-6);
    }
    synthetic_free(&s);
  }
}

/* Runs of any size beside each other, some not finite, some equal. */
static void whole_whatever_the_runs_are(void **state) {
  static const double values[] = {0,      1,      -1,     NAN,  INFINITY, 1e308,           -1e308, 1e154,
                                  1e-154, 5e-324, 1e-308, 1e30, 1e-20,    1 + DBL_EPSILON, 1e16,   3};
  mno_error err = {0};
  for (int i = 0; i < 400; i++) {
    synthetic p = standard;
    p.draw = (uint64_t)i;
    synthetic_runs s = synthetic_make(&p);
    double share = synthetic_uniform(), kinds = 1 + 15 * synthetic_uniform();
    for (size_t k = 0; k < s.runs.count * s.runs.size; k++)
      if (synthetic_uniform() < share * share * share) s.value[k] = values[(size_t)(kinds * synthetic_uniform())];
    if (i % 3 == 0) s.limit[i % 6] = values[i % 16];
    if (i % 5 == 0) s.runs.limit_deviation = fabs(values[(size_t)(16 * synthetic_uniform())]);
    mno_fit fit = {0};
    assert_ok(mno_fit_runs(&s.runs, &fit, &err));
    char name[32];
    snprintf(name, sizeof name, "draw %d", i);
    check_whole(name, &fit);
    synthetic_free(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(none_where_nothing_is_known),
      cmocka_unit_test(rounding_is_no_bias),
      cmocka_unit_test(any_unit_will_do),
      cmocka_unit_test(whole_whatever_the_runs_are),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
