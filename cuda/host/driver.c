/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/driver.h"

#include "core/memory.h"
#include "host/emit_queue.h"
#include "host/gemm_worker.h"
#include "host/rounds.h"
#include "host/unpack.h"
#include "host/upload.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  QUEUES = 16,
  GEMM_WORKERS = 2 /* of a group: one waits for its losses while the other computes */
};
static const double MEMORY_FRACTION = 0.92;               /* of what is free on the card */
static const size_t PINNED_MOST = (size_t)4 << 30;        /* results in flight */
static const size_t PINNED_LEAST = (size_t)64 << 20;      /* 20 ms */
static const double PINNED_SECONDS = 0.3 / 0x1p30;        /* for a byte of it: an estimate, no benchmark times it alone */
static const size_t EMIT_QUEUE_BYTES = (size_t)512 << 20; /* records that wait to be emitted */
static const struct timespec NAP = {.tv_nsec = 200000L};  /* between polls of the mailboxes */

/* A thread that trains batches of a group by calls of the device. */
typedef struct gemm_worker {
  pthread_t thread;
  mno_gemm_run run;
  mno_status status;
  mno_error err;
  atomic_int *running, *halt;
} gemm_worker;

/* A group in its round: the arguments of its launch; for kernel G also what its workers share. */
typedef struct launched {
  mno_train_args args;
  mno_item *item;
  mno_batch *batch;
  atomic_size_t next;
  gemm_worker worker[GEMM_WORKERS];
  int workers;
} launched;

/* One device and its part of the job. */
typedef struct worker {
  pthread_t thread;
  const mno_device_api *api;
  const mno_job *job;
  mno_shape_options options;
  int index, devices;
  atomic_int *halt; /* shared: something failed, or stop was asked for */
  mno_status status;
  mno_error err;
  mno_device *device;
  mno_groups groups;
  int rounds;
  size_t common_bytes;               /* of the part of the arena that all rounds use */
  const mno_device_problem *problem; /* [problem_count] on the device */
  launched *launched;                /* [groups] */
  atomic_int running;                /* workers of kernel G */
  mno_emit_queue *emit_queue;        /* shared: records on their way to whoever receives them */
} worker;

static const size_t MAILBOXES_AT = 256; /* the pinned arena starts with the signals */

static mno_signals *signals_of(const worker *w) { return (mno_signals *)w->api->pinned(w->device); }

/* Sizes of the arena: problems first, then per round slots, items and counters. */
static size_t launch_bytes(const mno_group *g) {
  return mno_round_up(g->count * sizeof(mno_item), 256) + 256; /* items, counter */
}

/* Which shapes of kernel G a device's library serves, as far as was asked. */
typedef struct asked {
  const mno_device_api *api;
  int index;
  size_t count;
  struct {
    mno_shape shape;
    int served;
  } of[16];
} asked;

/* A person is told once for each device: the numbers are as good, the time is longer. */
static void tell(const asked *a, const mno_shape *shape, const char *why) {
  static atomic_ullong told;
  const unsigned long long bit = 1ull << (a->index & 63);
  if (!(atomic_fetch_or(&told, bit) & bit))
    fprintf(stderr, "note: device %d: kernel G is not used for D = %d, M = %d, N = %d, nor wherever it fails so: %s\n",
            a->index, shape->D, shape->M, shape->N, why);
}

static mno_status serves(void *context, const mno_shape *shape, int *served, mno_error *err) {
  asked *a = context;
  for (size_t i = 0; i < a->count; i++) {
    const mno_shape *s = &a->of[i].shape;
    if (s->D == shape->D && s->M == shape->M && s->N == shape->N && s->bytes == shape->bytes) {
      *served = a->of[i].served;
      return MNO_OK;
    }
  }
  mno_product product[MNO_PRODUCTS];
  mno_error why = {0};
  mno_gemm_products(shape, product);
  const mno_status status = a->api->gemm->serves(a->index, product, MNO_PRODUCTS, served, &why);
  if (status != MNO_OK) {
    *err = why;
    return status;
  }
  if (!*served) tell(a, shape, why.message);
  if (a->count == sizeof a->of / sizeof *a->of) a->count = 0;
  a->of[a->count].shape = *shape;
  a->of[a->count++].served = *served;
  return MNO_OK;
}

