/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/problem.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Part of the ids: raise it when the numbers of an instance change meaning. */
enum { ID_FORMAT = 1 };

static void add_integer(XXH3_state_t *state, uint64_t value) {
  unsigned char bytes[8];
  for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(value >> (8 * i));
  XXH3_64bits_update(state, bytes, sizeof bytes);
}

static void add_reals(XXH3_state_t *state, const double *value, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint64_t bits;
    memcpy(&bits, &value[i], sizeof bits);
    add_integer(state, bits);
  }
}

/* Names, not enumerators: adding an activation must not change ids. */
static void add_text(XXH3_state_t *state, const char *text) { XXH3_64bits_update(state, text, strlen(text) + 1); }

static void add_parameter(XXH3_state_t *state, const mno_problem *p, const mno_parameter *parameter) {
  double number;
  switch (parameter->type) {
  case MNO_PARAMETER_INTEGER: add_integer(state, (uint64_t)mno_parameter_number(p, parameter)); break;
  case MNO_PARAMETER_REAL:
    number = mno_parameter_number(p, parameter);
    add_reals(state, &number, 1);
    break;
  case MNO_PARAMETER_NAME:
    if (mno_parameter_is_implied(p, parameter)) break;
    if (parameter->implied) add_text(state, parameter->name);
    add_text(state, mno_parameter_name(p, parameter));
    break;
  }
}

uint64_t mno_problem_id(const mno_problem *p) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  add_text(&state, "meanode problem");
  add_integer(&state, ID_FORMAT);
  const size_t shape[] = {p->N, p->d_in, p->d_out, p->D};
  for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) add_integer(&state, shape[i]);
  mno_parameter parameter;
  for (size_t i = 0; mno_problem_parameter(p, i, &parameter); i++) add_parameter(&state, p, &parameter);
  for (size_t i = 0; i < MNO_PROBLEM_ARRAYS; i++) {
    const mno_problem_array array = mno_problem_array_of(p, i);
    add_reals(&state, mno_problem_array_value(p, &array), array.rows * array.columns);
  }
  if (p->schedule) {
    add_text(&state, "schedule");
    add_reals(&state, p->schedule, p->K);
  }
  return XXH3_64bits_digest(&state);
}

uint64_t mno_instance_id(const mno_problem *problem, const mno_instance *instance, mno_precision precision) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  add_text(&state, "meanode instance");
  add_text(&state, mno_precision_name(precision));
  const uint64_t value[] = {ID_FORMAT,
                            problem->id,
                            (uint64_t)instance->L,
                            (uint64_t)instance->M,
                            instance->seed,
                            (uint64_t)instance->draw.width,
                            (uint64_t)instance->draw.offset,
                            (uint64_t)(int64_t)instance->draw.sign};
  for (size_t i = 0; i < sizeof value / sizeof *value; i++) add_integer(&state, value[i]);
  return XXH3_64bits_digest(&state);
}
