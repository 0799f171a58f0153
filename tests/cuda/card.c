/* SPDX-License-Identifier: BSD-3-Clause */
/* The card against the host: every kernel, both precisions, all activations, odd shapes, bit for bit; for kernel G, whose
 * sums are cuBLAS's, to rounding, and the same bits whatever else is in the batch. All that differs is named and counted;
 * the tests fail at their end. Needs a card: without one it is skipped, or fails when MEANODE_REQUIRE_GPU is set.
 * MEANODE_SMALL=1: a few small cases that touch every kernel, for the sanitizers. MEANODE_KERNEL=W0 (W, C, X, G, F): only
 * that one, for what is left when another ended the program. */
#include "test.h"

#include "device_twin.h"
#include "host/driver.h"
#include "host/particles.h"
#include "host/shape.h"
#include "limit/ensemble.h"
#include "problem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  INSTANCES = 2 * MNO_ACTIVATION_COUNT, /* of a network's case: each activation with each loss */
  LINES = 12,                           /* printed of a kernel and precision */
  PATIENCE = 60                         /* seconds that a case may take before it counts as hanging */
};

/* ---- What has been found */

typedef struct tally {
  int cases, differ, failed;
  int lines;                    /* printed */
  int of[MNO_ACTIVATION_COUNT]; /* that differ */
} tally;

static tally part, total; /* since the last summary; before that */
static bool lost;         /* the card does not answer any more: nothing else can be run */
static char now[256];     /* the case being run */
static atomic_uint begun; /* cases so far; for the watch */
static atomic_bool running;

/* Kernels wait for the host and for each other's blocks: what goes wrong there is a hang. */
static void *watch(void *argument) {
  (void)argument;
  unsigned seen = 0;
  for (unsigned waited = 0;; waited++) {
    sleep(1);
    const unsigned count = atomic_load(&begun);
    if (count != seen || !atomic_load(&running)) seen = count, waited = 0;
    if (waited < PATIENCE * (getenv("MEANODE_SMALL") ? 4 : 1)) continue;
    printf("%s: no end within %u s; the rest is not run\n%d cases, %d differ\n", now, waited, total.cases + part.cases,
           total.differ + part.differ);
    fflush(stdout);
    _exit(1);
  }
  return NULL;
}

/* `now` was named, and is being run. */
static void case_begins(void) {
  atomic_fetch_add(&begun, 1);
  atomic_store(&running, true);
}

static bool begin(const char *kernel) {
  const char *only = getenv("MEANODE_KERNEL");
  return !lost && (!only || strcmp(only, kernel) == 0);
}

/* Counts and prints what the case `now` ended with; the card may be lost by it. */
static void fail_case(const char *message) {
  mno_device_info info;
  mno_error err;
  part.failed++;
  printf("%s: %s\n", now, message);
  lost = mno_device_cuda.info(0, &info, &err) != MNO_OK;
  if (lost) printf("the card is lost (%s); the rest is not run\n", err.message);
  fflush(stdout);
}

/* Counts a difference of the case `now`; true: it is to be printed. */
static bool differs(mno_activation activation) {
  part.differ++;
  part.of[activation]++;
  return part.lines++ < LINES;
}

static void summary(const char *kernel, const char *precision) {
  printf("%s %s: %d cases, %d differ, %d failed", kernel, precision, part.cases, part.differ, part.failed);
  for (int a = 0; a < MNO_ACTIVATION_COUNT; a++)
    if (part.of[a]) printf("; %s %d", mno_activation_name((mno_activation)a), part.of[a]);
  printf("\n");
  fflush(stdout);
  total.cases += part.cases;
  total.differ += part.differ;
  total.failed += part.failed;
  part = (tally){0};
}

/* The same bits; NaN have several, which mean the same. */
static bool same_bits(double a, double b) { return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b)); }

