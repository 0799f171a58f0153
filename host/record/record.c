/* SPDX-License-Identifier: BSD-3-Clause */
#include "meanode/record.h"

#include "block/block.h"
#include "core/memory.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* One line per quantity: place, dimensions, stored in the run's precision?, when allocated, when stored. */
#define FIELD(member) .name = #member, .offset = offsetof(mno_record, member)
#define STEPS                                                                                                               \
  { MNO_DIMENSION_STEP }
static const mno_record_field before_weights[] = {
    {FIELD(loss), .units = "1", .long_name = "training loss", .place = MNO_PLACE_TABLE, .dimension = STEPS},
    {FIELD(error_output), .units = "1", .long_name = "RMS distance of the output to the first limit",
     .place = MNO_PLACE_TABLE, .dimension = STEPS},
    {FIELD(error_embedding), .units = "1", .long_name = "RMS distance of the embedding to the first limit",
     .place = MNO_PLACE_TABLE, .dimension = STEPS},
    {FIELD(output), .units = "1", .long_name = "network output f", .place = MNO_PLACE_PROBLEM,
     .dimension = {MNO_DIMENSION_STEP, MNO_DIMENSION_SAMPLE, MNO_DIMENSION_TARGET}, .single = true,
     .store = MNO_WHEN_OUTPUT},
    {FIELD(embedding), .units = "1", .long_name = "state h after the last layer", .place = MNO_PLACE_PROBLEM,
     .dimension = {MNO_DIMENSION_STEP, MNO_DIMENSION_SAMPLE, MNO_DIMENSION_EMBED}, .single = true,
     .store = MNO_WHEN_EMBEDDING},
};
static const mno_record_field after_weights[] = {
    {FIELD(coupling), .units = "1", .long_name = "RMS deviation of units from coupled units driven by the limit",
     .place = MNO_PLACE_TABLE, .dimension = STEPS, .allocate = MNO_WHEN_COUPLING, .store = MNO_WHEN_COUPLING},
    {FIELD(decorrelation), .units = "1",
     .long_name = "mean covariance of the deviations of distinct units from their coupled units", .place = MNO_PLACE_TABLE,
     .dimension = STEPS, .allocate = MNO_WHEN_COUPLING, .store = MNO_WHEN_COUPLING},
    {FIELD(path_error_forward), .units = "1", .long_name = "sup over layers of the RMS distance of h to the limit",
     .place = MNO_PLACE_TABLE, .dimension = STEPS, .allocate = MNO_WHEN_PATH, .store = MNO_WHEN_PATH},
    {FIELD(path_error_backward), .units = "1", .long_name = "sup over layers of the RMS distance of b to the limit",
     .place = MNO_PLACE_TABLE, .dimension = STEPS, .allocate = MNO_WHEN_PATH, .store = MNO_WHEN_PATH},
    {FIELD(path_forward), .units = "1", .long_name = "state h along depth", .place = MNO_PLACE_PROBLEM,
     .dimension = {MNO_DIMENSION_STEP, MNO_DIMENSION_DEPTH, MNO_DIMENSION_SAMPLE, MNO_DIMENSION_EMBED},
     .allocate = MNO_WHEN_PATH, .store = MNO_WHEN_PATH, .single = true},
    {FIELD(path_backward), .units = "1", .long_name = "backward state b along depth", .place = MNO_PLACE_PROBLEM,
     .dimension = {MNO_DIMENSION_STEP, MNO_DIMENSION_DEPTH, MNO_DIMENSION_SAMPLE, MNO_DIMENSION_EMBED},
     .allocate = MNO_WHEN_PATH, .store = MNO_WHEN_PATH, .single = true},
    {FIELD(init_noise), .units = "1", .long_name = "RMS of what the initial units add along the path",
     .place = MNO_PLACE_TABLE, .dimension = STEPS, .allocate = MNO_WHEN_FEATURES, .store = MNO_WHEN_FEATURES},
    {FIELD(feature_update), .units = "1", .long_name = "RMS change of pre-activations due to the movement of u",
     .place = MNO_PLACE_TABLE, .dimension = STEPS, .allocate = MNO_WHEN_FEATURES, .store = MNO_WHEN_FEATURES},
    {FIELD(parameter_movement), .units = "1", .long_name = "RMS movement of u and v since initialisation",
     .place = MNO_PLACE_TABLE, .dimension = STEPS, .allocate = MNO_WHEN_FEATURES, .store = MNO_WHEN_FEATURES},
};
enum { BEFORE = sizeof before_weights / sizeof *before_weights, AFTER = sizeof after_weights / sizeof *after_weights };
_Static_assert(BEFORE + 2 * MNO_TENSORS_MOST + AFTER <= MNO_RECORD_FIELDS_MOST, "the table has room for every field");

