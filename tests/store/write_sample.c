/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes a small result file with some rows missing: write_sample FILE.h5 f64|f32 */
#include "sample.h"

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  sample s = sample_new(sample_text, strcmp(argv[2], "f32") == 0 ? MNO_F32 : MNO_F64);
  mno_store *store = sample_open(argv[1], s.plan, MNO_CREATE);
  sample_put_limits(store, s.plan);
  sample_put(store, s.plan, 0, s.plan->instance_count - 3);
  sample_close(store);
  sample_free(&s);
  return 0;
}
