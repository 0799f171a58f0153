/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "plan/held.h"

#include "core/memory.h"
#include "data/load.h"
#include "plan/problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void mno_held_data_free(mno_held_data *held) {
  if (!held) return;
  for (size_t i = 0; i < held->count; i++) {
    free(held->problem[i].x);
    free(held->problem[i].y);
    free(held->problem[i].w_embed);
    free(held->problem[i].w_unembed);
  }
  free(held->problem);
  free(held->data_source);
  free(held->taken_from);
  free(held);
}

mno_status mno_held_load(const mno_held_data *held, mno_data **data, mno_error *err) {
  const mno_problem *from = &held->problem[0];
  const size_t xs = from->N * from->d_in, ys = from->N * from->d_out;
  mno_data *made = mno_alloc(1, sizeof *made);
  if (made)
    *made = (mno_data){.N = from->N,
                       .d_in = from->d_in,
                       .d_out = from->d_out,
                       .x = mno_alloc(xs, sizeof(double)),
                       .y = mno_alloc(ys, sizeof(double)),
                       .source = held->data_source ? strdup(held->data_source) : NULL};
  if (!made || !made->x || !made->y) {
    mno_data_free(made);
    return mno_fail_memory(err, (xs + ys) * sizeof(double), "the data");
  }
  memcpy(made->x, from->x, xs * sizeof(double));
  memcpy(made->y, from->y, ys * sizeof(double));
  *data = made;
  return MNO_OK;
}

bool mno_held_embed(const mno_held_data *held, uint64_t seed, size_t D, double *w_embed, double *w_unembed) {
  for (size_t i = 0; i < held->count; i++) {
    const mno_problem *from = &held->problem[i];
    if (from->D != D || (from->data_seed >= 0 && from->data_seed != (int64_t)seed)) continue;
    memcpy(w_embed, from->w_embed, D * from->d_in * sizeof(double));
    memcpy(w_unembed, from->w_unembed, D * from->d_out * sizeof(double));
    return true;
  }
  return false;
}

void mno_problem_difference(const mno_problem *a, const mno_problem *b, char text[64]) {
  text[0] = '\0';
  for (size_t i = 0; i < MNO_PROBLEM_ARRAYS; i++) {
    const mno_problem_array x = mno_problem_array_of(a, i), y = mno_problem_array_of(b, i);
    if (x.rows == y.rows && x.columns == y.columns &&
        memcmp(mno_problem_array_value(a, &x), mno_problem_array_value(b, &y), x.rows * x.columns * sizeof(double)) == 0)
      continue;
    sprintf(text + strlen(text), "%s%s", text[0] ? ", " : "", x.name);
  }
}

/* What is in the data file now, as a problem of the same D and data.seed. */
static bool read_now(const mno_plan *plan, mno_data **data, mno_problem *now) {
  const mno_problem *then = &plan->problem[0];
  *data = mno_alloc(1, sizeof **data);
  if (!*data || mno_data_file(plan->sweep, plan->data_source, *data, NULL) != MNO_OK) return false;
  *now = (mno_problem){.N = (*data)->N,
                       .d_in = (*data)->d_in,
                       .d_out = (*data)->d_out,
                       .D = then->D,
                       .x = (*data)->x,
                       .y = (*data)->y,
                       .w_embed = mno_alloc(then->D * (*data)->d_in, sizeof(double)),
                       .w_unembed = mno_alloc(then->D * (*data)->d_out, sizeof(double))};
  if (!now->w_embed || !now->w_unembed) return false;
  mno_data_embed(*data, (uint64_t)then->data_seed, then->D, now->w_embed, now->w_unembed);
  return true;
}

mno_status mno_held_check_file(const mno_held_data *held, mno_plan *plan, mno_error *err) {
  if (!plan->data_source || access(plan->data_source, F_OK) != 0) return MNO_OK;
  mno_data *data = NULL;
  mno_problem now = {0};
  char differ[64] = "";
  bool read = read_now(plan, &data, &now);
  if (read) mno_problem_difference(&plan->problem[0], &now, differ);
  free(now.w_embed);
  free(now.w_unembed);
  mno_data_free(data);
  if (read && !differ[0]) return MNO_OK;
  int n = read ? asprintf(&plan->note,
                          "data file %s has changed since the run: %s differ%s; the data of the run are taken, from %s",
                          plan->data_source, differ, strchr(differ, ',') ? "" : "s", held->taken_from)
               : asprintf(&plan->note, "data file %s cannot be used as it is now; the data of the run are taken, from %s",
                          plan->data_source, held->taken_from);
  if (n >= 0) return MNO_OK;
  plan->note = NULL;
  return mno_fail_memory(err, 1024, "a note");
}
