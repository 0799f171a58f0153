/* SPDX-License-Identifier: BSD-3-Clause */
#include "meanode/plan.h"

#include "block/block.h"
#include "config/source.h"
#include "core/memory.h"
#include "data/load.h"
#include "plan/held.h"
#include "plan/pairs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

double mno_instance_flops(const mno_problem *problem, const mno_instance *instance) {
  double products =
      (double)problem->N * (double)problem->D * (double)instance->M * (double)instance->L * (double)problem->block->tensors;
  return products * (2 * (double)(problem->K + 1) + 4 * (double)problem->K);
}

void mno_plan_free(mno_plan *plan) {
  if (!plan) return;
  for (size_t p = 0; p < plan->problem_count; p++) {
    const mno_problem *problem = &plan->problem[p];
    if (p == 0 || problem->x != problem[-1].x) {
      free(problem->x);
      free(problem->y);
    }
    if (p == 0 || problem->w_embed != problem[-1].w_embed) {
      free(problem->w_embed);
      free(problem->w_unembed);
    }
  }
  free(plan->problem);
  free(plan->instance);
  free(plan->step);
  free(plan->data_source);
  free(plan->data_taken_from);
  free(plan->note);
  free(plan);
}

static double largest(const mno_integers *list) {
  int64_t most = 0;
  for (size_t i = 0; i < list->count; i++) most = list->value[i] > most ? list->value[i] : most;
  return (double)most;
}

/* Refuses sizes that cannot work, before anything of that size is allocated or computed; in double, they need not fit any
 * machine. */
static mno_status check_sizes(const mno_sweep *sweep, const mno_data *data, mno_error *err) {
  const double D = largest(&sweep->model.D), N = (double)data->N, d_out = (double)data->d_out, number = sizeof(double),
               available = (double)mno_memory_available();
  double embeddings = 0;
  for (size_t i = 0; i < sweep->model.D.count; i++)
    embeddings += (double)sweep->model.D.value[i] * ((double)data->d_in + d_out) * number;
  embeddings *= (double)sweep->data.seed.count;
  if (embeddings > available)
    return mno_fail_too_large(sweep, sweep->model.D.mark[0], embeddings, "the set of embeddings W_E, W_U",
                              "use smaller or fewer model.D, or fewer data.seed", err);
  const double weights =
      largest(&sweep->sweep.L) * largest(&sweep->sweep.M) * D * (double)sweep->model.block->tensors * number;
  if (weights > 0x1p50) /* larger than any machine; keeps sizes of one network within 64 bits everywhere */
    return mno_fail_too_large(sweep, sweep->sweep.L_mark, weights, "the network of the largest L, M and D (its weights)",
                              "use smaller ones", err);
  const int copies = sweep->record.weights == MNO_WEIGHTS_BOTH ? 2 : sweep->record.weights != MNO_WEIGHTS_NONE;
  const double record = (double)sweep->record.step_count * N * (D + d_out) * number + copies * weights;
  if (record > available)
    return mno_fail_too_large(sweep, sweep->record.mark, record,
                              copies ? "the record of one network (steps, outputs, embeddings, weights)"
                                     : "the record of one network (steps, outputs, embeddings)",
                              copies ? "use fewer record.steps or record.weights: none" : "use fewer record.steps", err);
  return MNO_OK;
}

/* Coupled units are driven by the fields of the Mean ODE. */
static mno_status check_diagnostics(const mno_sweep *sweep, mno_error *err) {
  for (size_t i = 0; i < sweep->limit.count; i++)
    if (sweep->limit.kind[i] == MNO_LIMIT_MEAN_ODE) return MNO_OK;
  if (!sweep->record.coupling) return MNO_OK;
  return mno_sweep_fail(sweep, sweep->record.coupling_mark, err,
                        "record.coupling compares with the Mean ODE: add mean-ode to limit.kind, or write false");
}

static bool any_even(const mno_integers *list) {
  for (size_t i = 0; i < list->count; i++)
    if (list->value[i] % 2 == 0) return true;
  return false;
}