/* Compares an array of the case `now` and says how it differs. */
static bool same_array(const char *name, const double *card, const double *host, size_t count, bool *counted,
                       mno_activation activation) {
  size_t first = count, different = 0;
  double worst = 0;
  for (size_t i = 0; i < count; i++) {
    if (same_bits(card[i], host[i])) continue;
    if (different++ == 0) first = i;
    const double size = fmax(fabs(card[i]), fabs(host[i])), relative = fabs(card[i] - host[i]) / (size > 0 ? size : 1);
    if (!(relative <= worst)) worst = relative; /* NaN stays */
  }
  if (different == 0) return true;
  if (!*counted && differs(activation))
    printf("%s: %s[%zu] is %a on the card, %a on the host; %zu of %zu differ, by at most %.2g\n", now, name, first,
           card[first], host[first], different, count, worst);
  *counted = true;
  return false;
}

static void need_card(void) {
  int count;
  mno_error err = {0};
  static bool watched;
  pthread_t thread;
  if (mno_device_cuda.count(&count, &err) != MNO_OK) {
    if (getenv("MEANODE_REQUIRE_GPU")) fail_msg("%s", err.message);
    printf("%s: not run\n", err.message);
    skip();
  }
  if (!watched && pthread_create(&thread, NULL, watch, NULL) == 0) watched = pthread_detach(thread) == 0;
  if (lost) fail_msg("the card was lost before");
}

/* ---- Networks */

typedef struct network {
  size_t D;
  int64_t M, L;
  size_t N, d_out;
} network;

/* One plan: every activation with both losses, each an instance (or a few) of a problem of its own. */
typedef struct sample {
  mno_problem problem[INSTANCES];
  mno_instance instance[INSTANCES];
  int64_t step[3];
  mno_plan plan;
} sample;

/* activations: 1: tanh only, and both losses all the same. each: instances of a problem. */
static void sample_make(sample *s, const network *n, mno_precision precision, int activations, size_t each) {
  *s = (sample){.step = {0, 1, 3}};
  s->plan = (mno_plan){.precision = precision,
                       .problem = s->problem,
                       .instance = s->instance,
                       .step_count = 3,
                       .step = s->step,
                       .recording = {.output = true, .weights = MNO_WEIGHTS_BOTH}};
  for (int p = 0; p < 2 * activations; p++) {
    const mno_activation activation = activations == 1 ? MNO_TANH : (mno_activation)(p / 2);
    s->problem[s->plan.problem_count++] =
        problem_make(n->D, n->N, 3, n->d_out, 3, activation, p % 2 ? MNO_CROSS_ENTROPY : MNO_SQUARED);
    for (size_t i = 0; i < each; i++) {
      mno_instance *one = &s->instance[s->plan.instance_count++];
      *one = (mno_instance){.problem = (uint32_t)p,
                            .L = each == 1 && p % 2 && n->L > 1 ? n->L - 1 : n->L,
                            .M = n->M,
                            .seed = 5 + (uint64_t)p + 100 * i,
                            .draw = {n->M, 0, 1}};
      if (p % 2) one->draw = (mno_draw){2 * n->M, n->M, -1};
    }
  }
}

static void sample_free(sample *s) {
  for (size_t i = 0; i < s->plan.problem_count; i++) problem_free(&s->problem[i]);
}

static mno_status emit(void *context, mno_record *record, mno_error *err) {
  mno_record **kept = context;
  kept[record->row] = record;
  return MNO_OK;
}

/* Runs the first `count` instances. */
static mno_status run(const mno_device_api *api, const sample *s, mno_shape_options options, size_t count, mno_record **kept,
                      mno_error *err) {
  size_t rows[INSTANCES];
  for (size_t i = 0; i < INSTANCES; i++) rows[i] = i, kept[i] = NULL;
  const mno_job job = {.plan = &s->plan, .rows = rows, .count = count, .emit = emit, .context = kept};
  return mno_cuda_run(api, &job, options, err);
}

static void records_free(mno_record **kept) {
  for (size_t i = 0; i < INSTANCES; i++) mno_record_free(kept[i]);
}

