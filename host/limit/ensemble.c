#include "limit/ensemble.h"

#include "core/memory.h"
#include "limit/parallel.h"
#include "limit/sobol.h"
#include "meanode/random.h"

#include <math.h>
#include <stdlib.h>

static size_t tile_count(const mno_kernel *kernel, size_t particles) {
  return (particles + kernel->width - 1) / kernel->width;
}

size_t mno_ensemble_bytes(size_t r, size_t m, size_t particles, mno_precision precision) {
  const mno_kernel *kernel = mno_kernel_find(precision);
  return tile_count(kernel, particles) * kernel->width * kernel->element * (2 * r * m + 1);
}

mno_status mno_ensemble_new(const mno_problem *problem, size_t r, size_t m, size_t particles, mno_precision precision,
                            int threads, mno_ensemble *ensemble, mno_error *err) {
  const mno_kernel *kernel = mno_kernel_find(precision);
  size_t tiles = tile_count(kernel, particles), scratch = (kernel->scratch_bytes(r, problem->N) + 1023) / 1024 * 1024;
  if (threads < 1) threads = 1;
  if ((size_t)threads > m) threads = (int)m;
  *ensemble = (mno_ensemble){
      .problem = problem, .kernel = kernel, .m = m, .r = r, .tiles = tiles, .threads = threads, .scratch_bytes = scratch};
  ensemble->state = mno_alloc(m * tiles * 2 * r * kernel->width, kernel->element);
  ensemble->weight = mno_alloc(tiles * kernel->width, kernel->element);
  ensemble->scratch = mno_alloc((size_t)threads, scratch);
  if (!ensemble->state || !ensemble->weight || !ensemble->scratch) {
    mno_ensemble_free(ensemble);
    return mno_fail_memory(err, mno_ensemble_bytes(r, m, particles, precision), "the particles of the Mean ODE");
  }
  return MNO_OK;
}

void mno_ensemble_free(mno_ensemble *ensemble) {
  free(ensemble->state);
  free(ensemble->weight);
  free(ensemble->scratch);
  *ensemble = (mno_ensemble){0};
}

static size_t place(const mno_ensemble *e, size_t node, size_t particle, int part, size_t a) {
  size_t width = e->kernel->width, tile = particle / width, lane = particle % width;
  return (((node * e->tiles + tile) * 2 + (size_t)part) * e->r + a) * width + lane;
}

static void put(void *array, size_t element, size_t index, double value) {
  if (element == sizeof(double))
    ((double *)array)[index] = value;
  else
    ((float *)array)[index] = (float)value;
}

void mno_ensemble_set(mno_ensemble *ensemble, size_t node, size_t particle, int part, size_t a, double value) {
  put(ensemble->state, ensemble->kernel->element, place(ensemble, node, particle, part, a), value);
}

double mno_ensemble_get(const mno_ensemble *ensemble, size_t node, size_t particle, int part, size_t a) {
  size_t index = place(ensemble, node, particle, part, a);
  return ensemble->kernel->element == sizeof(double) ? ((double *)ensemble->state)[index]
                                                     : (double)((float *)ensemble->state)[index];
}

void mno_ensemble_set_weight(mno_ensemble *ensemble, size_t particle, double weight) {
  put(ensemble->weight, ensemble->kernel->element, particle, weight);
}

/* Node blocks in random order: block[j] is the block of the sequence that node j takes. */
static void shuffle(size_t m, uint64_t seed, uint32_t randomisation, size_t *block) {
  for (size_t j = 0; j < m; j++) {
    uint32_t words[4];
    mno_philox(seed, MNO_TENSOR_SOBOL, randomisation, UINT32_MAX, (uint32_t)j, words);
    size_t other = words[0] % (j + 1);
    block[j] = block[other];
    block[other] = j;
  }
}

