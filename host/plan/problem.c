/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/problem.h"

#include "block/block.h"
#include "optimizer/optimizer.h"

#include <stdio.h>
#include <string.h>

#define AT(member) offsetof(mno_problem, member)
static const mno_parameter before_tensors[] = {
    {"block", MNO_PARAMETER_NAME, .offset = AT(block), .implied = "perceptron"},
    {"optimizer", MNO_PARAMETER_NAME, .offset = AT(optimizer), .implied = "gd"},
    {"steps", MNO_PARAMETER_INTEGER, .offset = AT(K)},
    {"alpha", MNO_PARAMETER_REAL, .offset = AT(alpha)},
};
static const mno_parameter after_tensors[] = {
    {"activation", MNO_PARAMETER_NAME, .offset = AT(activation), .choices = &mno_activations},
    {"loss", MNO_PARAMETER_NAME, .offset = AT(loss), .choices = &mno_losses},
};
enum {
  BEFORE = sizeof before_tensors / sizeof *before_tensors,
  AFTER = sizeof after_tensors / sizeof *after_tensors,
};

/* One of the reals of a problem that the block or the optimiser names. */
static mno_parameter real_of(const char *prefix, const char *name, size_t list, size_t index) {
  mno_parameter made = {.type = MNO_PARAMETER_REAL, .offset = list + index * sizeof(double)};
  snprintf(made.name, sizeof made.name, "%s%s", prefix, name);
  return made;
}

bool mno_problem_parameter(const mno_problem *problem, size_t i, mno_parameter *parameter) {
  const mno_block *block = problem->block;
  const mno_optimizer *optimizer = problem->optimizer;
  const size_t tensors = block ? block->tensors : 0, knobs = optimizer ? optimizer->knobs : 0;
  if (i < BEFORE) return *parameter = before_tensors[i], true;
  i -= BEFORE;
  if (i < tensors) return *parameter = real_of("sigma_", block->tensor[i].name, AT(sigma), i), true;
  i -= tensors;
  if (i < tensors) return *parameter = real_of("eta_", block->tensor[i].name, AT(eta), i), true;
  i -= tensors;
  if (i < knobs) return *parameter = real_of("", optimizer->knob[i].name, AT(knob), i), true;
  i -= knobs;
  if (i < AFTER) return *parameter = after_tensors[i], true;
  return false;
}

static const void *place(const mno_problem *problem, const mno_parameter *parameter) {
  return (const char *)problem + parameter->offset;
}

double mno_parameter_number(const mno_problem *problem, const mno_parameter *parameter) {
  const void *value = place(problem, parameter);
  return parameter->type == MNO_PARAMETER_INTEGER ? (double)*(const size_t *)value : *(const double *)value;
}

void mno_parameter_set_number(mno_problem *problem, const mno_parameter *parameter, double value) {
  void *to = (char *)problem + parameter->offset;
  if (parameter->type == MNO_PARAMETER_INTEGER)
    *(size_t *)to = (size_t)value;
  else
    *(double *)to = value;
}

const char *mno_parameter_name(const mno_problem *problem, const mno_parameter *parameter) {
  if (parameter->choices) return mno_choice_name(parameter->choices, *(const int *)place(problem, parameter));
  return parameter->offset == AT(block) ? problem->block->name : problem->optimizer->name;
}

bool mno_parameter_set_name(mno_problem *problem, const mno_parameter *parameter, const char *name) {
  if (parameter->choices) return mno_choice_named(parameter->choices, name, (int *)((char *)problem + parameter->offset));
  if (parameter->offset == AT(block)) return (problem->block = mno_block_named(name)) != NULL;
  return (problem->optimizer = mno_optimizer_named(name)) != NULL;
}

bool mno_parameter_is_implied(const mno_problem *problem, const mno_parameter *parameter) {
  return parameter->implied && strcmp(mno_parameter_name(problem, parameter), parameter->implied) == 0;
}

mno_problem_array mno_problem_array_of(const mno_problem *problem, size_t i) {
  static const mno_problem_array array[MNO_PROBLEM_ARRAYS] = {
      {"x", "inputs X", AT(x), .by_sample = true, .by_input = true},
      {"y", "targets Y", AT(y), .by_sample = true, .by_input = false},
      {"w_embed", "embedding matrix W_E", AT(w_embed), .by_sample = false, .by_input = true},
      {"w_unembed", "unembedding matrix W_U", AT(w_unembed), .by_sample = false, .by_input = false},
  };
  mno_problem_array made = array[i];
  made.rows = made.by_sample ? problem->N : problem->D;
  made.columns = made.by_input ? problem->d_in : problem->d_out;
  return made;
}

double *mno_problem_array_value(const mno_problem *problem, const mno_problem_array *array) {
  return *(double *const *)((const char *)problem + array->offset);
}

void mno_problem_set_array(mno_problem *problem, const mno_problem_array *array, double *value) {
  *(double **)((char *)problem + array->offset) = value;
}