/* Names the arrays of a record and compares them: false, and printed, at the first that differs. */
static bool same_record(const sample *s, const mno_record *card, const mno_record *host) {
  const mno_instance *i = &s->plan.instance[host->row];
  const mno_problem *p = &s->plan.problem[i->problem];
  const size_t S = s->plan.step_count, w = (size_t)i->L * (size_t)i->M * p->D;
  const struct {
    const char *name;
    const double *card, *host;
    size_t count;
  } array[] = {{"u0", card->initial[MNO_U], host->initial[MNO_U], w},
               {"v0", card->initial[MNO_V], host->initial[MNO_V], w},
               {"output", card->output, host->output, S * p->N * p->d_out},
               {"embedding", card->embedding, host->embedding, S * p->N * p->D},
               {"loss", card->loss, host->loss, S},
               {"u", card->final[MNO_U], host->final[MNO_U], w},
               {"v", card->final[MNO_V], host->final[MNO_V], w}};
  bool counted = false;
  if (card->outcome != host->outcome) {
    if (differs(p->activation)) printf("%s: outcome %d on the card, %d on the host\n", now, card->outcome, host->outcome);
    return false;
  }
  for (size_t k = 0; k < sizeof array / sizeof *array; k++)
    if (array[k].host && !same_array(array[k].name, array[k].card, array[k].host, array[k].count, &counted, p->activation))
      return false;
  return true;
}

/* A kernel and, where there are portions, whether a team has a rank for each. */
typedef struct way {
  int candidate;
  bool spread;
} way;
static const mno_candidate *candidate_of(way w) { return &mno_candidates[w.candidate]; }
static int ranks_of(way w) { return w.spread ? candidate_of(w)->portions : 1; }
static const char *name_of(way w) {
  const mno_shape s = {.kernel = candidate_of(w)->kernel, .blocks_per_team = ranks_of(w)};
  return mno_kernel_name(&s);
}
static mno_shape_options options_of(way w) {
  return (mno_shape_options){candidate_of(w), w.spread ? MNO_SPREAD_ALL : MNO_SPREAD_ONE};
}

/* "C 1 x 128 of 4 portions, D 7, M 33, L 9, N 13, d_out 2, f32" and, for an instance, its activation and loss. */
static void name_case(way w, const network *n, mno_precision precision, const mno_problem *p) {
  const mno_candidate *k = candidate_of(w);
  int at = snprintf(now, sizeof now, "%s %d x %d of %d portions, D %zu, M %lld, L %lld, N %zu, d_out %zu, %s", name_of(w),
                    ranks_of(w), k->lanes, k->portions, n->D, (long long)n->M, (long long)n->L, n->N, n->d_out,
                    mno_precision_name(precision));
  if (p)
    snprintf(now + at, sizeof now - (size_t)at, ", %s, %s", mno_activation_name(p->activation),
             p->loss == MNO_SQUARED ? "squared" : "cross-entropy");
  case_begins();
}

/* The host takes the portions the other way: neither changes a bit. */
static void network_case(way w, const network *n, mno_precision precision, int activations) {
  sample s;
  mno_record *card[INSTANCES], *host[INSTANCES];
  mno_error err = {0};
  if (lost) return;
  sample_make(&s, n, precision, activations, activations == 1 ? 3 : 1);
  name_case(w, n, precision, NULL);
  mno_twin_state = (mno_twin){.devices = 1, .memory = (size_t)4 << 30, .resident = 8};
  const mno_status status = run(&mno_device_cuda, &s, options_of(w), s.plan.instance_count, card, &err);
  if (status != MNO_OK) fail_case(err.message);
  mno_error of_twin = {0};
  const mno_shape_options other = options_of((way){w.candidate, !w.spread && candidate_of(w)->portions > 1});
  const mno_status twin = lost ? MNO_OK : run(&mno_device_twin, &s, other, s.plan.instance_count, host, &of_twin);
  if (twin != MNO_OK) fail_case(of_twin.message);
  part.cases += status == MNO_OK && twin == MNO_OK ? (int)s.plan.instance_count : 1;
  for (size_t i = 0; status == MNO_OK && twin == MNO_OK && i < s.plan.instance_count; i++) {
    const network one = {n->D, n->M, s.instance[i].L, n->N, n->d_out};
    name_case(w, &one, precision, &s.problem[s.instance[i].problem]);
    same_record(&s, card[i], host[i]);
  }
  records_free(card);
  if (!lost) records_free(host);
  sample_free(&s);
}

