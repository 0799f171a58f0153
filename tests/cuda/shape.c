/* SPDX-License-Identifier: BSD-3-Clause */
/* How computations are cut up and which kernel takes them: pure functions, checked without a card. */
#include "test.h"

#include "common/gemm.h"
#include "host/cost.h"
#include "host/shape.h"

#include <stdio.h>
#include <string.h>

/* Cards of the compute capabilities that the kernels are compiled for: shared memory of a block and of a processor, KiB. */
static const struct {
  int major;
  size_t block, processor;
} cards[] = {{8, 163, 164}, {8, 99, 100}, {9, 227, 228}, {10, 227, 228}};

static const mno_dimensions dims[] = {
    {1, 1, 1, 1, 1, 0},         {2, 1, 10, 1000, 5, 0},      {10, 10, 10, 1000, 5, 0},    {10, 100, 10, 1000, 5, 0},
    {32, 32, 10, 1000, 5, 0},   {8, 4, 10, 4000, 5, 0},      {100, 100, 10, 1000, 5, 0},  {300, 300, 10, 300, 5, 0},
    {64, 256, 10, 50, 5, 0},    {100, 100, 200, 1000, 5, 0}, {1000, 1000, 10, 100, 5, 0}, {1000, 1000, 10, 1000, 5, 0},
    {2000, 2000, 10, 10, 5, 0}, {17, 1999, 33, 7, 3, 0},     {3, 100000, 4, 2, 1, 0},     {1500, 1, 1000, 3, 10, 0}};
enum { SHAPES = sizeof dims / sizeof *dims };

static void divisions_are_exact(void **state) {
  for (uint32_t d = 1; d < 3000; d += d < 40 ? 1 : 97) {
    const mno_divisor by = {d, (uint32_t)(((UINT64_C(1) << 32) + d - 1) / d)};
    for (uint32_t n = 0; n < 70000; n++) {
      if ((uint64_t)n * d >= UINT64_C(1) << 32) break;
      const uint32_t q = d == 1 ? n : (uint32_t)((uint64_t)n * by.magic >> 32);
      if (q != n / d) fail_msg("%u / %u gave %u", n, d, q);
    }
  }
}

/* W0: lanes for all samples of all its instances, regions without overlap, everything that is copied in sixteen bytes. */
static void check_lanes(const mno_shape *s, const mno_dimensions *n) {
  assert_true(s->group >= 1 && s->group <= MNO_GROUP_MOST && s->group * s->N <= s->lanes && s->layers_per_transfer >= 1 &&
              s->layers_per_transfer <= s->L);
  assert_true(s->tiles == 1 && s->tile == s->M && s->padded_D >= s->D && s->row == s->padded_D);
  assert_true(s->by_samples.d == (uint32_t)s->N && s->by_instance_lanes.d == (uint32_t)(s->lanes / s->group));
  assert_true(s->tile_bytes % 16 == 0 && s->tile_bytes >= (uint32_t)(2 * s->M * s->padded_D * s->bytes) && s->H % 16 == 0);
  const uint32_t state = (uint32_t)(s->chunks * s->padded_D * s->pitch * s->bytes),
                 projections = (uint32_t)(s->layers_per_transfer * s->chunks * s->M * s->pitch * s->bytes);
  assert_true(s->h_bytes == state && s->H >= 32 && s->B >= s->H + state && s->P >= s->B + state &&
              s->p_bytes == projections);
  assert_true(s->A >= s->P + 2 * projections && s->each_bytes >= s->A + (uint32_t)s->layers_per_transfer * state);
  assert_true(s->each_bytes % 16 == 0 && s->state_bytes == (uint32_t)s->group * s->each_bytes);
  const mno_slot_layout at = mno_slot(s);
  const size_t pieces = (n->L + (size_t)s->layers_per_transfer - 1) / (size_t)s->layers_per_transfer * (size_t)s->group;
  assert_true(s->weights_stride % 16 == 0 && s->weights_stride >= (uint32_t)s->layers_per_transfer * s->tile_bytes);
  assert_true(s->states_stride % 16 == 0 && s->states_stride >= (uint32_t)s->layers_per_transfer * s->h_bytes);
  assert_true(at.states - at.weights == pieces * s->weights_stride && at.readout - at.states == pieces * s->states_stride);
  assert_true(at.region >= at.readout + (size_t)s->group * at.readout_each && at.region % 256 == 0);
}

