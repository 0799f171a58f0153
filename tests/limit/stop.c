/* SPDX-License-Identifier: BSD-3-Clause */
/* A limit that is asked to stop does so between pieces of its work, not at its next gradient step: here one pass over the
 * particles, one evaluation of the kernels, one set of points would take minutes, and the time limit of the test is one. */
#include "limit/problems.h"

#include <pthread.h>
#include <time.h>

static void *ring(void *stop) {
  nanosleep(&(struct timespec){0, 700000000}, NULL);
  atomic_store((atomic_int *)stop, 1);
  return NULL;
}

static void stops(const char *name, const mno_problem *problem, mno_limit_options options, size_t layers) {
  atomic_int stop = 0;
  pthread_t bell;
  mno_error err;
  mno_limit *limit = NULL;
  double output[2];
  options.stop = &stop;
  options.threads = 1;
  assert_int_equal(pthread_create(&bell, NULL, ring, &stop), 0);
  mno_status status = layers ? mno_limit_depth_bias(problem, &options, layers, output, NULL, &err)
                             : mno_limit_solve(problem, &options, &limit, &err);
  pthread_join(bell, NULL);
  if (status != MNO_INTERRUPTED) fail_msg("%s: %s", name, mno_status_text(status));
  assert_null(limit);
}

static void sampling(void **state) {
  mno_problem p = random_problem(2000, 2, 1, 2, 1);
  mno_limit_options options = {.tolerance = 1e-3, .method = MNO_METHOD_SOBOL, .particles = 65536, .nodes = 100};
  stops("sobol", &p, options, 0);
  options.nodes = 0; /* in the pilot */
  p.N = 1000;
  p.activation = MNO_RELU;
  options.tolerance = 1e-6;
  stops("sobol, choosing", &p, options, 0);
  p.activation = MNO_TANH;
  options.kind = MNO_LIMIT_JOINT;
  options.method = MNO_METHOD_AUTO;
  options.nodes = 100;
  stops("joint", &p, options, 0);
  problem_free(&p);
}

static void drawing(void **state) {
  mno_problem p = random_problem(1, 2, 1, 2, 1);
  stops("draw", &p, (mno_limit_options){.tolerance = 1e-3, .method = MNO_METHOD_SOBOL, .particles = 1 << 23, .nodes = 8}, 0);
  problem_free(&p);
}

static void quadrature(void **state) {
  mno_problem p = random_problem(1000, 2, 1, 2, 1);
  stops("quadrature", &p, (mno_limit_options){.tolerance = 1e-6, .method = MNO_METHOD_QUADRATURE}, 0);
  problem_free(&p);
}

static void kernels(void **state) {
  mno_problem p = random_problem(4000, 2, 1, 3, 2);
  stops("tangent-ode", &p, (mno_limit_options){.kind = MNO_LIMIT_TANGENT_ODE, .tolerance = 1e-9}, 0);
  p.activation = MNO_ERF;
  stops("tangent-ode, closed forms", &p, (mno_limit_options){.kind = MNO_LIMIT_TANGENT_ODE, .tolerance = 1e-9}, 0);
  problem_free(&p);
}

static void moments(void **state) {
  mno_problem p = random_problem(3000, 60, 60, 120, 20);
  p.activation = MNO_IDENTITY;
  stops("closure", &p, (mno_limit_options){.tolerance = 1e-10}, 0);
  problem_free(&p);
}

static void layers(void **state) {
  mno_problem p = random_problem(1000, 2, 1, 2, 1);
  stops("depth bias", &p, (mno_limit_options){.particles = 16384}, 512);
  problem_free(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(sampling), cmocka_unit_test(drawing), cmocka_unit_test(quadrature),
                                     cmocka_unit_test(kernels),  cmocka_unit_test(moments), cmocka_unit_test(layers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
