/* SPDX-License-Identifier: BSD-3-Clause */
#include "mpi/mpi.h"

#include "core/memory.h"

#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TAG_ASK = 1, TAG_DEAL, TAG_RECORD, TAG_FAILED };

static struct {
  int rank, size;
  const mno_backend *own;
  mno_backend wrapper;
  bool served; /* rank 0: the other ranks have been told to stop */
} world;

static mno_status failed(const char *what, int code, mno_error *err) {
  char text[MPI_MAX_ERROR_STRING] = "unknown";
  int length;
  MPI_Error_string(code, text, &length);
  return mno_fail(err, MNO_ERR_INTERNAL, "MPI, %s: %s", what, text);
}

mno_status mno_mpi_begin(int *rank, int *size, mno_error *err) {
  int level, code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
  if (code != MPI_SUCCESS) return failed("starting", code, err);
  if (level < MPI_THREAD_FUNNELED) return mno_fail(err, MNO_ERR_INTERNAL, "this MPI does not allow threads");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &world.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &world.size);
  *rank = world.rank;
  *size = world.size;
  return MNO_OK;
}

int mno_mpi_threads(void) {
  MPI_Comm node;
  int here = 1, cores = mno_core_scheduled(), least, most;
  if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node) != MPI_SUCCESS) return 1;
  MPI_Comm_size(node, &here);
  /* Ranks that the launcher has bound to cores of their own see fewer cores than there are. */
  long all = sysconf(_SC_NPROCESSORS_ONLN);
  MPI_Allreduce(&cores, &least, 1, MPI_INT, MPI_MIN, node);
  MPI_Allreduce(&cores, &most, 1, MPI_INT, MPI_MAX, node);
  MPI_Comm_free(&node);
  if ((long)most >= all || least * here > (int)all) cores = cores / here;
  if (cores > mno_core_quota(here)) cores = mno_core_quota(here); /* of the group that all ranks are in */
  return cores > 0 ? cores : 1;
}

/* The cards that this process sees, as CUDA counts them: the list it was given, or all there are. */
static void visible_cards(char *list, size_t size) {
  const char *given = getenv("CUDA_VISIBLE_DEVICES");
  size_t used = 0;
  snprintf(list, size, "%s", given ? given : "");
  if (given) return;
  char path[32];
  for (int i = 0; snprintf(path, sizeof path, "/dev/nvidia%d", i) > 0 && access(path, F_OK) == 0 && used + 8 < size; i++)
    used += (size_t)snprintf(list + used, size - used, "%s%d", i ? "," : "", i);
}

void mno_mpi_share_cards(void) {
  enum { SIZE = 1024 };
  MPI_Comm node;
  int rank, ranks;
  char mine[SIZE] = "", own[SIZE];
  visible_cards(mine, SIZE);
  if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node) != MPI_SUCCESS) return;
  MPI_Comm_rank(node, &rank);
  MPI_Comm_size(node, &ranks);
  /* Lists that differ were dealt by the launcher. */
  char first[SIZE];
  memcpy(first, mine, SIZE);
  MPI_Bcast(first, SIZE, MPI_CHAR, 0, node);
  int same = strcmp(first, mine) == 0, all;
  MPI_Allreduce(&same, &all, 1, MPI_INT, MPI_MIN, node);
  MPI_Comm_free(&node);
  if (!all || !mine[0]) return;
  mno_mpi_cards(mine, rank, ranks, own, SIZE);
  setenv("CUDA_VISIBLE_DEVICES", own, 1);
}

/* What all ranks must agree on. */
static uint64_t plan_sum(const mno_plan *plan) {
  uint64_t sum = plan->instance_count * 0x9e3779b97f4a7c15ull + plan->precision;
  for (size_t i = 0; i < plan->instance_count; i++) sum = (sum ^ plan->instance[i].id) * 0x9e3779b97f4a7c15ull;
  for (size_t i = 0; i < plan->step_count; i++) sum = (sum ^ (uint64_t)plan->step[i]) * 0x9e3779b97f4a7c15ull;
  return sum;
}

/* ---- A record as a message is its memory as it lies there: facts, pointers that mean nothing elsewhere, numbers. */

static size_t message_bytes(const mno_plan *plan, const mno_record *record) {
  size_t head = (size_t)((const char *)mno_record_block(record) - (const char *)record);
  return head + mno_record_numbers(plan, record->row) * sizeof(double);
}

