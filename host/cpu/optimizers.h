/* SPDX-License-Identifier: BSD-3-Clause */
/* Optimisers at work on a slice of units: the formula of each, weight by weight. */
#ifndef MNO_CPU_OPTIMIZERS_H
#define MNO_CPU_OPTIMIZERS_H

#include "cpu/vector_formula.h"

#include "optimizer/formulas.h"
#include "optimizer/list.h"
#include "optimizer/optimizer.h"

/* A tensor of a slice of units. */
typedef struct update {
  size_t count;                /* in vectors */
  vec *w;                      /* [count] */
  vec *state[MNO_STATES_MOST]; /* [count] */
  const vec *gradient;         /* [count], normalised */
  real rate;
  const real *knob;
} update;

typedef vec formula(vec w, vec g, real rate, const real *knob, vec *state);

INLINE void update_with(formula *apply, size_t states, const update *u) {
  for (size_t i = 0; i < u->count; i++) {
    vec state[MNO_STATES_MOST];
    UNROLL for (size_t j = 0; j < states; j++) state[j] = u->state[j][i];
    u->w[i] = apply(u->w[i], u->gradient[i], u->rate, u->knob, state);
    UNROLL for (size_t j = 0; j < states; j++) u->state[j][i] = state[j];
  }
}

typedef void updater(const update *u);

#define UPDATE(name)                                                                                                        \
  static void update_##name(const update *u) { update_with(name##_apply, name##_states, u); }
MNO_OPTIMIZER_LIST(UPDATE)
#undef UPDATE

static updater *updater_of(const mno_optimizer *optimizer) {
  static const struct {
    const char *name;
    updater *update;
  } all[] = {
#define UPDATE(name) {#name, update_##name},
      MNO_OPTIMIZER_LIST(UPDATE)
#undef UPDATE
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (strcmp(all[i].name, optimizer->name) == 0) return all[i].update;
  return NULL; /* not reached: problems have optimisers of the list */
}

#endif
