/* SPDX-License-Identifier: BSD-3-Clause */
/* Times the training kernels, and writes the small case that the peers must agree on. One JSON object per line.
 *
 *   bench_gpu ceilings
 *   bench_gpu library                                    which cuBLAS kernel G would use; exit code 69 if none
 *   bench_gpu floors D M L N INSTANCES f32|f64           modelled, without a card
 *   bench_gpu time D M L N INSTANCES K f32|f64 [KERNEL]  KERNEL: index of a candidate, -1 the program's choice. K steps, or
 *                                                        as many more as a third of a second has
 *   bench_gpu case DIRECTORY [cpu]                       problem, weights and losses as raw little-endian doubles
 *
 * MEANODE_BENCH_ONCE=1: `time` makes one run of exactly K steps, for profilers, and does not say how long a step takes. */
#include "ceilings.h"

#include "core/memory.h"
#include "host/cost.h"
#include "host/driver.h"
#include "host/rounds.h"
#include "host/shape.h"
#include "problem.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { D_IN = 5, D_OUT = 5 };

/* What is measured. */
typedef struct request {
  size_t D, M, L, N, instances, K;
  mno_precision precision;
} request;

/* A plan of instances of one problem; only the last step is recorded unless all are asked for. */
typedef struct setting {
  request of;
  mno_problem problem;
  mno_plan plan;
  size_t *rows;
  mno_shape_options options;
} setting;

static int setting_make(setting *s, const request *r, int all_steps) {
  const size_t count = r->instances, K = r->K;
  *s = (setting){.of = *r, .problem = problem_plain(r->N, D_IN, D_OUT, r->D, K)};
  problem_draw(&s->problem, 1, PROBLEM_FLAT);
  mno_instance *instance = mno_alloc(count, sizeof *instance);
  int64_t *step = mno_alloc(K + 1, sizeof *step);
  s->rows = mno_alloc(count, sizeof *s->rows);
  if (!s->problem.x || !s->problem.y || !s->problem.w_embed || !s->problem.w_unembed || !instance || !step || !s->rows)
    return -1;
  for (size_t i = 0; i < count; i++) {
    instance[i] = (mno_instance){.L = (int64_t)r->L, .M = (int64_t)r->M, .seed = 1 + i, .draw = {(int64_t)r->M, 0, 1}};
    s->rows[i] = i;
  }
  for (size_t k = 0; k <= K; k++) step[k] = all_steps ? (int64_t)k : (int64_t)K;
  s->plan = (mno_plan){.precision = r->precision,
                       .problem_count = 1,
                       .problem = &s->problem,
                       .instance_count = count,
                       .instance = instance,
                       .step_count = all_steps ? K + 1 : 1,
                       .step = step,
                       .recording = {.output = true, .weights = all_steps ? MNO_WEIGHTS_INITIAL : MNO_WEIGHTS_NONE}};
  return 0;
}

static void setting_free(setting *s) {
  problem_free(&s->problem);
  free(s->plan.instance);
  free(s->plan.step);
  free(s->rows);
}

typedef struct sink {
  double loss; /* sum, so that nothing can be left out */
  mno_record **record;
} sink;

static mno_status emit(void *context, mno_record *record, mno_error *err) {
  sink *s = context;
  if (s->record) {
    s->record[record->row] = record;
    return MNO_OK;
  }
  s->loss += record->loss[0];
  mno_record_free(record);
  return MNO_OK;
}

static int report(const mno_error *err) {
  fprintf(stderr, "bench_gpu: %s\n", err->message);
  return mno_status_exit_code(err->status);
}

