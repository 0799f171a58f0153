/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/choice.h"

#include <string.h>

const char *mno_choice_name(const mno_choices *choices, int value) {
  for (size_t i = 0; i < choices->count; i++)
    if (choices->choice[i].value == value) return choices->choice[i].name;
  return NULL;
}

bool mno_choice_named(const mno_choices *choices, const char *name, int *value) {
  for (size_t i = 0; i < choices->count; i++) {
    if (strcmp(choices->choice[i].name, name) != 0) continue;
    *value = choices->choice[i].value;
    return true;
  }
  return false;
}