/* Does the kernel take such a network on this card? */
static bool takes(way w, const network *n, mno_precision precision, const mno_device_info *info) {
  const mno_dimensions dims = {n->D, (size_t)n->M, n->N, (size_t)n->L, n->d_out, 0};
  mno_shape shape;
  mno_fit_on_card fit;
  mno_error why;
  if (w.spread && info->major < 9) return false;
  const mno_most_teams most = {w.spread ? 0 : SIZE_MAX, w.spread ? SIZE_MAX : 0};
  return mno_shape_make(&dims, precision, candidate_of(w), &shape, &why) == MNO_OK &&
         mno_shape_fit(&shape, info, most, 1, &fit, &why) == MNO_OK;
}

static void card_equals_host(void **state) {
  need_card();
  /* every kernel that takes it, every activation: sizes around those of tiles, slices, chunks and paddings */
  static const network odd[] = {{7, 17, 9, 13, 2}, {5, 3, 3, 10, 1},   {1, 1, 1, 1, 1},   {1, 2, 3, 7, 1},
                                {2, 1, 7, 10, 2},  {3, 5, 1, 21, 1},   {7, 33, 2, 32, 4}, {17, 7, 3, 10, 1},
                                {33, 33, 2, 7, 5}, {33, 1, 3, 13, 2},  {1, 33, 2, 32, 3}, {2, 7, 17, 21, 1},
                                {16, 2, 5, 20, 2}, {10, 10, 33, 10, 2}};
  /* the sizes that are used most, and those that have paths of their own (states in memory, many tiles) */
  static const struct {
    network n;
    int candidate; /* -1: the program's choice */
  } usual[] = {{{2, 1, 40, 10, 2}, -1},   {{10, 10, 30, 10, 2}, 0},  {{32, 32, 20, 10, 2}, -1}, {{32, 32, 20, 10, 2}, 1},
               {{9, 100, 6, 21, 2}, 2},   {{32, 70, 12, 10, 2}, 3},  {{20, 50, 10, 7, 2}, 5},   {{100, 100, 10, 10, 2}, -1},
               {{300, 64, 4, 10, 2}, -1}, {{100, 40, 3, 200, 2}, 1}, {{800, 24, 3, 10, 2}, 4},  {{1000, 16, 3, 10, 2}, -1}};
  mno_error err = {0};
  mno_device_info info;
  assert_ok(mno_device_cuda.info(0, &info, &err));
  const bool small = getenv("MEANODE_SMALL");
  for (int i_way = 0; i_way < 2 * (int)mno_candidate_count; i_way++) {
    const way w = {i_way / 2, i_way % 2};
    const mno_candidate *k = candidate_of(w);
    if (k->kernel == MNO_KERNEL_GEMM || (w.spread && k->portions == 1)) continue;
    /* other numbers of portions and lanes run the same code */
    if (small && k->portions > 1 && (k->lanes < 256 || (!w.spread && k->portions < 8))) continue;
    char name[64];
    snprintf(name, sizeof name, "%s %d x %d of %d portions", name_of(w), ranks_of(w), k->lanes, k->portions);
    for (int precision = 0; precision < 2; precision++) {
      if (!begin(name_of(w))) continue;
      for (size_t i = 0; i < (small ? 2 : sizeof odd / sizeof *odd); i++)
        if (takes(w, &odd[i], (mno_precision)precision, &info))
          network_case(w, &odd[i], (mno_precision)precision, small && i ? 1 : MNO_ACTIVATION_COUNT);
      for (size_t i = 0; !small && i < sizeof usual / sizeof *usual; i++) {
        mno_shape chosen = {0};
        const mno_dimensions dims = {usual[i].n.D, (size_t)usual[i].n.M, usual[i].n.N, (size_t)usual[i].n.L, 2, 0};
        if (usual[i].candidate < 0) assert_ok(mno_shape_choose(&dims, (mno_precision)precision, false, NULL, &chosen, &err));
        const bool here = usual[i].candidate < 0
                              ? chosen.kernel == (int)k->kernel && chosen.lanes == k->lanes && chosen.portions == k->portions
                              : usual[i].candidate == w.candidate;
        if (here && takes(w, &usual[i].n, (mno_precision)precision, &info))
          network_case(w, &usual[i].n, (mno_precision)precision, 1);
      }
      summary(name, mno_precision_name((mno_precision)precision));
    }
  }
  atomic_store(&running, false);
  if (lost || total.differ + total.failed > 0)
    fail_msg("%d cases, %d differ, %d failed", total.cases, total.differ, total.failed);
}

