/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/unpack.h"

#include "block/block.h"

#include <string.h>

size_t mno_mailbox_size(const mno_plan *plan, size_t row) {
  const mno_instance *i = &plan->instance[row];
  const mno_problem *p = &plan->problem[i->problem];
  size_t weights = (size_t)i->L * (size_t)i->M * p->D, kinds = 0;
  if (plan->recording.weights & MNO_WEIGHTS_INITIAL) kinds += p->block->tensors;
  if (plan->recording.weights & MNO_WEIGHTS_FINAL) kinds += p->block->tensors;
  return mno_round_up(
      sizeof(mno_mailbox) + (plan->step_count * (1 + p->N * (p->d_out + p->D)) + kinds * weights) * sizeof(double), 256);
}

/* The next `size` numbers of a mailbox, of which `used` are filled. */
static const double *take(double *to, const double *from, size_t used, size_t size) {
  memcpy(to, from, used * sizeof(double));
  return from + size;
}

mno_status mno_unpack(const mno_plan *plan, const mno_mailbox *mailbox, double fraction, mno_record **record,
                      mno_error *err) {
  const size_t row = mailbox->row, S = plan->step_count, filled = mailbox->filled;
  mno_status status = mno_record_new(plan, row, record, err);
  if (status != MNO_OK) return status;
  const mno_instance *i = &plan->instance[row];
  const mno_problem *p = &plan->problem[i->problem];
  const size_t outputs = p->N * p->d_out, states = p->N * p->D, weights = (size_t)i->L * (size_t)i->M * p->D;
  mno_record *r = *record;
  r->outcome = mailbox->outcome ? MNO_INSTANCE_DIVERGED : MNO_DONE;
  r->seconds = mailbox->seconds * fraction;
  const double *from = (const double *)(mailbox + 1);
  const size_t final = mailbox->outcome ? 0 : weights; /* a network that diverged has no final weights */
  from = take(r->loss, from, filled, S);
  from = take(r->output, from, filled * outputs, S * outputs);
  from = take(r->embedding, from, filled * states, S * states);
  for (size_t t = 0; t < p->block->tensors && r->initial[t]; t++) from = take(r->initial[t], from, weights, weights);
  for (size_t t = 0; t < p->block->tensors && r->final[t]; t++) from = take(r->final[t], from, final, weights);
  return MNO_OK;
}
