/* SPDX-License-Identifier: BSD-3-Clause */
/* The CPU backend: instances into batches, batches onto threads, longest first. */
#define _GNU_SOURCE
#include "cpu/cpu.h"

#include "core/isa.h"
#include "core/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Flops per second and thread that the time model assumes: only ratios matter. bench/results/cpu.md, of the peak: seeds on
 * lanes .37 to .53 at N = 10 (.22 to .24 from N = 64 on), units on lanes .62 to .75, samples on lanes .44 to .87. */
static double model_rate(const mno_cpu_kernels *kernels, mno_cpu_arrangement arrangement) {
  double peak = kernels->lanes * 2 * 3e9;
  return arrangement == MNO_SEEDS_ON_LANES ? 0.55 * peak : 0.65 * peak;
}

typedef struct batch_plan {
  size_t first, count; /* range of sorted rows */
  mno_cpu_arrangement arrangement;
  size_t bytes;
  double seconds;
} batch_plan;

typedef struct work {
  const mno_job *job;
  int team;     /* threads that there are for each batch */
  size_t *rows; /* sorted so that a batch is a range */
  batch_plan *batch;
  size_t batch_count;
  atomic_size_t next;
  atomic_int halt; /* stop was asked for, or something failed */
  pthread_mutex_t lock;
  mno_status status;
  mno_error error;
} work;

static const mno_problem *problem_of(const mno_plan *plan, size_t row) {
  return &plan->problem[plan->instance[row].problem];
}

/* NULL if MEANODE_ISA asks for what there is not. */
static const mno_cpu_kernels *kernels_of(const mno_plan *plan, size_t row) {
  return mno_cpu_kernels_choose(plan->precision, problem_of(plan, row)->block);
}

static mno_cpu_arrangement arrangement_of(const mno_plan *plan, size_t row) {
  const mno_problem *p = problem_of(plan, row);
  const mno_instance *i = &plan->instance[row];
  return mno_cpu_arrangement_choose(p->D, (size_t)i->M, (size_t)i->L, p->N, plan->precision);
}

static mno_status cpu_probe(char *description, size_t size) {
  const char *isa = mno_isa();
  if (!isa) {
    mno_error err;
    mno_status status = mno_isa_missing(&err);
    snprintf(description, size, "%.200s", err.message);
    return status;
  }
  char model[128] = "processor";
  FILE *file = fopen("/proc/cpuinfo", "r");
  char line[256];
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "model name : %127[^\n]", model) == 1) break;
  if (file) fclose(file);
  snprintf(description, size, "%s, %d cores, %s", model, mno_core_count(), isa);
  return MNO_OK;
}

static size_t arena_bytes(const mno_plan *plan, size_t row) {
  const mno_cpu_kernels *kernels = kernels_of(plan, row);
  const mno_instance *i = &plan->instance[row];
  return kernels ? kernels->bytes(problem_of(plan, row), (size_t)i->L, (size_t)i->M, arrangement_of(plan, row), 0) : 0;
}

/* Instances that share a batch. */
static size_t batch_most(const mno_plan *plan, size_t row) {
  const mno_cpu_kernels *kernels = kernels_of(plan, row);
  if (!kernels || arrangement_of(plan, row) != MNO_SEEDS_ON_LANES) return 1;
  const mno_sweep *sweep = plan->sweep;
  size_t lanes = (size_t)kernels->lanes;
  return sweep && !sweep->sweep.pairs && sweep->sweep.seed_count < lanes ? sweep->sweep.seed_count : lanes;
}

static size_t cpu_memory(const mno_plan *plan, size_t row) {
  return arena_bytes(plan, row) + (batch_most(plan, row) - 1) * mno_record_bytes(plan, row);
}

static size_t cpu_helper(const mno_plan *plan, size_t row) {
  const mno_cpu_kernels *kernels = kernels_of(plan, row);
  const mno_problem *p = problem_of(plan, row);
  const size_t L = (size_t)plan->instance[row].L, M = (size_t)plan->instance[row].M;
  return kernels && mno_cpu_team_choose(p->D, M, p->N, 2) > 1 ? kernels->helper_bytes(p, L, M, arrangement_of(plan, row))
                                                              : 0;
}

