/* SPDX-License-Identifier: BSD-3-Clause */
/* What every cmocka program needs, and close-to for doubles. */
#ifndef MNO_TEST_H
#define MNO_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "meanode/meanode.h"

#define assert_close(a, b, tolerance)                                                                                       \
  do {                                                                                                                      \
    double a_ = (a), b_ = (b), tolerance_ = (tolerance);                                                                    \
    if (!(fabs(a_ - b_) <= tolerance_))                                                                                     \
      fail_msg("%s = %.17g, %s = %.17g, difference %.3g > %.3g", #a, a_, #b, b_, fabs(a_ - b_), tolerance_);                \
  } while (0)

/* The call succeeds; otherwise its message is shown. */
#define assert_ok(call)                                                                                                     \
  do {                                                                                                                      \
    mno_status status_ = (call);                                                                                            \
    if (status_ != MNO_OK) fail_msg("%s: %s: %s", #call, mno_status_text(status_), err.message);                            \
  } while (0)

#endif
