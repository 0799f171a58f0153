#include "meanode/limit.h"

#include "core/memory.h"
#include "limit/mean_ode.h"
#include "limit/tangent_ode.h"

#include <math.h>
#include <stdlib.h>

const char *mno_limit_kind_name(mno_limit_kind kind) {
  return kind == MNO_LIMIT_MEAN_ODE ? "mean-ode" : kind == MNO_LIMIT_TANGENT_ODE ? "tangent-ode" : "largest";
}

const char *mno_limit_group_name(mno_limit_kind kind) {
  return kind == MNO_LIMIT_MEAN_ODE      ? "limit_mean_ode"
         : kind == MNO_LIMIT_TANGENT_ODE ? "limit_tangent_ode"
                                         : "limit_largest";
}

mno_status mno_limit_new(const mno_problem *problem, size_t nodes, mno_limit **limit, mno_error *err) {
  size_t S = problem->K + 1, N = problem->N, f = S * N * problem->d_out, h = S * N * problem->D;
  size_t count = nodes + 3 * S + 2 * f + h + 2 * nodes * h, header = (sizeof(mno_limit) + 63) / 64 * 64;
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

void mno_limit_free(mno_limit *limit) { free(limit); }

mno_status mno_limit_solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit, mno_error *err) {
  *limit = NULL;
  double start = mno_now();
  mno_status status;
  switch (options->kind) {
  case MNO_LIMIT_MEAN_ODE: status = mno_mean_ode_solve(problem, options, limit, err); break;
  case MNO_LIMIT_TANGENT_ODE: status = mno_tangent_ode_solve(problem, options, limit, err); break;
  default:
    return mno_fail(err, MNO_ERR_INPUT,
                    "limit kind %s is an average over networks (mno_limit_largest), not solved from the problem",
                    mno_limit_kind_name(options->kind));
  }
  if (status == MNO_OK) {
    (*limit)->kind = options->kind;
    (*limit)->seconds = mno_now() - start;
  }
  return status;
}
