/* What the store costs a run of many small instances:
 *   bench_store OUT.h5 [instances [L [M [all|last [f64|f32]]]]]
 * Trains the same instances with records thrown away and with records stored, in turn, twice each, and prints the best wall
 * and processor times, the overhead, and the memory the process held at its peak. Leaves OUT.h5 for a reader. */
#define _GNU_SOURCE
#include "meanode/meanode.h"

#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static mno_status throw_away(void *context, mno_record *record, mno_error *err) {
  mno_record_free(record);
  return MNO_OK;
}

static mno_status keep(void *context, mno_record *record, mno_error *err) { return mno_store_put(context, record, err); }

static double processor_seconds(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static double peak_mib(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)u.ru_maxrss / 1024;
}

static void check(mno_status status, const mno_error *err) {
  if (status == MNO_OK) return;
  fprintf(stderr, "bench_store: %s\n", err->message);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: bench_store OUT.h5 [instances [L [M [all|last [f64|f32]]]]]\n");
    return 2;
  }
  const char *path = argv[1];
  long instances = argc > 2 ? atol(argv[2]) : 100000, L = argc > 3 ? atol(argv[3]) : 20, M = argc > 4 ? atol(argv[4]) : 4;
  bool last = argc > 5 && strcmp(argv[5], "last") == 0;
  mno_precision precision = argc > 6 && strcmp(argv[6], "f32") == 0 ? MNO_F32 : MNO_F64;
  char text[1000];
  snprintf(text, sizeof text,
           "data: {kind: gaussian, samples: 10, inputs: 5, targets: 5, seed: 1}\n"
           "model: {block: perceptron, activation: tanh, D: 8, alpha: 1}\n"
           "training: {steps: 15}\nlimit: {kind: none}\n"
           "sweep: {L: [%ld], M: [%ld], seeds: %ld}\nrecord: {steps: %s, output: true}\n",
           L, M, instances, last ? "[15]" : "all");
  mno_error err = {0};
  mno_sweep *sweep;
  mno_plan *plan;
  const mno_backend *backend;
  check(mno_sweep_parse(text, strlen(text), "bench.yaml", &sweep, &err), &err);
  check(mno_plan_build(sweep, precision, &plan, &err), &err);
  check(mno_backend_find("cpu", &backend, &err), &err);
  size_t *rows = malloc(plan->instance_count * sizeof *rows);
  for (size_t i = 0; i < plan->instance_count; i++) rows[i] = i;
  double wall[2] = {1e300, 1e300}, processor[2] = {1e300, 1e300}, peak[2] = {0};
  for (int turn = 0; turn < 4; turn++) {
    int stored = turn % 2;
    mno_store *store = NULL;
    double start = mno_now(), used = processor_seconds();
    if (stored) check(mno_store_open(path, plan, NULL, MNO_FORCE, &store, &err), &err);
    mno_job job = {
        .plan = plan, .rows = rows, .count = plan->instance_count, .emit = stored ? keep : throw_away, .context = store};
    check(backend->run(&job, &err), &err);
    double trained = mno_now() - start;
    if (stored) check(mno_store_close(store, &err), &err);
    double seconds = mno_now() - start;
    used = processor_seconds() - used;
    wall[stored] = seconds < wall[stored] ? seconds : wall[stored];
    processor[stored] = used < processor[stored] ? used : processor[stored];
    if (turn < 2) peak[stored] = peak_mib();
    printf("%s: wall %.2f s (last instance trained after %.2f s), processor %.2f s\n", stored ? "stored" : "thrown away",
           seconds, trained, used);
  }
  struct stat about;
  stat(path, &about);
  printf("%zu instances, L = %ld, M = %ld, %s, %s, file %.0f MiB: overhead %.1f %% of wall time, %.1f %% of processor time; "
         "peak "
         "memory %.0f MiB without, %.0f MiB with the store\n",
         plan->instance_count, L, M, last ? "last step" : "all steps", mno_precision_name(precision),
         (double)about.st_size / 0x1p20, 100 * (wall[1] / wall[0] - 1), 100 * (processor[1] / processor[0] - 1), peak[0],
         peak[1]);
  free(rows);
  mno_plan_free(plan);
  mno_sweep_free(sweep);
  return 0;
}
