/* SPDX-License-Identifier: BSD-3-Clause */
/* Paired estimators against networks that are known: with units xi, zeta addressed by (seed, layer, unit),
 *   f = limit + A/L + b/(L M) sum w xi + C (sum w zeta / (L M))^2,   w = 1 + 0.3 (2 l - 1 - L)/L at layer l,
 * so that rearranged, halved and mirrored networks behave as trained ones do: the depth enters through the layer's place,
 * the width through a square. The width bias is C mean(w^2)/(L M), with mean(w^2) -> 1.03. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 8, SEEDS = 32, DEEP = 16, WIDE = 8, REPETITIONS = 200, MOST = 6000 };

static const double noise = 1, width_mean = 1.03;

static uint64_t state_;
static double uniform(void) {
  state_ = state_ * 6364136223846793005u + 1442695040888963407u;
  uint64_t x = state_ ^ (state_ >> 29);
  return ((double)((x * 0x9e3779b97f4a7c15u) >> 11) + 0.5) * 0x1p-53;
}
static double normal(void) { return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform()); }

typedef struct world {
  double A[SIZE], C[SIZE], limit[SIZE];
  double xi[DEEP][WIDE][SIZE], zeta[DEEP][WIDE]; /* of the current seed */
  mno_runs runs;
  int64_t L[MOST], M[MOST];
  uint64_t seed[MOST];
  mno_draw draw[MOST];
  double value[MOST][SIZE];
} world;

static void direction(double *v, double rms) {
  double square = 0;
  for (int x = 0; x < SIZE; x++) v[x] = normal(), square += v[x] * v[x];
  for (int x = 0; x < SIZE; x++) v[x] *= rms / sqrt(square / SIZE);
}

static void add(world *w, uint64_t seed, int64_t L, int64_t M, mno_draw draw) {
  size_t run = w->runs.count++;
  assert_in_range(run, 0, MOST - 1);
  w->L[run] = L;
  w->M[run] = M;
  w->seed[run] = seed;
  w->draw[run] = draw;
  double sum[SIZE] = {0}, square = 0, LM = (double)(L * M);
  for (int64_t g = 0; g < L * M; g++) {
    double weight = draw.sign * (1 + 0.3 * (double)(2 * (g / M) + 1 - L) / (double)L);
    int64_t layer = g / draw.width, unit = g % draw.width + draw.offset;
    for (int x = 0; x < SIZE; x++) sum[x] += weight * w->xi[layer][unit][x];
    square += weight * w->zeta[layer][unit];
  }
  square = square / LM * square / LM;
  for (int x = 0; x < SIZE; x++)
    w->value[run][x] = w->limit[x] + w->A[x] / (double)L + noise / LM * sum[x] + w->C[x] * square;
}

static void make(world *w, uint64_t repetition, unsigned pairs) {
  state_ = repetition * 0x2545f4914f6cdd1du + 99;
  direction(w->A, 2);
  direction(w->C, 1);
  direction(w->limit, 1);
  w->runs.count = 0;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    for (int l = 0; l < DEEP; l++)
      for (int j = 0; j < WIDE; j++) {
        w->zeta[l][j] = normal();
        for (int x = 0; x < SIZE; x++) w->xi[l][j][x] = normal();
      }
    for (int64_t L = 4; L <= DEEP; L *= 2)
      for (int64_t M = 2; M <= WIDE; M *= 2) {
        add(w, seed, L, M, (mno_draw){M, 0, 1});
        if (pairs & MNO_PAIRS_REGROUP) add(w, seed, L / 2, 2 * M, (mno_draw){M, 0, 1});
        if (pairs & MNO_PAIRS_JACKKNIFE) {
          if (M == 2) add(w, seed, L, M / 2, (mno_draw){M / 2, 0, 1});
          add(w, seed, L, M / 2, (mno_draw){M / 2, M / 2, 1});
        }
        if (pairs & MNO_PAIRS_ANTITHETIC) add(w, seed, L, M, (mno_draw){M, 0, -1});
      }
  }
  w->runs = (mno_runs){.count = w->runs.count,
                       .size = SIZE,
                       .L = w->L,
                       .M = w->M,
                       .seed = w->seed,
                       .draw = w->draw,
                       .value = &w->value[0][0],
                       .limit = w->limit};
}

typedef struct tally {
  int covered;
  double width, sum;
} tally;

static void note(tally *t, const mno_estimate *e, double truth) {
  assert_false(isnan(e->value));
  t->covered += e->low <= truth && truth <= e->high;
  t->width += (e->high - e->low) / REPETITIONS;
  t->sum += e->value / REPETITIONS;
}

static void show(const char *what, const tally *t, double truth) {
  printf("%s: truth %g, mean estimate %.4g, mean width %.3g, covered %.1f%%\n", what, truth, t->sum, t->width,
         100.0 * t->covered / REPETITIONS);
  assert_in_range(t->covered, 0.90 * REPETITIONS, 0.99 * REPETITIONS);
}

/* Mean widths of the intervals of a, c for a choice of pairs, after checking coverage and methods. */
static void run(unsigned pairs, const char *method_a, const char *method_c, double *width_a, double *width_c) {
  static world w;
  mno_error err = {0};
  tally a = {0}, c = {0}, slope = {0}, flat = {0};
  for (uint64_t r = 1; r <= REPETITIONS; r++) {
    mno_fit fit = {0};
    make(&w, r, pairs);
    assert_ok(mno_fit_runs(&w.runs, &fit, &err));
    assert_string_equal(fit.a.method, method_a);
    assert_string_equal(fit.c.method, method_c);
    note(&a, &fit.a, 2);
    note(&c, &fit.c, width_mean);
    note(&slope, &fit.slope_bias, -1);
    if (pairs & MNO_PAIRS_REGROUP) note(&flat, &fit.slope_bias_M, 0);
  }
  show(method_a, &a, 2);
  show(method_c, &c, width_mean);
  show("exponent in L", &slope, -1);
  if (pairs & MNO_PAIRS_REGROUP) show("exponent in M", &flat, 0);
  *width_a = a.width;
  *width_c = c.width;
}

static void pairs_cover_and_sharpen(void **state) {
  double plain_a, plain_c, a, c;
  run(MNO_PAIRS_NONE, "seed averages", "seed averages", &plain_a, &plain_c);
  run(MNO_PAIRS_ANTITHETIC, "antithetic averages", "antithetic averages", &a, &c);
  assert_true(a < 0.5 * plain_a);
  run(MNO_PAIRS_REGROUP | MNO_PAIRS_JACKKNIFE, "regrouped pairs", "width jackknife", &a, &c);
  assert_true(a < 0.2 * plain_a);
  assert_true(c < 0.7 * plain_c);
}

/* Regrouped pairs and the jackknife need no limit. */
static void pairs_need_no_limit(void **state) {
  static world w;
  mno_error err = {0};
  mno_fit fit = {0};
  make(&w, 1, MNO_PAIRS_REGROUP | MNO_PAIRS_JACKKNIFE);
  w.runs.limit = NULL;
  assert_ok(mno_fit_runs(&w.runs, &fit, &err));
  assert_true(fit.a.low <= 2 && 2 <= fit.a.high && fit.a.warning[0] == 0);
  assert_true(fit.c.low < width_mean && fit.c.warning[0] == 0);
  assert_false(isnan(fit.slope_bias.value));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(pairs_cover_and_sharpen), cmocka_unit_test(pairs_need_no_limit)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