static mno_record_field weights_of(const mno_tensor_spec *tensor, size_t t, bool final) {
  const mno_when when = final ? MNO_WHEN_WEIGHTS_FINAL : MNO_WHEN_WEIGHTS_INITIAL;
  const size_t offset = final ? offsetof(mno_record, final) : offsetof(mno_record, initial);
  return (mno_record_field){.name = tensor->record[final],
                            .units = "1",
                            .long_name = tensor->long_name[final],
                            .place = MNO_PLACE_INSTANCE,
                            .dimension = {MNO_DIMENSION_LAYER, MNO_DIMENSION_UNIT, MNO_DIMENSION_EMBED},
                            .single = true,
                            .allocate = when,
                            .store = when,
                            .offset = offset + t * sizeof(double *)};
}

size_t mno_record_fields(const mno_block *block, mno_record_field field[MNO_RECORD_FIELDS_MOST]) {
  size_t count = BEFORE;
  memcpy(field, before_weights, sizeof before_weights);
  for (int final = 0; final < 2; final++)
    for (size_t t = 0; t < block->tensors; t++) field[count++] = weights_of(&block->tensor[t], t, final);
  memcpy(field + count, after_weights, sizeof after_weights);
  return count + AFTER;
}

static size_t fields_of(const mno_plan *plan, size_t row, mno_record_field field[MNO_RECORD_FIELDS_MOST]) {
  return mno_record_fields(plan->problem[plan->instance[row].problem].block, field);
}

bool mno_plan_wants(const mno_plan *plan, mno_when when) {
  switch (when) {
  case MNO_WHEN_ALWAYS: return true;
  case MNO_WHEN_OUTPUT: return plan->recording.output;
  case MNO_WHEN_EMBEDDING: return plan->recording.embedding;
  case MNO_WHEN_WEIGHTS_INITIAL: return plan->recording.weights & MNO_WEIGHTS_INITIAL;
  case MNO_WHEN_WEIGHTS_FINAL: return plan->recording.weights & MNO_WEIGHTS_FINAL;
  case MNO_WHEN_COUPLING: return plan->recording.coupling;
  case MNO_WHEN_PATH: return plan->recording.path;
  case MNO_WHEN_FEATURES: return plan->recording.features;
  }
  return false;
}

const char *mno_dimension_name(mno_dimension dimension) {
  static const char *const names[MNO_DIMENSIONS] = {
      [MNO_DIMENSION_NONE] = "",         [MNO_DIMENSION_STEP] = "step",   [MNO_DIMENSION_SAMPLE] = "sample",
      [MNO_DIMENSION_TARGET] = "target", [MNO_DIMENSION_EMBED] = "embed", [MNO_DIMENSION_DEPTH] = "depth",
      [MNO_DIMENSION_NODE] = "node",     [MNO_DIMENSION_LAYER] = "layer", [MNO_DIMENSION_UNIT] = "unit"};
  return names[dimension];
}

