/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers of YAML 1.2's core schema, read strictly. Hexadecimal, octal, leading zeros (octal in YAML 1.1), nan and
 * infinity are no numbers here. */
#ifndef MNO_CONFIG_NUMBER_H
#define MNO_CONFIG_NUMBER_H

#include <stdint.h>

typedef enum mno_number {
  MNO_NUMBER_OK,
  MNO_NUMBER_NONE, /* not a number of this kind */
  MNO_NUMBER_RANGE /* a number, but too large or too small to represent */
} mno_number;

mno_number mno_number_integer(const char *text, int64_t *value);
mno_number mno_number_real(const char *text, double *value); /* any integer or decimal number; independent of the locale */

/* Why text is not a number, as the end of a sentence (": ..."); "" if there is nothing to add. */
const char *mno_number_hint(const char *text, int integer);

#endif
