/* SPDX-License-Identifier: BSD-3-Clause */
/* Shards: longest processing time first onto the least loaded shard. */
#include "meanode/plan.h"

#include "core/memory.h"

#include <stdlib.h>

typedef struct job {
  double work;
  uint64_t id;
  size_t row;
} job;

static int longest_first(const void *a, const void *b) {
  const job *x = a, *y = b;
  if (x->work != y->work) return x->work > y->work ? -1 : 1;
  return x->id < y->id ? -1 : x->id > y->id;
}

static int by_row(const void *a, const void *b) {
  size_t x = *(const size_t *)a, y = *(const size_t *)b;
  return x < y ? -1 : x > y;
}

/* A heap of shards: the least loaded on top, the lower number among equals. */
typedef struct load {
  double work;
  int shard;
} load;

static int before(const load *a, const load *b) { return a->work != b->work ? a->work < b->work : a->shard < b->shard; }

static void sift(load *heap, size_t count) {
  for (size_t i = 0;;) {
    size_t child = 2 * i + 1;
    if (child >= count) return;
    if (child + 1 < count && before(&heap[child + 1], &heap[child])) child++;
    if (!before(&heap[child], &heap[i])) return;
    load moved = heap[i];
    heap[i] = heap[child];
    heap[child] = moved;
    i = child;
  }
}

mno_status mno_plan_shard(const mno_plan *plan, int shard, int shards, size_t *rows, size_t *count, mno_error *err) {
  if (shards < 1 || shard < 0 || shard >= shards)
    return mno_fail(err, MNO_ERR_USAGE, "shard %d/%d: the first number counts from 0 and is below the second", shard,
                    shards);
  size_t n = plan->instance_count;
  size_t loaded = (size_t)shards < n ? (size_t)shards : n; /* more shards than instances: the first n get one each */
  job *jobs = mno_alloc(n, sizeof *jobs);
  load *heap = mno_alloc(loaded, sizeof *heap);
  if (!jobs || !heap) {
    free(jobs);
    free(heap);
    return mno_fail_memory(err, n * sizeof *jobs, "the shards");
  }
  /* What an instance costs beyond its arithmetic: setting up, drawing weights, writing the record. */
  const double fixed = 5e4;
  for (size_t row = 0; row < n; row++) {
    const mno_instance *instance = &plan->instance[row];
    jobs[row] = (job){fixed + mno_instance_flops(&plan->problem[instance->problem], instance), instance->id, row};
  }
  qsort(jobs, n, sizeof *jobs, longest_first);
  for (size_t s = 0; s < loaded; s++) heap[s].shard = (int)s;
  *count = 0;
  for (size_t i = 0; i < n; i++) {
    if (heap[0].shard == shard) rows[(*count)++] = jobs[i].row;
    heap[0].work += jobs[i].work;
    sift(heap, loaded);
  }
  if (*count) qsort(rows, *count, sizeof *rows, by_row);
  free(jobs);
  free(heap);
  return MNO_OK;
}
