/* SPDX-License-Identifier: BSD-3-Clause */
/* What the searches for inputs that break a reader have in common. */
#ifndef MNO_TESTS_FUZZ_H
#define MNO_TESTS_FUZZ_H

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t length);

static inline void require(int fact) {
  if (!fact) abort();
}

/* HDF5 leaks when it meets damage. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libhdf5\n"; }

#endif
