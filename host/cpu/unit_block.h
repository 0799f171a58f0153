/* SPDX-License-Identifier: BSD-3-Clause */
/* The body of a unit block (block/block.h), in any arrangement: what a layer's slices of units do. A block that couples
 * samples brings a cpu.h with these three functions of its own; the training loop knows no others. */
#ifndef MNO_CPU_UNIT_BLOCK_H
#define MNO_CPU_UNIT_BLOCK_H

#include "cpu/network.h"

/* Layer l, the slot-th of its segment. */
typedef struct layer {
  size_t l, slot;
} layer;

/* A slice's part of a state goes here: out = base + scale (part); out may be base. */
typedef struct sum {
  const real *base;
  real scale;
  real *out;
} sum;

INLINE vec *kept_at(const network *n, size_t i, layer at, const product *p) {
  return (vec *)(n->kept[i] + at.slot * n->unit_size) + p->slice->numbers;
}

INLINE void expand_into(product *p, const sum *into) {
  p->base = (const vec *)into->base;
  p->out = (vec *)into->out;
  p->scale = into->scale;
}

/* kept: the projections become s and, if they are kept, the slopes. */
INLINE void evaluate(mno_activation activation, bool keep, size_t count, vec *const *kept) {
  for (size_t i = 0; i < count; i++) {
    vec p[INPUTS], slope[INPUTS];
    UNROLL for (int a = 0; a < INPUTS; a++) p[a] = kept[a][i];
    UNIT(activation, p, &kept[0][i], slope);
    if (keep) UNROLL for (int a = 0; a < INPUTS; a++) kept[1 + a][i] = slope[a];
  }
}

static void evaluate_unit(const network *n, size_t count, vec *const *kept) {
  const bool keep = n->slope == MNO_SLOPE_KEPT;
  switch (n->problem->activation) {
#define CASE(name, text, odd)                                                                                               \
  case name: evaluate(name, keep, count, kept); return;
    MNO_ACTIVATION_LIST(CASE)
#undef CASE
  default: return;
  }
}

static void block_forward(const seat *s, layer at, size_t slice, const real *h, sum into) {
  const network *n = s->net;
  const arrangement *a = n->arrangement;
  product p = product_of(s, slice, 1);
  vec *kept[KEPT_MOST];
  for (size_t i = 0; i < n->kept_count; i++) kept[i] = kept_at(n, i, at, &p);
  p.x = h;
  p.scale = n->inv_D;
  for (size_t t = 0; t < INPUTS; t++) {
    p.w = weights_at(n, n->w[t], at.l, &p);
    p.y = kept[t];
    a->contract(&p);
  }
  evaluate_unit(n, p.slice->number_count, kept);
  p.y = kept[0];
  if (a->clear_padding) a->clear_padding(&p);
  p.w = weights_at(n, n->w[OUTPUT], at.l, &p);
  expand_into(&p, &into);
  a->expand(&p);
}

/* h^{l-1} = h^l - alpha/(L M) V s, from the kept s. */
static void block_rebuild(const seat *s, layer at, size_t slice, sum into) {
  const network *n = s->net;
  product p = product_of(s, slice, -1);
  p.w = weights_at(n, n->w[OUTPUT], at.l, &p);
  p.y = kept_at(n, 0, at, &p);
  expand_into(&p, &into);
  n->arrangement->expand(&p);
}

/* The gradients of all tensors of the slice, then the optimiser. */
static void block_update(const seat *s, layer at, product *p, const real *h, const real *b) {
  const network *n = s->net;
  memset(s->gradient, 0, TENSORS * n->slice_weights * sizeof(vec));
  p->rate = -1;
  for (size_t t = 0; t < TENSORS; t++) {
    p->w = s->gradient + t * n->slice_weights;
    p->x = t == OUTPUT ? b : h;
    p->y = t == OUTPUT ? kept_at(n, 0, at, p) : p->g[t];
    n->arrangement->change(p);
  }
  update u = {.count = n->D * p->slice->vectors, .knob = n->knob};
  for (size_t t = 0; t < TENSORS; t++) {
    u.w = weights_at(n, n->w[t], at.l, p);
    u.gradient = s->gradient + t * n->slice_weights;
    u.rate = s->rate[t];
    for (size_t i = 0; i < n->states; i++) u.state[i] = weights_at(n, n->state[t][i], at.l, p);
    n->update(&u);
  }
}

static void block_backward(const seat *s, layer at, size_t slice, const real *h, const real *b, sum into) {
  const network *n = s->net;
  const arrangement *a = n->arrangement;
  product p = product_of(s, slice, -1);
  p.s = kept_at(n, 0, at, &p);
  for (size_t t = 0; t < INPUTS; t++) {
    if (n->slope == MNO_SLOPE_KEPT) p.slope[t] = kept_at(n, 1 + t, at, &p);
    p.g[t] = s->g + t * n->slice_numbers;
  }
  p.w = weights_at(n, n->w[OUTPUT], at.l, &p);
  p.x = b;
  p.scale = n->inv_D;
  p.rate = s->rate[OUTPUT];
  (n->fused ? a->contract_slopes_and_change : a->contract_slopes)(&p);
  p.y = kept_at(n, 0, at, &p);
  if (n->fuses && !n->fused) a->change(&p);
  p.x = h;
  for (size_t t = 0; t < INPUTS; t++) {
    p.tensor = t;
    p.w = weights_at(n, n->w[t], at.l, &p);
    p.y = p.g[t];
    p.rate = s->rate[t];
    expand_into(&p, &into);
    (n->fused ? a->expand_and_change : a->expand)(&p);
    if (n->fuses && !n->fused) a->change(&p);
    into.base = into.out;
  }
  if (!n->fuses) block_update(s, at, &p, h, b);
}

#endif