/* The working sets of all threads and their records. */
static mno_status cpu_fits(const mno_plan *plan, const size_t *rows, size_t count, int threads, mno_error *err) {
  if (!rows) count = plan->instance_count;
  if (threads <= 0) threads = mno_core_count();
  size_t largest = 0, worst = 0;
  for (size_t i = 0; i < count; i++) {
    const size_t row = rows ? rows[i] : i, bytes = cpu_memory(plan, row) + mno_record_bytes(plan, row);
    if (bytes > largest) {
      largest = bytes;
      worst = row;
    }
  }
  const mno_memory available = mno_memory_free();
  const size_t parallel = (size_t)threads < count ? (size_t)threads : count;
  const double needed = (double)largest * (double)parallel;
  if (needed <= 0.9 * (double)available.bytes) return MNO_OK;
  const mno_instance *instance = &plan->instance[worst];
  return mno_fail(
      err, MNO_ERR_INPUT,
      "%s: this sweep needs %.3g GiB of memory on %zu threads (%.3g GiB for one instance with L = %lld, M = %lld) but "
      "%.3g GiB are free%s; use smaller L or M, fewer threads (--threads), fewer recorded steps or --precision f32",
      plan->sweep ? plan->sweep->path : "the plan", needed / 0x1p30, parallel, (double)largest / 0x1p30,
      (long long)instance->L, (long long)instance->M, (double)available.bytes / 0x1p30, available.bound);
}

static double cpu_seconds(const mno_plan *plan, size_t row) {
  const mno_cpu_kernels *kernels = kernels_of(plan, row);
  if (!kernels) return 0;
  return mno_instance_flops(problem_of(plan, row), &plan->instance[row]) / model_rate(kernels, arrangement_of(plan, row));
}

static int compare_rows(const void *a, const void *b, void *plan) {
  size_t x = *(const size_t *)a, y = *(const size_t *)b;
  const mno_instance *i = &((const mno_plan *)plan)->instance[x], *j = &((const mno_plan *)plan)->instance[y];
  if (i->problem != j->problem) return i->problem < j->problem ? -1 : 1;
  if (i->L != j->L) return i->L < j->L ? -1 : 1;
  if (i->M != j->M) return i->M < j->M ? -1 : 1;
  return x < y ? -1 : x > y;
}

static int compare_batches(const void *a, const void *b) {
  double x = ((const batch_plan *)a)->seconds, y = ((const batch_plan *)b)->seconds;
  return x > y ? -1 : x < y;
}

static void make_batches(work *w) {
  const mno_plan *plan = w->job->plan;
  qsort_r(w->rows, w->job->count, sizeof *w->rows, compare_rows, (void *)plan);
  for (size_t i = 0; i < w->job->count;) {
    const mno_instance *first = &plan->instance[w->rows[i]];
    mno_cpu_arrangement arrangement = arrangement_of(plan, w->rows[i]);
    size_t most = arrangement == MNO_SEEDS_ON_LANES ? (size_t)kernels_of(plan, w->rows[i])->lanes : 1, n = 1;
    while (n < most && i + n < w->job->count) {
      const mno_instance *other = &plan->instance[w->rows[i + n]];
      if (other->problem != first->problem || other->L != first->L || other->M != first->M) break;
      n++;
    }
    w->batch[w->batch_count++] =
        (batch_plan){i, n, arrangement, arena_bytes(plan, w->rows[i]), cpu_seconds(plan, w->rows[i]) * (double)most};
    i += n;
  }
  qsort(w->batch, w->batch_count, sizeof *w->batch, compare_batches);
}

static void fail(work *w, mno_status status, const mno_error *err) {
  pthread_mutex_lock(&w->lock);
  if (w->status == MNO_OK) {
    w->status = status;
    w->error = *err;
  }
  pthread_mutex_unlock(&w->lock);
  atomic_store(&w->halt, 1);
}

void *mno_cpu_pages_new(size_t *bytes) {
  const size_t huge = (size_t)1 << 21;
  if (*bytes > SIZE_MAX - huge) return NULL;
  *bytes = (*bytes + huge - 1) / huge * huge;
  void *block = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) {
    *bytes = 0;
    return NULL;
  }
  madvise(block, *bytes, MADV_HUGEPAGE);
  return block;
}

void mno_cpu_pages_free(void *block, size_t bytes) {
  if (block) munmap(block, bytes);
}

/* Memory that a thread uses for one batch after the other. */
typedef struct pages {
  void *start;
  size_t bytes;
} pages;

