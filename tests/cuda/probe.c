/* SPDX-License-Identifier: BSD-3-Clause */
/* Without a driver or a card the probe says so, with a remedy, and the exit code is 69. */
#include "test.h"

#include <string.h>

extern const mno_backend mno_backend_cuda;

static void probe_reports(void **state) {
  char text[512];
  mno_status status = mno_backend_cuda.probe(text, sizeof text);
  assert_true(strlen(text) > 0);
  if (status == MNO_OK) return; /* a card: its line was written */
  assert_int_equal(status, MNO_ERR_BACKEND);
  assert_int_equal(mno_status_exit_code(status), 69);
  assert_non_null(strstr(text, "no CUDA device"));
  assert_non_null(strstr(text, "--backend cpu"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(probe_reports)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
