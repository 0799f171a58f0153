/* What the driver needs of a device, as a table: the CUDA runtime fills it (device_cuda.c), and the tests fill it with the
 * host, so that the driver runs without a card. Every function reports a failure with the name of the call and a remedy. */
#ifndef MNO_CUDA_DEVICE_H
#define MNO_CUDA_DEVICE_H

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

/* How many devices answer. Zero devices is MNO_ERR_BACKEND: the message says what is missing. */
mno_status mno_cuda_count(int *count, mno_error *err);

mno_status mno_cuda_info(int index, mno_device_info *info, mno_error *err);

#ifdef __cplusplus
}
#endif
#endif
