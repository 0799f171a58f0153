/* SPDX-License-Identifier: BSD-3-Clause */
/* Estimators against runs whose law is known. */
#include "test.h"

#include "stats/synthetic.h"

#include <stdio.h>
#include <string.h>

enum { REPETITIONS = 200 };

typedef struct tally {
  const char *name;
  size_t offset;
  double truth;
  int covered, estimated;
  double sum, width;
} tally;

static const mno_estimate *at(const mno_fit *fit, size_t offset) {
  return (const mno_estimate *)(const void *)((const char *)fit + offset);
}

static void repeat(const char *title, synthetic p, tally *t, size_t count) {
  mno_error err = {0};
  for (int i = 0; i < REPETITIONS; i++) {
    p.draw = (uint64_t)i + 1;
    synthetic_runs s = synthetic_make(&p);
    mno_fit fit = {0};
    assert_ok(mno_fit_runs(&s.runs, &fit, &err));
    for (size_t k = 0; k < count; k++) {
      const mno_estimate *e = at(&fit, t[k].offset);
      if (isnan(e->value)) continue;
      t[k].estimated++;
      t[k].covered += e->low <= t[k].truth && t[k].truth <= e->high;
      t[k].sum += e->value;
      t[k].width += e->high - e->low;
      assert_true(e->low <= e->value && e->value <= e->high);
    }
    synthetic_free(&s);
  }
  for (size_t k = 0; k < count; k++)
    printf("%s, %s: truth %g, mean estimate %.4g, mean width %.3g, covered %.1f%% of %d\n", title, t[k].name, t[k].truth,
           t[k].sum / t[k].estimated, t[k].width / t[k].estimated, 100.0 * t[k].covered / t[k].estimated, t[k].estimated);
}