/* G: regions of an instance without overlap, rows of sixteen bytes; it can shrink to one instance, step by step. */
static void check_batch(const mno_shape *s, const mno_dimensions *n) {
  const mno_gemm_layout at = mno_gemm_place(s);
  const size_t bytes = (size_t)s->bytes, state = n->N * (size_t)at.ld_d * bytes, projection = n->N * (size_t)at.ld_m * bytes;
  assert_true((size_t)at.ld_d >= n->D && (size_t)at.ld_m >= n->M && at.ld_d * s->bytes % 16 == 0 &&
              at.ld_m * s->bytes % 16 == 0);
  assert_true(at.states - at.weights == 2 * n->L * n->M * (size_t)at.ld_d * bytes && at.p - at.states == (n->L + 1) * state);
  assert_true(at.t - at.p == n->L * projection && at.g - at.t == projection && at.b - at.g == projection &&
              at.f >= at.b + state);
  assert_true(at.each >= at.f + (2 * n->N * n->d_out + n->N) * sizeof(double) && at.each % 256 == 0 && at.f % 8 == 0);
  assert_true(s->group >= 1 && s->group <= s->tuning_count && mno_slot_bytes(s) == (size_t)s->group * at.each);
  mno_shape less = *s;
  size_t steps = 0;
  for (size_t before = mno_slot_bytes(&less); mno_shape_shrink(&less); steps++) {
    assert_true(mno_slot_bytes(&less) < before);
    before = mno_slot_bytes(&less);
  }
  assert_true(less.group == 1 && (!less.projections_stored || n->L == 1) && less.tuning_count == s->tuning_count &&
              (steps >= 1 || n->L == 1));
}

static void check(const mno_shape *s, const mno_dimensions *n) {
  /* tiles of portions cover the units once */
  assert_true((size_t)s->portions * (size_t)s->portion >= n->M &&
              (size_t)(s->portions - 1) * (size_t)s->portion < n->M + (size_t)s->portions);
  assert_true(s->tile * s->tiles >= s->portion && s->tile * (s->tiles - 1) < s->portion);
  assert_true(s->blocks_per_team == 1 || s->blocks_per_team == s->portions);
  assert_true(s->d_slices * s->d_length >= s->D && (s->m_slices * s->m_length >= s->tile || s->kernel == MNO_KERNEL_LANES));
  assert_true((size_t)(s->chunks * MNO_CHUNK) >= n->N && s->row >= s->D);
  if (s->kernel == MNO_KERNEL_LANES) return check_lanes(s, n);
  assert_true(s->row % 2 == 1 && s->group == 1 && s->layers_per_transfer == 1 && s->padded_D == s->D);
  assert_true(s->weights_stride == s->tile_bytes && s->states_stride == s->h_bytes);
  /* alignment of everything that is copied in sixteen bytes */
  assert_true(s->pitch >= MNO_CHUNK && s->pitch * s->bytes % 16 == 0);
  assert_true(s->tile_bytes % 16 == 0 && s->tile_bytes >= (uint32_t)(2 * s->tile * s->row * s->bytes) &&
              s->h_bytes % 16 == 0);
  const uint32_t state = (uint32_t)(s->chunks * s->D * s->pitch * s->bytes),
                 projection = (uint32_t)(s->chunks * s->d_slices * s->tile * s->pitch * s->bytes);
  assert_true(s->h_bytes == state && s->B >= s->H + state && s->P >= s->B + state && s->p_bytes == projection);
  assert_true(s->A >= s->P + 2 * projection && s->a_bytes == state * (uint32_t)s->m_slices);
  assert_true(s->S >= s->A + (s->blocks_per_team > 1 ? 2 : 1) * s->a_bytes && s->state_bytes % 16 == 0);
  assert_true(s->state_bytes >= s->S + (s->portions > s->blocks_per_team ? state : 0));
  const mno_slot_layout at = mno_slot(s);
  assert_true(at.weights >= sizeof(mno_control) && at.weights % 16 == 0 && at.states % 16 == 0 && at.readout % 16 == 0);
  assert_true(at.region % 256 == 0 && at.bytes % 256 == 0);
  assert_true(at.states - at.weights >= 2 * n->L * n->M * n->D * (size_t)s->bytes);
  assert_true(at.readout - at.states >= n->L * s->h_bytes &&
              at.bytes >= at.region + (size_t)s->blocks_per_team * s->state_bytes);
  const mno_step_model model = mno_shape_model(s);
  assert_true(model.memory > 0 && model.issue > 0 && model.latency > 0 && mno_shape_seconds(s) >= model.memory);
}