static bool products(const mno_device_api *api, const mno_plan *plan) {
  char description[128];
  mno_error why;
  return api->gemm && mno_products_pay(plan) && /* asking loads the library */
         api->gemm->available(description, sizeof description, &why) == MNO_OK;
}

static size_t mailbox_count(const mno_group *g) { return 2 * (size_t)g->teams * (size_t)g->shape.group; }

static mno_mailbox *mailbox_at(const launched *o, size_t k) {
  return (mno_mailbox *)(o->args.mailboxes + k * o->args.mailbox_bytes);
}

/* Teams that the card holds by their registers. */
static mno_status by_registers(const worker *w, const mno_device_info *info, const mno_shape *shape, bool all, size_t *most,
                               mno_error *err) {
  const mno_shape s = mno_shape_spread(shape, all);
  const mno_fit_on_card fit = {.stages = MNO_STAGES_LEAST, .state_in_memory = mno_state_in_memory(&s, info)};
  int teams = 0;
  const mno_status status = w->api->resident(w->index, &s, &fit, &teams, err);
  *most = (size_t)teams;
  return status;
}

/* How a group runs best on the device, and how many of its teams do so at once. work: modelled seconds of all groups that
 * may run side by side: so a group is fitted as if the rest were more of the same. */
static mno_status fit(const worker *w, const mno_device_info *info, double work, mno_group *g, mno_error *err) {
  const size_t count = (size_t)((double)g->count * fmax(1, work / g->seconds));
  mno_most_teams most = {0};
  mno_status status = by_registers(w, info, &g->shape, false, &most.one, err);
  if (status == MNO_OK && g->shape.portions > 1 && info->major >= 9 && w->options.spread != MNO_SPREAD_ONE)
    status = by_registers(w, info, &g->shape, true, &most.all, err);
  if (w->options.spread == MNO_SPREAD_ALL && most.all > 0) most.one = 0;
  if (status == MNO_OK) status = mno_shape_fit(&g->shape, info, most, count, &g->fit, err);
  if (status == MNO_OK) status = w->api->resident(w->index, &g->shape, &g->fit, &g->wanted, err);
  if (status == MNO_OK && g->wanted < 1)
    status = mno_fail(err, MNO_ERR_BACKEND,
                      "%s holds no team of %d x %d lanes with %zu bytes of shared memory: use --backend cpu", info->name,
                      g->shape.blocks_per_team, g->shape.lanes, g->fit.shared);
  return status;
}

/* Pinned memory for the groups: with less of it fewer teams run and the work takes longer, but it takes time to get. The sum
 * of both is least at the geometric mean of what all teams would use and what could be had in the time of the work. */
static size_t pinned_budget(const mno_groups *groups) {
  double all = 0, seconds = 0, least = (double)PINNED_LEAST, budget = (double)(mno_memory_available() / 4);
  for (size_t i = 0; i < groups->count; i++) {
    const mno_group *g = &groups->group[i];
    all += (double)mno_group_teams(g) * 2 * (double)g->shape.group * (double)g->mailbox_bytes;
    seconds += g->seconds;
    if (least < 4 * (double)g->pinned_bytes) least = 4 * (double)g->pinned_bytes; /* a few teams of any group */
  }
  if (budget > (double)PINNED_MOST) budget = (double)PINNED_MOST;
  return (size_t)fmin(budget, fmax(least, sqrt(all * seconds / PINNED_SECONDS)));
}