/* ---- Kernel G */

static double distance(const double *a, const double *b, size_t count) {
  double worst = 0, sum = 0;
  for (size_t i = 0; i < count; i++) {
    if (isnan(a[i]) && isnan(b[i])) continue;
    sum += b[i] * b[i];
    if (!(fabs(a[i] - b[i]) <= worst)) worst = fabs(a[i] - b[i]);
  }
  return sum > 0 ? worst / sqrt(sum / (double)count) : worst;
}

static void products_case(way w, const network *n, mno_precision precision, int activations) {
  sample s;
  mno_record *card[INSTANCES], *host[INSTANCES], *alone[INSTANCES];
  mno_error err = {0};
  if (lost) return;
  sample_make(&s, n, precision, activations, activations == 1 ? 5 : 1);
  name_case(w, n, precision, NULL);
  mno_twin_state = (mno_twin){.devices = 1, .memory = (size_t)4 << 30, .resident = 8};
  const mno_status status[] = {run(&mno_device_cuda, &s, options_of(w), s.plan.instance_count, card, &err),
                               run(&mno_device_cuda, &s, options_of(w), 1, alone, &err),
                               run(&mno_device_twin, &s, options_of(w), s.plan.instance_count, host, &err)};
  const bool done = status[0] == MNO_OK && status[1] == MNO_OK && status[2] == MNO_OK;
  if (!done) fail_case(err.message);
  part.cases += done ? (int)s.plan.instance_count : 1;
  for (size_t i = 0; done && i < s.plan.instance_count; i++) {
    const mno_problem *p = &s.problem[s.instance[i].problem];
    const network one = {n->D, n->M, s.instance[i].L, n->N, n->d_out};
    const size_t count = (size_t)one.L * (size_t)n->M * n->D;
    name_case(w, &one, precision, p);
    const double of_u = distance(card[i]->final[MNO_U], host[i]->final[MNO_U], count),
                 of_v = distance(card[i]->final[MNO_V], host[i]->final[MNO_V], count),
                 of_loss = distance(card[i]->loss, host[i]->loss, 3);
    const double e = !(of_u >= of_v) ? of_v : of_u, tolerance = precision == MNO_F64 ? 1e-13 : 1e-5;
    if (card[i]->outcome != host[i]->outcome || !(e <= tolerance && of_loss <= tolerance)) {
      if (differs(p->activation))
        printf("%s: outcomes %d and %d; to rounding, weights differ by %.2g, losses by %.2g\n", now, card[i]->outcome,
               host[i]->outcome, e, of_loss);
    } else if (i == 0 && !same_record(&s, alone[0], card[0])) {
      printf("%s: ... alone (above \"on the card\") and in a batch (above \"on the host\")\n", now);
    }
  }
  records_free(card);
  records_free(alone);
  records_free(host);
  sample_free(&s);
}