static void shapes_are_consistent(void **state) {
  mno_error err = {0};
  int lanes = 0; /* shapes that W0 takes */
  for (size_t i = 0; i < SHAPES; i++)
    for (int precision = 0; precision < 2; precision++)
      for (size_t c = 0; c < mno_candidate_count; c++) {
        mno_shape s;
        const mno_status status = mno_shape_make(&dims[i], (mno_precision)precision, &mno_candidates[c], &s, &err);
        if (mno_candidates[c].kernel == MNO_KERNEL_GEMM) {
          assert_ok(status);
          check_batch(&s, &dims[i]);
          continue;
        }
        if (mno_candidates[c].kernel == MNO_KERNEL_LANES) {
          lanes += status == MNO_OK;
          if (status != MNO_OK) continue;
        }
        assert_ok(status);
        check(&s, &dims[i]);
        const mno_shape all = mno_shape_spread(&s, true), one = mno_shape_spread(&all, false);
        assert_int_equal(all.blocks_per_team, s.portions);
        check(&all, &dims[i]);
        assert_memory_equal(&one, &s, sizeof s);
      }
  assert_true(lanes >= 8);
}

/* What decides the order of sums is the same in both. */
static void check_same_sums(const mno_shape *a, const mno_shape *b) {
  if (a->kernel == MNO_KERNEL_LANES) return; /* its slices only deal work to the lanes */
  assert_true(a->kernel == b->kernel && a->lanes == b->lanes && a->portions == b->portions && a->portion == b->portion);
  assert_true(a->tile == b->tile && a->tiles == b->tiles && a->d_length == b->d_length && a->m_length == b->m_length);
}

/* What the choice is made for fits every card that the kernels are compiled for, in the numbers' order of sums that the
 * choice fixed; and does not depend on anything else. */
static void every_card_takes_the_choice(void **state) {
  mno_error err;
  for (size_t i = 0; i < SHAPES; i++)
    for (int precision = 0; precision < 2; precision++)
      for (size_t c = 0; c < sizeof cards / sizeof *cards; c++) {
        mno_shape s, again;
        mno_device_info info = {.name = "card", .major = cards[c].major, .processors = 100};
        info.shared_block = cards[c].block << 10;
        info.shared_processor = cards[c].processor << 10;
        assert_ok(mno_shape_choose(&dims[i], (mno_precision)precision, true, NULL, &s, &err));
        assert_ok(mno_shape_choose(&dims[i], (mno_precision)precision, true, NULL, &again, &err));
        assert_memory_equal(&s, &again, sizeof s);
        mno_fit_on_card fit;
        if (s.kernel == MNO_KERNEL_GEMM) continue;
        const size_t count = 1 + 997 * c;
        assert_ok(
            mno_shape_fit(&s, &info, (mno_most_teams){SIZE_MAX, cards[c].major < 9 ? 0 : SIZE_MAX}, count, &fit, &err));
        if (cards[c].major < 9) assert_int_equal(s.blocks_per_team, 1);
        check_same_sums(&s, &again);
        assert_true(fit.stages >= MNO_STAGES_LEAST && fit.stages <= MNO_STAGES_MOST);
        assert_true(fit.shared == mno_shared_bytes(&s, fit.stages, fit.state_in_memory) && fit.shared <= info.shared_block);
        assert_true(s.lanes > 32 || !fit.state_in_memory);
      }
}

/* The depth of a network changes which kernel takes it only through its size, never how its sums are cut. */
static void depth_does_not_change_the_cut(void **state) {
  mno_error err;
  for (size_t i = 0; i < SHAPES; i++) {
    mno_dimensions deep = dims[i];
    deep.L *= 3;
    mno_shape a, b;
    assert_ok(mno_shape_make(&dims[i], MNO_F32, &mno_candidates[1], &a, &err));
    assert_ok(mno_shape_make(&deep, MNO_F32, &mno_candidates[1], &b, &err));
    b.L = a.L;
    assert_memory_equal(&a, &b, sizeof a);
  }
}

/* The table that the kernels are chosen by, at shapes of interest: small networks by warps, large ones by blocks, the
 * largest by clusters where there are any. */
