/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit/methods.h"

#include "block/block.h"
#include "limit/reduction.h"
#include "optimizer/optimizer.h"

#include <stdio.h>

bool mno_limit_knows(const mno_problem *problem, unsigned solver) {
  return problem->block->solvers & problem->optimizer->solvers & solver;
}

static unsigned solver_of(mno_limit_kind kind, mno_limit_method method) {
  if (kind == MNO_LIMIT_TANGENT_ODE) return MNO_BY_TANGENT_ODE;
  switch (method) {
  case MNO_METHOD_CLOSURE: return MNO_BY_CLOSURE;
  case MNO_METHOD_QUADRATURE: return MNO_BY_QUADRATURE;
  default: return MNO_BY_PARTICLES;
  }
}

const char *mno_limit_objection(const mno_problem *problem, mno_limit_kind kind, mno_limit_method method, char *text,
                                size_t size) {
  const char *name = method == MNO_METHOD_AUTO ? mno_limit_kind_name(kind) : mno_limit_method_name(method), *why;
  unsigned solver = solver_of(kind, method);
  mno_reduction reduction;
  if (kind == MNO_LIMIT_LARGEST) return NULL; /* an average, whatever it is over */
  if (!mno_limit_knows(problem, solver)) {
    bool block = problem->block->solvers & solver;
    snprintf(text, size, "%s is not known for %s %s", name, block ? "optimizer" : "block",
             block ? problem->optimizer->name : problem->block->name);
    return text;
  }
  if (kind == MNO_LIMIT_JOINT && !mno_reduction_valid(problem, &why)) {
    snprintf(text, size, "joint is not known: %s", why);
    return text;
  }
  if (method == MNO_METHOD_CLOSURE && problem->activation != MNO_IDENTITY) {
    snprintf(text, size, "closure needs activation identity, not %s", mno_activation_name(problem->activation));
    return text;
  }
  if (method != MNO_METHOD_QUADRATURE || mno_reduction_new(problem, 0, &reduction, NULL) != MNO_OK) return NULL;
  size_t r = reduction.r;
  mno_reduction_free(&reduction);
  if (r <= MNO_QUADRATURE_LARGEST_R) return NULL;
  snprintf(text, size, "quadrature needs min(D, rank of the embeddings) <= %d, not %zu; use sobol", MNO_QUADRATURE_LARGEST_R,
           r);
  return text;
}