static mno_status measure(worker *w, size_t *arena, size_t *pinned, mno_error *err) {
  const mno_plan *plan = w->job->plan;
  mno_device_info info;
  mno_status status = w->api->info(w->index, &info, err);
  asked asked = {.api = w->api, .index = w->index};
  const mno_abilities abilities = {products(w->api, plan), w->options.candidate, serves, &asked};
  if (status == MNO_OK) status = mno_groups_make(w->job, &abilities, w->index, w->devices, &w->groups, err);
  if (status != MNO_OK) return status;
  w->common_bytes = mno_upload_bytes(plan);
  size_t fixed = w->common_bytes;
  double work = 0;
  for (size_t i = 0; i < w->groups.count; i++)
    work += w->groups.group[i].shape.kernel == MNO_KERNEL_GEMM ? 0 : w->groups.group[i].seconds;
  for (size_t i = 0; i < w->groups.count; i++) {
    mno_group *g = &w->groups.group[i];
    fixed += launch_bytes(g);
    g->wanted = GEMM_WORKERS;
    if (g->shape.kernel == MNO_KERNEL_GEMM) continue;
    status = fit(w, &info, work, g, err);
    if (status != MNO_OK) return status;
  }
  size_t budget = (size_t)(MEMORY_FRACTION * (double)info.memory_free);
  budget = budget > fixed ? budget - fixed : 0;
  const size_t pinned_most = pinned_budget(&w->groups);
  status = mno_rounds_plan(&w->groups, budget, pinned_most, &w->rounds, err);
  if (status != MNO_OK) return status;
  for (size_t i = 0; i < w->groups.count; i++) { /* memory may have made a shape smaller */
    mno_group *g = &w->groups.group[i];
    if (g->shape.kernel != MNO_KERNEL_GEMM)
      g->fit.shared = mno_shared_bytes(&g->shape, g->fit.stages, g->fit.state_in_memory);
  }
  *arena = *pinned = 0;
  for (int round = 0; round < w->rounds; round++) {
    size_t slots = 0, mailboxes = 0;
    for (size_t i = 0; i < w->groups.count; i++) {
      const mno_group *g = &w->groups.group[i];
      if (g->round != round) continue;
      slots += (size_t)g->teams * g->slot_bytes + launch_bytes(g);
      mailboxes += (size_t)g->teams * g->pinned_bytes;
    }
    if (slots > *arena) *arena = slots;
    if (mailboxes > *pinned) *pinned = mailboxes;
  }
  *arena += w->common_bytes;
  *pinned += MAILBOXES_AT;
  return MNO_OK;
}

/* The items of a group: o->item on the host, o->args.item on the device. */
static mno_status upload_items(const worker *w, const mno_group *g, mno_upload *to, launched *o, mno_error *err) {
  const mno_plan *plan = w->job->plan;
  const size_t bytes = g->count * sizeof *o->item;
  o->item = mno_alloc(1, bytes);
  if (!o->item) return mno_fail_memory(err, bytes, "the list of instances");
  for (size_t i = 0; i < g->count; i++) {
    const mno_instance *n = &plan->instance[g->rows[i]];
    o->item[i] = (mno_item){.seed = n->seed,
                            .width = (uint32_t)n->draw.width,
                            .offset = (uint32_t)n->draw.offset,
                            .row = (uint32_t)g->rows[i],
                            .problem = n->problem,
                            .L = (int32_t)n->L,
                            .sign = n->draw.sign};
  }
  const void *items = NULL;
  const mno_status status = mno_upload_put(to, o->item, bytes, &items, err);
  o->args.item = items;
  return status;
}

static void *run(void *argument) {
  gemm_worker *c = argument;
  c->status = mno_gemm_train(&c->run, &c->err);
  if (c->status != MNO_OK) atomic_store(c->halt, 1);
  atomic_fetch_sub(c->running, 1);
  return NULL;
}

/* Starts the workers of a group of kernel G. */
static mno_status start_gemm_workers(worker *w, const mno_group *g, launched *o, mno_error *err) {
  o->batch = mno_alloc(g->count, sizeof *o->batch);
  if (!o->batch) return mno_fail_memory(err, g->count * sizeof *o->batch, "the list of batches");
  const size_t batches = mno_batches_make(o->item, g->count, (size_t)g->shape.group, o->batch);
  const size_t mailboxes_bytes = 2 * (size_t)g->shape.group * g->mailbox_bytes,
               loss_bytes = g->pinned_bytes - mailboxes_bytes;
  char *const losses = o->args.mailboxes + (size_t)g->teams * mailboxes_bytes;
  for (; o->workers < g->teams; o->workers++) {
    gemm_worker *c = &o->worker[o->workers];
    const size_t i = (size_t)o->workers;
    c->running = &w->running;
    c->halt = w->halt;
    c->run = (mno_gemm_run){.api = w->api->gemm,
                            .device = w->device,
                            .plan = w->job->plan,
                            .args = &o->args,
                            .item = o->item,
                            .batch = o->batch,
                            .batches = batches,
                            .next = &o->next,
                            .slot = o->args.slots + i * g->slot_bytes,
                            .mailboxes = o->args.mailboxes + i * mailboxes_bytes,
                            .loss = (double *)(losses + i * loss_bytes)};
    atomic_fetch_add(&w->running, 1);
    const int why = pthread_create(&c->thread, NULL, run, c);
    if (why) {
      atomic_fetch_sub(&w->running, 1);
      return mno_fail_thread(err, "a thread for kernel G", why);
    }
  }
  return MNO_OK;
}

