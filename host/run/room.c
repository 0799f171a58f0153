/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/memory.h"
#include "meanode/diagnose.h"
#include "meanode/limit.h"
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

double mno_run_limit_bytes(const mno_plan *plan, const mno_problem *p) {
  enum { USUAL_NODES = 8 }; /* depth nodes of a limit, if it chooses: 4 to 10 for D >= 4 (bench/results/limit.md) */
  return mno_limit_bytes(p, plan->sweep && plan->sweep->limit.nodes > 0 ? (size_t)plan->sweep->limit.nodes : USUAL_NODES);
}

double mno_run_data_bytes(const mno_plan *plan) {
  double bytes = 0;
  for (size_t q = 0; q < plan->problem_count; q++) {
    const mno_problem *p = &plan->problem[q];
    const double columns = (double)((p->d_in + p->d_out) * sizeof(double));
    if (q == 0 || p->x != p[-1].x) bytes += (double)p->N * columns;
    if (q == 0 || p->w_embed != p[-1].w_embed) bytes += (double)p->D * columns;
  }
  return bytes;
}

double mno_run_file_bytes(const mno_plan *plan) {
  /* beside the numbers: for itself, a problem, a limit, a row, the weights of a row and each of them */
  enum { ITSELF = 24000, PROBLEM = 10000, LIMIT = 10000, ROW = 90, WEIGHTS = 1800, WEIGHTS_EACH = 1640 };
  const int weights = plan->recording.weights,
            copies = (weights & MNO_WEIGHTS_INITIAL ? 1 : 0) + (weights & MNO_WEIGHTS_FINAL ? 1 : 0);
  const double limits = plan->sweep ? (double)plan->sweep->limit.count : 0;
  double bytes = ITSELF, row_bytes = 0;
  for (size_t row = 0; row < plan->instance_count; row++) {
    if (row == 0 || !mno_same_shape(&plan->instance[row - 1], &plan->instance[row]))
      row_bytes = (double)mno_record_stored_bytes(plan, row) + ROW + (copies ? WEIGHTS + WEIGHTS_EACH * copies : 0);
    bytes += row_bytes;
  }
  for (const mno_problem *p = plan->problem; p < plan->problem + plan->problem_count; p++)
    bytes += (double)((p->N + p->D) * (p->d_in + p->d_out) * sizeof(double)) + PROBLEM +
             limits * (LIMIT + mno_run_limit_bytes(plan, p));
  return bytes;
}

/* The first limit of every problem stays while the problem's instances train, for their errors, and the Mean ODE for their
 * diagnostics; one is on its way into the file. */
static double limits(const mno_plan *plan) {
  double bytes = 0, largest = 0;
  if (!plan->sweep || plan->sweep->limit.count == 0) return 0;
  int copies = mno_recording_diagnoses(&plan->recording) && plan->sweep->limit.kind[0] != MNO_LIMIT_MEAN_ODE ? 2 : 1;
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
    if (i > 0 && mno_same_shape(&plan->instance[row], &plan->instance[rows ? rows[i - 1] : i - 1])) continue;
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
