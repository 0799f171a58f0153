/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/ensemble.h"

#include "block/block.h"
#include "core/memory.h"
#include "limit/stop.h"
#include "meanode/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

size_t mno_ensemble_bytes(const mno_engine *engine, mno_particle_request holds) {
  return (engine ? engine : &mno_engine_cpu)->bytes(&holds);
}

int mno_limit_threads(const mno_limit_options *options) {
  return options->threads > 0 ? options->threads : mno_core_count();
}

mno_status mno_ensemble_budget(const mno_limit_options *options, size_t *bytes, int *places, mno_error *err) {
  const mno_engine *engine = options->engine ? options->engine : &mno_engine_cpu;
  mno_status status = engine->memory(engine, bytes, places, err);
  /* the host's memory can grow beyond what is free now, a card's cannot */
  if (status == MNO_OK && options->memory > 0 && (engine == &mno_engine_cpu || options->memory < (double)*bytes))
    *bytes = (size_t)options->memory;
  return status;
}

double mno_limit_memory(const mno_limit_options *options) {
  return options->memory > 0 ? options->memory : 0.8 * (double)mno_memory_available();
}

const char *mno_ensemble_where(const mno_limit_options *options, char text[32]) {
  const mno_engine *engine = options->engine ? options->engine : &mno_engine_cpu;
  text[0] = 0;
  if (engine != &mno_engine_cpu) snprintf(text, 32, ", on %s", engine->name);
  return text;
}

mno_status mno_ensemble_new(const mno_engine *engine, mno_particle_request holds, mno_ensemble *ensemble, mno_error *err) {
  if (holds.threads < 1) holds.threads = 1;
  *ensemble = (mno_ensemble){.engine = engine ? engine : &mno_engine_cpu, .holds = holds};
  return ensemble->engine->create(ensemble->engine, &ensemble->holds, &ensemble->particles, err);
}

void mno_ensemble_free(mno_ensemble *ensemble) {
  if (ensemble->particles) ensemble->engine->destroy(ensemble->particles);
  *ensemble = (mno_ensemble){0};
}

mno_status mno_ensemble_write(mno_ensemble *ensemble, size_t node, const double *z, mno_error *err) {
  return ensemble->engine->write(ensemble->particles, node, z, err);
}

mno_status mno_ensemble_read(mno_ensemble *ensemble, size_t node, double *z, mno_error *err) {
  return ensemble->engine->read(ensemble->particles, node, z, err);
}

mno_status mno_ensemble_weigh(mno_ensemble *ensemble, const double *weight, mno_error *err) {
  return ensemble->engine->weigh(ensemble->particles, weight, err);
}

/* Node blocks in random order: block[j] is the block of the sequence that node j takes. */
static void shuffle(size_t m, uint64_t seed, uint32_t randomisation, uint32_t *block) {
  for (size_t j = 0; j < m; j++) {
    uint32_t words[4];
    mno_philox(seed, MNO_TENSOR_SOBOL, randomisation, UINT32_MAX, (uint32_t)j, words);
    size_t other = words[0] % (j + 1);
    block[j] = block[other];
    block[other] = (uint32_t)j;
  }
}

size_t mno_initial_dimension(const mno_problem *problem, size_t r) { return problem->block->tensors * r; }

mno_status mno_ensemble_draw(mno_ensemble *ensemble, const mno_reduction *reduction, int shared, uint64_t seed,
                             uint32_t randomisation, mno_error *err) {
  const mno_particle_request *holds = &ensemble->holds;
  const mno_problem *problem = holds->problem;
  mno_sobol sobol = {0};
  uint32_t *block = mno_alloc(holds->m, sizeof *block);
  if (!block || !mno_sobol_new(&sobol, mno_initial_dimension(problem, holds->r), seed, randomisation)) {
    free(block);
    return mno_fail_memory(err, holds->m * sizeof *block, "quasi-random points");
  }
  if (!shared) shuffle(holds->m, seed, randomisation, block);
  mno_initial initial = {
      .sobol = &sobol, .block = block, .axes = reduction->axes, .points = holds->particles / 2, .stop = ensemble->stop};
  for (size_t t = 0; t < problem->block->tensors; t++) initial.scale[t] = problem->sigma[t] * sqrt((double)problem->D);
  mno_status status = ensemble->engine->draw(ensemble->particles, &initial, err);
  if (status == MNO_OK) status = mno_interrupted(ensemble->stop, err);
  mno_sobol_free(&sobol);
  free(block);
  return status;
}

mno_status mno_ensemble_drawn(const mno_drawing *drawing, mno_particle_request holds, mno_ensemble *ensemble,
                              mno_error *err) {
  const mno_limit_options *options = drawing->options;
  holds.r = drawing->reduction->r;
  mno_status status = mno_ensemble_new(options->engine, holds, ensemble, err);
  ensemble->stop = options->stop;
  if (status != MNO_OK) return status;
  return mno_ensemble_draw(ensemble, drawing->reduction, drawing->shared, options->seed, drawing->randomisation, err);
}

static void fill(double *x, size_t count) {
  for (size_t e = 0; x && e < count; e++) x[e] = NAN;
}

void mno_ensemble_pass(mno_ensemble *ensemble, mno_particle_pass pass) {
  if (pass.count == 0) pass.count = ensemble->holds.m;
  pass.stop = ensemble->stop;
  mno_status status = ensemble->fault.status;
  if (status == MNO_OK) status = ensemble->engine->pass(ensemble->particles, &pass, &ensemble->fault);
  if (status == MNO_OK) status = mno_interrupted(ensemble->stop, &ensemble->fault);
  if (status == MNO_OK) return;
  size_t fields = pass.count * ensemble->holds.problem->N * ensemble->holds.r;
  fill(pass.F, fields);
  fill(pass.G, fields);
  fill(pass.J, fields * ensemble->holds.r);
}

mno_status mno_ensemble_check(const mno_ensemble *ensemble, mno_error *err) {
  mno_status status = mno_dropped(ensemble->stop, err);
  if (status != MNO_OK || ensemble->fault.status == MNO_OK) return status;
  if (ensemble->fault.status == MNO_INTERRUPTED && mno_time_is_up(ensemble->stop)) return MNO_OK;
  if (err) *err = ensemble->fault;
  return ensemble->fault.status;
}
