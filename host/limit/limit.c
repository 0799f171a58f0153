/* SPDX-License-Identifier: BSD-3-Clause */
/* What a limit is made of: its arrays, memory, names. */
#include "config/choices.h"
#include "core/memory.h"
#include "limit/fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *mno_limit_kind_name(mno_limit_kind kind) { return mno_choice_name(&mno_limit_kinds, kind); }
const char *mno_limit_method_name(mno_limit_method method) { return mno_choice_name(&mno_limit_methods, method); }

const char *mno_limit_group_name(mno_limit_kind kind) {
#define GROUP(enumerator, name, number, group) [enumerator] = (group),
  static const char *const groups[] = {MNO_LIMIT_KIND_LIST(GROUP)};
#undef GROUP
  return groups[kind];
}

/* ---- Arrays. What the file calls them, and where they lie in the block, is part of the formats of file and journal. */

#define FIELD(member) .name = #member, .units = "1", .offset = offsetof(mno_limit, member)
#define STEPS                                                                                                               \
  { MNO_DIMENSION_STEP }
#define NODES                                                                                                               \
  { MNO_DIMENSION_STEP, MNO_DIMENSION_NODE, MNO_DIMENSION_SAMPLE, MNO_DIMENSION_EMBED }
static const mno_limit_field fields[] = {
    {FIELD(output), .long_name = "output of the limit", .place = 2,
     .dimension = {MNO_DIMENSION_STEP, MNO_DIMENSION_SAMPLE, MNO_DIMENSION_TARGET}},
    {FIELD(output_error), .long_name = "estimated relative RMS error of the limit's output", .place = 3, .dimension = STEPS},
    {FIELD(output_stderr), .long_name = "standard error of the limit's output, depth error included", .place = 4,
     .dimension = {MNO_DIMENSION_STEP, MNO_DIMENSION_SAMPLE, MNO_DIMENSION_TARGET}},
    {FIELD(embedding), .long_name = "state h of the limit at depth 1", .place = 5,
     .dimension = {MNO_DIMENSION_STEP, MNO_DIMENSION_SAMPLE, MNO_DIMENSION_EMBED}},
    {FIELD(embedding_error), .long_name = "estimated relative RMS error of the limit's embedding", .place = 6,
     .dimension = STEPS},
    {FIELD(loss), .long_name = "loss of the limit", .place = 1, .dimension = STEPS},
    {FIELD(depth), .long_name = "depth s of each node, in (0, 1)", .place = 0, .dimension = {MNO_DIMENSION_NODE}},
    {FIELD(state), .long_name = "forward state h of the limit", .place = 7, .dimension = NODES},
    {FIELD(adjoint), .long_name = "backward state b of the limit", .place = 8, .dimension = NODES},
};
enum { FIELDS = sizeof fields / sizeof *fields, HEADER = (sizeof(mno_limit) + 63) / 64 * 64 };

const mno_limit_field *mno_limit_field_list(size_t *count) {
  *count = FIELDS;
  return fields;
}

size_t mno_limit_field_shape(const mno_limit *limit, const mno_limit_field *field, size_t shape[MNO_FIELD_RANK],
                             size_t *rank) {
  const size_t size[MNO_DIMENSIONS] = {[MNO_DIMENSION_STEP] = limit->K + 1,
                                       [MNO_DIMENSION_NODE] = limit->nodes,
                                       [MNO_DIMENSION_SAMPLE] = limit->N,
                                       [MNO_DIMENSION_TARGET] = limit->d_out,
                                       [MNO_DIMENSION_EMBED] = limit->D};
  return mno_dimension_shape(field->dimension, size, shape, rank);
}

double *mno_limit_array(const mno_limit *limit, const mno_limit_field *field) {
  return *(double *const *)((const char *)limit + field->offset);
}

double *mno_limit_block(const mno_limit *limit, size_t *count) {
  size_t shape[MNO_FIELD_RANK], rank;
  *count = 0;
  for (size_t i = 0; i < FIELDS; i++) *count += mno_limit_field_shape(limit, &fields[i], shape, &rank);
  return (double *)((char *)limit + HEADER);
}

static mno_limit sized(const mno_problem *problem, size_t nodes) {
  return (mno_limit){.tolerance = NAN,
                     .diverged = -1,
                     .N = problem->N,
                     .d_out = problem->d_out,
                     .D = problem->D,
                     .K = problem->K,
                     .nodes = nodes};
}

double mno_limit_like_bytes(const mno_limit *like) {
  double numbers = 0; /* in double: such a limit need not fit any machine */
  for (size_t i = 0; i < FIELDS; i++) {
    size_t shape[MNO_FIELD_RANK], rank;
    double count = 1;
    mno_limit_field_shape(like, &fields[i], shape, &rank);
    for (size_t d = 0; d < rank; d++) count *= (double)shape[d];
    numbers += count;
  }
  return sizeof(double) * numbers;
}

double mno_limit_bytes(const mno_problem *problem, size_t nodes) {
  const mno_limit like = sized(problem, nodes);
  return mno_limit_like_bytes(&like);
}

double mno_limit_storing(const mno_problem *problem, size_t nodes) {
  /* its own, the journal's, and those of the file that is being written: bench/limit/budgets.py measures the peaks */
  enum { COPIES = 4 };
  return COPIES * mno_limit_bytes(problem, nodes);
}

mno_status mno_limit_like(const mno_limit *like, mno_limit **limit, mno_error *err) {
  size_t numbers, shape[MNO_FIELD_RANK], rank;
  mno_limit_block(like, &numbers);
  mno_limit *made = mno_alloc(1, HEADER + numbers * sizeof(double));
  if (!made) return mno_fail_memory(err, HEADER + numbers * sizeof(double), "a limit");
  *made = *like;
  double *block = mno_limit_block(made, &numbers);
  for (size_t i = 0; i < numbers; i++) block[i] = NAN;
  for (size_t place = 0; place < FIELDS; place++)
    for (size_t i = 0; i < FIELDS; i++) {
      if (fields[i].place != place) continue;
      *(double **)((char *)made + fields[i].offset) = block;
      block += mno_limit_field_shape(made, &fields[i], shape, &rank);
    }
  *limit = made;
  return MNO_OK;
}

mno_status mno_limit_new(const mno_problem *problem, size_t nodes, mno_limit **limit, mno_error *err) {
  const mno_limit like = sized(problem, nodes);
  return mno_limit_like(&like, limit, err);
}

mno_status mno_limit_copy(const mno_limit *limit, mno_limit **copy, mno_error *err) {
  size_t numbers;
  const double *block = mno_limit_block(limit, &numbers);
  mno_status status = mno_limit_like(limit, copy, err);
  if (status == MNO_OK) memcpy(mno_limit_block(*copy, &numbers), block, numbers * sizeof *block);
  return status;
}

double mno_limit_worst_error(const mno_limit *limit) {
  double worst = 0;
  for (size_t k = 0; k <= limit->K; k++) {
    if (isnan(limit->output_error[k])) return NAN;
    worst = fmax(worst, limit->output_error[k]);
  }
  return worst;
}

bool mno_limit_is_sampled(const mno_limit *limit) {
  return strcmp(limit->method, mno_limit_method_name(MNO_METHOD_SOBOL)) == 0 ||
         strcmp(limit->method, mno_limit_method_name(MNO_METHOD_SOBOL_FULL)) == 0;
}

void mno_limit_free(mno_limit *limit) { free(limit); }
