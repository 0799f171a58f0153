/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/gemm_worker.h"

#include "core/memory.h"
#include "meanode/record.h"

#include <math.h>
#include <pthread.h>
#include <time.h>

static const struct timespec NAP = {.tv_nsec = 100000L}; /* between looks at the parcels */

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

/* One worker and its batch. */
typedef struct work {
  const mno_gemm_run *c;
  mno_gemm *gemm;
  mno_gemm_args args; /* of the batch */
  mno_product product[MNO_PRODUCTS];
  const mno_problem *problem;
  bool warm;
  bool captured; /* the graphs are those of this problem, L and count */
  uint32_t problem_index;
} work;

#define TRY(call)                                                                                                           \
  do {                                                                                                                      \
    mno_status status_ = (call);                                                                                            \
    if (status_ != MNO_OK) return status_;                                                                                  \
  } while (0)

static mno_status elementwise(work *w, mno_elementwise which, int layer, int step, mno_error *err) {
  w->args.layer = layer;
  w->args.step = step;
  return w->c->api->elementwise(w->gemm, which, &w->args, err);
}

/* Matrices by columns: weights are D x M, fields (h, b) D x N, what belongs to units and samples (p, t, q) M x N. */
void mno_gemm_products(const mno_shape *s, mno_product product[MNO_PRODUCTS]) {
  const mno_gemm_layout at = mno_gemm_place(s);
  const mno_product all = {.bytes = s->bytes,
                           .count = s->group,
                           .nominal = s->nominal,
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

static mno_status product(work *w, mno_product_kind kind, operands of, mno_error *err) {
  mno_product p = w->product[kind];
  p.A = of.A;
  p.B = of.B;
  p.scale = of.scale;
  p.add = of.add;
  p.to = of.to;
  return w->c->api->product(w->gemm, &p, err);
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
  const size_t layers = w->args.shape.kept ? (size_t)l : 0;
  return units_of(w, w->args.at.p, layers * (size_t)output_of(w) + (size_t)input);
}
static char *t_of(const work *w) { return units_of(w, w->args.at.t, 0); }
static char *g_of(const work *w, int input) { return units_of(w, w->args.at.g, (size_t)input); }
static char *b_of(const work *w) { return w->args.batch + w->args.at.b; }

/* alpha/(L M) */
static double step_of(const work *w) { return w->problem->alpha / ((double)w->args.shape.L * w->args.shape.M); }

/* Weights on a field, over D. */
static mno_status project(work *w, const char *weights, const char *field, char *to, mno_error *err) {
  const operands of = {.A = weights, .B = field, .scale = 1.0 / w->args.shape.D, .to = to};
  return product(w, MNO_PRODUCT_PROJECT, of, err);
}

static mno_status project_inputs(work *w, int l, mno_error *err) {
  for (int i = 0; i < output_of(w); i++) TRY(project(w, weights_of(w, l, i), state_of(w, l), projection_of(w, l, i), err));
  return MNO_OK;
}

/* h of layer l + 1 = h + alpha/(L M) v s(p) */
static mno_status layer_forward(work *w, int l, mno_error *err) {
  TRY(project_inputs(w, l, err));
  TRY(elementwise(w, MNO_ELEMENTWISE_ACTIVATE, l, 0, err));
  return product(w, MNO_PRODUCT_COMBINE,
                 (operands){.A = weights_of(w, l, output_of(w)),
                            .B = t_of(w),
                            .scale = step_of(w),
                            .add = state_of(w, l),
                            .to = state_of(w, l + 1)},
                 err);
}

/* The normalised gradient of a tensor: onto its weights, if updates are products, or where MNO_ELEMENTWISE_UPDATE finds it.
 */
static mno_status gradient(work *w, int l, int tensor, const char *field, const char *of_units, mno_error *err) {
  operands of = {.A = field, .B = of_units, .scale = 1, .to = gradient_of(w, tensor)};
  if (w->args.shape.fused) {
    of.scale = -mno_problem_rate(w->problem, 0, (size_t)tensor);
    of.add = of.to = weights_of(w, l, tensor);
  }
  return product(w, MNO_PRODUCT_GRADIENT, of, err);
}

/* The output's gradient before b moves on, those of the inputs after b has used the old weights. last: no layer comes after
 * this one, so b need not move. */
static mno_status layer_backward(work *w, int l, bool last, mno_error *err) {
  const int output = output_of(w);
  if (!w->args.shape.kept) TRY(project_inputs(w, l, err));
  TRY(project(w, weights_of(w, l, output), b_of(w), g_of(w, 0), err));
  TRY(elementwise(w, MNO_ELEMENTWISE_BACK, l, 0, err));
  TRY(gradient(w, l, output, b_of(w), t_of(w), err));
  for (int i = 0; i < output && !last; i++) {
    const operands of = {.A = weights_of(w, l, i), .B = g_of(w, i), .scale = step_of(w), .add = b_of(w), .to = b_of(w)};
    TRY(product(w, MNO_PRODUCT_COMBINE, of, err));
  }
  for (int i = 0; i < output; i++) TRY(gradient(w, l, i, state_of(w, l), g_of(w, i), err));
  return w->args.shape.fused ? MNO_OK : elementwise(w, MNO_ELEMENTWISE_UPDATE, l, 0, err);
}

static mno_status forward(work *w, mno_error *err) {
  for (int l = 0; l < w->args.shape.L; l++) TRY(layer_forward(w, l, err));
  TRY(elementwise(w, MNO_ELEMENTWISE_OUTPUT, 0, 0, err));
  TRY(elementwise(w, MNO_ELEMENTWISE_SAMPLE, 0, 0, err));
  return elementwise(w, MNO_ELEMENTWISE_LOSS, 0, 0, err);
}

static mno_status backward(work *w, mno_error *err) {
  TRY(elementwise(w, MNO_ELEMENTWISE_ADJOINT, 0, 0, err));
  for (int l = w->args.shape.L - 1; l >= 0; l--) TRY(layer_backward(w, l, l == 0, err));
  return w->args.shape.fused ? MNO_OK : elementwise(w, MNO_ELEMENTWISE_STEP, 0, 0, err);
}

/* Every kind of call once, at once, on whatever lies in the memory (but for the number of the step): algorithms are chosen
 * and their code is loaded, which must not happen while a graph is captured. */
static mno_status warm_up(work *w, mno_error *err) {
  TRY(elementwise(w, MNO_ELEMENTWISE_START, 0, 0, err));
  TRY(layer_forward(w, 0, err));
  TRY(layer_backward(w, 0, false, err));
  return w->c->api->wait(w->gemm, err);
}

static mno_status capture_graphs(work *w, mno_error *err) {
  TRY(w->c->api->capture(w->gemm, err));
  TRY(forward(w, err));
  TRY(w->c->api->end(w->gemm, MNO_GRAPH_FORWARD, err));
  TRY(w->c->api->capture(w->gemm, err));
  TRY(backward(w, err));
  TRY(w->c->api->end(w->gemm, MNO_GRAPH_BACKWARD, err));
  return MNO_OK;
}

/* One worker of the process at a time: what a library sets up with its first calls (attributes of kernels belong to the
 * device, not to a stream) must not meet another's. On a card two that began together failed in f64 with "the function
 * failed to launch" once; whether this is the cure is not yet run on a GPU. */
static mno_status alone(mno_status (*prepare)(work *, mno_error *), work *w, mno_error *err) {
  static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&turn);
  const mno_status status = prepare(w, err);
  pthread_mutex_unlock(&turn);
  return status;
}

static bool stopped(const mno_gemm_run *c) { return __atomic_load_n(c->stop, __ATOMIC_ACQUIRE) != 0; }

static mno_parcel *parcel_of(const work *w, int i) {
  return (mno_parcel *)(w->args.parcels + (size_t)i * w->args.parcel_bytes);
}

/* Waits until the host has taken what the parcels held before. False: stop. */
static bool parcels_free(const work *w) {
  for (int i = 0; i < w->args.shape.group; i++)
    while (__atomic_load_n(&parcel_of(w, i)->state, __ATOMIC_ACQUIRE)) {
      if (stopped(w->c)) return false;
      nanosleep(&NAP, NULL);
    }
  return !stopped(w->c);
}

/* Trains one batch; *go_on: it was not stopped. */
static mno_status train(work *w, const mno_batch *batch, char *parcels, bool *go_on, mno_error *err) {
  const mno_gemm_run *c = w->c;
  const mno_item *item = c->item + batch->first;
  const int count = (int)batch->count;
  const mno_gemm_api *api = c->api;
  if (!w->captured || w->problem_index != item->problem || w->args.shape.L != item->L || w->args.shape.group != count)
    w->captured = false;
  w->problem_index = item->problem;
  w->problem = &c->problem[item->problem];
  mno_gemm_args *a = &w->args;
  a->shape = c->shape;
  a->shape.L = item->L;
  a->shape.group = count;
  a->at = mno_gemm_place(&a->shape);
  mno_gemm_products(&a->shape, w->product);
  a->problem = c->problem_at;
  a->item = c->item_at + batch->first;
  a->batch = c->slot;
  a->parcels = parcels;
  a->parcel_bytes = c->parcel_bytes;
  a->loss = c->loss;
  a->weights = c->weights;
  const double start = mno_now();
  *go_on = parcels_free(w);
  if (!*go_on) return MNO_OK;
  for (int i = 0; i < count; i++) { /* but for the state: the host is looking at it */
    mno_parcel *p = parcel_of(w, i);
    p->row = item[i].row;
    p->outcome = MNO_DONE;
    p->filled = 0;
  }

  if (!w->warm) TRY(alone(warm_up, w, err));
  w->warm = true;
  TRY(elementwise(w, MNO_ELEMENTWISE_DRAW, 0, 0, err));
  TRY(elementwise(w, MNO_ELEMENTWISE_START, 0, 0, err));
  /* What a graph's operations read of the items is their problem, which is that of the batch it was captured for. */
  if (!w->captured) TRY(alone(capture_graphs, w, err));
  w->captured = true;
  size_t filled = 0;
  int live = count;
  for (int64_t k = 0;; k++) {
    TRY(api->play(w->gemm, MNO_GRAPH_FORWARD, err));
    const bool recorded = filled < c->steps && c->step[filled] == k;
    if (recorded) TRY(elementwise(w, MNO_ELEMENTWISE_RECORD, 0, (int)filled, err));
    TRY(api->wait(w->gemm, err));
    for (int i = 0; i < count; i++) {
      mno_parcel *p = parcel_of(w, i);
      if (p->outcome != MNO_DONE) continue;
      if (!isfinite(a->loss[i])) {
        p->outcome = MNO_INSTANCE_DIVERGED;
        live--;
      } else if (recorded) {
        ((double *)(p + 1))[filled] = a->loss[i];
        p->filled++;
      }
    }
    filled += recorded;
    if (live == 0 || k == (int64_t)w->problem->K) break;
    *go_on = !stopped(c);
    if (!*go_on) return MNO_OK;
    TRY(api->play(w->gemm, MNO_GRAPH_BACKWARD, err));
  }
  if (live && (c->weights & MNO_WEIGHTS_FINAL)) {
    TRY(elementwise(w, MNO_ELEMENTWISE_WEIGHTS, 0, 0, err));
    TRY(api->wait(w->gemm, err));
  }
  const double seconds = (mno_now() - start) / count;
  for (int i = 0; i < count; i++) {
    parcel_of(w, i)->seconds = seconds;
    __atomic_store_n(&parcel_of(w, i)->state, 1, __ATOMIC_RELEASE);
  }
  return MNO_OK;
}

mno_status mno_gemm_train(const mno_gemm_run *c, mno_error *err) {
  work w = {.c = c};
  mno_status status = c->api->open(c->device, &w.gemm, err);
  bool go_on = status == MNO_OK;
  for (size_t serial = 0; go_on && status == MNO_OK; serial++) {
    const size_t next = atomic_fetch_add(c->next, 1);
    if (next >= c->batches) break;
    status = train(&w, &c->batch[next], c->parcels + (serial & 1) * (size_t)c->shape.group * c->parcel_bytes, &go_on, err);
  }
  if (!w.gemm) return status;
  const mno_status closed = c->api->close(w.gemm, status == MNO_OK ? err : NULL);
  return status == MNO_OK ? closed : status;
}
