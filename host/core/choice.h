/* SPDX-License-Identifier: BSD-3-Clause */
/* The values of an enum with their names in configurations and files, made from the enum's list (meanode/model.h). */
#ifndef MNO_CORE_CHOICE_H
#define MNO_CORE_CHOICE_H

#include "meanode/model.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct mno_choice {
  const char *name;
  int value;
} mno_choice;

typedef struct mno_choices {
  size_t count;
  const mno_choice *choice; /* [count] */
} mno_choices;

/* Defines `const mno_choices table` from LIST(X), X(enumerator, name, ...). */
#define MNO_CHOICE(enumerator, text, ...) {text, enumerator},
#define MNO_CHOICES(table, LIST)                                                                                            \
  static const mno_choice table##_list[] = {LIST(MNO_CHOICE)};                                                              \
  const mno_choices table = {sizeof table##_list / sizeof *table##_list, table##_list};

/* The name of a value, NULL if it has none. */
const char *mno_choice_name(const mno_choices *choices, int value);

/* The value of a name; false if there is none of that name. */
bool mno_choice_named(const mno_choices *choices, const char *name, int *value);

extern const mno_choices mno_activations, mno_losses, mno_precisions;

#endif
