/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/particles.h"

#include "core/memory.h"
#include "host/field_shape.h"
#include "host/trainers.h"
#include "host/upload.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const double MEMORY_FRACTION = 0.92;                 /* of what is free on a card */
static const uint32_t TEAMS_IN_MEMORY = 8;                  /* of a processor, when work tiles lie in memory: not timed */
static pthread_mutex_t placing = PTHREAD_MUTEX_INITIALIZER; /* between asking what is free and taking it */

/* Where things lie in the arena of a device and in its pinned memory. */
typedef struct plan {
  size_t weight, old, now, direction, shift, block, axes, partial, scratch, arena;
  size_t pinned_old, pinned_now, pinned_result, pinned;
} plan;

struct mno_particles {
  mno_particle_request holds;
  const mno_device_api *api;
  mno_device *device;
  mno_device_info info;
  plan at;
  mno_field_draw draw;
  int drawn;   /* the particles are those of `draw` and not in memory */
  int weighed; /* the weights are in memory */
};

static mno_field_shape shape_of(const mno_particle_request *request, mno_field_results results) {
  int trainer = 0;
  mno_trainer_of(request->problem, &trainer, NULL); /* create() has refused others */
  return mno_field_shape_make(trainer, request->problem->N, request->r, request->particles, request->precision, results);
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static uint32_t teams_of(const mno_field_shape *s, size_t nodes, const mno_device_info *info, int work_in_memory) {
  const uint32_t items = (uint32_t)nodes * s->chunks, most = (uint32_t)info->processors * TEAMS_IN_MEMORY;
  return work_in_memory && items > most ? most : items;
}

static size_t take(size_t *at, size_t bytes) {
  const size_t here = *at;
  *at += mno_round_up(bytes, 256);
  return here;
}

static plan plan_of(const mno_particle_request *request, const mno_device_info *info) {
  const mno_field_shape g = shape_of(request, MNO_FIELD_FG), j = shape_of(request, MNO_FIELD_FJ);
  const size_t m = request->m, r = request->r;
  const size_t fields = mno_field_field_bytes(&g, m), outputs = m * larger(g.outputs, j.outputs) * sizeof(double);
  plan at = {0};
  take(&at.arena, mno_field_state_bytes(&g, m));
  at.weight = take(&at.arena, (size_t)g.tiles * MNO_FIELD_LANES * (size_t)g.bytes);
  at.old = take(&at.arena, fields);
  at.now = take(&at.arena, fields);
  at.direction = take(&at.arena, (size_t)g.tensors * r * 32 * sizeof(uint32_t));
  at.shift = take(&at.arena, (size_t)g.tensors * r * sizeof(uint32_t));
  at.block = take(&at.arena, m * sizeof(uint32_t));
  at.axes = take(&at.arena, r * r * sizeof(double));
  at.partial = take(&at.arena, g.chunks * outputs);
  if (info && mno_field_shared_bytes(&j, 0) > info->shared_block)
    at.scratch = take(&at.arena, teams_of(&j, m, info, 1) * mno_field_work_bytes(&j));
  at.pinned_old = take(&at.pinned, fields);
  at.pinned_now = take(&at.pinned, fields);
  at.pinned_result = take(&at.pinned, outputs);
  return at;
}

static mno_status memory(const mno_engine *engine, size_t *bytes, int *places, mno_error *err) {
  const mno_device_api *api = engine->context;
  mno_status status = api->count(places, err);
  *bytes = 0;
  for (int i = 0; status == MNO_OK && i < *places; i++) {
    mno_device_info info;
    status = api->info(i, &info, err);
    if (status != MNO_OK) break;
    const size_t free_here = (size_t)(MEMORY_FRACTION * (double)info.memory_free);
    if (i == 0 || free_here < *bytes) *bytes = free_here;
  }
  return status;
}

static size_t bytes(const mno_particle_request *request) { return plan_of(request, NULL).arena; }

static void destroy(mno_particles *p) {
  if (p->device) p->api->close(p->device, NULL); /* every result has been waited for; what is lost shows in the next call */
  free(p);
}

/* Opens the device that has most memory free. */
static mno_status settle(mno_particles *p, mno_error *err) {
  int count, best = 0;
  mno_device_info info;
  mno_status status = p->api->count(&count, err);
  for (int i = 0; status == MNO_OK && i < count; i++) {
    status = p->api->info(i, &info, err);
    if (status == MNO_OK && (i == 0 || info.memory_free > p->info.memory_free)) p->info = info, best = i;
  }
  if (status != MNO_OK) return status;
  p->at = plan_of(&p->holds, &p->info);
  if (p->at.arena > p->info.memory_free)
    return mno_fail(err, MNO_ERR_MEMORY,
                    "out of memory: %zu particles at %zu depth nodes in %zu coordinates (%s) need %.3g GiB on the card %s, "
                    "%.3g GiB are free; set limit.particles, limit.nodes or limit.memory lower, free memory on the card "
                    "(nvidia-smi shows who uses it), or use --backend cpu",
                    p->holds.particles, p->holds.m, p->holds.r, mno_precision_name(p->holds.precision),
                    (double)p->at.arena / 0x1p30, p->info.name, (double)p->info.memory_free / 0x1p30);
  return p->api->open(best, p->at.arena, p->at.pinned, &p->device, err);
}

static mno_status create(const mno_engine *engine, const mno_particle_request *request, mno_particles **particles,
                         mno_error *err) {
  mno_particles *p = mno_alloc(1, sizeof *p);
  if (!p) return mno_fail_memory(err, sizeof *p, "the particles of the Mean ODE");
  p->holds = *request;
  p->api = engine->context;
  int trainer;
  mno_status status = mno_trainer_of(request->problem, &trainer, err);
  if (status == MNO_OK && request->particles > INT32_MAX)
    status = mno_fail(err, MNO_ERR_BACKEND, "the CUDA kernels take up to 2^31 particles per node; use --backend cpu");
  pthread_mutex_lock(&placing);
  if (status == MNO_OK) status = settle(p, err);
  pthread_mutex_unlock(&placing);
  if (status != MNO_OK) {
    destroy(p);
    return status;
  }
  *particles = p;
  return MNO_OK;
}

static char *arena(const mno_particles *p, size_t offset) { return p->api->arena(p->device) + offset; }

static mno_status weigh(mno_particles *p, const double *weight, mno_error *err) {
  const mno_field_shape s = shape_of(&p->holds, MNO_FIELD_NONE);
  const size_t count = (size_t)s.tiles * MNO_FIELD_LANES, bytes = count * (size_t)s.bytes;
  void *packed = mno_alloc(1, bytes);
  if (!packed) return mno_fail_memory(err, bytes, "the weights of the particles");
  for (size_t n = 0; n < p->holds.particles; n++) mno_put_number(s.bytes, packed, n, weight[n]);
  mno_status status = p->api->upload(p->device, arena(p, p->at.weight), packed, bytes, err);
  free(packed);
  p->weighed = 1;
  return status;
}

static mno_status draw(mno_particles *p, const mno_initial *initial, mno_error *err) {
  const mno_sobol *sobol = initial->sobol;
  const size_t m = p->holds.m, r = p->holds.r, tabled = sobol->tabled;
  const struct {
    size_t at;
    const void *from;
    size_t bytes;
  } table[] = {{p->at.direction, sobol->direction, tabled * 32 * sizeof(uint32_t)},
               {p->at.shift, sobol->shift, tabled * sizeof(uint32_t)},
               {p->at.block, initial->block, m * sizeof(uint32_t)},
               {p->at.axes, initial->axes, r * r * sizeof(double)}};
  mno_status status = MNO_OK;
  for (size_t i = 0; i < sizeof table / sizeof *table && status == MNO_OK; i++)
    status = p->api->upload(p->device, arena(p, table[i].at), table[i].from, table[i].bytes, err);
  p->draw = (mno_field_draw){.direction = (const uint32_t *)arena(p, p->at.direction),
                             .shift = (const uint32_t *)arena(p, p->at.shift),
                             .block = (const uint32_t *)arena(p, p->at.block),
                             .axes = (const double *)arena(p, p->at.axes),
                             .seed = sobol->seed,
                             .randomisation = sobol->randomisation,
                             .points = (uint32_t)initial->points,
                             .tabled = (int32_t)tabled};
  memcpy(p->draw.scale, initial->scale, sizeof p->draw.scale);
  p->drawn = 1;
  p->weighed = 0;
  return status;
}

/* Fields [count][N][r] in the layout and precision of the kernel: [count][groups][r][h, b][pitch], padded with zeros. */
static void pack(const mno_particles *p, const mno_field_shape *s, size_t count, const double *h, const double *b,
                 char *to) {
  const size_t N = p->holds.problem->N, r = p->holds.r;
  memset(to, 0, mno_field_field_bytes(s, count));
  for (size_t j = 0; j < count; j++)
    for (size_t i = 0; i < N; i++)
      for (size_t a = 0; a < r; a++) {
        const size_t row = ((j * (size_t)s->groups + i / MNO_CHUNK) * r + a) * 2, from = (j * N + i) * r + a;
        mno_put_number(s->bytes, to, row * (size_t)s->pitch + i % MNO_CHUNK, h[from]);
        if (b) mno_put_number(s->bytes, to, (row + 1) * (size_t)s->pitch + i % MNO_CHUNK, b[from]);
      }
}

static mno_status launch(mno_particles *p, const mno_particle_pass *pass, int keep, mno_error *err) {
  const mno_problem *problem = p->holds.problem;
  const mno_field_results results = !pass->h  ? MNO_FIELD_NONE
                                    : pass->J ? MNO_FIELD_FJ
                                    : pass->G ? MNO_FIELD_FG
                                              : MNO_FIELD_F;
  const mno_field_shape s = shape_of(&p->holds, results);
  char *pinned = p->api->pinned(p->device);
  mno_field_args args = {.shape = s,
                         .draw = p->draw,
                         .state = arena(p, 0),
                         .weight = p->weighed ? arena(p, p->at.weight) : NULL,
                         .partial = (double *)arena(p, p->at.partial),
                         .result = (double *)(pinned + p->at.pinned_result),
                         .scratch = arena(p, p->at.scratch),
                         .weight_of_all = 1 / (double)p->holds.particles,
                         .inverse_D = 1 / (double)problem->D,
                         .first = (uint32_t)pass->first,
                         .count = (uint32_t)pass->count,
                         .activation = problem->activation,
                         .drawn = p->drawn,
                         .keep = keep};
  for (int t = 0; t < s.tensors && pass->old_h; t++) args.rate[t] = mno_problem_rate(problem, pass->step, (size_t)t);
  memcpy(args.knob, problem->knob, sizeof args.knob);
  const size_t fields = mno_field_field_bytes(&s, pass->count);
  mno_status status = mno_field_fit(&s, &p->info, &args.work_in_memory, err);
  args.teams = teams_of(&s, pass->count, &p->info, args.work_in_memory);
  if (pass->old_h && status == MNO_OK) {
    pack(p, &s, pass->count, pass->old_h, pass->old_b, pinned + p->at.pinned_old);
    args.old = arena(p, p->at.old);
    status = p->api->send(p->device, arena(p, p->at.old), pinned + p->at.pinned_old, fields, err);
  }
  if (pass->h && status == MNO_OK) {
    pack(p, &s, pass->count, pass->h, pass->b, pinned + p->at.pinned_now);
    args.now = arena(p, p->at.now);
    status = p->api->send(p->device, arena(p, p->at.now), pinned + p->at.pinned_now, fields, err);
  }
  if (status == MNO_OK) status = p->api->field(p->device, &args, err);
  mno_status ended = p->api->wait(p->device, status == MNO_OK ? err : NULL); /* also after a failure: nothing runs on */
  if (status == MNO_OK) status = ended;
  if (status != MNO_OK || results == MNO_FIELD_NONE) return status;
  const size_t n = problem->N * p->holds.r, second = results == MNO_FIELD_FJ ? n * p->holds.r : n;
  double *other = results == MNO_FIELD_FJ ? pass->J : pass->G;
  for (size_t j = 0; j < pass->count; j++) {
    memcpy(pass->F + j * n, args.result + j * s.outputs, n * sizeof(double));
    if (results != MNO_FIELD_F) memcpy(other + j * second, args.result + j * s.outputs + n, second * sizeof(double));
  }
  return MNO_OK;
}

/* Drawn particles into memory. */
static mno_status keep(mno_particles *p, mno_error *err) {
  if (!p->drawn) return MNO_OK;
  const mno_particle_pass nothing = {.count = p->holds.m};
  mno_status status = launch(p, &nothing, 1, err);
  if (status == MNO_OK) p->drawn = 0;
  return status;
}

static mno_status pass(mno_particles *p, const mno_particle_pass *pass, mno_error *err) {
  const int all = pass->count == p->holds.m;
  if (!pass->h && !pass->old_h) return MNO_OK;
  mno_status status = pass->old_h && !all ? keep(p, err) : MNO_OK;
  if (status == MNO_OK) status = launch(p, pass, 0, err);
  if (status == MNO_OK && pass->old_h) p->drawn = 0;
  return status;
}

/* Weights [particles][tensors][r] of a node to and from its tiles; states of the optimiser become zero. */
static mno_status move(mno_particles *p, size_t node, const double *in, double *out, mno_error *err) {
  const mno_field_shape s = shape_of(&p->holds, MNO_FIELD_NONE);
  const size_t size = mno_field_state_bytes(&s, 1), count = (size_t)(s.tensors * s.r);
  const size_t tile = (size_t)(s.vectors * s.r) * MNO_FIELD_LANES;
  char *tiles = mno_alloc(1, size);
  if (!tiles) return mno_fail_memory(err, size, "the particles of a node");
  mno_status status = keep(p, err);
  if (status == MNO_OK && out) status = p->api->download(p->device, tiles, arena(p, node * size), size, err);
  for (size_t n = 0; status == MNO_OK && n < p->holds.particles; n++)
    for (size_t e = 0; e < count; e++) {
      const size_t at = n / MNO_FIELD_LANES * tile + e * MNO_FIELD_LANES + n % MNO_FIELD_LANES;
      if (in)
        mno_put_number(s.bytes, tiles, at, in[n * count + e]);
      else
        out[n * count + e] = s.bytes == 8 ? ((double *)tiles)[at] : (double)((float *)tiles)[at];
    }
  if (status == MNO_OK && in) status = p->api->upload(p->device, arena(p, node * size), tiles, size, err);
  free(tiles);
  return status;
}

static mno_status write(mno_particles *p, size_t node, const double *z, mno_error *err) {
  return move(p, node, z, NULL, err);
}
static mno_status read(mno_particles *p, size_t node, double *z, mno_error *err) { return move(p, node, NULL, z, err); }

#define ENGINE(api)                                                                                                         \
  {                                                                                                                         \
    .name = "cuda", .context = api, .memory = memory, .bytes = bytes, .create = create, .destroy = destroy, .draw = draw,   \
    .write = write, .read = read, .weigh = weigh, .pass = pass                                                              \
  }
mno_engine mno_cuda_engine(const mno_device_api *api) { return (mno_engine)ENGINE(api); }
#ifdef MNO_HAVE_CUDA
const mno_engine mno_engine_cuda = ENGINE(&mno_device_cuda);
#endif
