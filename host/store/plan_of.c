/* SPDX-License-Identifier: BSD-3-Clause */
/* The plan behind a result file. */
#include "core/choice.h"
#include "core/memory.h"
#include "store/compare.h"
#include "store/result_file.h"

#include <stdlib.h>
#include <string.h>

void mno_plan_of_result_free(mno_plan *plan) {
  if (!plan) return;
  free(plan->problem);
  free(plan->instance);
  free(plan->step);
  free(plan);
}

mno_status mno_plan_of_result(const mno_result *result, mno_plan **plan, mno_error *err) {
  const mno_result_file *file = result->file;
  mno_recording recording;
  int precision;
  if (!file->settings || !file->precision || !result->draw || !mno_settings_recording(file->settings, &recording) ||
      !mno_choice_named(&mno_precisions, file->precision, &precision))
    return mno_fail(err, MNO_ERR_INPUT, "%s does not say what was recorded: it was not written by meanode", result->path);
  mno_plan *made = mno_alloc(1, sizeof *made);
  if (!made) return mno_fail_memory(err, sizeof *made, "a plan");
  made->precision = (mno_precision)precision;
  made->problem_count = result->problem_count;
  made->instance_count = result->instance_count;
  made->step_count = result->step_count;
  made->recording = recording;
  made->problem = mno_alloc(made->problem_count, sizeof *made->problem);
  made->instance = mno_alloc(made->instance_count, sizeof *made->instance);
  made->step = mno_alloc(made->step_count, sizeof *made->step);
  if (!made->problem || !made->instance || !made->step) {
    mno_plan_of_result_free(made);
    return mno_fail_memory(err, made->instance_count * sizeof *made->instance, "a plan");
  }
  memcpy(made->step, result->step, made->step_count * sizeof *made->step);
  for (size_t p = 0; p < made->problem_count; p++) {
    const mno_result_problem *from = &result->problems[p];
    made->problem[p] = (mno_problem){.N = from->N,
                                     .d_in = from->d_in,
                                     .d_out = from->d_out,
                                     .D = from->D,
                                     .K = from->K,
                                     .block = from->block,
                                     .alpha = from->alpha,
                                     .id = from->id,
                                     .data_seed = from->data_seed};
  }
  for (size_t i = 0; i < made->instance_count; i++)
    made->instance[i] = (mno_instance){.problem = (uint32_t)result->problem[i],
                                       .L = result->L[i],
                                       .M = result->M[i],
                                       .seed = result->seed[i],
                                       .draw = result->draw[i],
                                       .id = result->id[i]};
  *plan = made;
  return MNO_OK;
}
