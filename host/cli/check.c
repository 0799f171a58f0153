/* SPDX-License-Identifier: BSD-3-Clause */
/* meanode check: what a configuration would compute, and what it would take. */
#include "cli/cli.h"

#include "core/memory.h"
#include "plan/problem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 8 }; /* values of a list that are written out */

static const double plain_rate = 7e8; /* operations a second of the reference implementation, which diagnostics train with */

/* A list of integers or, where that is NULL, of reals. */
static void print_list(const char *name, size_t count, const int64_t *integer, const double *real) {
  printf("%s ", name);
  for (size_t i = 0; i < count; i++) {
    if (count > SHOWN && i == SHOWN - 2) {
      printf(", ...");
      i = count - 1;
    }
    if (i) printf(", ");
    if (integer)
      printf("%" PRId64, integer[i]);
    else
      printf("%g", real[i]);
  }
  if (count > SHOWN) printf(" (%zu values)", count);
}

static void print_bytes(double bytes) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  int unit = 0;
  for (; bytes >= 1024 && unit < 5; unit++) bytes /= 1024;
  printf(unit && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

static void print_seconds(double seconds) {
  if (seconds < 0.1)
    printf("less than 0.1 s");
  else if (seconds < 120)
    printf("about %.2g s", seconds);
  else if (seconds < 7200)
    printf("about %.0f min", seconds / 60);
  else if (seconds < 172800)
    printf("about %.1f h", seconds / 3600);
  else
    printf("about %.1f days", seconds / 86400);
}

/* What the plan takes on one backend. */
typedef struct cost {
  double flops;    /* of training */
  double seconds;  /* of training, sum over instances on one thread */
  double longest;  /* seconds of the longest instance */
  size_t working;  /* bytes of the largest working set */
  size_t record;   /* bytes of the largest record */
  size_t heaviest; /* row of the largest working set */
} cost;

static cost add_up(const mno_plan *plan, const mno_backend *backend) {
  cost c = {0};
  double seconds = 0, flops = 0;
  const mno_instance *before = NULL;
  for (size_t row = 0; row < plan->instance_count; row++) {
    const mno_instance *i = &plan->instance[row];
    const mno_problem *p = &plan->problem[i->problem];
    if (!before || !mno_same_shape(before, i)) { /* the seeds of a shape cost the same */
      size_t working = backend->memory(plan, row), record = mno_record_bytes(plan, row);
      flops = mno_instance_flops(p, i);
      seconds = backend->seconds(plan, row);
      if (mno_recording_diagnoses(&plan->recording)) seconds += flops / plain_rate;
      if (working + record > c.working + c.record || row == 0) {
        c.working = working;
        c.record = record;
        c.heaviest = row;
      }
      if (seconds > c.longest) c.longest = seconds;
    }
    before = i;
    c.seconds += seconds;
    c.flops += flops;
  }
  return c;
}

static void print_what(const mno_plan *plan) {
  const mno_sweep *sweep = plan->sweep;
  const mno_problem *p = &plan->problem[0];
  printf("problems     %zu: ", plan->problem_count);
  print_list("D", sweep->model.D.count, sweep->model.D.value, NULL);
  print_list("; alpha", sweep->model.alpha.count, NULL, sweep->model.alpha.value);
  if (sweep->data.seed.count > 1) printf("; %zu draws of the data", sweep->data.seed.count);
  printf("\n             N %zu, inputs %zu, targets %zu; %s, %s loss, %zu steps", p->N, p->d_in, p->d_out,
         mno_activation_name(p->activation), mno_loss_name(p->loss), p->K);
  mno_parameter parameter;
  for (size_t i = 0; mno_problem_parameter(p, i, &parameter); i++)
    if (parameter.implied && !mno_parameter_is_implied(p, &parameter))
      printf(", %s %s", parameter.name, mno_parameter_name(p, &parameter));
  printf("\ninstances    %zu: ", plan->instance_count);
  print_list("L", sweep->sweep.L.count, sweep->sweep.L.value, NULL);
  print_list("; M", sweep->sweep.M.count, sweep->sweep.M.value, NULL);
  printf("; %zu seed%s", sweep->sweep.seed_count, sweep->sweep.seed_count == 1 ? "" : "s");
  size_t plain = plan->problem_count * sweep->sweep.L.count * sweep->sweep.M.count * sweep->sweep.seed_count;
  if (plan->instance_count > plain) printf("; %zu of them pairs", plan->instance_count - plain);
  printf("\nlimits       ");
  for (size_t i = 0; i < sweep->limit.count; i++) printf("%s%s", i ? ", " : "", mno_limit_kind_name(sweep->limit.kind[i]));
  if (sweep->limit.count)
    printf(" of every problem, tolerance %g\n", sweep->limit.tolerance);
  else
    printf("none\n");
  const mno_recording *what = &plan->recording;
  printf("records      %zu of %zu steps; loss%s%s%s%s%s%s\n", plan->step_count, p->K + 1, what->output ? ", output" : "",
         what->embedding ? ", embedding" : "", what->weights ? ", weights" : "", what->coupling ? ", coupling" : "",
         what->path ? ", path" : "", what->features ? ", features" : "");
}

static mno_status print_plan(const mno_plan *plan, const char *backend_name, int threads, mno_error *err) {
  const mno_backend *backend = NULL;
  char device[256] = "";
  print_what(plan);
  fflush(stdout);
  mno_status status = mno_backend_find(backend_name ? backend_name : "auto", &backend, err);
  if (status != MNO_OK) return status;
  mno_backend_describe(backend, plan, device, sizeof device);
  if (threads == 0) threads = mno_core_count();
  cost c = add_up(plan, backend);
  size_t busy = plan->instance_count < (size_t)threads ? plan->instance_count : (size_t)threads;
  double seconds = c.seconds / (double)busy;
  if (seconds < c.longest) seconds = c.longest;
  bool host = strcmp(backend->name, "cpu") == 0;
  printf("backend      %s: %s; %s", backend->name, device, mno_precision_name(plan->precision));
  if (host) printf(", %zu thread%s", busy, busy == 1 ? "" : "s");
  printf("\nmemory       data ");
  print_bytes(mno_run_data_bytes(plan));
  printf("; ");
  print_bytes((double)c.working);
  printf(host ? " a thread" : " on the device");
  printf(" at most (D %zu, L %" PRId64 ", M %" PRId64 "); a record ", plan->problem[plan->instance[c.heaviest].problem].D,
         plan->instance[c.heaviest].L, plan->instance[c.heaviest].M);
  print_bytes((double)c.record);
  if (host) {
    printf("; in all about ");
    print_bytes(mno_run_data_bytes(plan) + mno_run_bytes(plan, backend, NULL, 0, threads, NULL));
  }
  mno_memory available = mno_memory_free();
  printf("; free: ");
  print_bytes((double)available.bytes);
  printf("%s", available.bound);
  printf("\nresult file  about ");
  print_bytes(mno_run_file_bytes(plan));
  printf("\nwork         %.3g floating point operations, ", c.flops);
  print_seconds(seconds);
  printf(" to train%s\n", plan->sweep->limit.count ? "; the limits come on top" : "");
  return mno_run_fits(plan, backend, NULL, 0, threads, err);
}

int mno_check(const char *config, mno_precision precision, const char *backend, int threads) {
  mno_error err = {0};
  mno_sweep *sweep = NULL;
  mno_plan *plan = NULL;
  mno_status status = mno_sweep_load(config, &sweep, &err);
  if (status == MNO_OK) status = mno_plan_build(sweep, precision, &plan, &err);
  if (status == MNO_OK) mno_print_lines(stderr, "note: ", plan->note);
  if (status == MNO_OK) status = mno_limit_check(plan, &err);
  if (status == MNO_OK) status = print_plan(plan, backend, threads, &err);
  int code = status == MNO_OK ? 0 : mno_report("check", status, &err);
  mno_plan_free(plan);
  mno_sweep_free(sweep);
  return code;
}
