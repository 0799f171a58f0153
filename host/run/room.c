#include "core/memory.h"
#include "meanode/diagnose.h"
#include "meanode/run.h"

#include <stdbool.h>
#include <string.h>

/* What a run takes at most of one kind, and the row that does. */
typedef struct most {
  size_t bytes, row;
} most;

static void raise(most *m, size_t bytes, size_t row) {
  if (bytes > m->bytes) *m = (most){bytes, row};
}

static bool same_shape(const mno_instance *a, const mno_instance *b) {
  return a->problem == b->problem && a->L == b->L && a->M == b->M;
}

double mno_run_limit_bytes(const mno_plan *plan, const mno_problem *p) {
  enum { USUAL_NODES = 8 }; /* depth nodes of a limit, if it chooses: 4 to 10 for D >= 4 (bench/results/limit.md) */
  double nodes = plan->sweep && plan->sweep->limit.nodes > 0 ? (double)plan->sweep->limit.nodes : USUAL_NODES,
         state = (double)(p->N * p->D);
  return (double)sizeof(double) * (double)(p->K + 1) * (2 * (double)(p->N * p->d_out) + state + 2 * nodes * state);
}

/* The first limit of every problem stays while the problem's instances train, for their errors, and the Mean ODE for their
 * diagnostics; one is on its way into the file. */
static double limits(const mno_plan *plan) {
  double bytes = 0, largest = 0;
  int copies = plan->coupling || plan->path || plan->features ? 2 : 1;
  if (!plan->sweep || plan->sweep->limit.count == 0) return 0;
  for (size_t p = 0; p < plan->problem_count; p++) {
    double one = mno_run_limit_bytes(plan, &plan->problem[p]);
    bytes += copies * one;
    if (one > largest) largest = one;
  }
  return bytes + 2 * largest;
}

double mno_run_bytes(const mno_plan *plan, const mno_backend *backend, const size_t *rows, size_t count, int threads,
                     size_t *heaviest) {
  bool host = strcmp(backend->name, "cpu") == 0;
  most thread = {0}, helper = {0}, way = {0};
  if (!rows) count = plan->instance_count;
  for (size_t i = 0; i < count; i++) {
    size_t row = rows ? rows[i] : i;
    if (i > 0 && same_shape(&plan->instance[row], &plan->instance[rows ? rows[i - 1] : i - 1])) continue;
    raise(&thread, (host ? backend->memory(plan, row) : 0) + mno_record_bytes(plan, row) + mno_diagnose_bytes(plan, row),
          row);
    if (host && backend->helper) raise(&helper, backend->helper(plan, row), row);
    raise(&way, mno_record_way_bytes(plan, row), row);
  }
  if (heaviest) *heaviest = thread.row;
  if (threads <= 0) threads = mno_core_count();
  size_t busy = (size_t)threads < count ? (size_t)threads : count;
  double bytes = (double)busy * (double)thread.bytes + (double)((size_t)threads - busy) * (double)helper.bytes;
  return count ? bytes + (double)way.bytes + limits(plan) : 0;
}

mno_status mno_run_fits(const mno_plan *plan, const mno_backend *backend, const size_t *rows, size_t count, int threads,
                        mno_error *err) {
  size_t row;
  mno_status status = backend->fits(plan, rows, count, threads, err);
  if (status != MNO_OK) return status;
  double bytes = mno_run_bytes(plan, backend, rows, count, threads, &row);
  mno_memory available = mno_memory_free();
  if (bytes <= 0.9 * (double)available.bytes) return MNO_OK;
  const mno_instance *instance = &plan->instance[row];
  return mno_fail(
      err, MNO_ERR_INPUT,
      "%s: this sweep needs %.3g GiB of memory, with %.3g GiB for what one instance records (L = %lld, M = %lld) and "
      "several of these on their way into the file, but %.3g GiB are free%s; use smaller L or M, fewer threads "
      "(--threads), or record less",
      plan->sweep ? plan->sweep->path : "the plan", bytes / 0x1p30,
      (double)(mno_record_bytes(plan, row) + mno_diagnose_bytes(plan, row)) / 0x1p30, (long long)instance->L,
      (long long)instance->M, (double)available.bytes / 0x1p30, available.bound);
}
