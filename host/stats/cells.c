#include "stats/cells.h"

#include "core/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct entry {
  int64_t L, M;
  uint64_t seed;
  size_t run;
} entry;

static int compare_entries(const void *a, const void *b) {
  const entry *p = a, *q = b;
  if (p->L != q->L) return p->L < q->L ? -1 : 1;
  if (p->M != q->M) return p->M < q->M ? -1 : 1;
  return p->seed < q->seed ? -1 : p->seed > q->seed;
}

static int compare_seeds(const void *a, const void *b) {
  uint64_t p = *(const uint64_t *)a, q = *(const uint64_t *)b;
  return p < q ? -1 : p > q;
}

static bool is_plain(const mno_runs *runs, size_t r) {
  if (!runs->draw) return true;
  const mno_draw *draw = &runs->draw[r];
  return draw->width == runs->M[r] && draw->offset == 0 && draw->sign == 1;
}

static bool is_finite(const double *v, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!isfinite(v[i])) return false;
  return true;
}

static bool same_shape(const entry *a, const entry *b) { return a->L == b->L && a->M == b->M; }

/* Distinct seeds of the shapes with at least two runs, sorted in place of seed; returns their number. */
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

mno_status mno_cells_new(const mno_runs *runs, mno_cells **cells, mno_error *err) {
  size_t bytes = (runs->count + 1) * sizeof(entry);
  mno_cells *c = mno_alloc(1, sizeof *c);
  entry *e = mno_alloc(runs->count + 1, sizeof *e);
  uint64_t *seed = mno_alloc(runs->count + 1, sizeof *seed);
  mno_status status = MNO_OK;
  if (!c || !e || !seed) goto memory;

  size_t count = 0;
  c->size = runs->size;
  for (size_t r = 0; r < runs->count; r++) {
    if (!is_plain(runs, r)) continue;
    if (!is_finite(runs->value + r * runs->size, runs->size)) {
      c->unusable++;
      continue;
    }
    e[count++] = (entry){runs->L[r], runs->M[r], runs->seed[r], r};
  }
  if (count > 1) qsort(e, count, sizeof *e, compare_entries);
  for (size_t i = 1; i < count; i++)
    if (compare_entries(&e[i - 1], &e[i]) == 0) {
      status = mno_fail(err, MNO_ERR_INPUT, "two runs with L = %" PRId64 ", M = %" PRId64 ", seed %" PRIu64, e[i].L, e[i].M,
                        e[i].seed);
      goto end;
    }
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
      const double *value = runs->value + e[r].run * runs->size;
      c->value[k * c->seeds + (size_t)(at - seed)] = value;
      for (size_t x = 0; x < c->size; x++) mean[x] += value[x];
    }
    for (size_t x = 0; x < c->size; x++) mean[x] /= (double)(j - i);
    k++;
  }
  goto end;

memory:
  status = mno_fail_memory(err, bytes, "the fit");
end:
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
  free(cells->mean);
  free(cells);
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