/* Waits for the workers of kernel G; the first failure among them is reported unless there was one before. */
static mno_status end_gemm_workers(worker *w, mno_status status, mno_error *err) {
  for (size_t i = 0; i < w->groups.count; i++) {
    launched *o = &w->launched[i];
    for (int k = 0; k < o->workers; k++) {
      pthread_join(o->worker[k].thread, NULL);
      if (status != MNO_OK || o->worker[k].status == MNO_OK) continue;
      status = o->worker[k].status;
      *err = o->worker[k].err;
    }
    o->workers = 0;
    free(o->item);
    free(o->batch);
    o->item = NULL;
    o->batch = NULL;
  }
  return status;
}

/* What the launches of a round begin with, uploads apart; all mailboxes belong to the teams. */
static void begin_round(worker *w, int round) {
  char *mailboxes = w->api->pinned(w->device) + MAILBOXES_AT;
  for (size_t i = 0; i < w->groups.count; i++) {
    const mno_group *g = &w->groups.group[i];
    launched *o = &w->launched[i];
    if (g->round != round) continue;
    o->args = (mno_train_args){.shape = g->shape,
                               .problem = w->problem,
                               .count = (uint32_t)g->count,
                               .weights = (uint32_t)w->job->plan->recording.weights,
                               .mailboxes = mailboxes,
                               .slot_bytes = g->slot_bytes,
                               .mailbox_bytes = g->mailbox_bytes,
                               .signals = signals_of(w),
                               .stages = g->fit.stages};
    if (g->shape.kernel != MNO_KERNEL_GEMM) o->args.at = mno_slot(&g->shape);
    for (size_t k = 0; k < mailbox_count(g); k++) memset(mailbox_at(o, k), 0, sizeof(mno_mailbox));
    mailboxes += (size_t)g->teams * g->pinned_bytes;
  }
}

/* Uploads what the groups of a round need. All of it before the first of them starts: a copy behind kernels that wait for
 * the host would wait for ever. */
static mno_status upload_round(worker *w, int round, mno_error *err) {
  mno_upload to = {w->api, w->device, w->api->arena(w->device) + w->common_bytes};
  mno_status status = MNO_OK;
  for (size_t i = 0; i < w->groups.count && status == MNO_OK; i++) {
    const mno_group *g = &w->groups.group[i];
    mno_train_args *args = &w->launched[i].args;
    const uint32_t zero = 0;
    const void *next = NULL;
    if (g->round != round) continue;
    status = upload_items(w, g, &to, &w->launched[i], err);
    if (status == MNO_OK) status = mno_upload_put(&to, &zero, sizeof zero, &next, err);
    args->next = (uint32_t *)next;
    args->slots = to.at;
    to.at += (size_t)g->teams * g->slot_bytes;
  }
  return status;
}

/* Starts the groups of a round. */
static mno_status launch(worker *w, int round, mno_error *err) {
  begin_round(w, round); /* whatever fails from here on: mailboxes are polled */
  mno_status status = upload_round(w, round, err);
  int queue = 0;
  for (size_t i = 0; i < w->groups.count && status == MNO_OK; i++) {
    const mno_group *g = &w->groups.group[i];
    if (g->round != round) continue;
    if (g->shape.kernel == MNO_KERNEL_GEMM)
      status = start_gemm_workers(w, g, &w->launched[i], err);
    else
      status = w->api->launch(w->device, queue++ % QUEUES, &w->launched[i].args, &g->fit, g->teams, err);
  }
  return status;
}