static bool pages_reserve(pages *p, size_t bytes) {
  if (p->bytes >= bytes) return true;
  mno_cpu_pages_free(p->start, p->bytes);
  p->bytes = bytes;
  p->start = mno_cpu_pages_new(&p->bytes);
  return p->start != NULL;
}

static mno_status run_batch(work *w, const batch_plan *b, pages *p, mno_error *err) {
  const mno_plan *plan = w->job->plan;
  const mno_instance *first = &plan->instance[w->rows[b->first]];
  if (!pages_reserve(p, b->bytes)) return mno_fail_memory(err, b->bytes, "a batch of instances");
  mno_cpu_batch batch = {.plan = plan,
                         .problem = problem_of(plan, w->rows[b->first]),
                         .L = (size_t)first->L,
                         .M = (size_t)first->M,
                         .count = b->count,
                         .stop = w->job->stop,
                         .halt = &w->halt,
                         .arena = p->start};
  batch.threads = mno_cpu_team_choose(batch.problem->D, batch.M, batch.problem->N, w->team);
  mno_status status = MNO_OK;
  for (size_t i = 0; i < b->count && status == MNO_OK; i++) {
    batch.instance[i] = &plan->instance[w->rows[b->first + i]];
    status = mno_record_new(plan, w->rows[b->first + i], &batch.record[i], err);
  }
  double start = mno_now();
  if (status == MNO_OK) status = kernels_of(plan, w->rows[b->first])->train(&batch, b->arrangement);
  double seconds = (mno_now() - start) / (double)b->count;
  for (size_t i = 0; i < b->count; i++) {
    if (status != MNO_OK) {
      mno_record_free(batch.record[i]);
      continue;
    }
    batch.record[i]->seconds = seconds;
    status = w->job->emit(w->job->context, batch.record[i], err);
  }
  return status;
}

static void *worker(void *context) {
  work *w = context;
  pages p = {0};
  for (;;) {
    size_t i = atomic_fetch_add(&w->next, 1);
    if (i >= w->batch_count || atomic_load(&w->halt)) break;
    mno_error err = {0};
    mno_status status = run_batch(w, &w->batch[i], &p, &err);
    if (status == MNO_INTERRUPTED) break;
    if (status != MNO_OK) fail(w, status, &err);
  }
  mno_cpu_pages_free(p.start, p.bytes);
  return NULL;
}

static mno_status cpu_run(const mno_job *job, mno_error *err) {
  work w = {.job = job, .lock = PTHREAD_MUTEX_INITIALIZER};
  if (!mno_isa()) return mno_isa_missing(err);
  if (job->count == 0) return MNO_OK;
  int threads = job->threads > 0 ? job->threads : mno_core_count();
  w.rows = mno_alloc(job->count, sizeof *w.rows);
  w.batch = mno_alloc(job->count, sizeof *w.batch);
  pthread_t *thread = mno_alloc((size_t)threads, sizeof *thread);
  if (!w.rows || !w.batch || !thread) {
    free(w.rows);
    free(w.batch);
    free(thread);
    return mno_fail_memory(err, job->count * (sizeof *w.rows + sizeof *w.batch), "the list of batches");
  }
  for (size_t i = 0; i < job->count; i++) w.rows[i] = job->rows[i];
  make_batches(&w);
  w.team = 1;
  if ((size_t)threads > w.batch_count) { /* fewer batches than threads: several to a batch */
    w.team = threads / (int)w.batch_count;
    threads = (int)w.batch_count;
  }
  int started = 0;
  while (started < threads && pthread_create(&thread[started], NULL, worker, &w) == 0) started++;
  if (started == 0) worker(&w); /* no threads to be had: work in this one */
  for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
  if (w.status != MNO_OK && err) *err = w.error;
  if (w.status == MNO_OK && job->stop && atomic_load(job->stop)) w.status = mno_fail(err, MNO_INTERRUPTED, "interrupted");
  free(w.rows);
  free(w.batch);
  free(thread);
  return w.status;
}

const mno_backend mno_backend_cpu = {.name = "cpu",
                                     .priority = 0,
                                     .probe = cpu_probe,
                                     .run = cpu_run,
                                     .fits = cpu_fits,
                                     .memory = cpu_memory,
                                     .helper = cpu_helper,
                                     .seconds = cpu_seconds};