/* Pairs halve L or M; a sweep in which that is nowhere possible would silently have none. */
static mno_status check_pairs(const mno_sweep *sweep, mno_error *err) {
  if (sweep->sweep.pairs & MNO_PAIRS_REGROUP && !any_even(&sweep->sweep.L))
    return mno_sweep_fail(sweep, sweep->sweep.pairs_mark, err,
                          "sweep.pairs: regroup sets networks (L, M) against (L/2, 2 M), but no L of the sweep is even");
  if (sweep->sweep.pairs & MNO_PAIRS_JACKKNIFE && !any_even(&sweep->sweep.M))
    return mno_sweep_fail(sweep, sweep->sweep.pairs_mark, err,
                          "sweep.pairs: jackknife splits layers in two halves, but no M of the sweep is even");
  return MNO_OK;
}

/* The limit D -> infinity is that of embeddings which are drawn. */
static mno_status check_joint(const mno_sweep *sweep, const mno_data *data, mno_error *err) {
  for (size_t i = 0; i < sweep->limit.count; i++)
    if (sweep->limit.kind[i] == MNO_LIMIT_JOINT && (data->w_embed || data->w_unembed))
      return mno_sweep_fail(sweep, sweep->limit.mark[i], err,
                            "the data have their own embeddings, so that nothing says what they are at larger D; the joint "
                            "limit needs data without w_embed and w_unembed");
  return MNO_OK;
}

/* The problems of one draw of data and embeddings, appended. Takes x and y out of data; without them they are those of the
 * problems that are there. */
static mno_status add_problems(mno_plan *plan, const mno_sweep *sweep, uint64_t seed, const mno_held_data *held,
                               mno_data *data, mno_error *err) {
  size_t alphas = sweep->model.alpha.count, count = sweep->model.D.count * alphas;
  double *x = data->x ? data->x : plan->problem[0].x, *y = data->y ? data->y : plan->problem[0].y;
  data->x = data->y = NULL;
  for (size_t p = 0; p < count; p++) {
    size_t D = (size_t)sweep->model.D.value[p / alphas];
    mno_problem *problem = &plan->problem[plan->problem_count++];
    *problem = (mno_problem){.N = data->N,
                             .d_in = data->d_in,
                             .d_out = data->d_out,
                             .D = D,
                             .K = (size_t)sweep->training.steps,
                             .block = sweep->model.block,
                             .optimizer = sweep->training.optimizer,
                             .alpha = sweep->model.alpha.value[p % alphas],
                             .activation = sweep->model.activation,
                             .loss = sweep->training.loss,
                             .x = x,
                             .y = y,
                             .data_seed = (int64_t)seed};
    memcpy(problem->sigma, sweep->model.sigma, sizeof problem->sigma);
    memcpy(problem->eta, sweep->training.eta, sizeof problem->eta);
    memcpy(problem->knob, sweep->training.knob, sizeof problem->knob);
    if (p % alphas > 0) {
      problem->w_embed = problem[-1].w_embed;
      problem->w_unembed = problem[-1].w_unembed;
    } else {
      problem->w_embed = mno_alloc(D * data->d_in, sizeof(double));
      problem->w_unembed = mno_alloc(D * data->d_out, sizeof(double));
      if (!problem->w_embed || !problem->w_unembed)
        return mno_fail_memory(err, D * (data->d_in + data->d_out) * sizeof(double), "the set of embeddings W_E, W_U");
      if (!held)
        mno_data_embed(data, seed, D, problem->w_embed, problem->w_unembed);
      else if (!mno_held_embed(held, seed, D, problem->w_embed, problem->w_unembed))
        return mno_fail(err, MNO_ERR_INPUT, "%s holds no embeddings for D = %zu and data.seed = %" PRIu64, held->taken_from,
                        D, seed);
    }
    problem->id = mno_problem_id(problem);
  }
  return MNO_OK;
}

/* Where the data come from and what is to be said of them moves from data to the plan. */
static void take_origin(mno_plan *plan, const mno_held_data *held, mno_data *data) {
  plan->data_source = data->source;
  data->source = NULL;
  if (held) plan->data_taken_from = strdup(held->taken_from);
  if (!data->note || !data->note[0]) return;
  plan->note = data->note;
  data->note = NULL;
}

