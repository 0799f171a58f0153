/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes are a configuration or an error with a message; never a crash, a leak or an endless loop. */
#include "meanode/sweep.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t length);

static void require(int fact) {
  if (!fact) abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t length) {
  mno_sweep *sweep = NULL;
  mno_error err = {0};
  mno_status status = mno_sweep_parse((const char *)bytes, length, "fuzz.yaml", &sweep, &err);
  if (status != MNO_OK) {
    require(status == MNO_ERR_INPUT && !sweep && strncmp(err.message, "fuzz.yaml", 9) == 0);
    require(strlen(err.message) < MNO_MESSAGE_SIZE - 1);
    return 0;
  }
  require(sweep->sweep.L.count > 0 && sweep->sweep.M.count > 0 && sweep->model.D.count > 0 && sweep->model.alpha.count > 0);
  for (size_t i = 0; i < sweep->sweep.L.count; i++)
    require(sweep->sweep.L.value[i] >= 1 && sweep->sweep.L.value[i] <= 10000000);
  for (size_t i = 0; i < sweep->sweep.M.count; i++)
    require(sweep->sweep.M.value[i] >= 1 && sweep->sweep.M.value[i] <= 1000000);
  for (size_t i = 0; i < sweep->model.alpha.count; i++)
    require(sweep->model.alpha.value[i] >= 1e-6 && sweep->model.alpha.value[i] <= 1e6);
  for (size_t i = 0; i < sweep->record.step_count; i++)
    require(sweep->record.step[i] <= sweep->training.steps && (i == 0 || sweep->record.step[i] > sweep->record.step[i - 1]));
  require(sweep->limit.tolerance > 0 && sweep->limit.tolerance < 1 && sweep->sweep.seed_count >= 1);
  require(sweep->text_length == length && memcmp(sweep->text, bytes, length) == 0);
  mno_sweep_free(sweep);
  return 0;
}