static int floors(const request *r) {
  const size_t D = r->D, M = r->M, L = r->L, N = r->N;
  const double count = (double)r->instances;
  const mno_precision precision = r->precision;
  mno_error err;
  mno_shape s;
  const mno_dimensions n = {D, M, N, L, D_OUT, 0};
  if (mno_shape_choose(&n, precision, true, NULL, &s, &err) != MNO_OK) return report(&err);
  const mno_step_model model = mno_shape_model(&s);
  mno_fit_on_card fit = {.seconds = mno_shape_seconds(&s) * count};
  if (s.kernel != MNO_KERNEL_GEMM &&
      mno_shape_fit(&s, &mno_reference_card, mno_reference_teams(&s), r->instances, &fit, &err) != MNO_OK)
    return report(&err);
  const double w = (double)D * (double)M * (double)L, e = precision == MNO_F64 ? 8 : 4;
  const double bytes = 6 * e * w + 2 * e * (double)(N * L) * (double)(D < M ? D : M);
  printf("{\"D\": %zu, \"M\": %zu, \"L\": %zu, \"N\": %zu, \"instances\": %.0f, \"precision\": \"%s\", \"kernel\": \"%s\", "
         "\"lanes\": %d, \"ranks\": %d, \"stages\": %d, \"slots\": %zu, \"floor_bytes\": %.6g, \"floor_flops\": %.6g, "
         "\"modelled_seconds\": %.4g, \"modelled_memory\": %.4g, "
         "\"modelled_issue\": %.4g, \"modelled_latency\": %.4g}\n",
         D, M, L, N, count, mno_precision_name(precision), mno_kernel_name(&s), s.lanes, s.blocks_per_team, fit.stages,
         fit.teams, bytes * count, 14 * (double)N * w * count, fit.seconds, model.memory * count, model.issue * count,
         model.latency * count);
  return 0;
}

/* One whole run with K steps: its wall time, from the count of the cards to the last record. */
static int run_once(const setting *of, size_t K, sink *s, double *seconds) {
  request r = of->of;
  setting t;
  mno_error err = {0};
  r.K = K;
  if (setting_make(&t, &r, 0) != 0) return 1;
  mno_job job = {.plan = &t.plan, .rows = t.rows, .count = t.plan.instance_count, .emit = emit, .context = s, .threads = 1};
  const double start = mno_now();
  const mno_status status = mno_cuda_run(&mno_device_cuda, &job, of->options, &err);
  *seconds = mno_now() - start;
  setting_free(&t);
  return status == MNO_OK ? 0 : report(&err);
}

enum { STEPS_MOST = 2000, REPEATS = 3 };
static const double WANTED = 0.3; /* seconds of steps that a difference should have */
static const double PATIENCE = 5; /* seconds of a row, the first run with its start of the card apart */

/* How many steps make the wanted difference, from runs of 1 step (seconds: one) and ever more. About K if that is enough. */
static int choose_steps(const setting *of, size_t K, double one, double until, sink *s, size_t *steps) {
  size_t tried = K > 1 ? K : 2;
  while (one * (double)tried > PATIENCE / 4 && tried > 2) tried /= 2; /* at most, since 1 step takes less than such a run */
  for (;; tried = tried < STEPS_MOST / 8 ? 8 * tried : STEPS_MOST) {
    double took;
    const int bad = run_once(of, 1 + tried, s, &took);
    if (bad) return bad;
    const double gained = took - one, step = gained / (double)tried;
    if (gained < WANTED / 6 && tried < STEPS_MOST && mno_now() < until) continue; /* too near to the noise of a run */
    const double wanted = step > 0 ? ceil(WANTED / step) : STEPS_MOST, most = K > STEPS_MOST ? (double)K : STEPS_MOST;
    const double asked = step * (double)K < 1 ? (double)K : 1; /* not many steps that take long */
    *steps = (size_t)fmin(fmax(wanted, asked), most);
    return 0;
  }
}

/* Time per step: the difference of a run of 1 + n steps and one of 1 step. Start and end of a run are in both and fall out:
 * memory of card and host, data, the first weights, the results. What remains is the scatter of these from run to run, a few
 * milliseconds, against which the steps have to be many. Of each kind the shortest run counts. */