/* A block of problems (every D with every alpha) for each of data.seed, which draws x and y only if they are gaussian. */
static mno_status make_problems(mno_plan *plan, const mno_sweep *sweep, const mno_held_data *held, mno_error *err) {
  const mno_integers *seed = &sweep->data.seed;
  const size_t block = sweep->model.D.count * sweep->model.alpha.count, count = block * seed->count;
  plan->problem = mno_alloc(count, sizeof *plan->problem);
  if (!plan->problem) return mno_fail_memory(err, count * sizeof *plan->problem, "the problems");
  mno_status status = MNO_OK;
  mno_data *data = NULL;
  for (size_t s = 0; s < seed->count && status == MNO_OK; s++) {
    if (s == 0 || sweep->data.kind == MNO_DATA_GAUSSIAN) {
      mno_data_free(data);
      data = NULL;
      status = held ? mno_held_load(held, &data, err) : mno_data_load(sweep, (uint64_t)seed->value[s], &data, err);
    }
    if (status == MNO_OK && s == 0) status = check_sizes(sweep, data, err);
    if (status == MNO_OK && s == 0) status = check_joint(sweep, data, err);
    if (status == MNO_OK) status = add_problems(plan, sweep, (uint64_t)seed->value[s], held, data, err);
    if (status == MNO_OK && s == 0) take_origin(plan, held, data);
    if (status == MNO_OK && s > 0 && plan->problem[s * block].id == plan->problem[0].id)
      status = mno_sweep_fail(sweep, seed->mark[s], err,
                              "data.seed %" PRId64 " gives the same problem as %" PRId64 ": the data have their own "
                              "embeddings, so that nothing is drawn; write one seed",
                              seed->value[s], seed->value[0]);
  }
  mno_data_free(data);
  return status;
}

/* Appends one instance for every seed. */
static void add(mno_plan *plan, uint32_t problem, int64_t L, int64_t M, mno_draw draw) {
  const mno_sweep *sweep = plan->sweep;
  for (size_t s = 0; s < sweep->sweep.seed_count; s++) {
    mno_instance *made = &plan->instance[plan->instance_count++];
    *made = (mno_instance){.problem = problem, .L = L, .M = M, .seed = sweep->sweep.seed[s], .draw = draw};
    made->id = mno_instance_id(&plan->problem[problem], made, plan->precision);
  }
}

/* All partners that the sweep asks for beside (L, M); returns how many. */
static size_t list_partners(const mno_sweep *sweep, int64_t L, int64_t M, mno_partner partner[3 * MNO_PARTNERS_MOST]) {
  static const mno_pairs kinds[] = {MNO_PAIRS_REGROUP, MNO_PAIRS_JACKKNIFE, MNO_PAIRS_ANTITHETIC};
  size_t count = 0;
  for (size_t i = 0; i < 3; i++)
    if (sweep->sweep.pairs & kinds[i]) count += mno_pair_partners(kinds[i], L, M, partner + count);
  return count;
}

static void add_pairs(mno_plan *plan, uint32_t problem, int64_t L, int64_t M) {
  mno_partner partner[3 * MNO_PARTNERS_MOST];
  size_t count = list_partners(plan->sweep, L, M, partner);
  for (size_t i = 0; i < count; i++) add(plan, problem, partner[i].L, partner[i].M, partner[i].draw);
}

typedef struct place {
  uint64_t id;
  size_t row;
} place;

static int by_id(const void *a, const void *b) {
  const place *x = a, *y = b;
  if (x->id != y->id) return x->id < y->id ? -1 : 1;
  return x->row < y->row ? -1 : x->row > y->row;
}

static bool same_instance(const mno_instance *a, const mno_instance *b) {
  return a->problem == b->problem && a->L == b->L && a->M == b->M && a->seed == b->seed && a->draw.width == b->draw.width &&
         a->draw.offset == b->draw.offset && a->draw.sign == b->draw.sign;
}