static mno_status unpack(const mno_plan *plan, const mno_record *m, mno_record **record, mno_error *err) {
  mno_status status = mno_record_new(plan, m->row, record, err);
  if (status != MNO_OK) return status;
  (*record)->outcome = m->outcome;
  (*record)->seconds = m->seconds;
  memcpy(mno_record_block(*record), mno_record_block(m), mno_record_numbers(plan, m->row) * sizeof(double));
  return MNO_OK;
}

/* ---- Dealing: the longest instances first, in hands that shrink towards the end. */

typedef struct dealer {
  const mno_plan *plan;
  size_t *row; /* [count] longest first; rows of one shape beside each other */
  size_t count, next;
  double left; /* work not yet dealt */
  pthread_mutex_t lock;
} dealer;

static double work_of(const mno_plan *plan, size_t row) {
  const mno_instance *instance = &plan->instance[row];
  return 5e4 + mno_instance_flops(&plan->problem[instance->problem], instance);
}

static const mno_plan *sorted_plan; /* qsort has no context; only rank 0's main thread sorts */

static int longest_first(const void *a, const void *b) {
  size_t x = *(const size_t *)a, y = *(const size_t *)b;
  double work_x = work_of(sorted_plan, x), work_y = work_of(sorted_plan, y);
  if (work_x != work_y) return work_x > work_y ? -1 : 1;
  return x < y ? -1 : x > y;
}

/* The next hand: rows [*count] of the dealer's list; none left: 0. */
static const size_t *deal(dealer *d, size_t *count) {
  enum { LEAST = 32, MOST = 4096 };
  const double most_work = 4e10; /* a few seconds of a core: what a rank that dies takes with it */
  pthread_mutex_lock(&d->lock);
  double share = d->left / (2.0 * world.size), work = 0;
  if (share > most_work) share = most_work;
  const size_t *hand = d->row + d->next;
  size_t n = 0;
  while (d->next + n < d->count && n < MOST && (work < share || n < LEAST) && work < most_work)
    work += work_of(d->plan, hand[n++]);
  d->next += n;
  d->left -= work;
  pthread_mutex_unlock(&d->lock);
  *count = n;
  return hand;
}

/* ---- Rank 0 */

typedef struct local {
  const mno_job *job;
  atomic_size_t emitted;
  dealer *dealer;
  atomic_int stop, ended;
  mno_status status;
  mno_error error;
} local;

static mno_status count_and_emit(void *context, mno_record *record, mno_error *err) {
  local *l = context;
  atomic_fetch_add(&l->emitted, 1);
  return l->job->emit(l->job->context, record, err);
}

static void *compute_here(void *context) {
  local *l = context;
  for (;;) {
    size_t count;
    const size_t *rows = deal(l->dealer, &count);
    if (count == 0 || atomic_load(&l->stop)) break;
    mno_job part = *l->job;
    part.rows = rows;
    part.count = count;
    part.stop = &l->stop;
    part.emit = count_and_emit;
    part.context = l;
    l->status = world.own->run(&part, &l->error);
    if (l->status != MNO_OK) break;
  }
  atomic_store(&l->ended, 1);
  return NULL;
}

