/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "config/number.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LONGEST = 100 }; /* characters; no sane number is longer */

static const char digits[] = "0123456789";

mno_number mno_number_integer(const char *text, int64_t *value) {
  const char *p = text + (*text == '-' || *text == '+');
  size_t count = strspn(p, digits);
  if (count == 0 || p[count] || (count > 1 && *p == '0')) return MNO_NUMBER_NONE;
  errno = 0;
  long long result = strtoll(text, NULL, 10);
  if (errno == ERANGE) return MNO_NUMBER_RANGE;
  *value = result;
  return MNO_NUMBER_OK;
}

/* Is text [-+]?(.digits | digits(.digits?)?)([eE][-+]?digits)? without leading zeros? Tells whether it means zero. */
static bool is_real(const char *text, bool *zero) {
  const char *p = text + (*text == '-' || *text == '+');
  const char *mantissa = p;
  size_t whole = strspn(p, digits), fraction = 0;
  if (whole > 1 && *p == '0') return false;
  p += whole;
  if (*p == '.') {
    fraction = strspn(p + 1, digits);
    p += 1 + fraction;
  }
  if (whole + fraction == 0) return false;
  *zero = mantissa + strspn(mantissa, "0.") == p;
  if (*p == 'e' || *p == 'E') {
    p += 1 + (p[1] == '-' || p[1] == '+');
    size_t exponent = strspn(p, digits);
    if (exponent == 0) return false;
    p += exponent;
  }
  return *p == '\0';
}

mno_number mno_number_real(const char *text, double *value) {
  bool zero = false;
  if (!is_real(text, &zero)) return MNO_NUMBER_NONE;
  if (strlen(text) > LONGEST) return MNO_NUMBER_RANGE;
  locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (plain == (locale_t)0) return MNO_NUMBER_RANGE;
  double result = strtod_l(text, NULL, plain);
  freelocale(plain);
  if (!isfinite(result) || (result == 0 && !zero)) return MNO_NUMBER_RANGE;
  *value = result;
  return MNO_NUMBER_OK;
}

const char *mno_number_hint(const char *text, int integer) {
  const char *p = text + (*text == '-' || *text == '+');
  const char *name = p + (*p == '.');
  if (strcasecmp(name, "nan") == 0 || strcasecmp(name, "inf") == 0 || strcasecmp(name, "infinity") == 0)
    return ": nan and infinity are not accepted";
  if (p[0] == '0' && p[1] && strchr("xXoObB", p[1])) return ": write it in decimal";
  if (p[0] == '0' && p[1] >= '0' && p[1] <= '9') return ": leave out the leading zeros";
  if (*p >= '0' && *p <= '9' && p[strspn(p, "0123456789_,")] == '\0') return ": write it without separators";
  double value;
  if (integer && mno_number_real(text, &value) != MNO_NUMBER_NONE) return ": write it without fraction and exponent";
  return "";
}