static int time_kernel(const request *r, int candidate) {
  const char *once = getenv("MEANODE_BENCH_ONCE");
  const int is_once = once && *once && strcmp(once, "0") != 0;
  sink s = {0};
  setting t;
  double seconds[2] = {INFINITY, INFINITY}, took, last = 0;
  size_t steps = r->K;
  int repeats = 0;
  mno_shape_options options = {0};
  mno_error err;
  if (mno_candidate_at(candidate, &options.candidate, &err) != MNO_OK) return report(&err);
  if (setting_make(&t, r, 0) != 0) return 1;
  t.options = options;
  int bad = run_once(&t, is_once ? r->K : 1, &s, &took); /* the card starts, kernels are loaded */
  const double start = mno_now();
  if (!bad && !is_once) {
    bad = run_once(&t, 1, &s, &seconds[0]);
    if (!bad) bad = choose_steps(&t, r->K, seconds[0], start + PATIENCE / 2, &s, &steps);
    for (; !bad && repeats < REPEATS && (repeats == 0 || mno_now() + last < start + PATIENCE); repeats++) {
      const double began = mno_now();
      for (int is_long = 1; is_long >= 0 && !bad; is_long--) {
        bad = run_once(&t, is_long ? 1 + steps : 1, &s, &took);
        seconds[is_long] = fmin(seconds[is_long], took);
      }
      last = mno_now() - began;
    }
  }
  setting_free(&t);
  if (bad) return bad;
  printf("{\"D\": %zu, \"M\": %zu, \"L\": %zu, \"N\": %zu, \"instances\": %zu, \"precision\": \"%s\", \"candidate\": %d, "
         "\"K\": %zu, ",
         r->D, r->M, r->L, r->N, r->instances, mno_precision_name(r->precision), candidate, steps);
  if (is_once)
    printf("\"seconds_once\": %.6g", took);
  else
    printf("\"repeats\": %d, \"seconds_per_step\": %.6g, \"seconds_short\": %.6g, \"seconds_long\": %.6g", repeats,
           (seconds[1] - seconds[0]) / (double)steps, seconds[0], seconds[1]);
  printf(", \"checksum\": %.17g}\n", s.loss);
  return 0;
}

static int put(const char *folder, const char *name, const double *x, size_t count) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s.bin", folder, name);
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(x, sizeof *x, count, file) != count || fclose(file) != 0) {
    fprintf(stderr, "bench_gpu: cannot write %s: %s\n", path, strerror(errno));
    return -1;
  }
  return 0;
}

/* Four small networks with all that a peer needs to repeat them, and their losses. */
static int write_case(const char *folder, int on_cpu) {
  enum { D = 7, M = 6, L = 9, N = 10, COUNT = 4, K = 8 };
  const request r = {D, M, L, N, COUNT, K, MNO_F64};
  extern const mno_backend mno_backend_cpu;
  mno_error err = {0};
  setting t;
  mno_record *record[COUNT] = {0};
  sink s = {.record = record};
  if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
    fprintf(stderr, "bench_gpu: cannot make %s: %s\n", folder, strerror(errno));
    return 74;
  }
  if (setting_make(&t, &r, 1) != 0) return 1;
  mno_job job = {.plan = &t.plan, .rows = t.rows, .count = COUNT, .emit = emit, .context = &s};
  mno_status status = on_cpu ? mno_backend_cpu.run(&job, &err) : mno_cuda_run(&mno_device_cuda, &job, t.options, &err);
  if (status != MNO_OK) return report(&err);
  const size_t w = (size_t)D * M * L;
  double *u = mno_alloc(COUNT * w, sizeof *u), *v = mno_alloc(COUNT * w, sizeof *v), loss[COUNT * (K + 1)];
  if (!u || !v) return 1;
  for (size_t i = 0; i < COUNT; i++) {
    memcpy(u + i * w, record[i]->initial[MNO_U], w * sizeof *u);
    memcpy(v + i * w, record[i]->initial[MNO_V], w * sizeof *v);
    memcpy(loss + i * (K + 1), record[i]->loss, (K + 1) * sizeof *loss);
    mno_record_free(record[i]);
  }
  int bad = put(folder, "x", t.problem.x, N * D_IN) || put(folder, "y", t.problem.y, N * D_OUT) ||
            put(folder, "w_embed", t.problem.w_embed, D * D_IN) ||
            put(folder, "w_unembed", t.problem.w_unembed, D * D_OUT) || put(folder, "u", u, COUNT * w) ||
            put(folder, "v", v, COUNT * w) || put(folder, "loss", loss, COUNT * (K + 1));
  printf(
      "{\"D\": %d, \"M\": %d, \"L\": %d, \"N\": %d, \"d_in\": %d, \"d_out\": %d, \"instances\": %d, \"K\": %d, \"backend\": "
      "\"%s\"}\n",
      D, M, L, N, D_IN, D_OUT, COUNT, K, on_cpu ? "cpu" : "cuda");
  free(u);
  free(v);
  setting_free(&t);
  return bad ? 74 : 0;
}