/* The first failure of a device is its status; it ends all of them. */
static void fail(worker *w, mno_status status, const mno_error *err) {
  if (status == MNO_OK || w->status != MNO_OK) return;
  w->status = status;
  w->err = *err;
  atomic_store(w->halt, 1);
}

/* A full mailbox becomes a record, unless something failed before, and belongs to the team again. */
static void take_mailbox(worker *w, const mno_group *g, mno_mailbox *mailbox) {
  mno_record *record = NULL;
  mno_error err;
  mno_status status = w->status == MNO_OK ? mno_unpack(w->job->plan, mailbox, 1.0 / g->teams, &record, &err) : MNO_OK;
  __atomic_store_n(&mailbox->state, 0, __ATOMIC_RELEASE);
  if (record) status = mno_emit_queue_put(w->emit_queue, record, &err);
  fail(w, status, &err);
}

/* Takes the mailboxes that are full; returns how many. */
static size_t collect(worker *w, int round) {
  size_t found = 0;
  for (size_t i = 0; i < w->groups.count; i++) {
    const mno_group *g = &w->groups.group[i];
    if (g->round != round) continue;
    for (size_t k = 0; k < mailbox_count(g); k++) {
      mno_mailbox *mailbox = mailbox_at(&w->launched[i], k);
      if (!__atomic_load_n(&mailbox->state, __ATOMIC_ACQUIRE)) continue;
      found++;
      take_mailbox(w, g, mailbox);
    }
  }
  return found;
}

/* Puts the wait that a kernel gave up, if one did, before what the device says of its end. */
static void name_stuck(worker *w, mno_error *err) {
  static const char *const waits[] = {
      [MNO_SPIN_TRANSFER] = "a transfer that never came", [MNO_SPIN_MAILBOX] = "the host to free a mailbox, in vain"};
  const uint64_t stuck = __atomic_load_n(&signals_of(w)->stuck, __ATOMIC_ACQUIRE);
  const unsigned spin = stuck & 0xff, rank = stuck >> 24 & 0xff;
  const mno_shape shape = {.kernel = stuck >> 8 & 0xff, .blocks_per_team = stuck >> 16 & 0xff};
  if (spin == MNO_SPIN_NONE || spin > MNO_SPIN_MAILBOX || shape.kernel > MNO_KERNEL_GEMM)
    return; /* after a fault: anything */
  const mno_error device = *err;
  mno_fail(err, MNO_ERR_BACKEND, "kernel %s on card %d: team %u, rank %u waited for %s: %s", mno_kernel_name(&shape),
           w->index, (unsigned)(stuck >> 32), rank, waits[spin], device.message);
}

static mno_status run_round(worker *w, int round, mno_error *err) {
  uint32_t *stop = &signals_of(w)->stop;
  mno_status status = launch(w, round, err);
  for (;;) { /* also after a failure: what was launched must end before its memory goes */
    if (status != MNO_OK || atomic_load(w->halt) || mno_emit_queue_failed(w->emit_queue) ||
        (w->job->stop && atomic_load(w->job->stop))) {
      atomic_store(w->halt, 1);
      __atomic_store_n(stop, 1, __ATOMIC_RELEASE);
    }
    int idle = 0;
    const int workers_ended = atomic_load(&w->running) == 0; /* before the last poll of the mailboxes */
    mno_error fault;
    mno_status state = w->api->idle(w->device, &idle, &fault);
    size_t found = collect(w, round);
    if (state != MNO_OK) { /* the device is lost; what arrived is kept */
      __atomic_store_n(stop, 1, __ATOMIC_RELEASE);
      if (status == MNO_OK) {
        status = state;
        *err = fault;
      }
      name_stuck(w, err);
      return end_gemm_workers(w, status, err);
    }
    if (idle && workers_ended && found == 0) return end_gemm_workers(w, status, err);
    if (found == 0) nanosleep(&NAP, NULL);
  }
}

/* All rounds, on an open device. */
static mno_status run_rounds(worker *w, mno_error *err) {
  memset(w->api->pinned(w->device), 0, MAILBOXES_AT);
  mno_upload to = {w->api, w->device, w->api->arena(w->device)};
  mno_status status = mno_upload_problems(&to, w->job->plan, &w->problem, err);
  for (int round = 0; round < w->rounds && status == MNO_OK && !atomic_load(w->halt); round++)
    status = run_round(w, round, err);
  return status;
}

