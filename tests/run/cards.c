/* SPDX-License-Identifier: BSD-3-Clause */
/* How the ranks of one machine share its cards. */
#include "mpi/mpi.h"
#include "test.h"

static void expect(const char *list, int rank, int ranks, const char *own) {
  char cards[64];
  mno_mpi_cards(list, rank, ranks, cards, sizeof cards);
  assert_string_equal(cards, own);
}

static void test_cards(void **state) {
  expect("0,1,2,3", 0, 4, "0");
  expect("0,1,2,3", 3, 4, "3");
  expect("0,1,2,3", 1, 2, "1,3");
  expect("0,1,2", 0, 2, "0,2");
  expect("0,1,2", 1, 2, "1");
  expect("0,1", 2, 5, "0");
  expect("0,1", 3, 5, "1");
  expect("GPU-8f1,MIG-3a/7/0", 1, 2, "MIG-3a/7/0");
  expect("5", 0, 1, "5");
  expect("", 0, 2, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_cards)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
