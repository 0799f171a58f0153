/* SPDX-License-Identifier: BSD-3-Clause */
#include "meanode/fit.h"

#include "core/memory.h"
#include "stats/estimators.h"
#include "stats/interval.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* The limit that the law refers to: the Mean ODE, or the literature's stand-in. */
static const mno_limit *reference(const mno_result_problem *problem) {
  const mno_limit_kind order[] = {MNO_LIMIT_MEAN_ODE, MNO_LIMIT_LARGEST};
  for (int k = 0; k < 2; k++)
    for (size_t i = 0; i < problem->limit_count; i++)
      if (problem->limit[i]->kind == order[k]) return problem->limit[i];
  return NULL;
}

typedef struct gathered {
  mno_runs runs;
  int64_t *L, *M;
  uint64_t *seed;
  mno_draw *draw;
  double *value;
  double *unknown; /* NaN, for a limit that ends before the step */
} gathered;

static void gathered_free(gathered *g) {
  free(g->L);
  free(g->M);
  free(g->seed);
  free(g->draw);
  free(g->value);
  free(g->unknown);
}

/* The rows of one problem as arrays, without values. */
static mno_status gather(const mno_result *result, size_t problem, gathered *g, mno_error *err) {
  const mno_result_problem *p = &result->problems[problem];
  size_t count = p->run_count, size = p->N * (p->D > p->d_out ? p->D : p->d_out);
  *g = (gathered){0};
  g->L = mno_alloc(count + 1, sizeof *g->L);
  g->M = mno_alloc(count + 1, sizeof *g->M);
  g->seed = mno_alloc(count + 1, sizeof *g->seed);
  g->draw = mno_alloc(count + 1, sizeof *g->draw);
  g->value = mno_alloc(count * size + 1, sizeof *g->value);
  g->unknown = mno_alloc(size + 1, sizeof *g->unknown);
  if (!g->L || !g->M || !g->seed || !g->draw || !g->value || !g->unknown) {
    gathered_free(g);
    return mno_fail_memory(err, count * size * sizeof *g->value, "the runs of the fit");
  }
  for (size_t x = 0; x < size; x++) g->unknown[x] = NAN;
  for (size_t i = 0; i < count; i++) {
    size_t row = p->row[i];
    g->L[i] = result->L[row];
    g->M[i] = result->M[row];
    g->seed[i] = result->seed[row];
    if (result->draw) g->draw[i] = result->draw[row];
  }
  g->runs = (mno_runs){
      .count = count, .L = g->L, .M = g->M, .seed = g->seed, .draw = result->draw ? g->draw : NULL, .value = g->value};
  return MNO_OK;
}

static double rms(const double *v, size_t count) {
  double sum = 0, most = 0;
  for (size_t i = 0; i < count; i++) sum += v[i] * v[i], most = fmax(most, fabs(v[i]));
  return isinf(sum) && isfinite(most) ? most : sqrt(sum / (double)count); /* squares may overflow: an upper bound then */
}

static mno_status fit_one(mno_result *result, gathered *g, size_t problem, size_t step_index, mno_fit *fit, mno_error *err) {
  const mno_result_problem *p = &result->problems[problem];
  const mno_limit *limit = reference(p);
  bool output = fit->quantity == MNO_OUTPUT;
  mno_status status = output ? mno_result_output(result, problem, step_index, g->value, err)
                             : mno_result_embedding(result, problem, step_index, g->value, err);
  if (status != MNO_OK) return status;
  g->runs.size = p->N * (output ? p->d_out : p->D);
  g->runs.limit = limit ? g->unknown : NULL;
  g->runs.limit_deviation = 0;
  for (size_t i = 0; i < p->run_count; i++)
    if (result->status[p->row[i]] != 0)
      for (size_t x = 0; x < g->runs.size; x++) g->value[i * g->runs.size + x] = NAN;
  size_t k = (size_t)result->step[step_index];
  if (limit && k <= limit->K) {
    const double *of = output ? limit->output : limit->embedding;
    double relative = (output ? limit->output_error : limit->embedding_error)[k];
    g->runs.limit = of + k * g->runs.size;
    g->runs.limit_deviation = relative * rms(g->runs.limit, g->runs.size);
  }
  status = mno_fit_runs(&g->runs, fit, err);
  mno_estimate *against[] = {&fit->a, &fit->c};
  for (int i = 0; i < 2 && status == MNO_OK && limit && limit->kind == MNO_LIMIT_LARGEST; i++)
    if (isfinite(against[i]->value)) mno_estimate_warn(against[i], "against the largest network, not a limit");
  return status;
}