size_t mno_dimension_shape(const mno_dimension dimension[MNO_FIELD_RANK], const size_t size[MNO_DIMENSIONS],
                           size_t shape[MNO_FIELD_RANK], size_t *rank) {
  size_t product = 1;
  for (*rank = 0; *rank < MNO_FIELD_RANK && dimension[*rank] != MNO_DIMENSION_NONE; ++*rank)
    product *= shape[*rank] = size[dimension[*rank]];
  return product;
}

size_t mno_record_field_shape(const mno_plan *plan, size_t row, const mno_record_field *field, size_t shape[MNO_FIELD_RANK],
                              size_t *rank) {
  const mno_instance *instance = &plan->instance[row];
  const mno_problem *problem = &plan->problem[instance->problem];
  const size_t size[MNO_DIMENSIONS] = {
      [MNO_DIMENSION_STEP] = plan->step_count,   [MNO_DIMENSION_SAMPLE] = problem->N,
      [MNO_DIMENSION_TARGET] = problem->d_out,   [MNO_DIMENSION_EMBED] = problem->D,
      [MNO_DIMENSION_DEPTH] = MNO_PATH_POINTS,   [MNO_DIMENSION_LAYER] = (size_t)instance->L,
      [MNO_DIMENSION_UNIT] = (size_t)instance->M};
  return mno_dimension_shape(field->dimension, size, shape, rank);
}

/* Walks over the arrays of a record; with block NULL only counts. */
static size_t lay_out(const mno_plan *plan, size_t row, double *block, mno_record *record) {
  size_t used = 0, shape[MNO_FIELD_RANK], rank;
  mno_record_field field[MNO_RECORD_FIELDS_MOST];
  const size_t count = fields_of(plan, row, field);
  for (size_t i = 0; i < count; i++) {
    if (!mno_plan_wants(plan, field[i].allocate)) continue;
    if (block) *(double **)((char *)record + field[i].offset) = block + used;
    used += mno_record_field_shape(plan, row, &field[i], shape, &rank);
  }
  return used;
}

enum { HEADER = (sizeof(mno_record) + 63) / 64 * 64 };

double *mno_record_block(const mno_record *record) { return (double *)((char *)record + HEADER); }

size_t mno_record_numbers(const mno_plan *plan, size_t row) { return lay_out(plan, row, NULL, NULL); }

mno_status mno_record_new(const mno_plan *plan, size_t row, mno_record **record, mno_error *err) {
  size_t count = lay_out(plan, row, NULL, NULL), header = HEADER;
  mno_record *made = mno_alloc(1, header + count * sizeof(double));
  if (!made) return mno_fail_memory(err, header + count * sizeof(double), "a record");
  double *block = mno_record_block(made);
  for (size_t i = 0; i < count; i++) block[i] = NAN;
  lay_out(plan, row, block, made);
  made->row = row;
  *record = made;
  return MNO_OK;
}

void mno_record_free(mno_record *record) { free(record); }

size_t mno_record_bytes(const mno_plan *plan, size_t row) {
  return sizeof(mno_record) + 64 + lay_out(plan, row, NULL, NULL) * sizeof(double);
}

size_t mno_record_stored_bytes(const mno_plan *plan, size_t row) {
  size_t bytes = 0, shape[MNO_FIELD_RANK], rank;
  mno_record_field field[MNO_RECORD_FIELDS_MOST];
  const size_t count = fields_of(plan, row, field);
  for (size_t i = 0; i < count; i++)
    if (mno_plan_wants(plan, field[i].store))
      bytes += mno_record_field_shape(plan, row, &field[i], shape, &rank) *
               (field[i].single && plan->precision == MNO_F32 ? sizeof(float) : sizeof(double));
  return bytes;
}

size_t mno_record_way_bytes(const mno_plan *plan, size_t row) {
  const size_t least = (size_t)4 << 20; /* what a buffer takes of small records */
  size_t bytes = mno_record_stored_bytes(plan, row);
  return 2 * (bytes + least) + bytes + (bytes > least ? bytes : least);
}
