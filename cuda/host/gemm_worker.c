/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/gemm_worker.h"

#include "core/memory.h"
#include "meanode/record.h"

#include <math.h>
#include <pthread.h>
#include <time.h>

static const struct timespec NAP = {.tv_nsec = 100000L}; /* between polls of the mailboxes */

size_t mno_batches_make(const mno_item *item, size_t count, size_t group, mno_batch *batch) {
  size_t batches = 0;
  for (size_t i = 0, alike; i < count; i += alike) {
    for (alike = 1; i + alike < count; alike++)
      if (item[i + alike].problem != item[i].problem || item[i + alike].L != item[i].L) break;
    const size_t parts = (alike + group - 1) / group;
    for (size_t k = 0, first = i, size; k < parts; k++, first += size) {
      size = alike / parts + (k < alike % parts);
      batch[batches++] = (mno_batch){first, size};
    }
  }
  return batches;
}

/* One worker and its batch. After a failure its calls of the device do nothing. */
typedef struct work {
  const mno_gemm_run *c;
  mno_gemm *gemm;
  mno_status status;
  mno_error *err;
  mno_gemm_args args; /* of the batch */
  mno_product product[MNO_PRODUCTS];
  const mno_problem *problem;
  bool warm;
  bool captured; /* are the graphs those of this problem, L and count? */
  uint32_t problem_index;
} work;

/* Of a layer; MNO_ELEMENTWISE_RECORD: as recorded step number `step`. */
static void elementwise_at(work *w, mno_elementwise which, int layer, int step) {
  w->args.layer = layer;
  w->args.step = step;
  if (w->status == MNO_OK) w->status = w->c->api->elementwise(w->gemm, which, &w->args, w->err);
}
static void elementwise(work *w, mno_elementwise which) { elementwise_at(w, which, 0, 0); }

static void play(work *w, mno_graph graph) {
  if (w->status == MNO_OK) w->status = w->c->api->play(w->gemm, graph, w->err);
}

static void wait_for_all(work *w) {
  if (w->status == MNO_OK) w->status = w->c->api->wait(w->gemm, w->err);
}

/* Matrices by columns: weights are D x M, fields (h, b) D x N, what belongs to units and samples (p, t, q) M x N. */
void mno_gemm_products(const mno_shape *s, mno_product product[MNO_PRODUCTS]) {
  const mno_gemm_layout at = mno_gemm_place(s);
  const mno_product all = {.bytes = s->bytes,
                           .count = s->group,
                           .tuning_count = s->tuning_count,
                           .lead_a = at.ld_d,
                           .lead_b = at.ld_m,
                           .lead_to = at.ld_d,
                           .stride = at.each / (size_t)s->bytes};
  for (int i = 0; i < MNO_PRODUCTS; i++) product[i] = all;
  mno_product *p = &product[MNO_PRODUCT_PROJECT];
  p->transpose_a = 1;
  p->rows = s->M, p->columns = s->N, p->inner = s->D;
  p->lead_b = at.ld_d, p->lead_to = at.ld_m;
  p = &product[MNO_PRODUCT_COMBINE];
  p->rows = s->D, p->columns = s->N, p->inner = s->M;
  p = &product[MNO_PRODUCT_GRADIENT];
  p->transpose_b = 1;
  p->rows = s->D, p->columns = s->M, p->inner = s->N;
}

/* What a product of a kind is about: to = scale A B + add. */
typedef struct operands {
  const char *A, *B;
  double scale;
  const char *add; /* NULL: 0 */
  char *to;
} operands;

static void product(work *w, mno_product_kind kind, operands of) {
  mno_product p = w->product[kind];
  p.A = of.A;
  p.B = of.B;
  p.scale = of.scale;
  p.add = of.add;
  p.to = of.to;
  if (w->status == MNO_OK) w->status = w->c->api->product(w->gemm, &p, w->err);
}

