/* SPDX-License-Identifier: BSD-3-Clause */
/* What the driver needs of a device, as a table: the CUDA runtime fills it (device_cuda.c), and the tests fill it with the
 * host, so that the driver runs without a card. Every function reports a failure with the name of the call and a remedy. */
#ifndef MNO_CUDA_DEVICE_H
#define MNO_CUDA_DEVICE_H

#include "common/device_layout.h"
#include "common/field_layout.h"
#include "common/gemm.h"
#include "meanode/status.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mno_device_info {
  char name[256];
  int major, minor;        /* compute capability */
  int processors;          /* streaming multiprocessors */
  size_t memory_free;      /* bytes */
  size_t memory_total;     /* bytes */
  size_t shared_block;     /* bytes of shared memory a block may use */
  size_t shared_processor; /* bytes of shared memory of a processor */
} mno_device_info;

/* How a shape runs on a card: none of this changes the numbers. */
typedef struct mno_fit_on_card {
  int stages, state_in_memory;
  size_t shared;  /* bytes of a block */
  size_t teams;   /* modelled: that run at once */
  double seconds; /* modelled: of a gradient step of all instances */
} mno_fit_on_card;

typedef struct mno_device_api {
  const mno_gemm_api *gemm; /* matrix products; NULL: none */

  /* How many devices answer. Zero devices is MNO_ERR_BACKEND: the message says what is missing. */
  mno_status (*count)(int *count, mno_error *err);
  mno_status (*info)(int index, mno_device_info *info, mno_error *err);

  /* Teams of a shape that run at the same time on an otherwise empty card; with fit->shared = 0 what registers allow.
   * There may be none. */
  mno_status (*resident)(int index, const mno_shape *shape, const mno_fit_on_card *fit, int *teams, mno_error *err);

  /* A device with one arena of its memory and one of pinned host memory, that it reads and writes too. Neither is zeroed:
   * to touch gigabytes takes longer than many a run. */
  mno_status (*open)(int index, size_t arena_bytes, size_t pinned_bytes, mno_device **device, mno_error *err);
  /* Gives everything back, whatever fails on the way; the first failure is reported. */
  mno_status (*close)(mno_device *device, mno_error *err);
  char *(*arena)(mno_device *device);  /* device address, aligned to 256 */
  char *(*pinned)(mno_device *device); /* the same address on both sides */

  mno_status (*upload)(mno_device *device, void *to, const void *from, size_t bytes, mno_error *err);
  mno_status (*download)(mno_device *device, void *to, const void *from, size_t bytes, mno_error *err);

  /* Starts a kernel; returns at once. Launches of different queues may overlap. */
  mno_status (*launch)(mno_device *device, int queue, const mno_train_args *args, const mno_fit_on_card *fit, int teams,
                       mno_error *err);

  /* Has everything ended? A fault of a kernel is reported here. */
  mno_status (*idle)(mno_device *device, int *idle, mno_error *err);

  /* Passes over particles: copies from pinned memory and passes follow each other in order and return at once; wait()
   * returns when all of them have ended, and reports their faults. */
  mno_status (*send)(mno_device *device, void *to, const void *from, size_t bytes, mno_error *err);
  mno_status (*field)(mno_device *device, const mno_field_args *args, mno_error *err);
  mno_status (*wait)(mno_device *device, mno_error *err);
} mno_device_api;

extern const mno_device_api mno_device_cuda;

#ifdef __cplusplus
}
#endif
#endif
