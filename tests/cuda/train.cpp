/* SPDX-License-Identifier: BSD-3-Clause */
/* The training body, run on the host, against the reference network, finite differences of its loss and itself in other
 * batches. */
#include "twin.h"

using namespace twin;

namespace {

const mno_candidate lanes = {MNO_KERNEL_LANES, 32, 1}, warp = {MNO_KERNEL_WARP, 32, 1}, block = {MNO_KERNEL_BLOCK, 128, 1},
                    wide = {MNO_KERNEL_BLOCK, 256, 1}, pair = {MNO_KERNEL_BLOCK, 256, 2}, four = {MNO_KERNEL_BLOCK, 128, 4},
                    eight = {MNO_KERNEL_BLOCK, 256, 8};

/* The build with the block and the optimiser of the tests, beside that with the first of the program's. */
bool extended() { return mno_trainer_at(0)->block->tensors > 2; }

Result one(const Case &c, const Run &run) { return train({c}, run)[0]; }

/* Every kernel, both precisions, shapes with all kinds of remainders. */
void equals_reference(void **) {
  static const size_t shape[][4] = {/* D, M, L, N */
                                    {1, 1, 1, 1},   {2, 1, 30, 10},  {3, 5, 4, 7},     {10, 10, 6, 10}, {8, 16, 5, 12},
                                    {32, 33, 2, 3}, {17, 70, 3, 21}, {100, 25, 2, 10}, {5, 260, 2, 10}, {64, 96, 1, 9}};
  double worst64 = 0, worst32 = 0;
  for (const auto &n : shape) {
    Case c = plain(n[0], n[1], n[2], n[3]);
    const Result expected = reference(c);
    for (const mno_candidate &candidate : {warp, block, wide, pair, four, eight})
      for (int way = 0; way < (candidate.portions > 1 ? 4 : 2); way++) {
        Run run;
        run.candidate = candidate;
        run.in_memory = way & 1;
        run.spread = way & 2;
        const double e64 = distance(one(c, run), expected);
        run.precision = MNO_F32;
        const double e32 = distance(one(c, run), expected);
        if (!(e64 <= 1e-13) || !(e32 <= 1e-5))
          fail_msg("D %zu M %zu L %zu N %zu, kernel %d, lanes %d, portions %d, %s: f64 %.2g, f32 %.2g", n[0], n[1], n[2],
                   n[3], candidate.kernel, candidate.lanes, candidate.portions, run.spread ? "spread" : "in turn", e64, e32);
        worst64 = fmax(worst64, e64);
        worst32 = fmax(worst32, e32);
      }
  }
  printf("largest distance to the reference: f64 %.2g, f32 %.2g\n", worst64, worst32);
}

/* W0 at small shapes: all heights, samples of one to three instances to a warp, one or several layers to a transfer. */
void lanes_equal_reference(void **) {
  const size_t most = extended() ? 22 : 30; /* units of D = 5 that W0 has room for */
  const size_t shape[][4] = {/* D, M, L, N */
                             {1, 1, 1, 1},     {2, 1, 30, 10},  {2, 1, 41, 3},  {3, 5, 7, 7},
                             {4, 3, 19, 16},   {10, 10, 6, 10}, {8, 16, 5, 12}, {9, 4, 11, 10},
                             {5, most, 2, 10}, {8, 8, 6, 31},   {13, 7, 9, 20}, {7, 2, 13, 32}};
  double worst64 = 0, worst32 = 0;
  for (const auto &n : shape) {
    Case c = plain(n[0], n[1], n[2], n[3]);
    const Result expected = reference(c);
    Run run;
    run.candidate = lanes;
    const double e64 = distance(one(c, run), expected);
    run.precision = MNO_F32;
    const double e32 = distance(one(c, run), expected);
    if (!(e64 <= 1e-13) || !(e32 <= 1e-5))
      fail_msg("D %zu M %zu L %zu N %zu: f64 %.2g, f32 %.2g", n[0], n[1], n[2], n[3], e64, e32);
    worst64 = fmax(worst64, e64);
    worst32 = fmax(worst32, e32);
  }
  printf("largest distance to the reference: f64 %.2g, f32 %.2g\n", worst64, worst32);
}

void every_activation_and_loss(void **) {
  for (const mno_candidate &candidate : {lanes, warp})
    for (int a = 0; a < MNO_ACTIVATION_COUNT; a++)
      for (int loss = 0; loss < 2; loss++) {
        Case c = plain(6, 7, 5, 11, 4);
        c.activation = (mno_activation)a;
        c.loss = (mno_loss)loss;
        c.d_out = 3;
        if (extended()) /* rounding errors of gelu, gated, grow with the learning rates of the others */
          for (double &eta : c.eta) eta *= 0.1;
        Run run;
        run.candidate = candidate;
        const double e = distance(one(c, run), reference(c));
        if (!(e <= 1e-13))
          fail_msg("kernel %d, %s, %s: %.2g", candidate.kernel, mno_activation_name(c.activation), mno_loss_name(c.loss), e);
      }
}

/* One step moves the weights by minus the learning rates times the gradient of the loss: eta L M D / alpha^2. */
void gradients_match_differences(void **) {
  Case c = plain(4, 3, 3, 5, 1);
  c.activation = MNO_GELU;
  c.loss = MNO_CROSS_ENTROPY;
  const Problem p(c);
  Network n(c, p);
  const double rate = (double)(c.L * c.M * c.D) / (c.alpha * c.alpha), eps = 1e-5;
  const size_t weights = mno_reference_weights(&p, c.L, c.M);
  for (const mno_candidate &candidate : {lanes, warp, block, pair}) {
    Run run;
    run.candidate = candidate;
    const Result r = one(c, run);
    for (size_t i = 0; i < weights; i++) {
      double loss[2];
      for (int side = 0; side < 2; side++) {
        std::copy(r.initial.begin(), r.initial.end(), n.units.w);
        n.units.w[i] += side ? eps : -eps;
        loss[side] = mno_reference_forward(&n);
      }
      const double expected = -c.eta[i / (c.L * c.M * c.D)] * rate * (loss[1] - loss[0]) / (2 * eps);
      const double moved = r.trained[i] - r.initial[i];
      if (!(fabs(moved - expected) <= 2e-7))
        fail_msg("kernel %d, weight %zu: moved %.9g, difference %.9g", candidate.kernel, i, moved, expected);
    }
  }
}

/* Learning rates of every step, in every kernel. */
void schedules(void **) {
  Case c = plain(6, 7, 5, 11, 4);
  c.schedule = {1, 0.25, 0, 2};
  for (const mno_candidate &candidate : {lanes, warp, block, pair}) {
    Run run;
    run.candidate = candidate;
    const double e = distance(one(c, run), reference(c));
    if (!(e <= 1e-13)) fail_msg("kernel %d: %.2g", candidate.kernel, e);
  }
}

/* Order of lanes, timing of transfers, stages of the ring, place of the state, a rank for each portion or one for all: none
 * changes a bit. */
void schedule_changes_nothing(void **) {
  for (const mno_candidate &candidate : {lanes, warp, block, pair, four, eight})
    for (int precision = 0; precision < 2; precision++) {
      Case c = plain(9, candidate.kernel == MNO_KERNEL_LANES ? 14 : 43, 5, 13);
      Run run;
      run.candidate = candidate;
      run.precision = (mno_precision)precision;
      const Result expected = one(c, run);
      for (uint32_t p = 2; p < 10; p++) {
        run.spread = candidate.portions > 1 && p & 4;
        run.permutation = 977 * p;
        run.eager = p & 1;
        run.stages = 3 + (int)p % 4;
        run.in_memory = p & 2 && candidate.kernel != MNO_KERNEL_LANES;
        assert_true(same(one(c, run), expected));
      }
    }
}

/* Alone, in a batch, on one team or several: the same bits. */
void batch_changes_nothing(void **) {
  std::vector<Case> cases;
  for (size_t i = 0; i < 12; i++) {
    Case c = plain(5, 6, 12 - i, 10, 2);
    c.seed = 100 + i;
    cases.push_back(c);
  }
  for (const mno_candidate &candidate : {lanes, warp, pair}) {
    Run run;
    run.candidate = candidate;
    run.precision = MNO_F32;
    const std::vector<Result> together = train(cases, run, 1);
    run.spread = candidate.portions > 1;
    const std::vector<Result> apart = train(cases, run, 4);
    for (size_t i = 0; i < cases.size(); i++) {
      const Result alone = one(cases[i], run);
      assert_true(same(together[i], alone) && same(apart[i], alone));
    }
  }
}

/* Draws of paired instances: regrouped, halved, mirrored. */
void draws_follow_the_plan(void **) {
  for (int kind = 0; kind < 3; kind++) {
    Case c = plain(7, 6, 4, 4, 2);
    if (kind == 0) c.width = 3;                /* units of a network of twice the depth and half the width */
    if (kind == 1) c.width = 12, c.offset = 6; /* the second half of wider layers */
    if (kind == 2) c.sign = -1;
    for (const mno_candidate &candidate : {lanes, pair, four}) {
      Run run;
      run.candidate = candidate;
      run.spread = candidate.portions == 2;
      assert_true(distance(one(c, run), reference(c)) <= 1e-13);
    }
  }
}

void recorded_steps(void **) {
  for (const mno_candidate &candidate : {lanes, block}) {
    Case c = plain(5, 5, 3, 6, 6);
    Run run;
    run.candidate = candidate;
    const Result all = one(c, run);
    c.step = {0, 2, 5};
    const Result some = one(c, run);
    assert_int_equal(some.filled, 3);
    for (size_t i = 0; i < 3; i++) assert_true(some.loss[i] == all.loss[(size_t)c.step[i]]);
    Case shorter = c;
    shorter.step = {1};
    shorter.K = 1;
    assert_int_equal(one(shorter, run).filled, 1);
    /* side by side: each stops after its own steps */
    const std::vector<Result> both = train({c, shorter}, run, 1);
    assert_true(same(both[0], some) && same(both[1], one(shorter, run)));
  }
}

void divergence_is_an_outcome(void **) {
  for (int round = 0; round < 4; round++) {
    const int precision = round & 1;
    Case good = plain(4, 4, 6, 5, 8), bad = good;
    bad.activation = MNO_IDENTITY;
    bad.eta[MNO_U] = bad.eta[MNO_V] = 1e30;
    Run run;
    run.precision = (mno_precision)precision;
    if (round & 2) run.candidate = lanes; /* several to a warp: the others go on */
    const std::vector<Result> r = train({bad, good, bad}, run, 1);
    assert_int_equal(r[0].outcome, 1);
    assert_true(r[0].filled < 9 && r[0].loss.size() == r[0].filled);
    for (double loss : r[0].loss) assert_true(isfinite(loss));
    assert_int_equal(r[1].outcome, 0);
    assert_true(same(r[1], one(good, run)) && r[2].outcome == 1);
  }
}

} // namespace

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(equals_reference),
                                     cmocka_unit_test(lanes_equal_reference),
                                     cmocka_unit_test(every_activation_and_loss),
                                     cmocka_unit_test(gradients_match_differences),
                                     cmocka_unit_test(schedules),
                                     cmocka_unit_test(schedule_changes_nothing),
                                     cmocka_unit_test(batch_changes_nothing),
                                     cmocka_unit_test(draws_follow_the_plan),
                                     cmocka_unit_test(recorded_steps),
                                     cmocka_unit_test(divergence_is_an_outcome)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
