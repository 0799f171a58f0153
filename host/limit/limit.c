#include "meanode/limit.h"

#include "core/memory.h"
#include "limit/joint.h"
#include "limit/mean_ode.h"
#include "limit/tangent_ode.h"
#include "limit/watch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *mno_limit_kind_name(mno_limit_kind kind) {
  static const char *const names[] = {[MNO_LIMIT_MEAN_ODE] = "mean-ode",
                                      [MNO_LIMIT_TANGENT_ODE] = "tangent-ode",
                                      [MNO_LIMIT_LARGEST] = "largest",
                                      [MNO_LIMIT_JOINT] = "joint"};
  return names[kind];
}

const char *mno_limit_group_name(mno_limit_kind kind) {
  static const char *const names[] = {[MNO_LIMIT_MEAN_ODE] = "limit_mean_ode",
                                      [MNO_LIMIT_TANGENT_ODE] = "limit_tangent_ode",
                                      [MNO_LIMIT_LARGEST] = "limit_largest",
                                      [MNO_LIMIT_JOINT] = "limit_joint"};
  return names[kind];
}

const char *mno_limit_method_name(mno_limit_method method) {
  static const char *const names[] = {[MNO_METHOD_AUTO] = "auto",
                                      [MNO_METHOD_CLOSURE] = "closure",
                                      [MNO_METHOD_QUADRATURE] = "quadrature",
                                      [MNO_METHOD_SOBOL] = "sobol",
                                      [MNO_METHOD_SOBOL_FULL] = "sobol-full"};
  return names[method];
}

mno_status mno_limit_check(const mno_plan *plan, mno_error *err) {
  const mno_sweep *sweep = plan->sweep;
  if (!sweep || sweep->limit.method == MNO_METHOD_AUTO) return MNO_OK;
  int mean_ode = 0;
  for (size_t i = 0; i < sweep->limit.count; i++) mean_ode |= sweep->limit.kind[i] == MNO_LIMIT_MEAN_ODE;
  if (!mean_ode)
    return mno_sweep_fail(sweep, sweep->limit.method_mark, err,
                          "limit.method %s is for mean-ode, which is not in limit.kind; remove the key",
                          mno_limit_method_name(sweep->limit.method));
  for (size_t p = 0; p < plan->problem_count; p++) {
    char room[128];
    const char *objection = mno_mean_ode_objection(&plan->problem[p], sweep->limit.method, room, sizeof room);
    if (objection)
      return mno_sweep_fail(sweep, sweep->limit.method_mark, err, "limit.method %s (D = %zu)", objection,
                            plan->problem[p].D);
  }
  return MNO_OK;
}

/* Numbers in the one block that all arrays lie in, depth first. */
static size_t numbers(size_t S, size_t N, size_t d_out, size_t D, size_t nodes) {
  return nodes + 3 * S + 2 * S * N * d_out + (1 + 2 * nodes) * S * N * D;
}

double mno_limit_bytes(const mno_problem *problem, size_t nodes) {
  double S = (double)problem->K + 1, N = (double)problem->N, d_out = (double)problem->d_out, D = (double)problem->D;
  return sizeof(double) * ((double)nodes + 3 * S + 2 * S * N * d_out + (1 + 2 * (double)nodes) * S * N * D);
}

double mno_limit_storing(const mno_problem *problem, size_t nodes) {
  /* its own, the journal's, and those of the file that is being written: bench/limit/budgets.py measures the peaks */
  enum { COPIES = 4 };
  return COPIES * mno_limit_bytes(problem, nodes);
}

mno_status mno_limit_new(const mno_problem *problem, size_t nodes, mno_limit **limit, mno_error *err) {
  size_t S = problem->K + 1, N = problem->N, f = S * N * problem->d_out, h = S * N * problem->D;
  size_t count = numbers(S, N, problem->d_out, problem->D, nodes), header = (sizeof(mno_limit) + 63) / 64 * 64;
  mno_limit *made = mno_alloc(1, header + count * sizeof(double));
  if (!made) return mno_fail_memory(err, header + count * sizeof(double), "a limit");
  double *block = (double *)((char *)made + header);
  for (size_t i = 0; i < count; i++) block[i] = NAN;
  *made = (mno_limit){.N = N, .d_out = problem->d_out, .D = problem->D, .K = problem->K, .nodes = nodes, .diverged = -1};
  struct {
    double **array;
    size_t count;
  } parts[] = {{&made->depth, nodes},       {&made->loss, S},          {&made->output, f},
               {&made->output_error, S},    {&made->output_stderr, f}, {&made->embedding, h},
               {&made->embedding_error, S}, {&made->state, nodes * h}, {&made->adjoint, nodes * h}};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    *parts[i].array = block;
    block += parts[i].count;
  }
  *limit = made;
  return MNO_OK;
}

mno_status mno_limit_copy(const mno_limit *limit, mno_limit **copy, mno_error *err) {
  mno_problem like = {.N = limit->N, .d_out = limit->d_out, .D = limit->D, .K = limit->K};
  mno_status status = mno_limit_new(&like, limit->nodes, copy, err);
  if (status != MNO_OK) return status;
  mno_limit *to = *copy;
  to->kind = limit->kind;
  memcpy(to->method, limit->method, sizeof to->method);
  memcpy(to->parameters, limit->parameters, sizeof to->parameters);
  to->certified = limit->certified;
  to->diverged = limit->diverged;
  to->degrees = limit->degrees;
  to->seconds = limit->seconds;
  memcpy(to->depth, limit->depth,
         numbers(limit->K + 1, limit->N, limit->d_out, limit->D, limit->nodes) * sizeof *limit->depth);
  return MNO_OK;
}

double mno_limit_worst_error(const mno_limit *limit) {
  double worst = 0;
  for (size_t k = 0; k <= limit->K; k++) {
    if (isnan(limit->output_error[k])) return NAN;
    worst = fmax(worst, limit->output_error[k]);
  }
  return worst;
}

void mno_limit_free(mno_limit *limit) { free(limit); }

static mno_status solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit, mno_error *err) {
  switch (options->kind) {
  case MNO_LIMIT_MEAN_ODE: return mno_mean_ode_solve(problem, options, limit, err);
  case MNO_LIMIT_TANGENT_ODE: return mno_tangent_ode_solve(problem, options, limit, err);
  case MNO_LIMIT_JOINT: return mno_joint_solve(problem, options, limit, err);
  default:
    return mno_fail(err, MNO_ERR_INPUT,
                    "limit kind %s is an average over networks (mno_limit_largest), not solved from the problem",
                    mno_limit_kind_name(options->kind));
  }
}

mno_status mno_limit_solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit, mno_error *err) {
  *limit = NULL;
  double start = mno_now();
  mno_limit_options watched = *options;
  mno_watch watch;
  mno_status status = mno_watch_begin(&watch, options->stop, options->seconds, &watched.stop, err);
  if (status != MNO_OK) return status;
  status = solve(problem, &watched, limit, err);
  mno_watch_end(&watch);
  if (status == MNO_OK) {
    (*limit)->kind = options->kind;
    (*limit)->seconds = mno_now() - start;
  }
  return status;
}
