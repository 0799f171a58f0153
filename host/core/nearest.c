/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/nearest.h"

#include <ctype.h>
#include <string.h>

enum { LONGEST = 64 };

/* Optimal string alignment distance: insertions, deletions, replacements, swaps of neighbours. */
static size_t distance(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b), row[3][LONGEST + 1];
  if (n > LONGEST || m > LONGEST) return LONGEST;
  for (size_t j = 0; j <= m; j++) row[0][j] = j;
  for (size_t i = 1; i <= n; i++) {
    size_t *now = row[i % 3], *before = row[(i + 2) % 3], *earlier = row[(i + 1) % 3];
    now[0] = i;
    for (size_t j = 1; j <= m; j++) {
      int same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
      size_t best = before[j - 1] + !same;
      if (before[j] + 1 < best) best = before[j] + 1;
      if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && earlier[j - 2] + 1 < best)
        best = earlier[j - 2] + 1;
      now[j] = best;
    }
  }
  return row[n % 3][m];
}

const char *mno_nearest(const char *word, const char *const *candidates, size_t count) {
  const char *nearest = NULL;
  size_t best = strlen(word) / 3 + 1; /* a typo changes at most about a third of a word */
  for (size_t i = 0; i < count; i++) {
    size_t d = distance(word, candidates[i]);
    if (d <= best && (!nearest || d < best)) {
      best = d;
      nearest = candidates[i];
    }
  }
  return nearest;
}