static mno_status take_record(local *here, int from, int bytes, mno_error *err) {
  const mno_job *job = here->job;
  mno_record *m = malloc((size_t)bytes);
  if (!m) return mno_fail_memory(err, (size_t)bytes, "a record from another rank");
  int code = MPI_Recv(m, bytes, MPI_BYTE, from, TAG_RECORD, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  mno_status status = code == MPI_SUCCESS ? MNO_OK : failed("receiving", code, err);
  if (status == MNO_OK &&
      ((size_t)bytes < sizeof *m || m->row >= job->plan->instance_count || (size_t)bytes != message_bytes(job->plan, m)))
    status = mno_fail(err, MNO_ERR_INTERNAL, "rank %d sent a record of another run", from);
  mno_record *record;
  if (status == MNO_OK) status = unpack(job->plan, m, &record, err);
  if (status == MNO_OK) status = count_and_emit(here, record, err);
  free(m);
  return status;
}

/* Answers a rank that asks for work: rows, or none, which ends it. */
static mno_status answer(dealer *d, int from, bool stop, int *serving, mno_error *err) {
  uint64_t theirs;
  int code = MPI_Recv(&theirs, 1, MPI_UINT64_T, from, TAG_ASK, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  if (code != MPI_SUCCESS) return failed("receiving", code, err);
  size_t count = 0;
  const size_t *rows = NULL;
  if (theirs != plan_sum(d->plan)) {
    mno_fail(err, MNO_ERR_INPUT, "rank %d has another configuration or data than rank 0", from);
    stop = true;
  }
  if (!stop) rows = deal(d, &count);
  uint64_t *numbers = malloc((count + 1) * sizeof *numbers);
  if (!numbers) return mno_fail_memory(err, count * 8, "a list of rows");
  for (size_t i = 0; i < count; i++) numbers[i] = rows[i];
  code = MPI_Send(numbers, (int)count, MPI_UINT64_T, from, TAG_DEAL, MPI_COMM_WORLD);
  free(numbers);
  if (count == 0) --*serving;
  if (code != MPI_SUCCESS) return failed("sending", code, err);
  return theirs != plan_sum(d->plan) ? MNO_ERR_INPUT : MNO_OK;
}

/* Whatever has arrived; *idle if nothing had. */
static mno_status serve_one(local *here, dealer *d, bool stop, int *serving, bool *idle, mno_error *err) {
  MPI_Status about;
  int there, bytes;
  int code = MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &there, &about);
  if (code != MPI_SUCCESS) return failed("waiting", code, err);
  *idle = !there;
  if (!there) return MNO_OK;
  if (about.MPI_TAG == TAG_ASK) return answer(d, about.MPI_SOURCE, stop, serving, err);
  MPI_Get_count(&about, MPI_BYTE, &bytes);
  if (about.MPI_TAG == TAG_RECORD) return take_record(here, about.MPI_SOURCE, bytes, err);
  mno_error theirs;
  code = MPI_Recv(&theirs, sizeof theirs, MPI_BYTE, about.MPI_SOURCE, about.MPI_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  --*serving;
  if (code != MPI_SUCCESS) return failed("receiving", code, err);
  return mno_fail(err, theirs.status, "rank %d: %.4000s", about.MPI_SOURCE, theirs.message);
}

static mno_status run_over_ranks(const mno_job *job, mno_error *err) {
  dealer d = {.plan = job->plan, .count = job->count, .row = mno_alloc(job->count, sizeof(size_t))};
  if (!d.row) return mno_fail_memory(err, job->count * sizeof(size_t), "the list of rows");
  memcpy(d.row, job->rows, job->count * sizeof(size_t));
  sorted_plan = job->plan;
  qsort(d.row, d.count, sizeof *d.row, longest_first);
  for (size_t i = 0; i < d.count; i++) d.left += work_of(d.plan, d.row[i]);
  pthread_mutex_init(&d.lock, NULL);

  local here = {.job = job, .dealer = &d};
  pthread_t thread;
  bool started = pthread_create(&thread, NULL, compute_here, &here) == 0;
  if (!started) atomic_store(&here.ended, 1);
  mno_status status = MNO_OK;
  int serving = world.size - 1;
  bool stop = false, told = false;
  while (serving > 0 || !atomic_load(&here.ended)) {
    stop = status != MNO_OK || (job->stop && atomic_load(job->stop)) || (atomic_load(&here.ended) && here.status != MNO_OK);
    if (stop && !told) atomic_store(&here.stop, 1);
    told = stop;
    bool idle = true;
    mno_error error = {0};
    mno_status one = serving > 0 ? serve_one(&here, &d, stop, &serving, &idle, &error) : MNO_OK;
    if (one != MNO_OK && status == MNO_OK) {
      status = one;
      mno_fail(err, one, "%s", error.message);
    }
    if (idle) nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
  }
  world.served = true;
  if (started) pthread_join(thread, NULL);
  if (status == MNO_OK && here.status != MNO_OK && here.status != MNO_INTERRUPTED)
    status = mno_fail(err, here.status, "%s", here.error.message);
  /* A rank that was stopped alone drops what it was dealt. */
  if (status == MNO_OK && atomic_load(&here.emitted) < job->count) status = MNO_INTERRUPTED;
  pthread_mutex_destroy(&d.lock);
  free(d.row);
  return status;
}

const mno_backend *mno_mpi_backend(const mno_backend *own) {
  world.own = own;
  world.wrapper = *own;
  world.wrapper.run = run_over_ranks;
  return &world.wrapper;
}

/* ---- Other ranks */

typedef struct outbox {
  const mno_plan *plan;
  pthread_mutex_t lock;
  mno_record **waiting; /* [count] */
  size_t count, capacity;
} outbox;

static mno_status post(void *context, mno_record *record, mno_error *err) {
  outbox *out = context;
  pthread_mutex_lock(&out->lock);
  const size_t count = out->count;
  const bool room = mno_grow(&out->waiting, count, &out->capacity, sizeof(mno_record *));
  if (room) out->waiting[out->count++] = record;
  pthread_mutex_unlock(&out->lock);
  if (room) return MNO_OK;
  mno_record_free(record);
  return mno_fail_memory(err, count * sizeof(mno_record *), "records for rank 0");
}

static mno_status send_waiting(outbox *out, mno_error *err) {
  mno_status status = MNO_OK;
  for (;;) {
    pthread_mutex_lock(&out->lock);
    mno_record *m = out->count ? out->waiting[--out->count] : NULL;
    pthread_mutex_unlock(&out->lock);
    if (!m) return status;
    if (status == MNO_OK) {
      int code = MPI_Send(m, (int)message_bytes(out->plan, m), MPI_BYTE, 0, TAG_RECORD, MPI_COMM_WORLD);
      if (code != MPI_SUCCESS) status = failed("sending", code, err);
    }
    mno_record_free(m);
  }
}

typedef struct hand {
  mno_job job;
  const mno_backend *own;
  atomic_int ended;
  mno_status status;
  mno_error error;
} hand;

static void *play(void *context) {
  hand *h = context;
  h->status = h->own->run(&h->job, &h->error);
  atomic_store(&h->ended, 1);
  return NULL;
}

/* Computes one hand in a thread of its own and sends records as they come: only this thread may use MPI. */
static mno_status play_hand(hand *h, outbox *out, mno_error *err) {
  pthread_t thread;
  atomic_store(&h->ended, 0);
  if (pthread_create(&thread, NULL, play, h) != 0) return mno_fail(err, MNO_ERR_INTERNAL, "cannot start a thread");
  mno_status sent = MNO_OK;
  while (!atomic_load(&h->ended)) {
    if (sent == MNO_OK) sent = send_waiting(out, err);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
  pthread_join(thread, NULL);
  if (sent == MNO_OK) sent = send_waiting(out, err);
  if (sent != MNO_OK) return sent;
  if (h->status != MNO_OK) mno_fail(err, h->status, "%s", h->error.message);
  return h->status;
}

mno_status mno_mpi_serve(mno_status ready, const mno_plan *plan, const mno_backend *own, int threads, const atomic_int *stop,
                         mno_error *err) {
  outbox out = {.plan = plan};
  pthread_mutex_init(&out.lock, NULL);
  uint64_t sum = plan_sum(plan);
  mno_status status = ready;
  uint64_t *numbers = mno_alloc(plan->instance_count, sizeof *numbers);
  size_t *rows = mno_alloc(plan->instance_count, sizeof *rows);
  if (status == MNO_OK && (!numbers || !rows)) status = mno_fail_memory(err, plan->instance_count * 16, "the list of rows");
  while (status == MNO_OK) {
    MPI_Status about;
    int count, code = MPI_Send(&sum, 1, MPI_UINT64_T, 0, TAG_ASK, MPI_COMM_WORLD);
    if (code == MPI_SUCCESS)
      code = MPI_Recv(numbers, (int)plan->instance_count, MPI_UINT64_T, 0, TAG_DEAL, MPI_COMM_WORLD, &about);
    if (code == MPI_SUCCESS) code = MPI_Get_count(&about, MPI_UINT64_T, &count);
    if (code != MPI_SUCCESS) {
      status = failed("asking for work", code, err);
      break;
    }
    if (count == 0) break;
    for (int i = 0; i < count; i++) rows[i] = (size_t)numbers[i];
    hand h = {.own = own,
              .job = {.plan = plan,
                      .rows = rows,
                      .count = (size_t)count,
                      .threads = threads,
                      .emit = post,
                      .context = &out,
                      .stop = stop}};
    status = play_hand(&h, &out, err);
    /* Stopped: rank 0 has been told by the same signal, or is told now by the next question. */
    if (status == MNO_INTERRUPTED) status = MNO_OK;
  }
  if (status != MNO_OK) {
    mno_error mine = *err;
    mine.status = status;
    MPI_Send(&mine, sizeof mine, MPI_BYTE, 0, TAG_FAILED, MPI_COMM_WORLD);
  }
  for (size_t i = 0; i < out.count; i++) mno_record_free(out.waiting[i]);
  free(out.waiting);
  pthread_mutex_destroy(&out.lock);
  free(numbers);
  free(rows);
  return status;
}

void mno_mpi_end(void) {
  /* Without anything to deal, the other ranks still wait for an answer. */
  for (int serving = world.rank == 0 && !world.served ? world.size - 1 : 0; serving > 0; serving--) {
    MPI_Status about;
    mno_error word; /* the longer of a question and a failure */
    if (MPI_Recv(&word, sizeof word, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &about) != MPI_SUCCESS) break;
    if (about.MPI_TAG == TAG_ASK) MPI_Send(NULL, 0, MPI_UINT64_T, about.MPI_SOURCE, TAG_DEAL, MPI_COMM_WORLD);
  }
  MPI_Finalize();
}
