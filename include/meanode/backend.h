/* SPDX-License-Identifier: BSD-3-Clause */
/* Backends: who trains the instances. A backend is one table of functions, coarse (a whole list of instances at once),
 * so that it can batch, fuse and schedule as its machine likes. To add one: fill a table and add its line to the list in
 * host/backends/backends.c. */
#ifndef MEANODE_BACKEND_H
#define MEANODE_BACKEND_H

#include "meanode/plan.h"
#include "meanode/record.h"
#include "meanode/status.h"

#include <stdatomic.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Receives finished records, from any thread, one call per instance; takes ownership of the record. A failure ends the
 * run: the backend stops and returns the status. */
typedef mno_status (*mno_emit)(void *context, mno_record *record, mno_error *err);

typedef struct mno_job {
  const mno_plan *plan;
  const size_t *rows; /* [count] instances to compute, in any order; the backend chooses its own */
  size_t count;
  int threads; /* host threads; 0: one per core */
  mno_emit emit;
  void *context;
  const atomic_int *stop; /* may be NULL; nonzero: drop what is in flight, return MNO_INTERRUPTED soon */
} mno_job;

typedef struct mno_backend {
  const char *name; /* "cpu", "cuda" */
  int priority;     /* --backend auto takes the available one of highest priority */

  /* Is there a device? Writes one line that describes it, or says why not and what to do. Cheap. */
  mno_status (*probe)(char *description, size_t size);

  /* Optional: the libraries that this plan's numbers depend on (NULL: any plan's), with their versions. Loads them, which
   * may take most of a second. An empty text: none. */
  void (*libraries)(const mno_plan *plan, char *text, size_t size);

  /* Trains the instances of a job and emits a record for each. Divergence is an outcome of the instance, not an error.
   * Numbers of an instance depend on the instance, the plan's precision and the machine type, never on the job, the
   * threads or its neighbours. Errors: MNO_ERR_BACKEND (device), MNO_ERR_MEMORY, MNO_INTERRUPTED, what emit returned. */
  mno_status (*run)(const mno_job *job, mno_error *err);

  /* Would these rows (NULL: all of the plan) run on this machine? Refuses before any work, with the numbers and what to
   * change: MNO_ERR_INPUT for memory, MNO_ERR_BACKEND for shapes that the backend does not take at all. */
  mno_status (*fits)(const mno_plan *plan, const size_t *rows, size_t count, int threads, mno_error *err);

  /* Bytes that running this row needs beyond its record (working set of the batch it would run in, and the records of the
   * others in it), where it runs. */
  size_t (*memory)(const mno_plan *plan, size_t row);

  /* Optional: bytes that every further thread of the host needs where several share an instance. */
  size_t (*helper)(const mno_plan *plan, size_t row);

  /* Modelled seconds of one instance on one thread (team) of this machine; only ratios matter for scheduling. */
  double (*seconds)(const mno_plan *plan, size_t row);

  /* Optional: who holds the particles of the Mean ODE (mno_limit_options.engine); NULL: the CPU. */
  const struct mno_engine *engine;
} mno_backend;

/* All backends of this build, highest priority first; *count receives how many. */
const mno_backend *const *mno_backends(size_t *count);

/* One line: the device, and the libraries that a plan (NULL: any plan) needs. Errors: those of probe, with its text. */
mno_status mno_backend_describe(const mno_backend *backend, const mno_plan *plan, char *text, size_t size);

/* "auto" or a name. Errors: MNO_ERR_USAGE for an unknown name (with the nearest), MNO_ERR_BACKEND if it has no device. */
mno_status mno_backend_find(const char *name, const mno_backend **backend, mno_error *err);

#ifdef __cplusplus
}
#endif
#endif