/* The block's last tensor; those before it are the inputs. */
static int output_of(const work *w) { return w->args.shape.tensors - 1; }

/* The index-th array [M][ld_d], [N][ld_d] or [N][ld_m] behind a place. */
static char *array_of(const work *w, size_t at, int length, int lead, size_t index) {
  return w->args.batch + at + index * (size_t)length * (size_t)lead * (size_t)w->args.shape.bytes;
}
static char *weights_of(const work *w, int l, int tensor) {
  const mno_shape *s = &w->args.shape;
  return array_of(w, w->args.at.weights, s->M, w->args.at.ld_d, (size_t)l * (size_t)s->rows + (size_t)tensor);
}
static char *gradient_of(const work *w, int tensor) {
  return array_of(w, w->args.at.gradients, w->args.shape.M, w->args.at.ld_d, (size_t)tensor);
}
static char *state_of(const work *w, int l) {
  return array_of(w, w->args.at.states, w->args.shape.N, w->args.at.ld_d, (size_t)l);
}
static char *units_of(const work *w, size_t at, size_t index) {
  return array_of(w, at, w->args.shape.N, w->args.at.ld_m, index);
}
static char *projection_of(const work *w, int l, int input) {
  const size_t layers = w->args.shape.projections_stored ? (size_t)l : 0;
  return units_of(w, w->args.at.p, layers * (size_t)output_of(w) + (size_t)input);
}
static char *t_of(const work *w) { return units_of(w, w->args.at.t, 0); }
static char *g_of(const work *w, int input) { return units_of(w, w->args.at.g, (size_t)input); }
static char *b_of(const work *w) { return w->args.batch + w->args.at.b; }

/* alpha/(L M) */
static double step_of(const work *w) { return w->problem->alpha / ((double)w->args.shape.L * w->args.shape.M); }

/* Weights on a field, over D. */
static void project(work *w, const char *weights, const char *field, char *to) {
  product(w, MNO_PRODUCT_PROJECT, (operands){.A = weights, .B = field, .scale = 1.0 / w->args.shape.D, .to = to});
}

static void project_inputs(work *w, int l) {
  for (int i = 0; i < output_of(w); i++) project(w, weights_of(w, l, i), state_of(w, l), projection_of(w, l, i));
}

/* h of layer l + 1 = h + alpha/(L M) v s(p) */
static void layer_forward(work *w, int l) {
  const operands of = {.A = weights_of(w, l, output_of(w)),
                       .B = t_of(w),
                       .scale = step_of(w),
                       .add = state_of(w, l),
                       .to = state_of(w, l + 1)};
  project_inputs(w, l);
  elementwise_at(w, MNO_ELEMENTWISE_ACTIVATE, l, 0);
  product(w, MNO_PRODUCT_COMBINE, of);
}

/* The normalised gradient of a tensor: onto its weights, if updates are products, or where MNO_ELEMENTWISE_UPDATE finds it.
 */
static void gradient(work *w, int l, int tensor, const char *field, const char *of_units) {
  operands of = {.A = field, .B = of_units, .scale = 1, .to = gradient_of(w, tensor)};
  if (w->args.shape.fused) {
    of.scale = -mno_problem_rate(w->problem, 0, (size_t)tensor);
    of.add = of.to = weights_of(w, l, tensor);
  }
  product(w, MNO_PRODUCT_GRADIENT, of);
}

/* The output's gradient before b moves on, those of the inputs after b has used the old weights. last: no layer comes after
 * this one, so b need not move. */