static bool find_step(const mno_result *result, int64_t step, size_t *index) {
  for (size_t i = 0; i < result->step_count; i++)
    if (result->step[i] == step) {
      *index = i;
      return true;
    }
  return false;
}

/* The fits from first on, all of one problem, with the depth bias of networks of infinite width. */
static mno_status replace_depth_bias(mno_result *result, size_t problem, mno_fits *fits, size_t first, mno_error *err) {
  mno_problem data;
  mno_status status = mno_result_data(result, problem, &data, err);
  if (status != MNO_OK) return status;
  status = mno_fit_deterministic(&data, fits->fit + first, fits->count - first, err);
  mno_result_data_free(&data);
  return status;
}

/* A table without rows or without runs behind it says nothing; the message says what would be there. */
static mno_status check_runs(const mno_result *result, const mno_fit_options *options, mno_error *err) {
  size_t runs = 0;
  for (size_t p = 0; p < result->problem_count; p++) runs += result->problems[p].run_count;
  if (runs == 0 && !options->deterministic)
    return mno_fail(err, MNO_ERR_INPUT,
                    "%s: none of its %zu instances is finished; meanode run CONFIG.yaml -o %s --resume computes them",
                    result->path, result->instance_count, result->path);
  return MNO_OK;
}

mno_status mno_fit_select(mno_result *result, const mno_fit_options *options, mno_fits **fits, mno_error *err) {
  mno_fit_options all = {0};
  if (!options) options = &all;
  mno_status status = check_runs(result, options, err);
  if (status != MNO_OK) return status;
  size_t steps = options->step_count ? options->step_count : result->step_count;
  size_t *index = mno_alloc(steps + 1, sizeof *index);
  mno_fits *f = mno_alloc(1, sizeof *f);
  if (f) f->fit = mno_alloc(result->problem_count * steps * MNO_QUANTITIES + 1, sizeof *f->fit);
  if (!index || !f || !f->fit) {
    status = mno_fail_memory(err, steps * sizeof(mno_fit), "the fits");
    goto end;
  }
  for (size_t i = 0; i < steps; i++) {
    index[i] = i;
    if (options->step_count && !find_step(result, options->step[i], &index[i])) {
      status = mno_fail(err, MNO_ERR_INPUT, "%s: step %" PRId64 " was not recorded; record: {steps: [...]} chooses",
                        result->path, options->step[i]);
      goto end;
    }
  }
  for (size_t p = 0; p < result->problem_count && status == MNO_OK; p++) {
    gathered g;
    size_t first = f->count;
    status = gather(result, p, &g, err);
    if (status != MNO_OK) break;
    bool chosen[MNO_QUANTITIES] = {options->output, options->embedding};
    if (!options->output && !options->embedding)
      for (int q = 0; q < MNO_QUANTITIES; q++) chosen[q] = mno_result_has(result, p, mno_quantity_name((mno_quantity)q));
    for (size_t i = 0; i < steps && status == MNO_OK; i++)
      for (int q = 0; q < MNO_QUANTITIES && status == MNO_OK; q++) {
        if (!chosen[q]) continue;
        mno_fit *fit = &f->fit[f->count];
        *fit = (mno_fit){.problem = p, .step = result->step[index[i]], .quantity = (mno_quantity)q};
        status = fit_one(result, &g, p, index[i], fit, err);
        f->count++;
      }
    gathered_free(&g);
    if (status == MNO_OK && options->deterministic) status = replace_depth_bias(result, p, f, first, err);
  }
  if (status == MNO_OK && f->count == 0)
    status = mno_fail(err, MNO_ERR_INPUT,
                      "%s: neither outputs nor embeddings were recorded, so that there is nothing to fit; "
                      "record: {output: true} in the configuration",
                      result->path);
end:
  free(index);
  if (status == MNO_OK)
    *fits = f;
  else
    mno_fits_free(f);
  return status;
}

mno_status mno_fit_result(mno_result *result, mno_fits **fits, mno_error *err) {
  return mno_fit_select(result, NULL, fits, err);
}

void mno_fits_free(mno_fits *fits) {
  if (!fits) return;
  free(fits->fit);
  free(fits);
}