static void products_on_the_card(void **state) {
  need_card();
  char library[128];
  mno_error err = {0};
  if (mno_device_cuda.gemm->available(library, sizeof library, &err) != MNO_OK) {
    printf("%s: kernel G not run\n", err.message);
    skip();
  }
  static const network usual[] = {{33, 20, 4, 40, 2}, {100, 100, 6, 200, 2}, {256, 130, 3, 65, 2}},
                       odd[] = {{17, 7, 3, 33, 1}, {33, 17, 1, 32, 3}, {7, 33, 2, 40, 2}, {2, 3, 2, 64, 1}};
  way w = {0, false};
  while (candidate_of(w)->kernel != MNO_KERNEL_GEMM) w.candidate++;
  const bool small = getenv("MEANODE_SMALL");
  const tally before = total;
  for (int precision = 0; precision < 2; precision++) {
    if (!begin("G")) continue;
    for (size_t i = 0; i < (small ? 1 : sizeof odd / sizeof *odd); i++)
      products_case(w, &odd[i], (mno_precision)precision, MNO_ACTIVATION_COUNT);
    for (size_t i = 0; i < (small ? 1 : sizeof usual / sizeof *usual); i++)
      products_case(w, &usual[i], (mno_precision)precision, 1);
    char name[160];
    snprintf(name, sizeof name, "G (%s)", library);
    summary(name, mno_precision_name((mno_precision)precision));
  }
  atomic_store(&running, false);
  if (lost || total.differ + total.failed > before.differ + before.failed) fail_msg("kernel G differs or failed");
}

/* ---- Particles */

typedef struct cloud {
  size_t D, N, m, particles;
  int full;
} cloud;

/* Draws, moves and sums particles, and reads some back. Arrays one after the other in `out`. */
static mno_status pass_particles(const mno_engine *engine, const mno_problem *p, const mno_reduction *reduction,
                                 const cloud *c, mno_precision precision, const double *h, double *out, mno_error *err) {
  const size_t r = reduction->r, n = c->m * p->N * r;
  mno_ensemble e;
  mno_status status = mno_ensemble_new(engine, p, r, c->m, c->particles, precision, 1, &e, err);
  if (status != MNO_OK) return status;
  status = mno_ensemble_draw(&e, reduction, 0, 3, 1, err);
  if (status == MNO_OK) {
    mno_ensemble_pass(&e, (mno_particle_pass){.old_h = h, .old_b = h + n, .h = h + n, .b = h, .F = out, .G = out + n});
    mno_ensemble_pass(&e, (mno_particle_pass){.h = h, .F = out + 2 * n, .J = out + 3 * n});
    status = mno_ensemble_check(&e, err);
  }
  if (status == MNO_OK) status = mno_ensemble_read(&e, c->m - 1, out + 3 * n + n * r, err);
  mno_ensemble_free(&e);
  return status;
}

static void cloud_case(const mno_engine engine[2], const cloud *c, mno_precision precision, mno_activation activation) {
  mno_error err = {0};
  if (lost) return;
  mno_problem p = problem_make(c->D, c->N, 3, 2, 2, activation, MNO_SQUARED);
  mno_reduction reduction;
  assert_ok(mno_reduction_new(&p, c->full, &reduction, &err));
  const size_t r = reduction.r, n = c->m * p.N * r, z = c->particles * 2 * r, count = n * (3 + r) + z;
  double *h = problem_normals(77, PROBLEM_FLAT, MNO_TENSOR_X, 1, 2 * n, 1),
         *out[2] = {calloc(count, sizeof *h), calloc(count, sizeof *h)};
  snprintf(now, sizeof now, "F, D %zu, N %zu, %zu coordinates, %zu nodes of %zu particles, %s, %s", c->D, c->N, r, c->m,
           c->particles, mno_precision_name(precision), mno_activation_name(activation));
  case_begins();
  part.cases++;
  mno_status status = MNO_OK;
  for (int k = 0; k < 2 && status == MNO_OK; k++)
    status = pass_particles(&engine[k], &p, &reduction, c, precision, h, out[k], &err);
  if (status != MNO_OK) fail_case(err.message);
  bool counted = false;
  const struct {
    const char *name;
    size_t at, count;
  } array[] = {{"particles", 3 * n + n * r, z}, {"F", 0, n}, {"G", n, n}, {"F again", 2 * n, n}, {"J", 3 * n, n * r}};
  for (size_t k = 0; k < sizeof array / sizeof *array && status == MNO_OK; k++)
    same_array(array[k].name, out[0] + array[k].at, out[1] + array[k].at, array[k].count, &counted, activation);
  free(h);
  free(out[0]);
  free(out[1]);
  mno_reduction_free(&reduction);
  problem_free(&p);
}