#define TALLY(field, truth)                                                                                                 \
  { #field, offsetof(mno_fit, field), truth, 0, 0, 0, 0 }

/* 90% to 99% of 200: what a 95% interval does with probability 0.998. */
static void check_coverage(const tally *t, size_t count) {
  for (size_t k = 0; k < count; k++) {
    assert_in_range(t[k].estimated, 0.97 * REPETITIONS, REPETITIONS); /* a bias lost in noise has no exponent */
    assert_in_range(t[k].covered, 0.90 * t[k].estimated, 0.99 * t[k].estimated);
  }
}

static const int64_t depths[] = {4, 8, 16}, widths[] = {1, 2, 4};
static const synthetic standard = {.size = 12,
                                   .L = depths,
                                   .M = widths,
                                   .L_count = 3,
                                   .M_count = 3,
                                   .seeds = 32,
                                   .a = 2,
                                   .b = 1,
                                   .c = 3,
                                   .depth_exponent = -1};

static void covers_known_constants(void **state) {
  tally t[] = {TALLY(a, 2),
               TALLY(b, 1),
               TALLY(c, 3),
               TALLY(slope_fluctuation, -0.5),
               TALLY(slope_fluctuation_L, -0.5),
               TALLY(slope_fluctuation_M, -0.5),
               TALLY(slope_bias, -1),
               TALLY(slope_bias_M, 0)};
  repeat("standard", standard, t, 8);
  check_coverage(t, 8);
}

/* The next order of the depth bias, 12% of the leading one at the smallest depth. */
static void covers_with_a_second_order(void **state) {
  static const int64_t four[] = {4, 8, 16, 32};
  synthetic p = standard;
  p.L = four;
  p.L_count = 4;
  p.seeds = 16;
  p.b = 0.3;
  p.second = 1;
  tally t[] = {TALLY(a, 2), TALLY(c, 3), TALLY(slope_bias, -1), TALLY(slope_bias_M, 0)};
  repeat("second order", p, t, 4);
  check_coverage(t, 4);
}

static void covers_with_correlated_coordinates(void **state) {
  synthetic p = standard;
  p.correlation = 0.8;
  p.seeds = 24;
  tally t[] = {TALLY(a, 2), TALLY(b, 1), TALLY(c, 3), TALLY(slope_fluctuation, -0.5), TALLY(slope_bias, -1)};
  repeat("correlated", p, t, 5);
  check_coverage(t, 5);
}

/* Signal of the order of the noise: the square of an estimate would be biased. */
static void covers_near_the_noise_floor(void **state) {
  synthetic p = standard;
  p.a = 0.15;
  p.c = 0.3;
  tally t[] = {TALLY(a, 0.15), TALLY(c, 0.3)};
  repeat("noise floor", p, t, 2);
  check_coverage(t, 2);
}

static void covers_with_an_uncertain_limit(void **state) {
  synthetic p = standard;
  p.seeds = 48;
  p.b = 0.3;
  p.limit_deviation = 0.02;
  tally t[] = {TALLY(a, 2), TALLY(c, 3), TALLY(slope_bias, -1)};
  repeat("uncertain limit", p, t, 3);
  check_coverage(t, 3);
}

static void covers_with_few_seeds(void **state) {
  synthetic p = standard;
  p.seeds = 6;
  tally t[] = {TALLY(a, 2), TALLY(b, 1), TALLY(c, 3), TALLY(slope_fluctuation, -0.5), TALLY(slope_bias, -1)};
  repeat("six seeds", p, t, 5);
  check_coverage(t, 5);
}

static void covers_with_one_depth(void **state) {
  static const int64_t one[] = {8};
  synthetic p = standard;
  p.L = one;
  p.L_count = 1;
  tally t[] = {TALLY(a, 2), TALLY(b, 1), TALLY(c, 3)};
  repeat("one depth", p, t, 3);
  check_coverage(t, 3);
}

/* Keeps the runs for which keep() holds. */
static void filter(synthetic_runs *s, int (*keep)(const synthetic_runs *s, size_t run)) {
  size_t kept = 0, size = s->runs.size;
  for (size_t r = 0; r < s->runs.count; r++) {
    if (!keep(s, r)) continue;
    s->L[kept] = s->L[r];
    s->M[kept] = s->M[r];
    s->seed[kept] = s->seed[r];
    memmove(s->value + kept * size, s->value + r * size, size * sizeof *s->value);
    kept++;
  }
  s->runs.count = kept;
}

static int most_of_them(const synthetic_runs *s, size_t r) {
  return (s->seed[r] * 7 + (uint64_t)s->L[r] + (uint64_t)s->M[r]) % 5 != 0;
}
static int one_seed(const synthetic_runs *s, size_t r) { return s->seed[r] == 3; }
static int two_seeds(const synthetic_runs *s, size_t r) { return s->seed[r] < 2; }
static int one_width(const synthetic_runs *s, size_t r) { return s->M[r] == 2; }
static int one_depth(const synthetic_runs *s, size_t r) { return s->L[r] == 8; }
static int one_shape(const synthetic_runs *s, size_t r) { return s->L[r] == 8 && s->M[r] == 2; }
static int none(const synthetic_runs *s, size_t r) { return 0; }

static mno_fit fit_filtered(int (*keep)(const synthetic_runs *, size_t)) {
  mno_error err = {0};
  mno_fit fit = {.step = 7};
  synthetic_runs s = synthetic_make(&standard);
  filter(&s, keep);
  assert_ok(mno_fit_runs(&s.runs, &fit, &err));
  assert_int_equal(fit.step, 7);
  synthetic_free(&s);
  return fit;
}

static void assert_none(const mno_estimate *e) {
  assert_true(isnan(e->value) && isnan(e->low) && isnan(e->high));
  assert_true(e->warning[0] != 0);
}

static void assert_contains(const mno_estimate *e, double truth) {
  if (!(e->low <= truth && truth <= e->high)) fail_msg("%g is not in [%g, %g]", truth, e->low, e->high);
}

static void missing_runs_are_no_harm(void **state) {
  mno_fit fit = fit_filtered(most_of_them);
  assert_contains(&fit.a, 2);
  assert_contains(&fit.b, 1);
  assert_contains(&fit.c, 3);
  assert_contains(&fit.slope_bias, -1);
  assert_contains(&fit.slope_fluctuation, -0.5);
}

static void says_what_cannot_be_estimated(void **state) {
  int (*too_little[])(const synthetic_runs *, size_t) = {one_seed, two_seeds, none};
  for (int i = 0; i < 3; i++) {
    mno_fit fit = fit_filtered(too_little[i]);
    const mno_estimate *all[] = {&fit.a, &fit.b, &fit.c, &fit.slope_fluctuation, &fit.slope_bias, &fit.slope_bias_M};
    for (int k = 0; k < 6; k++) assert_none(all[k]);
  }
  mno_fit width = fit_filtered(one_width);
  assert_none(&width.a);
  assert_none(&width.c);
  assert_none(&width.slope_bias);
  assert_contains(&width.slope_fluctuation, -0.5);
  assert_none(&width.slope_fluctuation_M);
  mno_fit depth = fit_filtered(one_depth);
  assert_false(isnan(depth.a.value) || isnan(depth.c.value));
  assert_none(&depth.slope_bias);
  assert_none(&depth.slope_fluctuation_L);
  mno_fit shape = fit_filtered(one_shape);
  assert_none(&shape.a);
  assert_none(&shape.slope_fluctuation);
  assert_contains(&shape.b, 1);
  assert_non_null(strstr(shape.b.warning, "finite L M"));
}

static void without_a_limit_only_the_fluctuation(void **state) {
  mno_error err = {0};
  mno_fit fit = {0};
  synthetic_runs s = synthetic_make(&standard);
  s.runs.limit = NULL;
  assert_ok(mno_fit_runs(&s.runs, &fit, &err));
  assert_none(&fit.a);
  assert_none(&fit.c);
  assert_none(&fit.slope_bias);
  assert_contains(&fit.b, 1);
  synthetic_free(&s);
}

static void diverged_runs_are_left_out_and_named(void **state) {
  mno_error err = {0};
  mno_fit fit = {0};
  synthetic_runs s = synthetic_make(&standard);
  s.value[5] = NAN;
  s.value[s.runs.size * 40 + 1] = INFINITY;
  assert_ok(mno_fit_runs(&s.runs, &fit, &err));
  assert_contains(&fit.a, 2);
  assert_contains(&fit.b, 1);
  assert_non_null(strstr(fit.b.warning, "2 diverged runs left out"));
  synthetic_free(&s);
}

/* At initialisation there is no bias at all, and identical seeds have no fluctuation. */
static void no_bias_is_on_the_noise_floor(void **state) {
  mno_error err = {0};
  synthetic p = standard;
  p.a = p.c = 0;
  p.draw = 4;
  mno_fit fit = {0};
  synthetic_runs s = synthetic_make(&p);
  assert_ok(mno_fit_runs(&s.runs, &fit, &err));
  assert_true(fit.a.low == 0 && fit.a.high > 0 && fit.a.high < 0.5);
  assert_non_null(strstr(fit.a.warning, "noise floor"));
  assert_none(&fit.slope_bias);
  synthetic_free(&s);

  p = standard;
  p.b = 0;
  s = synthetic_make(&p);
  assert_ok(mno_fit_runs(&s.runs, &fit, &err));
  assert_close(fit.a.value, 2, 1e-9);
  assert_close(fit.c.value, 3, 1e-9);
  assert_close(fit.slope_bias.value, -1, 1e-6);
  /* Such numbers have no interval: one of width 0 would claim to be sure. */
  const mno_estimate *exact[] = {&fit.a, &fit.c};
  for (size_t i = 0; i < 2; i++) {
    assert_true(isnan(exact[i]->low) && isnan(exact[i]->high));
    assert_non_null(strstr(exact[i]->warning, "no statistical error"));
  }
  char *text;
  mno_result result = {.problem_count = 1, .problems = &(mno_result_problem){.name = "problem_0000"}};
  mno_fits fits = {1, &fit};
  assert_ok(mno_fits_json(&result, &fits, &text, &err));
  assert_non_null(strstr(text, "\"a\": {\"value\": 2, \"low\": null, \"high\": null"));
  free(text);
  assert_ok(mno_fits_table(&result, &fits, &text, &err));
  assert_non_null(strstr(text, "output     2.0000 ("));
  assert_non_null(strstr(text, "no statistical error"));
  free(text);
  synthetic_free(&s);
}

static void another_exponent_is_seen(void **state) {
  mno_error err = {0};
  synthetic p = standard;
  p.depth_exponent = -2;
  p.a = 10;
  p.b = 0.2;
  mno_fit fit = {0};
  synthetic_runs s = synthetic_make(&p);
  assert_ok(mno_fit_runs(&s.runs, &fit, &err));
  assert_contains(&fit.slope_bias, -2);
  assert_true(fit.slope_bias.high < -1.9);
  synthetic_free(&s);
}

static void a_poor_limit_is_flagged(void **state) {
  mno_error err = {0};
  synthetic p = standard;
  p.limit_deviation = 0.1;
  mno_fit fit = {0};
  synthetic_runs s = synthetic_make(&p);
  assert_ok(mno_fit_runs(&s.runs, &fit, &err));
  assert_contains(&fit.a, 2);
  assert_non_null(strstr(fit.a.warning, "limit's own error"));
  synthetic_free(&s);
}

static void draws_that_are_not_plain_are_set_aside(void **state) {
  mno_error err = {0};
  mno_fit fit = {0};
  synthetic_runs s = synthetic_make(&standard);
  mno_draw *draw = malloc(s.runs.count * sizeof *draw);
  for (size_t r = 0; r < s.runs.count; r++) draw[r] = (mno_draw){s.M[r], 0, 1};
  for (size_t r = 0; r < s.runs.count; r++)
    if (s.seed[r] % 2) {
      draw[r].sign = -1;
      s.value[r * s.runs.size] = 1e6;
    }
  s.runs.draw = draw;
  assert_ok(mno_fit_runs(&s.runs, &fit, &err));
  assert_contains(&fit.a, 2);
  assert_contains(&fit.b, 1);
  free(draw);
  synthetic_free(&s);
}

static void refuses_duplicates(void **state) {
  mno_error err = {0};
  mno_fit fit = {0};
  synthetic_runs s = synthetic_make(&standard);
  for (size_t r = 0; r < s.runs.count; r++)
    if (s.seed[r] == 1) s.seed[r] = 0;
  assert_int_equal(mno_fit_runs(&s.runs, &fit, &err), MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "seed 0"));
  synthetic_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(covers_with_a_second_order),
      cmocka_unit_test(covers_known_constants),
      cmocka_unit_test(covers_with_correlated_coordinates),
      cmocka_unit_test(covers_near_the_noise_floor),
      cmocka_unit_test(covers_with_an_uncertain_limit),
      cmocka_unit_test(covers_with_few_seeds),
      cmocka_unit_test(covers_with_one_depth),
      cmocka_unit_test(missing_runs_are_no_harm),
      cmocka_unit_test(says_what_cannot_be_estimated),
      cmocka_unit_test(without_a_limit_only_the_fluctuation),
      cmocka_unit_test(diverged_runs_are_left_out_and_named),
      cmocka_unit_test(no_bias_is_on_the_noise_floor),
      cmocka_unit_test(another_exponent_is_seen),
      cmocka_unit_test(a_poor_limit_is_flagged),
      cmocka_unit_test(draws_that_are_not_plain_are_set_aside),
      cmocka_unit_test(refuses_duplicates),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
