/* SPDX-License-Identifier: BSD-3-Clause */
/* Particles in the memory of the host, in tiles for the vector kernels. */
#include "block/block.h"
#include "core/isa.h"
#include "core/memory.h"
#include "limit/engine.h"
#include "limit/parallel.h"
#include "limit/pass.h"
#include "limit/stop.h"
#include "optimizer/optimizer.h"

#include <stdlib.h>
#include <string.h>

struct mno_particles {
  mno_particle_request holds;
  const mno_kernel *kernel;
  size_t tiles;  /* per node */
  void *state;   /* [m][tiles][1 + states][tensors][r][width], see pass.h */
  void *weight;  /* [tiles][width], sum 1; the same at every node; padding has weight 0 */
  void *scratch; /* [threads][scratch] */
  size_t scratch_bytes;
};

static mno_status memory(const mno_engine *engine, size_t *bytes, int *places, mno_error *err) {
  *bytes = mno_memory_available() / 10 * 8;
  *places = 1;
  return MNO_OK;
}

static size_t tile_count(const mno_kernel *kernel, size_t particles) {
  return (particles + kernel->width - 1) / kernel->width;
}

/* Numbers of a particle: its weights and what is kept of them. */
static size_t numbers_of(const mno_problem *problem, size_t r) {
  return (1 + problem->optimizer->states) * problem->block->tensors * r;
}

static size_t bytes(const mno_particle_request *request) {
  const mno_kernel *kernel = mno_kernel_find(request->precision, request->problem->block);
  if (!kernel) return 0;
  return tile_count(kernel, request->particles) * kernel->width * kernel->element *
         (numbers_of(request->problem, request->r) * request->m + 1);
}

static void destroy(mno_particles *p) {
  free(p->state);
  free(p->weight);
  free(p->scratch);
  free(p);
}

static mno_status create(const mno_engine *engine, const mno_particle_request *request, mno_particles **particles,
                         mno_error *err) {
  const mno_kernel *kernel = mno_kernel_find(request->precision, request->problem->block);
  if (!mno_isa()) return mno_isa_missing(err);
  if (!kernel)
    return mno_fail(err, MNO_ERR_BACKEND, "block %s has no particles: it is none of units",
                    mno_block_name(request->problem->block));
  size_t tiles = tile_count(kernel, request->particles);
  mno_particles *p = mno_alloc(1, sizeof *p);
  if (!p) return mno_fail_memory(err, sizeof *p, "the particles of the Mean ODE");
  *p = (mno_particles){.holds = *request, .kernel = kernel, .tiles = tiles};
  if ((size_t)p->holds.threads > request->m) p->holds.threads = (int)request->m;
  p->scratch_bytes = (kernel->scratch_bytes(request->r, request->problem->N) + 1023) / 1024 * 1024;
  size_t tile = numbers_of(request->problem, request->r) * kernel->width * kernel->element;
  p->state = mno_alloc_raw(request->m * tiles, tile); /* by whoever draws or writes */
  p->weight = mno_alloc(tiles * kernel->width, kernel->element);
  p->scratch = mno_alloc((size_t)p->holds.threads, p->scratch_bytes);
  if (!p->state || !p->weight || !p->scratch) {
    destroy(p);
    return mno_fail_memory(err, bytes(request), "the particles of the Mean ODE");
  }
  for (size_t j = 1; j <= request->m; j++) memset((char *)p->state + (j * tiles - 1) * tile, 0, tile); /* the padding */
  *particles = p;
  return MNO_OK;
}

/* Index of coordinate e (tensor r + a) of a particle. */
static size_t place(const mno_particles *p, size_t node, size_t particle, size_t e) {
  size_t width = p->kernel->width, tile = particle / width, lane = particle % width;
  return ((node * p->tiles + tile) * numbers_of(p->holds.problem, p->holds.r) + e) * width + lane;
}

/* What the optimiser keeps of the weights of a node: nothing yet. */
static void forget(const mno_particles *p, size_t node) {
  size_t weights = p->holds.problem->block->tensors * p->holds.r, all = numbers_of(p->holds.problem, p->holds.r),
         row = p->kernel->width * p->kernel->element;
  for (size_t tile = 0; tile < p->tiles; tile++)
    memset((char *)p->state + ((node * p->tiles + tile) * all + weights) * row, 0, (all - weights) * row);
}

static void put(const mno_particles *p, void *array, size_t index, double value) {
  if (p->kernel->element == sizeof(double))
    ((double *)array)[index] = value;
  else
    ((float *)array)[index] = (float)value;
}

static mno_status write(mno_particles *p, size_t node, const double *z, mno_error *err) {
  size_t weights = p->holds.problem->block->tensors * p->holds.r;
  for (size_t n = 0; n < p->holds.particles; n++)
    for (size_t e = 0; e < weights; e++) put(p, p->state, place(p, node, n, e), z[n * weights + e]);
  forget(p, node);
  return MNO_OK;
}

