/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/rounds.h"
#include "host/cost.h"

#include "core/memory.h"
#include "host/shape.h"
#include "host/trainers.h"
#include "host/unpack.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
  size_t row;
  mno_dimensions of;
  mno_candidate candidate;
  bool scheduled;
  uint32_t problem;
  int device;
  double seconds;
} entry;

static int order(uint64_t a, uint64_t b) { return a < b ? -1 : a > b; }

/* Equal groups together, then longest first, then by problem and row. */
static int same_group(const entry *x, const entry *y) {
  const mno_dimensions *a = &x->of, *b = &y->of;
  const mno_candidate *j = &x->candidate, *k = &y->candidate;
  const size_t key[][2] = {{a->D, b->D},
                           {a->M, b->M},
                           {a->N, b->N},
                           {a->d_out, b->d_out},
                           {(size_t)a->trainer, (size_t)b->trainer},
                           {j->kernel, k->kernel},
                           {(size_t)j->lanes, (size_t)k->lanes},
                           {(size_t)j->portions, (size_t)k->portions},
                           {x->scheduled, y->scheduled}};
  int c = 0;
  for (size_t i = 0; i < sizeof key / sizeof *key && !c; i++) c = order(key[i][0], key[i][1]);
  return c;
}
static int longest_first(const entry *x, const entry *y) {
  int c = x->seconds > y->seconds ? -1 : x->seconds < y->seconds;
  if (!c) c = order(y->of.L, x->of.L);
  if (!c) c = order(x->problem, y->problem);
  return c ? c : order(x->row, y->row);
}
static int compare_entries(const void *a, const void *b) {
  const entry *x = a, *y = b;
  int c = same_group(x, y);
  return c ? c : longest_first(x, y);
}
static int compare_lengths(const void *a, const void *b) { return longest_first(a, b); }
static int compare_groups(const void *a, const void *b) {
  const mno_group *x = a, *y = b;
  return x->seconds > y->seconds ? -1 : x->seconds < y->seconds;
}

int mno_products_pay(const mno_plan *plan) {
  for (size_t i = 0; i < plan->problem_count; i++)
    if (plan->problem[i].N >= MNO_PRODUCTS_LEAST) return 1;
  return 0;
}

mno_status mno_dimensions_of(const mno_plan *plan, size_t row, mno_dimensions *dimensions, mno_error *err) {
  const mno_instance *i = &plan->instance[row];
  const mno_problem *p = &plan->problem[i->problem];
  *dimensions = (mno_dimensions){.D = p->D, .M = (size_t)i->M, .N = p->N, .L = (size_t)i->L, .d_out = p->d_out};
  return mno_trainer_of(p, &dimensions->trainer, err);
}

static mno_status describe(const mno_plan *plan, size_t row, const mno_abilities *can, entry *e, mno_error *err) {
  const mno_instance *i = &plan->instance[row];
  const mno_problem *p = &plan->problem[i->problem];
  mno_shape shape;
  if (i->draw.width > UINT32_MAX / 2 || i->draw.offset > UINT32_MAX / 2)
    return mno_fail(err, MNO_ERR_BACKEND, "the CUDA kernels do not draw units of layers wider than 2^31; use --backend cpu");
  *e = (entry){.row = row, .scheduled = p->schedule != NULL, .problem = i->problem};
  mno_status status = mno_dimensions_of(plan, row, &e->of, err);
  if (status == MNO_OK) status = mno_shape_choose(&e->of, plan->precision, can->products, can->candidate, &shape, err);
  int served = 1;
  if (status == MNO_OK && shape.kernel == MNO_KERNEL_GEMM && !can->candidate && can->serves)
    status = can->serves(can->context, &shape, &served, err);
  if (status == MNO_OK && !served) status = mno_shape_choose(&e->of, plan->precision, false, can->candidate, &shape, err);
  if (status != MNO_OK) return status;
  e->candidate = (mno_candidate){(mno_kernel_kind)shape.kernel, shape.lanes, shape.portions};
  e->seconds = mno_shape_seconds(&shape) * (double)(p->K + 1);
  return MNO_OK;
}

/* Deals the entries to devices: longest first, each to the one with least to do. */
static mno_status deal(entry *e, size_t count, int devices, mno_error *err) {
  if (devices == 1) return MNO_OK;
  double *load = mno_alloc((size_t)devices, sizeof *load);
  if (!load) return mno_fail_memory(err, (size_t)devices * sizeof *load, "the list of devices");
  qsort(e, count, sizeof *e, compare_lengths);
  for (size_t i = 0; i < count; i++) {
    for (int k = 0; k < devices; k++)
      if (load[k] < load[e[i].device]) e[i].device = k;
    load[e[i].device] += e[i].seconds;
  }
  free(load);
  return MNO_OK;
}

/* What a team of the group needs. */
static void measure(mno_group *g) {
  const size_t group = (size_t)g->shape.group, losses = g->shape.kernel == MNO_KERNEL_GEMM ? group * sizeof(double) : 0;
  g->slot_bytes = mno_slot_bytes(&g->shape);
  g->pinned_bytes = 2 * group * g->mailbox_bytes + mno_round_up(losses, 256);
}