static void *work(void *argument) {
  worker *w = argument;
  size_t arena, pinned;
  mno_error err = {0};
  mno_status status = measure(w, &arena, &pinned, &err);
  const size_t bytes = w->groups.count * sizeof *w->launched;
  w->launched = mno_alloc(1, bytes);
  if (status == MNO_OK && !w->launched) status = mno_fail_memory(&err, bytes, "the list of groups");
  if (status == MNO_OK && w->groups.count > 0) {
    status = w->api->open(w->index, arena, pinned, &w->device, &err);
    if (status == MNO_OK) status = run_rounds(w, &err);
    const mno_status closed = w->device ? w->api->close(w->device, status == MNO_OK ? &err : NULL) : MNO_OK;
    if (status == MNO_OK) status = closed;
  }
  fail(w, status, &err);
  free(w->launched);
  mno_groups_free(&w->groups);
  return NULL;
}

/* Starts a thread for each device; returns how many there are, *status is not MNO_OK if that is not all. */
static int start(worker *workers, const worker *common, mno_status *status, mno_error *err) {
  int started = 0;
  for (; started < common->devices; started++) {
    worker *w = &workers[started];
    *w = *common;
    w->index = started;
    const int why = pthread_create(&w->thread, NULL, work, w);
    if (why == 0) continue;
    char what[64];
    snprintf(what, sizeof what, "a thread for device %d", started);
    *status = mno_fail_thread(err, what, why);
    atomic_store(w->halt, 1);
    break;
  }
  return started;
}

mno_status mno_cuda_run(const mno_device_api *api, const mno_job *job, mno_shape_options options, mno_error *err) {
  int devices;
  mno_status status = api->count(&devices, err);
  if (status != MNO_OK || job->count == 0) return status;
  if ((size_t)devices > job->count) devices = (int)job->count;
  worker *workers = mno_alloc((size_t)devices, sizeof *workers);
  if (!workers) return mno_fail_memory(err, (size_t)devices * sizeof *workers, "the list of devices");
  atomic_int halt = 0;
  worker common = {.api = api, .job = job, .options = options, .devices = devices, .halt = &halt};
  status = mno_emit_queue_open(&common.emit_queue, job, job->threads > 0 ? job->threads : mno_core_count(), EMIT_QUEUE_BYTES,
                               err);
  const int started = status == MNO_OK ? start(workers, &common, &status, err) : 0;
  size_t done = 0;
  for (int i = 0; i < started; i++) {
    pthread_join(workers[i].thread, NULL);
    if (status == MNO_OK && workers[i].status != MNO_OK) {
      status = workers[i].status;
      if (err) *err = workers[i].err;
    }
  }
  const mno_status sent = mno_emit_queue_close(common.emit_queue, &done, status == MNO_OK ? err : NULL);
  if (status == MNO_OK) status = sent;
  free(workers);
  if (status == MNO_OK && done < job->count)
    status = mno_fail(err, MNO_INTERRUPTED, "interrupted: what was in flight on the card is dropped");
  return status;
}

mno_status mno_cuda_fits(const mno_device_api *api, const mno_plan *plan, const size_t *rows, size_t count,
                         mno_shape_options options, mno_error *err) {
  int devices;
  mno_status status = api->count(&devices, err);
  const mno_job job = {.plan = plan, .rows = rows, .count = rows ? count : plan->instance_count};
  if (status != MNO_OK || job.count == 0) return status;
  if ((size_t)devices > job.count) devices = (int)job.count;
  for (int i = 0; i < devices && status == MNO_OK; i++) {
    worker w = {.api = api, .job = &job, .options = options, .index = i, .devices = devices};
    size_t arena, pinned;
    mno_error why;
    status = measure(&w, &arena, &pinned, &why);
    mno_groups_free(&w.groups);
    if (status == MNO_ERR_MEMORY) status = MNO_ERR_INPUT;
    if (status != MNO_OK) mno_fail(err, status, "%s: %s", plan->sweep ? plan->sweep->path : "the plan", why.message);
  }
  return status;
}