static void choice_by_size(void **state) {
  mno_error err;
  static const struct {
    mno_dimensions n;
    mno_kernel_kind kernel;
    bool products;
  } expected[] = {
      {{2, 1, 10, 1000, 5, 0}, MNO_KERNEL_LANES, false},      {{10, 10, 10, 1000, 5, 0}, MNO_KERNEL_LANES, false},
      {{32, 32, 10, 1000, 5, 0}, MNO_KERNEL_WARP, false},     {{100, 100, 10, 1000, 5, 0}, MNO_KERNEL_BLOCK, true},
      {{300, 300, 10, 300, 5, 0}, MNO_KERNEL_BLOCK, false},   {{100, 100, 200, 1000, 5, 0}, MNO_KERNEL_BLOCK, false},
      {{1000, 1000, 10, 1000, 5, 0}, MNO_KERNEL_BLOCK, true}, {{100, 100, 200, 1000, 5, 0}, MNO_KERNEL_GEMM, true},
      {{1000, 1000, 200, 100, 5, 0}, MNO_KERNEL_GEMM, true}};
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    mno_shape s;
    assert_ok(mno_shape_choose(&expected[i].n, MNO_F32, expected[i].products, NULL, &s, &err));
    const mno_step_model m = mno_shape_model(&s);
    printf(
        "D %4d M %4d L %4d N %3d: kernel %s, %d lanes, %d portions; modelled us per step: memory %.3g, issue %.3g, latency "
        "%.3g\n",
        s.D, s.M, s.L, s.N, mno_kernel_name(&s), s.lanes, s.portions, 1e6 * m.memory, 1e6 * m.issue, 1e6 * m.latency);
    assert_int_equal(s.kernel, expected[i].kernel);
  }
}

/* The reference card: how many waves `count` instances take. */
static size_t waves(const mno_dimensions *n, mno_precision precision, size_t count, mno_shape *s, mno_fit_on_card *fit) {
  mno_error err = {0};
  assert_ok(mno_shape_choose(n, precision, false, NULL, s, &err));
  assert_ok(mno_shape_fit(s, &mno_reference_card, mno_reference_teams(s), count, fit, &err));
  const size_t blocks = mno_reference_card.shared_processor / (fit->shared + 1024) * 132 / (size_t)s->blocks_per_team;
  assert_true(fit->teams >= 1 && fit->teams <= blocks && fit->seconds > 0);
  const size_t batches = (count + (size_t)s->group - 1) / (size_t)s->group, w = (batches + fit->teams - 1) / fit->teams;
  printf("%4zu x D %d M %d L %d f%d: kernel %s, %d at a time, %d ranks of %d portions, %d stages, %zu B; %zu batches on %zu "
         "slots: %.3g ms\n",
         count, s->D, s->M, s->L, 8 * s->bytes, mno_kernel_name(s), s->group, s->blocks_per_team, s->portions, fit->stages,
         fit->shared, batches, fit->teams, 1e3 * fit->seconds);
  return w;
}

/* Stages and instances at a time are chosen for the number of instances: no few stragglers after a full wave. */
static void the_fit_knows_how_many(void **state) {
  static const struct {
    mno_dimensions n;
    mno_precision precision;
    size_t count, waves;
  } expected[] = {{{10, 10, 10, 1000, 5, 0}, MNO_F32, 2000, 1},  {{10, 10, 10, 1000, 5, 0}, MNO_F64, 2000, 1},
                  {{32, 32, 10, 1000, 5, 0}, MNO_F32, 1000, 1},  {{32, 32, 10, 1000, 5, 0}, MNO_F64, 1000, 1},
                  {{100, 100, 10, 1000, 5, 0}, MNO_F32, 500, 2}, {{100, 100, 10, 1000, 5, 0}, MNO_F64, 500, 4},
                  {{8, 16, 10, 1000, 5, 0}, MNO_F32, 1000, 1},   {{2, 1, 10, 1000, 5, 0}, MNO_F32, 4000, 1}};
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    mno_shape s;
    mno_fit_on_card fit;
    assert_int_equal(waves(&expected[i].n, expected[i].precision, expected[i].count, &s, &fit), expected[i].waves);
  }
  mno_shape few, many;
  mno_fit_on_card fit_few, fit_many;
  const mno_dimensions n = {32, 32, 10, 1000, 5, 0};
  waves(&n, MNO_F32, 100, &few, &fit_few);
  waves(&n, MNO_F32, 100000, &many, &fit_many);
  assert_true(fit_few.stages >= fit_many.stages);
}