/* Drops instances that are there twice, which pairs may bring; the first stays. */
static mno_status drop_repeated(mno_plan *plan, mno_error *err) {
  size_t count = plan->instance_count;
  place *places = mno_alloc(count, sizeof *places);
  if (!places) return mno_fail_memory(err, count * sizeof *places, "the list of instances");
  for (size_t i = 0; i < count; i++) places[i] = (place){plan->instance[i].id, i};
  qsort(places, count, sizeof *places, by_id);
  mno_status status = MNO_OK;
  bool repeated = false;
  size_t first = 0;
  for (size_t i = 1; i < count && status == MNO_OK; i++) {
    if (places[i].id != places[first].id) {
      first = i;
      continue;
    }
    mno_instance *again = &plan->instance[places[i].row];
    if (!same_instance(&plan->instance[places[first].row], again))
      status = mno_fail(err, MNO_ERR_INPUT,
                        "two instances have the same id %016" PRIx64 " (problem %" PRIu32 " and %" PRIu32 "); "
                        "change a seed of the sweep",
                        again->id, plan->instance[places[first].row].problem, again->problem);
    again->draw.sign = 0; /* marks it */
    repeated = true;
  }
  free(places);
  if (status != MNO_OK || !repeated) return status;
  size_t kept = 0;
  for (size_t i = 0; i < count; i++)
    if (plan->instance[i].draw.sign != 0) plan->instance[kept++] = plan->instance[i];
  plan->instance_count = kept;
  return MNO_OK;
}

static mno_status make_instances(mno_plan *plan, mno_error *err) {
  const mno_integers *L = &plan->sweep->sweep.L, *M = &plan->sweep->sweep.M;
  mno_partner partner[3 * MNO_PARTNERS_MOST];
  size_t shapes = 0;
  for (size_t l = 0; l < L->count; l++)
    for (size_t m = 0; m < M->count; m++) shapes += 1 + list_partners(plan->sweep, L->value[l], M->value[m], partner);
  const double bytes = (double)shapes * (double)plan->sweep->sweep.seed_count * (double)plan->problem_count *
                       (double)(sizeof(mno_instance) + sizeof(place));
  if (bytes > (double)mno_memory_available())
    return mno_fail_too_large(plan->sweep, plan->sweep->sweep.L_mark, bytes, "the list of instances",
                              "use fewer L, M, seeds or problems", err);
  plan->instance = mno_alloc(shapes * plan->sweep->sweep.seed_count * plan->problem_count, sizeof *plan->instance);
  if (!plan->instance) return mno_fail_memory(err, (size_t)bytes, "the list of instances");
  for (uint32_t p = 0; p < plan->problem_count; p++) {
    for (size_t l = 0; l < L->count; l++)
      for (size_t m = 0; m < M->count; m++) add(plan, p, L->value[l], M->value[m], (mno_draw){M->value[m], 0, 1});
    for (size_t l = 0; l < L->count; l++)
      for (size_t m = 0; m < M->count; m++) add_pairs(plan, p, L->value[l], M->value[m]);
  }
  return drop_repeated(plan, err);
}

mno_status mno_plan_build(const mno_sweep *sweep, mno_precision precision, mno_plan **plan, mno_error *err) {
  return mno_plan_build_held(sweep, precision, NULL, plan, err);
}

mno_status mno_plan_build_held(const mno_sweep *sweep, mno_precision precision, const mno_held_data *held, mno_plan **plan,
                               mno_error *err) {
  if (sweep->data.kind != MNO_DATA_FILE) held = NULL;
  mno_status status = check_diagnostics(sweep, err);
  if (status == MNO_OK) status = check_pairs(sweep, err);
  if (status != MNO_OK) return status;
  mno_plan *made = mno_alloc(1, sizeof *made);
  if (!made) return mno_fail_memory(err, sizeof *made, "the plan");
  made->precision = precision;
  made->sweep = sweep;
  made->recording = (mno_recording){.output = sweep->record.output,
                                    .embedding = sweep->record.embedding,
                                    .weights = sweep->record.weights,
                                    .coupling = sweep->record.coupling,
                                    .path = sweep->record.path,
                                    .features = sweep->record.features};
  made->step_count = sweep->record.step_count;
  made->step = mno_alloc(made->step_count, sizeof *made->step);
  if (made->step)
    memcpy(made->step, sweep->record.step, made->step_count * sizeof *made->step);
  else
    status = mno_fail_memory(err, made->step_count * sizeof *made->step, "the plan");
  if (status == MNO_OK) status = make_problems(made, sweep, held, err);
  if (status == MNO_OK && held) status = mno_held_check_file(held, made, err);
  if (status == MNO_OK) status = make_instances(made, err);
  if (status == MNO_OK)
    *plan = made;
  else
    mno_plan_free(made);
  return status;
}
