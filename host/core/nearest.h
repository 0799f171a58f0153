/* SPDX-License-Identifier: BSD-3-Clause */
/* "Did you mean ...?" */
#ifndef MNO_CORE_NEAREST_H
#define MNO_CORE_NEAREST_H

#include <stddef.h>

/* The candidate closest to word (edit distance, case ignored), or NULL if none is close enough to be a typo of it. */
const char *mno_nearest(const char *word, const char *const *candidates, size_t count);

#endif
