/* Particles in the memory of the host, in tiles for the vector kernels. */
#include "core/memory.h"
#include "cpu/cpu.h"
#include "limit/engine.h"
#include "limit/parallel.h"
#include "limit/pass.h"
#include "limit/stop.h"

#include <stdlib.h>
#include <string.h>

struct mno_particles {
  mno_particle_request holds;
  const mno_kernel *kernel;
  size_t tiles;  /* per node */
  void *state;   /* [m][tiles][2][r][width] u, v */
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

static size_t bytes(const mno_particle_request *request) {
  const mno_kernel *kernel = mno_kernel_find(request->precision);
  if (!kernel) return 0;
  return tile_count(kernel, request->particles) * kernel->width * kernel->element * (2 * request->r * request->m + 1);
}

static void destroy(mno_particles *p) {
  free(p->state);
  free(p->weight);
  free(p->scratch);
  free(p);
}

static mno_status create(const mno_engine *engine, const mno_particle_request *request, mno_particles **particles,
                         mno_error *err) {
  const mno_kernel *kernel = mno_kernel_find(request->precision);
  if (!kernel) return mno_cpu_isa_missing(err);
  size_t tiles = tile_count(kernel, request->particles);
  mno_particles *p = mno_alloc(1, sizeof *p);
  if (!p) return mno_fail_memory(err, sizeof *p, "the particles of the Mean ODE");
  *p = (mno_particles){.holds = *request, .kernel = kernel, .tiles = tiles};
  if ((size_t)p->holds.threads > request->m) p->holds.threads = (int)request->m;
  p->scratch_bytes = (kernel->scratch_bytes(request->r, request->problem->N) + 1023) / 1024 * 1024;
  size_t tile = 2 * request->r * kernel->width * kernel->element;
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

static size_t place(const mno_particles *p, size_t node, size_t particle, size_t part, size_t a) {
  size_t width = p->kernel->width, tile = particle / width, lane = particle % width;
  return (((node * p->tiles + tile) * 2 + part) * p->holds.r + a) * width + lane;
}

static void put(const mno_particles *p, void *array, size_t index, double value) {
  if (p->kernel->element == sizeof(double))
    ((double *)array)[index] = value;
  else
    ((float *)array)[index] = (float)value;
}

static mno_status write(mno_particles *p, size_t node, const double *z, mno_error *err) {
  size_t r = p->holds.r;
  for (size_t n = 0; n < p->holds.particles; n++)
    for (size_t e = 0; e < 2 * r; e++) put(p, p->state, place(p, node, n, e / r, e % r), z[n * 2 * r + e]);
  return MNO_OK;
}

static mno_status read(mno_particles *p, size_t node, double *z, mno_error *err) {
  size_t r = p->holds.r;
  for (size_t n = 0; n < p->holds.particles; n++)
    for (size_t e = 0; e < 2 * r; e++) {
      size_t index = place(p, node, n, e / r, e % r);
      z[n * 2 * r + e] =
          p->kernel->element == sizeof(double) ? ((double *)p->state)[index] : (double)((float *)p->state)[index];
    }
  return MNO_OK;
}

static mno_status weigh(mno_particles *p, const double *weight, mno_error *err) {
  for (size_t n = 0; n < p->holds.particles; n++) put(p, p->weight, n, weight[n]);
  return MNO_OK;
}

static mno_status draw(mno_particles *p, const mno_initial *initial, mno_error *err) {
  enum { BATCH = 256 };
  size_t r = p->holds.r, half = p->kernel->width / 2, points = initial->points;
  double *normal = mno_alloc(2 * r * BATCH, sizeof(double)); /* [a][u, v][BATCH] */
  if (!normal) return mno_fail_memory(err, 2 * r * BATCH * sizeof(double), "quasi-random points");
  for (size_t j = 0; j < p->holds.m; j++)
    for (size_t first = 0; first < points; first += BATCH) {
      if (mno_stopped(initial->stop)) break;
      size_t count = points - first < BATCH ? points - first : BATCH;
      uint32_t x[BATCH];
      for (size_t d = 0; d < 2 * r; d++) {
        mno_sobol_points(initial->sobol, d, (uint32_t)(initial->block[j] * points + first), count, x);
        mno_sobol_normals(x, count, normal + d * BATCH);
      }
      for (size_t n = 0; n < count; n += half)
        for (size_t a = 0; a < r; a++)
          for (size_t lane = 0; lane < half && n + lane < count; lane++) {
            size_t point = first + n + lane, particle = point / half * 2 * half + point % half;
            double v = 0;
            for (size_t c = 0; c < r; c++) v += initial->axes[c * r + a] * normal[(2 * c + 1) * BATCH + n + lane];
            double u = normal[2 * a * BATCH + n + lane] * initial->scale[0];
            v *= initial->scale[1];
            put(p, p->state, place(p, j, particle, 0, a), u);
            put(p, p->state, place(p, j, particle + half, 0, a), u);
            put(p, p->state, place(p, j, particle, 1, a), v);
            put(p, p->state, place(p, j, particle + half, 1, a), -v);
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
  mno_pass pass = {.activation = problem->activation,
                   .r = r,
                   .N = problem->N,
                   .tiles = p->tiles,
                   .D = (double)problem->D,
                   .state = (char *)p->state + node * p->tiles * 2 * r * p->kernel->width * p->kernel->element,
                   .weight = p->weight,
                   .old_h = at(all->old_h, field),
                   .old_b = at(all->old_b, field),
                   .step_u = -mno_problem_rate(problem, all->step, MNO_U),
                   .step_v = -mno_problem_rate(problem, all->step, MNO_V),
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
