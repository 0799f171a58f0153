/* SPDX-License-Identifier: BSD-3-Clause */
#include "stats/cells.h"

#include "core/memory.h"
#include "plan/pairs.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct entry {
  int64_t L, M;
  uint64_t seed;
  mno_draw draw;
  const double *value; /* [size] */
} entry;

#define COMPARE(p, q) ((p) < (q) ? -1 : (p) > (q))

static int compare_runs(const void *a, const void *b) {
  const entry *p = a, *q = b;
  if (p->L != q->L) return COMPARE(p->L, q->L);
  if (p->M != q->M) return COMPARE(p->M, q->M);
  return COMPARE(p->seed, q->seed);
}

static int compare_entries(const void *a, const void *b) {
  const entry *p = a, *q = b;
  int order = compare_runs(a, b);
  if (order) return order;
  if (p->draw.width != q->draw.width) return COMPARE(p->draw.width, q->draw.width);
  if (p->draw.offset != q->draw.offset) return COMPARE(p->draw.offset, q->draw.offset);
  return COMPARE(p->draw.sign, q->draw.sign);
}

static int compare_seeds(const void *a, const void *b) { return COMPARE(*(const uint64_t *)a, *(const uint64_t *)b); }

static bool is_finite(const double *v, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!isfinite(v[i])) return false;
  return true;
}

static bool is_plain(const entry *e) { return e->draw.width == e->M && e->draw.offset == 0 && e->draw.sign == 1; }

static bool same_shape(const entry *a, const entry *b) { return a->L == b->L && a->M == b->M; }

/* The finite runs, sorted; returns their number. */
static size_t sort_runs(const mno_runs *runs, entry *e, size_t *unusable) {
  size_t count = 0;
  for (size_t r = 0; r < runs->count; r++) {
    const double *value = runs->value + r * runs->size;
    mno_draw draw = runs->draw ? runs->draw[r] : (mno_draw){runs->M[r], 0, 1};
    if (is_finite(value, runs->size))
      e[count++] = (entry){runs->L[r], runs->M[r], runs->seed[r], draw, value};
    else
      ++*unusable;
  }
  if (count > 1) qsort(e, count, sizeof *e, compare_entries);
  return count;
}

static const double *find(const entry *e, size_t count, uint64_t seed, const mno_partner *partner) {
  entry wanted = {partner->L, partner->M, seed, partner->draw, NULL};
  const entry *found = bsearch(&wanted, e, count, sizeof *e, compare_entries);
  return found ? found->value : NULL;
}

/* combined = value + factor (first + second) where the partners of a plain run are there; false if they are not. */
static bool combine(const entry *e, size_t count, const entry *run, mno_pairs kind, size_t size, double *combined) {
  mno_partner partner[MNO_PARTNERS_MOST];
  const double *other[MNO_PARTNERS_MOST] = {NULL, NULL};
  size_t partners = mno_pair_partners(kind, run->L, run->M, partner);
  for (size_t i = 0; i < partners; i++)
    if (!(other[i] = find(e, count, run->seed, &partner[i]))) return false;
  bool average = kind == MNO_PAIRS_ANTITHETIC; /* the others are differences, to the mean of the partners */
  double own = average ? 0.5 : 1, factor = average ? 0.5 : -1.0 / (double)partners;
  for (size_t x = 0; partners && x < size; x++)
    combined[x] = own * run->value[x] + factor * (other[0][x] + (other[1] ? other[1][x] : 0));
  return partners > 0;
}

/* Keeps the plain runs, with what stands for them; returns their number. */
static size_t select_runs(entry *e, size_t count, mno_pairs kind, size_t size, double *combined, entry *chosen) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    if (!is_plain(&e[i])) continue;
    chosen[kept] = e[i];
    if (kind != MNO_PAIRS_NONE) {
      if (!combine(e, count, &e[i], kind, size, combined + kept * size)) continue;
      chosen[kept].value = combined + kept * size;
    }
    kept++;
  }
  return kept;
}

/* Distinct seeds of the shapes with at least two runs, sorted; returns their number. */
static size_t collect_seeds(const entry *e, size_t count, uint64_t *seed, size_t *cells, size_t *lonely) {
  size_t total = 0, distinct = 0;
  for (size_t i = 0, j; i < count; i = j) {
    for (j = i; j < count && same_shape(&e[i], &e[j]); j++) {
    }
    if (j - i < 2) {
      ++*lonely;
      continue;
    }
    ++*cells;
    for (size_t r = i; r < j; r++) seed[total++] = e[r].seed;
  }
  if (total > 1) qsort(seed, total, sizeof *seed, compare_seeds);
  for (size_t i = 0; i < total; i++)
    if (i == 0 || seed[i] != seed[distinct - 1]) seed[distinct++] = seed[i];
  return distinct;
}

