/* SPDX-License-Identifier: BSD-3-Clause */
#include "meanode/backend.h"

#include "core/nearest.h"

#include <stdio.h>
#include <string.h>

/* One line per backend, highest priority first. */
extern const mno_backend mno_backend_cpu;
#ifdef MNO_HAVE_CUDA
extern const mno_backend mno_backend_cuda;
#endif

static const mno_backend *const backends[] = {
#ifdef MNO_HAVE_CUDA
    &mno_backend_cuda,
#endif
    &mno_backend_cpu,
};
enum { BACKENDS = sizeof backends / sizeof *backends };

const mno_backend *const *mno_backends(size_t *count) {
  *count = BACKENDS;
  return backends;
}

mno_status mno_backend_describe(const mno_backend *backend, const mno_plan *plan, char *text, size_t size) {
  const mno_status status = backend->probe(text, size);
  char libraries[128] = "";
  if (status == MNO_OK && backend->libraries) backend->libraries(plan, libraries, sizeof libraries);
  const size_t used = strlen(text);
  if (libraries[0]) snprintf(text + used, size - used, ", %s", libraries);
  return status;
}

mno_status mno_backend_find(const char *name, const mno_backend **backend, mno_error *err) {
  char why[256];
  int automatic = strcmp(name, "auto") == 0;
  const char *names[BACKENDS + 1] = {"auto"};
  for (size_t i = 0; i < BACKENDS; i++) {
    names[i + 1] = backends[i]->name;
    if (!automatic && strcmp(name, backends[i]->name) != 0) continue;
    if (backends[i]->probe(why, sizeof why) == MNO_OK) {
      *backend = backends[i];
      return MNO_OK;
    }
    if (!automatic) return mno_fail(err, MNO_ERR_BACKEND, "backend %s is not available: %s", name, why);
  }
  if (automatic) return mno_fail(err, MNO_ERR_BACKEND, "no backend is available: %s", why);
#ifndef MNO_HAVE_CUDA
  if (strcmp(name, "cuda") == 0)
    return mno_fail(err, MNO_ERR_BACKEND,
                    "backend cuda: this build has no CUDA; install a CUDA toolkit and build again, or use --backend cpu");
#endif
  const char *nearest = mno_nearest(name, names, BACKENDS + 1);
  return mno_fail(err, MNO_ERR_USAGE, "unknown backend \"%s\"%s%s%s", name, nearest ? "; did you mean \"" : "",
                  nearest ? nearest : "", nearest ? "\"?" : "");
}