/* Few large networks have a rank for each portion of their layers, and so more of the card; many have one. */
static void few_large_networks_fill_the_card(void **state) {
  static const struct {
    mno_dimensions n;
    size_t count;
    bool spread;
  } expected[] = {{{1000, 1000, 10, 100, 5, 0}, 16, true}, {{256, 256, 10, 50, 5, 0}, 10, true},
                  {{256, 256, 10, 50, 5, 0}, 5000, false}, {{512, 512, 10, 100, 5, 0}, 4, true},
                  {{128, 128, 10, 100, 5, 0}, 1, true},    {{400, 400, 10, 50, 5, 0}, 2000, false},
                  {{100, 100, 10, 1000, 5, 0}, 250, false}};
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
    for (int precision = 0; precision < 2; precision++) {
      mno_shape s, one;
      mno_fit_on_card fit, alone;
      mno_error err = {0};
      waves(&expected[i].n, (mno_precision)precision, expected[i].count, &s, &fit);
      assert_int_equal(s.blocks_per_team, expected[i].spread ? s.portions : 1);
      if (!expected[i].spread) continue;
      assert_true(s.portions > 1);
      one = s;
      const mno_most_teams most = {mno_reference_teams(&s).one, 0}; /* a card without clusters */
      assert_ok(mno_shape_fit(&one, &mno_reference_card, most, expected[i].count, &alone, &err));
      printf("     with one rank: %.3g ms\n", 1e3 * alone.seconds);
      assert_true(one.blocks_per_team == 1 && alone.seconds > 1.5 * fit.seconds);
    }
}

static void refusals_have_numbers(void **state) {
  mno_error err;
  mno_shape s;
  const mno_dimensions wide = {20000, 1, 10, 1, 1, 0}, many = {1000, 10, 100000, 1, 1, 0}, unit = {9000, 10, 1, 1, 1, 0};
  assert_int_equal(mno_shape_choose(&wide, MNO_F32, false, NULL, &s, &err), MNO_ERR_BACKEND);
  assert_non_null(strstr(err.message, "20000"));
  const mno_candidate *candidate;
  assert_int_equal(mno_candidate_at((int)mno_candidate_count, &candidate, &err), MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "0 to 10"));
  assert_int_equal(mno_candidate_at(-2, &candidate, &err), MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "no kernel -2"));
  assert_ok(mno_candidate_at(10, &candidate, &err));
  assert_ptr_equal(candidate, &mno_candidates[10]);
  assert_ok(mno_candidate_at(-1, &candidate, &err));
  assert_null(candidate);
  assert_int_equal(mno_shape_choose(&many, MNO_F32, false, NULL, &s, &err), MNO_ERR_BACKEND);
  assert_int_equal(mno_shape_choose(&unit, MNO_F64, false, NULL, &s, &err), MNO_ERR_BACKEND);
  assert_non_null(strstr(err.message, "KiB"));
  /* regions of more than 2 GiB: no cut of theirs may be counted in 32 bits and come out small */
  for (size_t D = 1; D <= 4; D++)
    for (size_t N = 100000; N <= 6400000; N *= 2)
      for (size_t c = 0; c < mno_candidate_count; c++) {
        const mno_dimensions large = {D, 128, N, 4, 1, 0};
        if (mno_candidates[c].kernel == MNO_KERNEL_GEMM) continue;
        if (mno_shape_make(&large, MNO_F64, &mno_candidates[c], &s, &err) != MNO_OK) {
          assert_non_null(strstr(err.message, "N "));
          continue;
        }
        const size_t a_row = (size_t)s.chunks * (size_t)(s.pitch * s.bytes), states = 2 + (size_t)s.m_slices;
        assert_true(s.state_bytes >= a_row * (D * states + 2 * (size_t)(s.d_slices * s.tile)) && s.state_bytes <= INT32_MAX);
      }
  const mno_dimensions fine = {100, 100, 10, 100, 1, 0};
  assert_ok(mno_shape_choose(&fine, MNO_F64, false, NULL, &s, &err));
  const mno_device_info tiny = {.name = "tiny", .processors = 1, .shared_block = 16 << 10, .shared_processor = 16 << 10};
  mno_fit_on_card fit;
  assert_int_equal(mno_shape_fit(&s, &tiny, (mno_most_teams){SIZE_MAX, SIZE_MAX}, 1, &fit, &err), MNO_ERR_BACKEND);
  assert_non_null(strstr(err.message, "tiny"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(divisions_are_exact),
                                     cmocka_unit_test(shapes_are_consistent),
                                     cmocka_unit_test(every_card_takes_the_choice),
                                     cmocka_unit_test(depth_does_not_change_the_cut),
                                     cmocka_unit_test(choice_by_size),
                                     cmocka_unit_test(the_fit_knows_how_many),
                                     cmocka_unit_test(few_large_networks_fill_the_card),
                                     cmocka_unit_test(refusals_have_numbers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
