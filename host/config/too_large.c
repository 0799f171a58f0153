/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/too_large.h"

#include "core/memory.h"

mno_status mno_fail_too_large(const mno_sweep *sweep, mno_mark mark, size_t bytes, const char *what, const char *remedy,
                              mno_error *err) {
  mno_memory available = mno_memory_free();
  return mno_sweep_fail(sweep, mark, err, "%s needs %.3g GiB; %.3g GiB are free%s: %s", what, (double)bytes / 0x1p30,
                        (double)available.bytes / 0x1p30, available.bound, remedy);
}
