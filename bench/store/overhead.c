/* SPDX-License-Identifier: BSD-3-Clause */
/* What the store costs a run of many small instances, side by side with the same run whose records are thrown away:
 *   bench_store OUT.h5 [instances [L [M [all|last [f64|f32 [turns]]]]]]
 * Each of the two runs is a process of its own, in turn, `turns` times (3); prints one line of the table of
 * bench/results/store.md: best wall and processor times, the overhead, the memory that each process held at its peak, the
 * size of the file. Leaves OUT.h5 for a reader. */
#define _GNU_SOURCE
#include "meanode/meanode.h"

#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct setting {
  const char *path;
  long instances, L, M;
  bool last;
  mno_precision precision;
} setting;

typedef struct times {
  double wall, trained; /* until everything is on the disk; until the last record was handed over */
  double processor;     /* of the process; the kernel's own threads that write to the disk count in wall */
  double peak;          /* MiB */
} times;

static mno_status throw_away(void *context, mno_record *record, mno_error *err) {
  mno_record_free(record);
  return MNO_OK;
}

static mno_status keep(void *context, mno_record *record, mno_error *err) { return mno_store_put(context, record, err); }

static void check(mno_status status, const mno_error *err) {
  if (status == MNO_OK) return;
  fprintf(stderr, "bench_store: %s\n", err->message);
  exit(1);
}

/* The run itself; returns its wall times. */
static times run(const setting *s, bool stored) {
  char text[1000];
  snprintf(text, sizeof text,
           "data: {kind: gaussian, samples: 10, inputs: 5, targets: 5, seed: 1}\n"
           "model: {block: perceptron, activation: tanh, D: 8, alpha: 1}\n"
           "training: {steps: 15}\nlimit: {kind: none}\n"
           "sweep: {L: [%ld], M: [%ld], seeds: %ld}\nrecord: {steps: %s, output: true}\n",
           s->L, s->M, s->instances, s->last ? "[15]" : "all");
  mno_error err = {0};
  mno_sweep *sweep;
  mno_plan *plan;
  mno_store *store = NULL;
  const mno_backend *backend;
  check(mno_sweep_parse(text, strlen(text), "bench.yaml", &sweep, &err), &err);
  check(mno_plan_build(sweep, s->precision, &plan, &err), &err);
  check(mno_backend_find("cpu", &backend, &err), &err);
  size_t *rows = malloc(plan->instance_count * sizeof *rows);
  for (size_t i = 0; i < plan->instance_count; i++) rows[i] = i;
  times t = {.wall = mno_now()};
  if (stored) check(mno_store_open(s->path, plan, NULL, MNO_FORCE, &store, &err), &err);
  mno_job job = {
      .plan = plan, .rows = rows, .count = plan->instance_count, .emit = stored ? keep : throw_away, .context = store};
  check(backend->run(&job, &err), &err);
  t.trained = mno_now() - t.wall;
  if (stored) check(mno_store_close(store, &err), &err);
  t.wall = mno_now() - t.wall;
  free(rows);
  mno_plan_free(plan);
  mno_sweep_free(sweep);
  return t;
}

/* The same in a process of its own, for its processor time and memory. */
static times measure(const setting *s, bool stored) {
  int ends[2], how;
  struct rusage used;
  times t = {0};
  if (pipe(ends) != 0) exit(1);
  pid_t pid = fork();
  if (pid == 0) {
    t = run(s, stored);
    _exit(write(ends[1], &t, sizeof t) == sizeof t ? 0 : 1);
  }
  close(ends[1]);
  bool there = read(ends[0], &t, sizeof t) == sizeof t;
  close(ends[0]);
  if (wait4(pid, &how, 0, &used) != pid || !there || how != 0) exit(1);
  t.processor =
      (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + 1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
  t.peak = (double)used.ru_maxrss / 1024;
  return t;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: bench_store OUT.h5 [instances [L [M [all|last [f64|f32 [turns]]]]]]\n");
    return 2;
  }
  const setting s = {.path = argv[1],
                     .instances = argc > 2 ? atol(argv[2]) : 100000,
                     .L = argc > 3 ? atol(argv[3]) : 80,
                     .M = argc > 4 ? atol(argv[4]) : 16,
                     .last = argc > 5 && strcmp(argv[5], "last") == 0,
                     .precision = argc > 6 && strcmp(argv[6], "f32") == 0 ? MNO_F32 : MNO_F64};
  int turns = argc > 7 ? atoi(argv[7]) : 3;
  times best[2] = {{.wall = 1e300}, {.wall = 1e300}};
  double processor[2] = {1e300, 1e300};
  for (int turn = 0; turn < 2 * turns; turn++) {
    times t = measure(&s, turn % 2);
    times *b = &best[turn % 2];
    if (t.processor < processor[turn % 2]) processor[turn % 2] = t.processor;
    if (t.wall < b->wall) *b = t;
  }
  struct stat about;
  if (stat(s.path, &about) != 0) return 1;
  printf("| %ld | %ld, %ld | %s | %s | %.0f | %.0f | %.2f | %.2f | %.1f | %.2f | %.2f | %.1f | %.0f | %.0f |\n", s.instances,
         s.L, s.M, mno_precision_name(s.precision), s.last ? "last" : "all", 1e6 * processor[0] / (double)s.instances,
         (double)about.st_size / 0x1p20, best[0].wall, best[1].wall, 100 * (best[1].wall / best[0].wall - 1), processor[0],
         processor[1], 100 * (processor[1] / processor[0] - 1), best[0].peak, best[1].peak);
  return 0;
}
