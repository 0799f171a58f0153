#include "meanode/record.h"

#include "core/memory.h"

#include <math.h>
#include <stdlib.h>

/* Walks over the arrays of a record; with block NULL only counts. */
static size_t lay_out(const mno_plan *plan, size_t row, double *block, mno_record *record) {
  const mno_instance *instance = &plan->instance[row];
  const mno_problem *problem = &plan->problem[instance->problem];
  size_t S = plan->step_count, weights = (size_t)instance->L * (size_t)instance->M * problem->D, used = 0;
  size_t initial = plan->weights & MNO_WEIGHTS_INITIAL ? weights : 0,
         final = plan->weights & MNO_WEIGHTS_FINAL ? weights : 0;
  struct {
    double **array;
    size_t count;
  } parts[] = {{&record->loss, S},
               {&record->output, S * problem->N * problem->d_out},
               {&record->embedding, S * problem->N * problem->D},
               {&record->u0, initial},
               {&record->v0, initial},
               {&record->u, final},
               {&record->v, final}};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    *parts[i].array = block && parts[i].count ? block + used : NULL;
    used += parts[i].count;
  }
  return used;
}

mno_status mno_record_new(const mno_plan *plan, size_t row, mno_record **record, mno_error *err) {
  size_t count = lay_out(plan, row, NULL, &(mno_record){0}), header = (sizeof(mno_record) + 63) / 64 * 64;
  mno_record *made = mno_alloc(1, header + count * sizeof(double));
  if (!made) return mno_fail_memory(err, header + count * sizeof(double), "a record");
  double *block = (double *)((char *)made + header);
  for (size_t i = 0; i < count; i++) block[i] = NAN;
  lay_out(plan, row, block, made);
  made->row = row;
  *record = made;
  return MNO_OK;
}

void mno_record_free(mno_record *record) { free(record); }

size_t mno_record_bytes(const mno_plan *plan, size_t row) {
  return sizeof(mno_record) + 64 + lay_out(plan, row, NULL, &(mno_record){0}) * sizeof(double);
}