/* Particles drawn, moved and summed, and a whole limit: the card's bits are the host's. */
static void particles_on_the_card(void **state) {
  need_card();
  static const cloud clouds[] = {{4, 10, 2, 1024, 0}, {9, 13, 2, 4096, 0}, {40, 7, 1, 512, 1}, {70, 25, 1, 256, 1},
                                 {1, 1, 1, 64, 1},    {1, 7, 2, 128, 1},   {2, 21, 3, 64, 1},  {3, 32, 1, 512, 1},
                                 {5, 13, 2, 256, 1},  {7, 10, 1, 128, 1},  {17, 33, 1, 64, 1}, {33, 1, 2, 128, 1}};
  const bool small = getenv("MEANODE_SMALL");
  mno_error err = {0};
  const mno_engine engine[] = {mno_cuda_engine(&mno_device_cuda), mno_cuda_engine(&mno_device_twin)};
  const tally before = total;
  mno_twin_state = (mno_twin){.devices = 1, .memory = (size_t)4 << 30};
  for (int precision = 0; precision < 2; precision++) {
    if (!begin("F")) continue;
    for (size_t i = 0; i < (small ? 2 : sizeof clouds / sizeof *clouds); i++)
      for (int activation = 0; activation < (i == 0 || (!small && i == 2) ? MNO_ACTIVATION_COUNT : 1); activation++)
        cloud_case(engine, &clouds[i], (mno_precision)precision, (mno_activation)activation);
    summary("F", mno_precision_name((mno_precision)precision));
  }
  if (begin("F")) {
    mno_problem p = problem_make(5, 6, 3, 2, 3, MNO_TANH, MNO_SQUARED);
    mno_limit *solved[2] = {NULL, NULL};
    mno_status status = MNO_OK;
    snprintf(now, sizeof now, "a limit, D 5, N 6, 2048 particles");
    case_begins();
    part.cases++;
    for (int k = 0; k < 2 && status == MNO_OK; k++) {
      const mno_limit_options options = {.tolerance = 1e-6,
                                         .method = MNO_METHOD_SOBOL,
                                         .particles = 2048,
                                         .nodes = 3,
                                         .randomisations = 2,
                                         .engine = &engine[k]};
      status = mno_limit_solve(&p, &options, &solved[k], &err);
    }
    bool counted = false;
    if (status == MNO_OK)
      same_array("state", solved[0]->state, solved[1]->state, (p.K + 1) * 3 * p.N * p.D, &counted, MNO_TANH);
    else
      fail_case(err.message);
    for (int k = 0; k < 2; k++) mno_limit_free(solved[k]);
    problem_free(&p);
    summary("F", "whole limit");
  }
  atomic_store(&running, false);
  if (lost || total.differ + total.failed > before.differ + before.failed) fail_msg("kernel F differs or failed");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(card_equals_host), cmocka_unit_test(products_on_the_card),
                                     cmocka_unit_test(particles_on_the_card)};
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  if (total.cases) printf("%d cases, %d differ, %d failed\n", total.cases, total.differ, total.failed);
  return failed;
}