static int usage(void) {
  fprintf(
      stderr,
      "usage: bench_gpu ceilings | library | floors D M L N INSTANCES f32|f64 | time D M L N INSTANCES K f32|f64 [KERNEL] | "
      "case DIRECTORY [cpu]\n");
  return 2;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "ceilings") == 0) {
    ceilings c;
    if (ceilings_measure(&c) != 0) return 69;
    printf("{\"copy\": %.4g, \"two_to_one\": %.4g, \"fma32\": %.4g, \"fma64\": %.4g, \"processors\": %d", c.copy,
           c.two_to_one, c.fma32, c.fma64, c.processors);
    if (c.shared) { /* the pairs: 16 warps on a processor, and 8 */
      const struct {
        const char *name;
        const double *found;
      } pair[] = {{"lds_broadcast", c.broadcast}, {"lds_broadcast_cycles", c.broadcast_cycles},
                  {"lds_distinct", c.distinct},   {"lds_distinct_cycles", c.distinct_cycles},
                  {"row_rate", c.row_rate},       {"row_cycles", c.row_cycles}};
      for (size_t i = 0; i < sizeof pair / sizeof *pair; i++)
        printf(", \"%s\": %.4g, \"%s_8_warps\": %.4g", pair[i].name, pair[i].found[1], pair[i].name, pair[i].found[0]);
      printf(", \"lds_latency_cycles\": %.4g, \"clock\": %.5g", c.latency_cycles, c.clock);
    }
    printf("}\n");
    return 0;
  }
  if (argc == 2 && strcmp(argv[1], "library") == 0) {
    char name[128];
    mno_error err = {0};
    if (mno_device_cuda.gemm->available(name, sizeof name, &err) != MNO_OK) return report(&err);
    printf("{\"library\": \"%s\"}\n", name);
    return 0;
  }
  if (argc >= 3 && strcmp(argv[1], "case") == 0) return write_case(argv[2], argc > 3 && strcmp(argv[3], "cpu") == 0);
  const int is_floors = argc == 8 && strcmp(argv[1], "floors") == 0;
  const int is_time = (argc == 9 || argc == 10) && strcmp(argv[1], "time") == 0;
  if (!is_floors && !is_time) return usage();
  request r = {.precision = strcmp(argv[is_time ? 8 : 7], "f32") == 0 ? MNO_F32 : MNO_F64};
  size_t *const number[] = {&r.D, &r.M, &r.L, &r.N, &r.instances, &r.K};
  for (int i = 0; i < (is_time ? 6 : 5); i++) {
    *number[i] = strtoul(argv[2 + i], NULL, 10);
    if (*number[i] == 0) return usage();
  }
  return is_floors ? floors(&r) : time_kernel(&r, argc == 10 ? atoi(argv[9]) : -1);
}
