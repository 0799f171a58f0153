/* SPDX-License-Identifier: BSD-3-Clause */
/* Waits that would have no end are given up by name: a team alone. What the driver makes of it: driver.c. */
#include "twin.h"

namespace {

/* A team of kernel W with a ring, as the second of a launch. */
struct Launch {
  mno_train_args args = {};
  mno_signals signals = {};
  std::vector<char> slots;
  mno_mailbox mailbox = {};
  Launch() {
    mno_error err;
    const mno_dimensions dims = {5, 4, 6, 3, 2, 0};
    const mno_candidate warp = {MNO_KERNEL_WARP, 32, 1};
    assert_int_equal(mno_shape_make(&dims, MNO_F64, &warp, &args.shape, &err), MNO_OK);
    args.at = mno_slot(&args.shape);
    args.slot_bytes = args.at.bytes;
    slots.resize(2 * args.slot_bytes);
    args.slots = slots.data();
    args.signals = &signals;
    args.stages = MNO_STAGES_LEAST;
  }
  mno::HostTeam team() { return mno::HostTeam(args, 1, 1, false, false); }
};

template <class F> bool is_stuck(F f) {
  try {
    f();
  } catch (const mno::Stuck &) {
    return true;
  }
  return false;
}

void a_transfer_must_have_been_started(void **) {
  for (int round = 0; round < 4; round++) {
    Launch l;
    mno::HostTeam team = l.team();
    mno::Cursor at = {0, 0};
    const auto nothing = [](int) { return mno::Transfer{}; };
    team.begin();
    team.load(at, nothing);
    if (round == 0) at.stage = 1;
    if (round == 1) at.parity = 1;
    if (round == 2) team.ready(at, 0); /* once is enough */
    if (round == 3) {
      team.ready(at, 0);
      team.load(at, nothing); /* the next phase of the barrier */
      at.parity = 1;
    }
    assert_int_equal(is_stuck([&] { team.ready(at, 0); }), round < 3);
    assert_true(l.signals.stuck == (round < 3 ? mno_stuck(MNO_SPIN_TRANSFER, &l.args.shape, 0, 1) : 0));
  }
}

void a_mailbox_must_be_freed(void **) {
  Launch l;
  mno::HostTeam team = l.team();
  team.patience = 5;
  assert_false(is_stuck([&] { team.until_free(&l.mailbox); }));
  l.mailbox.state = l.signals.stop = 1;
  assert_false(is_stuck([&] { team.until_free(&l.mailbox); }));
  assert_true(l.signals.stuck == 0);
  l.signals.stop = 0;
  assert_true(is_stuck([&] { team.until_free(&l.mailbox); }));
  assert_true(l.signals.stuck == mno_stuck(MNO_SPIN_MAILBOX, &l.args.shape, 0, 1));
}

} // namespace

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_transfer_must_have_been_started),
                                     cmocka_unit_test(a_mailbox_must_be_freed)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
