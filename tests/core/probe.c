/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading in a process apart. */
#include "core/probe.h"

#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static mno_status fine(const void *context, mno_error *err) { return MNO_OK; }
static mno_status refused(const void *context, mno_error *err) {
  return mno_fail(err, MNO_ERR_IO, "no %s", (const char *)context);
}
static mno_status dies(const void *context, mno_error *err) { abort(); }

/* The first time it sleeps, as behind a lock that nobody gives back. */
static mno_status sleeps_once(const void *context, mno_error *err) {
  int fd = open(context, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0) return MNO_OK;
  for (;;) pause();
}

static void answers(void **state) {
  mno_error err = {0};
  assert_ok(mno_probe(fine, NULL, "a.h5", &err));
  assert_int_equal(mno_probe(refused, "luck", "a.h5", &err), MNO_ERR_IO);
  assert_string_equal(err.message, "no luck");
  assert_int_equal(mno_probe(dies, NULL, "a.h5", &err), MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "a.h5 is damaged"));
}

static void asleep(void **state) {
  mno_error err = {0};
  char name[] = "/tmp/probe.XXXXXX";
  int fd = mkstemp(name);
  assert_true(fd >= 0);
  close(fd);
  unlink(name);
  assert_ok(mno_probe(sleeps_once, name, "a.h5", &err));
  assert_int_equal(access(name, F_OK), 0);
  unlink(name);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(answers), cmocka_unit_test(asleep)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
