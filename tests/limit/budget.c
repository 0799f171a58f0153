/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of the time budget, wherever it falls: what is there is kept and called what it is, and nothing more is computed.
 * An engine that counts its passes is the clock. */
#include "limit/problems.h"

#include "limit/engine.h"
#include "limit/methods.h"
#include "limit/stop.h"
#include "limit/watch.h"

enum { LATE = 32 }; /* one for each of two ensembles of the randomisations, which notice at their first pass */
static atomic_int flag, passes, late;
static int budget, value; /* passes until the flag becomes this value */

static mno_status pass(mno_particles *particles, const mno_particle_pass *pass, mno_error *err) {
  if (atomic_load(&flag)) atomic_fetch_add(&late, 1);
  if (atomic_fetch_add(&passes, 1) + 1 == budget) atomic_store(&flag, value);
  return mno_engine_cpu.pass(particles, pass, err);
}

static mno_engine counting(void) {
  mno_engine engine = mno_engine_cpu;
  engine.pass = pass;
  return engine;
}

/* Steps are known up to one, and none behind it; what is not complete does not say that it is. */
static void check(const mno_limit *limit, int cut) {
  size_t known = limit->diverged < 0 ? limit->K + 1 : (size_t)limit->diverged;
  assert_true(known >= 1);
  for (size_t k = 0; k <= limit->K; k++) {
    assert_int_equal(isfinite(limit->loss[k]), k < known);
    assert_int_equal(isfinite(rms(limit->embedding + k * limit->N * limit->D, limit->N * limit->D)), k < known);
    if (k < known) assert_true(isnan(limit->output_error[k]) || limit->output_error[k] >= 0);
  }
  if (!limit->certified && cut) {
    int said =
        strstr(limit->parameters, "; stopped at the time budget") || strstr(limit->parameters, "; networks towards it grow");
    if (!said) fail_msg("parameters: %s", limit->parameters);
  }
  if (limit->certified) assert_true(known == limit->K + 1);
}

static mno_status solve(const mno_problem *p, mno_limit_options options, int after, int becomes, mno_limit **limit,
                        mno_error *err) {
  static mno_engine engine;
  engine = counting();
  atomic_store(&flag, 0);
  atomic_store(&passes, 0);
  atomic_store(&late, 0);
  budget = after;
  value = becomes;
  options.engine = &engine;
  options.stop = &flag;
  options.threads = 2;
  *limit = NULL;
  return mno_mean_ode_solve(p, &options, limit, err);
}

static void wherever_it_ends(void **state) {
  mno_error err;
  static const struct {
    mno_activation activation;
    size_t D;
    double alpha, tolerance, seconds;
  } cases[] = {{MNO_TANH, 4, 1, 3e-3, 0},    {MNO_RELU, 4, 1, 3e-2, 0},    {MNO_TANH, 1, 1, 1e-3, 0},
               {MNO_TANH, 4, 1e-3, 3e-2, 0}, {MNO_RELU, 4, 1e-2, 1e-2, 0}, {MNO_TANH, 4, 1e-3, 3e-2, 1e9}};
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    mno_problem p = random_problem(3, 2, 2, cases[c].D, 3);
    p.activation = cases[c].activation;
    p.alpha = cases[c].alpha;
    mno_limit_options options = {.tolerance = cases[c].tolerance, .seconds = cases[c].seconds};
    int all = INT_MAX;
    for (int after = 1; after < all && after < 20000; after += 1 + after / 2) {
      mno_limit *limit;
      assert_ok(solve(&p, options, after, MNO_TIME_IS_UP, &limit, &err));
      check(limit, atomic_load(&flag) != 0);
      if (atomic_load(&late) > LATE) fail_msg("%d passes after the end", atomic_load(&late));
      if (!atomic_load(&flag)) all = 0; /* it was done before */
      mno_limit_free(limit);
      if (after > 1 && after < 100) {
        mno_status status = solve(&p, options, after, 1, &limit, &err);
        assert_int_equal(status, atomic_load(&flag) ? MNO_INTERRUPTED : MNO_OK);
        if (atomic_load(&flag)) assert_null(limit);
        mno_limit_free(limit);
      }
    }
    problem_free(&p);
  }
}

/* A watch tells its two reasons apart, and passes on those of another. */
static void watches(void **state) {
  mno_error err;
  mno_watch outer, inner;
  const atomic_int *stop, *within;
  atomic_int asked = 0;
  assert_ok(mno_watch_begin(&outer, &asked, 0, &stop, &err));
  assert_ptr_equal(stop, &asked);
  mno_watch_end(&outer);
  assert_ok(mno_watch_begin(&outer, &asked, 1e-3, &stop, &err));
  while (!mno_stopped(stop)) continue;
  assert_true(mno_time_is_up(stop));
  assert_ok(mno_watch_begin(&inner, stop, 1e6, &within, &err));
  while (!mno_stopped(within)) continue;
  assert_true(mno_time_is_up(within));
  mno_watch_end(&inner);
  mno_watch_end(&outer);
  assert_ok(mno_watch_begin(&outer, &asked, 1e6, &stop, &err));
  assert_false(mno_stopped(stop));
  atomic_store(&asked, 3);
  while (!mno_stopped(stop)) continue;
  assert_false(mno_time_is_up(stop));
  mno_watch_end(&outer);
}

/* Every kind, with no time to speak of. */
static void no_time(void **state) {
  static const struct {
    mno_limit_kind kind;
    mno_activation activation;
    size_t D;
  } cases[] = {{MNO_LIMIT_MEAN_ODE, MNO_TANH, 4},     {MNO_LIMIT_MEAN_ODE, MNO_TANH, 1},
               {MNO_LIMIT_MEAN_ODE, MNO_IDENTITY, 4}, {MNO_LIMIT_TANGENT_ODE, MNO_TANH, 4},
               {MNO_LIMIT_TANGENT_ODE, MNO_RELU, 4},  {MNO_LIMIT_JOINT, MNO_GELU, 4}};
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    mno_problem p = random_problem(50, 2, 2, cases[c].D, 2000);
    p.activation = cases[c].activation;
    mno_limit *limit = solve_limit(&p, (mno_limit_options){.kind = cases[c].kind, .tolerance = 1e-12, .seconds = 1e-3});
    check(limit, 1);
    assert_false(limit->certified);
    mno_limit_free(limit);
    problem_free(&p);
  }
}

/* Fields that do not fit are refused before any is computed. */
static void no_memory(void **state) {
  static const mno_limit_kind kinds[] = {MNO_LIMIT_MEAN_ODE, MNO_LIMIT_TANGENT_ODE, MNO_LIMIT_JOINT};
  for (size_t c = 0; c < sizeof kinds / sizeof *kinds; c++) {
    mno_problem p = random_problem(100, 2, 2, 4, 100000);
    mno_limit *limit;
    mno_error err;
    mno_limit_options options = {.kind = kinds[c], .tolerance = 1e-2, .memory = 1e8};
    assert_int_equal(mno_limit_solve(&p, &options, &limit, &err), MNO_ERR_INPUT);
    assert_non_null(strstr(err.message, "limit.memory"));
    assert_null(limit);
    problem_free(&p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(wherever_it_ends), cmocka_unit_test(watches),
                                     cmocka_unit_test(no_time), cmocka_unit_test(no_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
