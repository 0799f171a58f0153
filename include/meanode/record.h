/* A record: all that one finished instance leaves behind. Made by a backend, consumed by a store. */
#ifndef MEANODE_RECORD_H
#define MEANODE_RECORD_H

#include "meanode/plan.h"
#include "meanode/status.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mno_outcome { MNO_DONE = 0, MNO_INSTANCE_DIVERGED = 1 } mno_outcome;

/* S = plan->step_count. Absent quantities are NULL. After divergence the remaining steps hold NaN. All arrays lie in one
 * block owned by the record. */
typedef struct mno_record {
  size_t row; /* row of the result table = index of the instance in the plan */
  mno_outcome outcome;
  double seconds;    /* wall time attributed to this instance (share of its batch) */
  double *loss;      /* [S] */
  double *output;    /* [S][N][d_out] */
  double *embedding; /* [S][N][D], h^L; always present while a run goes on (errors need it) */
  double *u0, *v0;   /* [L][M][D] initial weights */
  double *u, *v;     /* [L][M][D] final weights */
} mno_record;

/* A record with room for what the plan asks for, everything NaN. */
mno_status mno_record_new(const mno_plan *plan, size_t row, mno_record **record, mno_error *err);
void mno_record_free(mno_record *record);

/* Bytes of one record of this row. */
size_t mno_record_bytes(const mno_plan *plan, size_t row);

#ifdef __cplusplus
}
#endif
#endif