static mno_status read(mno_particles *p, size_t node, double *z, mno_error *err) {
  size_t weights = p->holds.problem->block->tensors * p->holds.r;
  for (size_t n = 0; n < p->holds.particles; n++)
    for (size_t e = 0; e < weights; e++) {
      size_t index = place(p, node, n, e);
      z[n * weights + e] =
          p->kernel->element == sizeof(double) ? ((double *)p->state)[index] : (double)((float *)p->state)[index];
    }
  return MNO_OK;
}

static mno_status weigh(mno_particles *p, const double *weight, mno_error *err) {
  for (size_t n = 0; n < p->holds.particles; n++) put(p, p->weight, n, weight[n]);
  return MNO_OK;
}

/* Coordinate e (tensor r + a) of the point with these normals [r][tensors][stride]. */
static double initial_coordinate(const mno_initial *initial, size_t tensors, size_t r, size_t e, const double *normal,
                                 size_t stride) {
  size_t t = e / r, a = e % r;
  if (t + 1 < tensors) return normal[(tensors * a + t) * stride] * initial->scale[t];
  double sum = 0;
  for (size_t c = 0; c < r; c++) sum += initial->axes[c * r + a] * normal[(tensors * c + t) * stride];
  return sum * initial->scale[t];
}

/* Points first .. first + count - 1 of a node, whose normals are [r][tensors][stride]; a tile takes half a tile of points,
 * then the same with the output turned. */
static void put_points(const mno_particles *p, const mno_initial *initial, size_t node, size_t first, size_t count,
                       const double *normal, size_t stride) {
  size_t r = p->holds.r, tensors = p->holds.problem->block->tensors, half = p->kernel->width / 2;
  for (size_t n = 0; n < count; n++) {
    size_t point = first + n, particle = point / half * 2 * half + point % half;
    for (size_t e = 0; e < tensors * r; e++) {
      double x = initial_coordinate(initial, tensors, r, e, normal + n, stride);
      put(p, p->state, place(p, node, particle, e), x);
      put(p, p->state, place(p, node, particle + half, e), e / r + 1 < tensors ? x : -x);
    }
  }
}

static mno_status draw(mno_particles *p, const mno_initial *initial, mno_error *err) {
  enum { BATCH = 256 };
  size_t dimensions = p->holds.problem->block->tensors * p->holds.r, points = initial->points;
  double *normal = mno_alloc(dimensions * BATCH, sizeof(double));
  if (!normal) return mno_fail_memory(err, dimensions * BATCH * sizeof(double), "quasi-random points");
  for (size_t j = 0; j < p->holds.m; j++) {
    forget(p, j);
    for (size_t first = 0; first < points && !mno_stopped(initial->stop); first += BATCH) {
      size_t count = points - first < BATCH ? points - first : BATCH;
      uint32_t x[BATCH];
      for (size_t d = 0; d < dimensions; d++) {
        mno_sobol_points(initial->sobol, d, (uint32_t)(initial->block[j] * points + first), count, x);
        mno_sobol_normals(x, count, normal + d * BATCH);
      }
      put_points(p, initial, j, first, count, normal, BATCH);
    }
  }
  for (size_t n = 0; n < p->holds.particles; n++) put(p, p->weight, n, 1 / (double)p->holds.particles);
  free(normal);
  return MNO_OK;
}

typedef struct round_of {
  mno_particles *particles;
  const mno_particle_pass *pass;
} round_of;

static const double *at(const double *array, size_t index) { return array ? array + index : NULL; }
static double *to(double *array, size_t index) { return array ? array + index : NULL; }

static void pass_node(void *context, size_t index, int worker) {
  const round_of *round = context;
  const mno_particles *p = round->particles;
  const mno_particle_pass *all = round->pass;
  const mno_problem *problem = p->holds.problem;
  if (mno_stopped(all->stop)) return;
  size_t r = p->holds.r, field = index * problem->N * r, node = all->first + index;
  mno_pass pass = {.problem = problem,
                   .r = r,
                   .tiles = p->tiles,
                   .state =
                       (char *)p->state + node * p->tiles * numbers_of(problem, r) * p->kernel->width * p->kernel->element,
                   .weight = p->weight,
                   .old_h = at(all->old_h, field),
                   .old_b = at(all->old_b, field),
                   .step = all->step,
                   .h = at(all->h, field),
                   .b = at(all->b, field),
                   .F = to(all->F, field),
                   .G = to(all->G, field),
                   .J = to(all->J, field * r),
                   .scratch = (char *)p->scratch + (size_t)worker * p->scratch_bytes,
                   .stop = all->stop};
  p->kernel->run(&pass);
}

static mno_status pass(mno_particles *p, const mno_particle_pass *pass, mno_error *err) {
  round_of round = {p, pass};
  mno_parallel(p->holds.threads, pass->count, pass_node, &round);
  return MNO_OK;
}

const mno_engine mno_engine_cpu = {.name = "cpu",
                                   .memory = memory,
                                   .bytes = bytes,
                                   .create = create,
                                   .destroy = destroy,
                                   .draw = draw,
                                   .write = write,
                                   .read = read,
                                   .weigh = weigh,
                                   .pass = pass};