mno_status mno_groups_make(const mno_job *job, const mno_abilities *abilities, int index, int devices, mno_groups *groups,
                           mno_error *err) {
  const mno_plan *plan = job->plan;
  const size_t count = job->count;
  *groups = (mno_groups){0};
  entry *e = mno_alloc(count, sizeof *e);
  groups->rows = mno_alloc(count, sizeof *groups->rows);
  groups->group = mno_alloc(count, sizeof *groups->group);
  mno_status status = MNO_OK;
  if (!e || !groups->rows || !groups->group)
    status =
        mno_fail_memory(err, count * (sizeof *e + sizeof *groups->rows + sizeof *groups->group), "the list of instances");
  for (size_t i = 0; i < count && status == MNO_OK; i++)
    status = describe(plan, job->rows ? job->rows[i] : i, abilities, &e[i], err);
  size_t used = 0;
  if (status == MNO_OK) status = deal(e, count, devices, err);
  if (status == MNO_OK) qsort(e, count, sizeof *e, compare_entries);
  for (size_t i = 0, next; i < count && status == MNO_OK; i = next) {
    mno_group g = {.rows = groups->rows + used};
    size_t longest = 0;
    for (next = i; next < count && same_group(&e[i], &e[next]) == 0; next++) {
      if (e[next].device != index) continue;
      groups->rows[used++] = e[next].row;
      g.count++;
      g.seconds += e[next].seconds;
      if (e[next].of.L > longest) longest = e[next].of.L;
      size_t mailbox = mno_mailbox_size(plan, e[next].row);
      if (mailbox > g.mailbox_bytes) g.mailbox_bytes = mailbox;
    }
    if (g.count == 0) continue;
    mno_dimensions of = e[i].of;
    of.L = longest;
    status = mno_shape_make(&of, plan->precision, &e[i].candidate, &g.shape, err);
    if (e[i].scheduled) g.shape.fused = 0; /* products have one rate for all steps */
    measure(&g);
    groups->group[groups->count++] = g;
  }
  if (status == MNO_OK) qsort(groups->group, groups->count, sizeof *groups->group, compare_groups);
  free(e);
  if (status != MNO_OK) mno_groups_free(groups);
  return status;
}

void mno_groups_free(mno_groups *groups) {
  free(groups->group);
  free(groups->rows);
  *groups = (mno_groups){0};
}

size_t mno_group_teams(const mno_group *g) {
  const size_t busy = mno_ceil_div(g->count, (size_t)g->shape.group);
  return (size_t)g->wanted < busy ? (size_t)g->wanted : busy;
}

/* What is left in a round. */
typedef struct room {
  size_t memory, pinned;
  int round, empty;
} room;

/* Finds a place for a group, in this round or a new one. all: what a new round has. */
static mno_status settle(mno_group *g, const room *all, room *left, mno_error *err) {
  for (;;) {
    const size_t full = mno_group_teams(g);
    size_t teams = full;
    if (teams > left->memory / g->slot_bytes) teams = left->memory / g->slot_bytes;
    if (teams > left->pinned / g->pinned_bytes) teams = left->pinned / g->pinned_bytes;
    if (teams == 0 && left->empty && mno_shape_shrink(&g->shape)) {
      measure(g);
      continue;
    }
    if (teams == 0 && left->empty)
      return mno_fail(err, MNO_ERR_MEMORY,
                      "memory: one network of D = %d, M = %d, L = %d, N = %d needs %.3g GiB on the card (%.3g GiB are "
                      "free) and %.3g GiB of host memory for its results (%.3g GiB may be used); take a smaller network, "
                      "--precision f32, record fewer steps or no weights, or --backend cpu",
                      g->shape.D, g->shape.M, g->shape.L, g->shape.N, (double)g->slot_bytes / 0x1p30,
                      (double)all->memory / 0x1p30, (double)g->pinned_bytes / 0x1p30, (double)all->pinned / 0x1p30);
    if (teams > 0 && (left->empty || 4 * teams >= full)) {
      g->teams = (int)teams;
      g->round = left->round;
      left->memory -= teams * g->slot_bytes;
      left->pinned -= teams * g->pinned_bytes;
      left->empty = 0;
      return MNO_OK;
    }
    *left = (room){all->memory, all->pinned, left->round + 1, 1}; /* too little is left */
  }
}

/* Kernels wait for the host to take their results, and calls of kernel G may wait for kernels (code is loaded, graphs are
 * made and freed): so they never share a round. */
mno_status mno_rounds_plan(mno_groups *groups, size_t memory, size_t pinned, int *rounds, mno_error *err) {
  const room all = {memory, pinned, 0, 1};
  room left = all;
  for (size_t i = 0; i < groups->count; i++) measure(&groups->group[i]); /* a fit may have changed the shape */
  for (int products = 0; products < 2; products++) {
    if (!left.empty) left = (room){memory, pinned, left.round + 1, 1};
    for (size_t i = 0; i < groups->count; i++) {
      mno_group *g = &groups->group[i];
      if ((g->shape.kernel == MNO_KERNEL_GEMM) != products) continue;
      const mno_status status = settle(g, &all, &left, err);
      if (status != MNO_OK) return status;
    }
  }
  *rounds = left.round + !left.empty;
  return MNO_OK;
}
