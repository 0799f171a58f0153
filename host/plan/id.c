#include "meanode/plan.h"

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

uint64_t mno_problem_id(const mno_problem *p) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  add_text(&state, "meanode problem");
  add_integer(&state, ID_FORMAT);
  const size_t shape[] = {p->N, p->d_in, p->d_out, p->D, p->K};
  for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) add_integer(&state, shape[i]);
  const double knobs[] = {p->alpha, p->sigma[MNO_U], p->sigma[MNO_V], p->eta[MNO_U], p->eta[MNO_V]};
  add_reals(&state, knobs, sizeof knobs / sizeof *knobs);
  add_text(&state, mno_activation_name(p->activation));
  add_text(&state, mno_loss_name(p->loss));
  add_reals(&state, p->x, p->N * p->d_in);
  add_reals(&state, p->y, p->N * p->d_out);
  add_reals(&state, p->w_embed, p->D * p->d_in);
  add_reals(&state, p->w_unembed, p->D * p->d_out);
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