static void layer_backward(work *w, int l, bool last) {
  const int output = output_of(w);
  if (!w->args.shape.projections_stored) project_inputs(w, l);
  project(w, weights_of(w, l, output), b_of(w), g_of(w, 0));
  elementwise_at(w, MNO_ELEMENTWISE_BACK, l, 0);
  gradient(w, l, output, b_of(w), t_of(w));
  for (int i = 0; i < output && !last; i++) {
    const operands of = {.A = weights_of(w, l, i), .B = g_of(w, i), .scale = step_of(w), .add = b_of(w), .to = b_of(w)};
    product(w, MNO_PRODUCT_COMBINE, of);
  }
  for (int i = 0; i < output; i++) gradient(w, l, i, state_of(w, l), g_of(w, i));
  if (!w->args.shape.fused) elementwise_at(w, MNO_ELEMENTWISE_UPDATE, l, 0);
}

static void forward(work *w) {
  for (int l = 0; l < w->args.shape.L; l++) layer_forward(w, l);
  elementwise(w, MNO_ELEMENTWISE_OUTPUT);
  elementwise(w, MNO_ELEMENTWISE_SAMPLE);
  elementwise(w, MNO_ELEMENTWISE_LOSS);
}

static void backward(work *w) {
  elementwise(w, MNO_ELEMENTWISE_ADJOINT);
  for (int l = w->args.shape.L - 1; l >= 0; l--) layer_backward(w, l, l == 0);
  if (!w->args.shape.fused) elementwise(w, MNO_ELEMENTWISE_STEP);
}

/* Every kind of call once, at once, on whatever lies in the memory (but for the number of the step): algorithms are chosen
 * and their code is loaded, which must not happen while a graph is captured. */
static void warm_up(work *w) {
  elementwise(w, MNO_ELEMENTWISE_START);
  layer_forward(w, 0);
  layer_backward(w, 0, false);
  wait_for_all(w);
}

static void capture(work *w, void (*calls)(work *), mno_graph graph) {
  if (w->status == MNO_OK) w->status = w->c->api->capture(w->gemm, w->err);
  calls(w);
  if (w->status == MNO_OK) w->status = w->c->api->end(w->gemm, graph, w->err);
}

static void capture_graphs(work *w) {
  capture(w, forward, MNO_GRAPH_FORWARD);
  capture(w, backward, MNO_GRAPH_BACKWARD);
}

/* One worker of the process at a time: what a library sets up with its first calls (attributes of kernels belong to the
 * device, not to a stream) must not meet another's. On a card two that began together failed in f64 with "the function
 * failed to launch" once; whether this is the cure is not yet run on a GPU. */
static void alone(void (*prepare)(work *), work *w) {
  static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&turn);
  prepare(w);
  pthread_mutex_unlock(&turn);
}

static bool stopped(const mno_gemm_run *c) { return __atomic_load_n(&c->args->signals->stop, __ATOMIC_ACQUIRE) != 0; }

static mno_mailbox *mailbox_of(const work *w, int i) {
  return (mno_mailbox *)(w->args.mailboxes + (size_t)i * w->args.mailbox_bytes);
}

/* Waits until the host has taken what the mailboxes held before. False: stop. */
static bool mailboxes_free(const work *w) {
  for (int i = 0; i < w->args.shape.group; i++)
    while (__atomic_load_n(&mailbox_of(w, i)->state, __ATOMIC_ACQUIRE)) {
      if (stopped(w->c)) return false;
      nanosleep(&NAP, NULL);
    }
  return !stopped(w->c);
}

/* What calls are about from now on. */
static void take_batch(work *w, const mno_batch *batch, char *mailboxes) {
  const mno_gemm_run *c = w->c;
  const mno_item *item = c->item + batch->first;
  mno_gemm_args *a = &w->args;
  w->captured =
      w->captured && w->problem_index == item->problem && a->shape.L == item->L && a->shape.group == (int)batch->count;
  w->problem_index = item->problem;
  w->problem = &c->plan->problem[item->problem];
  *a = (mno_gemm_args){.shape = c->args->shape,
                       .problem = c->args->problem,
                       .item = c->args->item + batch->first,
                       .batch = c->slot,
                       .mailboxes = mailboxes,
                       .mailbox_bytes = c->args->mailbox_bytes,
                       .loss = c->loss,
                       .weights = c->args->weights};
  a->shape.L = item->L;
  a->shape.group = (int)batch->count;
  a->at = mno_gemm_place(&a->shape);
  mno_gemm_products(&a->shape, w->product);
}