mno_status mno_cells_new(const mno_runs *runs, mno_pairs kind, mno_cells **cells, mno_error *err) {
  size_t bytes = (runs->count + 1) * (2 * sizeof(entry) + (kind ? runs->size * sizeof(double) : 0));
  mno_cells *c = mno_alloc(1, sizeof *c);
  entry *all = mno_alloc(runs->count + 1, sizeof *all), *e = mno_alloc(runs->count + 1, sizeof *e);
  uint64_t *seed = mno_alloc(runs->count + 1, sizeof *seed);
  mno_status status = MNO_OK;
  if (c && kind != MNO_PAIRS_NONE) c->combined = mno_alloc(runs->count * runs->size + 1, sizeof *c->combined);
  if (!c || !all || !e || !seed || (kind != MNO_PAIRS_NONE && !c->combined)) goto memory;

  c->size = runs->size;
  c->runs = runs->count;
  size_t total = sort_runs(runs, all, &c->unusable);
  for (size_t i = 1; i < total; i++)
    if (compare_entries(&all[i - 1], &all[i]) == 0) {
      status = mno_fail(err, MNO_ERR_INPUT, "two runs with L = %" PRId64 ", M = %" PRId64 ", seed %" PRIu64, all[i].L,
                        all[i].M, all[i].seed);
      goto end;
    }
  size_t count = select_runs(all, total, kind, runs->size, c->combined, e);
  c->seeds = collect_seeds(e, count, seed, &c->count, &c->lonely);

  bytes = (c->count + 1) * (c->seeds * sizeof *c->value + c->size * sizeof *c->mean);
  c->L = mno_alloc(c->count + 1, sizeof *c->L);
  c->M = mno_alloc(c->count + 1, sizeof *c->M);
  c->n = mno_alloc(c->count + 1, sizeof *c->n);
  c->value = mno_alloc(c->count * c->seeds + 1, sizeof *c->value);
  c->mean = mno_alloc(c->count * c->size + 1, sizeof *c->mean);
  if (!c->L || !c->M || !c->n || !c->value || !c->mean) goto memory;

  size_t k = 0;
  for (size_t i = 0, j; i < count; i = j) {
    for (j = i; j < count && same_shape(&e[i], &e[j]); j++) {
    }
    if (j - i < 2) continue;
    c->L[k] = (double)e[i].L;
    c->M[k] = (double)e[i].M;
    c->n[k] = j - i;
    double *mean = c->mean + k * c->size;
    for (size_t r = i; r < j; r++) {
      const uint64_t *at = bsearch(&e[r].seed, seed, c->seeds, sizeof *seed, compare_seeds);
      c->value[k * c->seeds + (size_t)(at - seed)] = e[r].value;
      for (size_t x = 0; x < c->size; x++) mean[x] += e[r].value[x];
    }
    for (size_t x = 0; x < c->size; x++) mean[x] /= (double)(j - i);
    k++;
  }
  goto end;

memory:
  status = mno_fail_memory(err, bytes, "the fit");
end:
  free(all);
  free(e);
  free(seed);
  if (status == MNO_OK)
    *cells = c;
  else
    mno_cells_free(c);
  return status;
}

void mno_cells_free(mno_cells *cells) {
  if (!cells) return;
  free(cells->L);
  free(cells->M);
  free(cells->n);
  free(cells->value);
  free(cells->combined);
  free(cells->mean);
  free(cells);
}

static double column_value(mno_column column, double L, double M, double power) {
  switch (column) {
  case MNO_X_ONE: return 1;
  case MNO_X_LOG_LM: return log(L * M);
  case MNO_X_LOG_L: return log(L);
  case MNO_X_LOG_M: return log(M);
  case MNO_X_DEPTH: return pow(L, power);
  case MNO_X_WIDTH: return pow(M, power) / L;
  case MNO_X_L: return 1 / L;
  case MNO_X_LM: return 1 / (L * M);
  case MNO_X_LL: return 1 / (L * L);
  case MNO_X_LLM: return 1 / (L * L) / M;
  case MNO_X_LML: return 1 / (L * M) / L;
  case MNO_X_LMLM: return 1 / (L * M) * (1 / (L * M));
  }
  return NAN;
}

void mno_cells_design(const mno_cells *cells, const mno_design *design, double power, double *x) {
  for (size_t c = 0; c < cells->count; c++)
    for (size_t j = 0; j < design->columns; j++)
      x[c * design->columns + j] = column_value(design->column[j], cells->L[c], cells->M[c], power);
}

const char *mno_cells_lack(const mno_cells *cells) {
  enum { MIN_SEEDS = 3 };
  if (cells->runs == 0) return "no run of this problem is finished";
  if (cells->unusable == cells->runs) return "no run is finite at this step";
  if (cells->count == 0) return "needs at least 3 seeds of every shape";
  for (size_t c = 0; c < cells->count; c++)
    if (cells->n[c] < MIN_SEEDS) return "needs at least 3 seeds of every shape";
  return NULL;
}

bool mno_same_numbers(const double *v, const double *w, size_t count, size_t terms) {
  double most = 0, apart = 0;
  for (size_t x = 0; x < count; x++) {
    most = fmax(most, fabs(v[x]));
    apart = fmax(apart, fabs(v[x] - w[x]));
  }
  return apart <= (8 + (double)terms) * DBL_EPSILON * most;
}

size_t mno_distinct(const double *v, size_t count) {
  size_t distinct = 0;
  for (size_t i = 0; i < count; i++) {
    size_t j = 0;
    while (j < i && v[j] != v[i]) j++;
    distinct += j == i;
  }
  return distinct;
}