mno_status mno_ensemble_draw(mno_ensemble *ensemble, const mno_reduction *reduction, size_t particles, int shared,
                             uint64_t seed, uint32_t randomisation, mno_error *err) {
  enum { BATCH = 256 };
  size_t r = ensemble->r, m = ensemble->m, half = ensemble->kernel->width / 2, points = particles / 2;
  const mno_problem *problem = ensemble->problem;
  double scale[2] = {problem->sigma_u * sqrt((double)problem->D), problem->sigma_v * sqrt((double)problem->D)};
  mno_sobol sobol = {0};
  double *normal = mno_alloc(2 * r * BATCH, sizeof(double)); /* [a][u, v][BATCH] */
  size_t *block = mno_alloc(m, sizeof(size_t));
  if (!normal || !block || !mno_sobol_new(&sobol, 2 * r, seed, randomisation)) {
    free(normal);
    free(block);
    return mno_fail_memory(err, 2 * r * BATCH * sizeof(double), "quasi-random points");
  }
  if (!shared) shuffle(m, seed, randomisation, block);
  for (size_t j = 0; j < m; j++)
    for (size_t first = 0; first < points; first += BATCH) {
      size_t count = points - first < BATCH ? points - first : BATCH;
      uint32_t x[BATCH];
      for (size_t d = 0; d < 2 * r; d++) {
        mno_sobol_points(&sobol, d, (uint32_t)(block[j] * points + first), count, x);
        mno_sobol_normals(x, count, normal + d * BATCH);
      }
      for (size_t n = 0; n < count; n += half)
        for (size_t a = 0; a < r; a++)
          for (size_t lane = 0; lane < half && n + lane < count; lane++) {
            size_t point = first + n + lane, particle = point / half * 2 * half + point % half;
            double v = 0;
            for (size_t c = 0; c < r; c++) v += reduction->axes[c * r + a] * normal[(2 * c + 1) * BATCH + n + lane];
            double u = normal[2 * a * BATCH + n + lane] * scale[0];
            mno_ensemble_set(ensemble, j, particle, 0, a, u);
            mno_ensemble_set(ensemble, j, particle + half, 0, a, u);
            mno_ensemble_set(ensemble, j, particle, 1, a, v * scale[1]);
            mno_ensemble_set(ensemble, j, particle + half, 1, a, -v * scale[1]);
          }
    }
  for (size_t n = 0; n < particles; n++) mno_ensemble_set_weight(ensemble, n, 1 / (double)particles);
  mno_sobol_free(&sobol);
  free(normal);
  free(block);
  return MNO_OK;
}

typedef struct round_of {
  mno_ensemble *ensemble;
  const double *old_h, *old_b, *h, *b;
  double *F, *G, *J;
} round_of;

static void pass_node(void *context, size_t node, int worker) {
  const round_of *round = context;
  const mno_ensemble *e = round->ensemble;
  const mno_problem *problem = e->problem;
  size_t field = node * problem->N * e->r;
  mno_pass pass = {.activation = problem->activation,
                   .r = e->r,
                   .N = problem->N,
                   .tiles = e->tiles,
                   .D = (double)problem->D,
                   .state = (char *)e->state + node * e->tiles * 2 * e->r * e->kernel->width * e->kernel->element,
                   .weight = e->weight,
                   .old_h = round->old_h ? round->old_h + field : NULL,
                   .old_b = round->old_b ? round->old_b + field : NULL,
                   .step_u = -problem->eta_u / problem->alpha,
                   .step_v = -problem->eta_v / problem->alpha,
                   .h = round->h ? round->h + field : NULL,
                   .b = round->b ? round->b + field : NULL,
                   .F = round->F ? round->F + field : NULL,
                   .G = round->G ? round->G + field : NULL,
                   .J = round->J ? round->J + field * e->r : NULL,
                   .scratch = (char *)e->scratch + (size_t)worker * e->scratch_bytes};
  e->kernel->run(&pass);
}

void mno_ensemble_pass(mno_ensemble *ensemble, const double *old_h, const double *old_b, const double *h, const double *b,
                       double *F, double *G, double *J) {
  round_of round = {ensemble, old_h, old_b, h, b, F, G, J};
  mno_parallel(ensemble->threads, ensemble->m, pass_node, &round);
}
