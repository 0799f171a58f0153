/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/compare.h"

#include "meanode/limit.h"

#include <stdio.h>
#include <stdlib.h>

#define RECORDING "output=%d embedding=%d weights=%d coupling=%d path=%d features=%d"

bool mno_settings_recording(const char *settings, mno_recording *recording) {
  int output, embedding, weights, coupling, path, features;
  if (sscanf(settings, RECORDING, &output, &embedding, &weights, &coupling, &path, &features) != 6) return false;
  *recording = (mno_recording){.output = output,
                               .embedding = embedding,
                               .weights = (mno_weights)(weights & MNO_WEIGHTS_BOTH),
                               .coupling = coupling,
                               .path = path,
                               .features = features};
  return true;
}

char *mno_settings(const mno_plan *plan) {
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  if (!out) return NULL;
  mno_recording r = plan->recording;
  fprintf(out, RECORDING " steps=", r.output, r.embedding, (int)r.weights, r.coupling, r.path, r.features);
  for (size_t i = 0; i < plan->step_count; i++) fprintf(out, "%s%lld", i ? "," : "", (long long)plan->step[i]);
  const mno_sweep *sweep = plan->sweep;
  fprintf(out, " limits=");
  for (size_t i = 0; sweep && i < sweep->limit.count; i++)
    fprintf(out, "%s%s", i ? "," : "", mno_limit_kind_name(sweep->limit.kind[i]));
  if (sweep && sweep->limit.count)
    fprintf(out, " tolerance=%g method=%s particles=%lld nodes=%lld randomisations=%lld", sweep->limit.tolerance,
            mno_limit_method_name(sweep->limit.method), (long long)sweep->limit.particles, (long long)sweep->limit.nodes,
            (long long)sweep->limit.randomisations);
  if (fclose(out) != 0) {
    free(text);
    return NULL;
  }
  return text;
}