/* The losses of a step to the mailboxes; returns how many instances go on. */
static int note_losses(work *w, bool recorded, size_t filled) {
  int live = 0;
  for (int i = 0; i < w->args.shape.group; i++) {
    mno_mailbox *p = mailbox_of(w, i);
    const double loss = w->args.loss[i];
    if (!isfinite(loss)) p->outcome = MNO_INSTANCE_DIVERGED;
    if (p->outcome != MNO_DONE) continue;
    live++;
    if (!recorded) continue;
    ((double *)(p + 1))[filled] = loss;
    p->filled++;
  }
  return live;
}

/* Trains one batch. False: it failed or was stopped. */
static bool train(work *w, const mno_batch *batch, char *mailboxes) {
  const mno_gemm_run *c = w->c;
  const int count = (int)batch->count;
  take_batch(w, batch, mailboxes);
  const double start = mno_now();
  if (!mailboxes_free(w)) return false;
  for (int i = 0; i < count; i++) { /* but for the state: the host polls it */
    mno_mailbox *p = mailbox_of(w, i);
    p->row = c->item[batch->first + (size_t)i].row;
    p->outcome = MNO_DONE;
    p->filled = 0;
  }

  if (!w->warm) alone(warm_up, w);
  w->warm = true;
  elementwise(w, MNO_ELEMENTWISE_DRAW);
  elementwise(w, MNO_ELEMENTWISE_START);
  /* What a graph's operations read of the items is their problem, which is that of the batch it was captured for. */
  if (!w->captured) alone(capture_graphs, w);
  w->captured = true;
  size_t filled = 0;
  int live = count;
  for (int64_t k = 0;; k++) {
    const bool recorded = filled < c->plan->step_count && c->plan->step[filled] == k;
    play(w, MNO_GRAPH_FORWARD);
    if (recorded) elementwise_at(w, MNO_ELEMENTWISE_RECORD, 0, (int)filled);
    wait_for_all(w);
    if (w->status != MNO_OK) return false;
    live = note_losses(w, recorded, filled);
    filled += recorded;
    if (live == 0 || k == (int64_t)w->problem->K) break;
    if (stopped(c)) return false;
    play(w, MNO_GRAPH_BACKWARD);
  }
  if (live && (c->args->weights & MNO_WEIGHTS_FINAL)) {
    elementwise(w, MNO_ELEMENTWISE_WEIGHTS);
    wait_for_all(w);
    if (w->status != MNO_OK) return false;
  }
  const double seconds = (mno_now() - start) / count;
  for (int i = 0; i < count; i++) {
    mailbox_of(w, i)->seconds = seconds;
    __atomic_store_n(&mailbox_of(w, i)->state, 1, __ATOMIC_RELEASE);
  }
  return true;
}

mno_status mno_gemm_train(const mno_gemm_run *c, mno_error *err) {
  work w = {.c = c, .err = err};
  char library[128];
  w.status = c->api->available(library, sizeof library, err);
  if (w.status == MNO_OK) w.status = c->api->open(c->device, &w.gemm, err);
  bool go_on = w.status == MNO_OK;
  for (size_t serial = 0; go_on; serial++) {
    const size_t next = atomic_fetch_add(c->next, 1);
    if (next >= c->batches) break;
    go_on = train(&w, &c->batch[next], c->mailboxes + (serial & 1) * (size_t)c->args->shape.group * c->args->mailbox_bytes);
  }
  if (!w.gemm) return w.status;
  const mno_status closed = c->api->close(w.gemm, w.status == MNO_OK ? err : NULL);
  return w.status == MNO_OK ? closed : w.status;
}
