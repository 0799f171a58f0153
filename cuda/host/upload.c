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

static size_t problem_bytes(const mno_plan *plan, const mno_problem *p) {
  const size_t bytes = plan->precision == MNO_F64 ? 8 : 4, pitch = bytes == 4 ? MNO_PITCH_F32 : MNO_PITCH_F64;
  const size_t chunks = (p->N + MNO_CHUNK - 1) / MNO_CHUNK;
  return mno_round_up(chunks * p->D * pitch * bytes, 256) + mno_round_up(p->K * p->block->tensors * bytes, 256) +
         mno_round_up(p->N * p->d_out * sizeof(double), 256) + mno_round_up(p->D * p->d_out * sizeof(double), 256);
}

size_t mno_upload_bytes(const mno_plan *plan) {
  size_t bytes = mno_round_up(plan->problem_count * sizeof(mno_device_problem), 256) +
                 mno_round_up(plan->step_count * sizeof(int64_t), 256);
  for (size_t i = 0; i < plan->problem_count; i++) bytes += problem_bytes(plan, &plan->problem[i]);
  return bytes;
}

/* W_E x in the kernels' layout and precision. */
static void *embedded(const mno_plan *plan, const mno_problem *p, size_t *bytes) {
  const size_t size = plan->precision == MNO_F64 ? 8 : 4, pitch = size == 4 ? MNO_PITCH_F32 : MNO_PITCH_F64;
  *bytes = (p->N + MNO_CHUNK - 1) / MNO_CHUNK * p->D * pitch * size;
  void *h0 = mno_alloc(1, *bytes);
  if (!h0) return NULL;
  for (size_t n = 0; n < p->N; n++)
    for (size_t d = 0; d < p->D; d++) {
      double sum = 0;
      for (size_t j = 0; j < p->d_in; j++) sum += p->w_embed[d * p->d_in + j] * p->x[n * p->d_in + j];
      const size_t at = (n / MNO_CHUNK * p->D + d) * pitch + n % MNO_CHUNK;
      if (size == 8)
        ((double *)h0)[at] = sum;
      else
        ((float *)h0)[at] = (float)sum;
    }
  return h0;
}

/* The rates of all steps and tensors, in the kernels' precision. */
static void *rates(const mno_plan *plan, const mno_problem *p, size_t *bytes) {
  const size_t size = plan->precision == MNO_F64 ? 8 : 4, tensors = p->block->tensors;
  *bytes = p->K * tensors * size;
  void *rate = mno_alloc(1, *bytes);
  for (size_t i = 0; rate && i < p->K * tensors; i++) {
    const double r = mno_problem_rate(p, i / tensors, i % tensors);
    if (size == 8)
      ((double *)rate)[i] = r;
    else
      ((float *)rate)[i] = (float)r;
  }
  return rate;
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

/* An array of a problem, which is freed. */
static mno_status put_made(mno_upload *to, void *made, size_t bytes, const void **address, mno_error *err) {
  const mno_status status = made ? mno_upload_put(to, made, bytes, address, err) : mno_fail_memory(err, bytes, "a problem");
  free(made);
  return status;
}

/* The arrays of a problem; *d receives their addresses. */
static mno_status put_problem(mno_upload *to, const mno_plan *plan, const mno_problem *p, mno_device_problem *d,
                              mno_error *err) {
  const void *address = NULL;
  size_t bytes;
  void *made = embedded(plan, p, &bytes);
  mno_status status = put_made(to, made, bytes, &d->h0, err);
  if (status != MNO_OK) return status;
  made = rates(plan, p, &bytes);
  status = put_made(to, made, bytes, &d->rate, err);
  if (status == MNO_OK) status = mno_upload_put(to, p->y, p->N * p->d_out * sizeof(double), &address, err);
  d->y = address;
  if (status == MNO_OK) status = mno_upload_put(to, p->w_unembed, p->D * p->d_out * sizeof(double), &address, err);
  d->w_unembed = address;
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
