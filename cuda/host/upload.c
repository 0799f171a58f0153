/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/upload.h"

#include "block/block.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

mno_status mno_upload_put(mno_upload *to, const void *from, size_t bytes, const void **address, mno_error *err) {
  *address = to->at;
  to->at += mno_round_up(bytes, 256);
  return bytes ? to->api->upload(to->device, (void *)*address, from, bytes, err) : MNO_OK;
}

/* Numbers of W_E x and of the rates of all steps and tensors, as the kernels have them. */
static size_t states_of(const mno_plan *plan, const mno_problem *p) {
  return mno_ceil_div(p->N, MNO_CHUNK) * p->D * (size_t)mno_pitch(mno_number_bytes(plan->precision));
}
static size_t rates_of(const mno_problem *p) { return p->K * p->block->tensors; }

static size_t problem_bytes(const mno_plan *plan, const mno_problem *p) {
  const size_t bytes = (size_t)mno_number_bytes(plan->precision);
  return mno_round_up(states_of(plan, p) * bytes, 256) + mno_round_up(rates_of(p) * bytes, 256) +
         mno_round_up(p->N * p->d_out * sizeof(double), 256) + mno_round_up(p->D * p->d_out * sizeof(double), 256);
}

size_t mno_upload_bytes(const mno_plan *plan) {
  size_t bytes = mno_round_up(plan->problem_count * sizeof(mno_device_problem), 256) +
                 mno_round_up(plan->step_count * sizeof(int64_t), 256);
  for (size_t i = 0; i < plan->problem_count; i++) bytes += problem_bytes(plan, &plan->problem[i]);
  return bytes;
}

/* W_E x in the kernels' layout, in numbers of so many bytes. */
static void fill_states(const mno_problem *p, int bytes, void *h0) {
  for (size_t n = 0; n < p->N; n++)
    for (size_t d = 0; d < p->D; d++) {
      double sum = 0;
      for (size_t j = 0; j < p->d_in; j++) sum += p->w_embed[d * p->d_in + j] * p->x[n * p->d_in + j];
      mno_put_number(bytes, h0, (n / MNO_CHUNK * p->D + d) * (size_t)mno_pitch(bytes) + n % MNO_CHUNK, sum);
    }
}

static void fill_rates(const mno_problem *p, int bytes, void *rate) {
  const size_t tensors = p->block->tensors;
  for (size_t i = 0; i < rates_of(p); i++) mno_put_number(bytes, rate, i, mno_problem_rate(p, i / tensors, i % tensors));
}

static mno_device_problem device_problem(const mno_plan *plan, const mno_problem *p) {
  mno_device_problem d = {.alpha = p->alpha,
                          .K = (int64_t)p->K,
                          .steps = (int32_t)plan->step_count,
                          .activation = p->activation,
                          .loss = p->loss};
  for (size_t t = 0; t < p->block->tensors; t++) {
    d.scale[t] = p->sigma[t] * __builtin_sqrt((double)p->D);
    d.draw[t] = p->block->tensor[t].draw;
    d.flips |= (uint32_t)p->block->tensor[t].flips << t;
  }
  memcpy(d.knob, p->knob, sizeof d.knob);
  return d;
}

/* The arrays of a problem; *d receives their addresses. */
static mno_status put_problem(mno_upload *to, const mno_plan *plan, const mno_problem *p, mno_device_problem *d,
                              mno_error *err) {
  const int number = mno_number_bytes(plan->precision);
  const size_t states = states_of(plan, p) * (size_t)number, rates = rates_of(p) * (size_t)number;
  const void *y = NULL, *w_unembed = NULL;
  void *h0 = mno_alloc(1, states), *rate = mno_alloc(1, rates);
  mno_status status = h0 && rate ? MNO_OK : mno_fail_memory(err, states + rates, "a problem");
  if (status == MNO_OK) {
    fill_states(p, number, h0);
    fill_rates(p, number, rate);
    status = mno_upload_put(to, h0, states, &d->h0, err);
  }
  if (status == MNO_OK) status = mno_upload_put(to, rate, rates, &d->rate, err);
  if (status == MNO_OK) status = mno_upload_put(to, p->y, p->N * p->d_out * sizeof(double), &y, err);
  if (status == MNO_OK) status = mno_upload_put(to, p->w_unembed, p->D * p->d_out * sizeof(double), &w_unembed, err);
  d->y = y;
  d->w_unembed = w_unembed;
  free(h0);
  free(rate);
  return status;
}

mno_status mno_upload_problems(mno_upload *to, const mno_plan *plan, const mno_device_problem **problems, mno_error *err) {
  const size_t bytes = plan->problem_count * sizeof(mno_device_problem);
  char *const list = to->at;
  to->at += mno_round_up(bytes, 256);
  *problems = (const mno_device_problem *)list;
  mno_device_problem *made = mno_alloc(1, bytes);
  if (!made) return mno_fail_memory(err, bytes, "the list of problems");
  const void *step;
  mno_status status = mno_upload_put(to, plan->step, plan->step_count * sizeof(int64_t), &step, err);
  for (size_t i = 0; i < plan->problem_count && status == MNO_OK; i++) {
    made[i] = device_problem(plan, &plan->problem[i]);
    made[i].step = step;
    status = put_problem(to, plan, &plan->problem[i], &made[i], err);
  }
  if (status == MNO_OK) status = to->api->upload(to->device, list, made, bytes, err);
  free(made);
  return status;
}
