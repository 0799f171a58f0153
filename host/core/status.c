/* SPDX-License-Identifier: BSD-3-Clause */
#include "meanode/status.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
  int exit_code;
  const char *text;
} statuses[] = {
#define MNO_STATUS_ROW(name, code, text) [name] = {code, text},
    MNO_STATUS_LIST(MNO_STATUS_ROW)
#undef MNO_STATUS_ROW
};

const char *mno_status_text(mno_status status) { return statuses[status].text; }

int mno_status_exit_code(mno_status status) { return statuses[status].exit_code; }

mno_status mno_fail(mno_error *err, mno_status status, const char *format, ...) {
  if (err) {
    va_list args;
    va_start(args, format);
    err->status = status;
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
  }
  return status;
}
