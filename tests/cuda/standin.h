/* SPDX-License-Identifier: BSD-3-Clause */
/* A stand-in for the CUDA runtime and for cuBLASLt: their functions as far as they are used here, over host memory, with the
 * bodies of the kernels on the host. The real host side (device_cuda.c, gemm_cuda.c and all above) runs on it without a
 * card. What a caller does wrong (a range that is not its own, a stream of another device, more shared memory than was asked
 * for, a product whose sizes contradict each other) is complained about, and any call can be made to fail. */
#ifndef MNO_TEST_CUDA_STANDIN_H
#define MNO_TEST_CUDA_STANDIN_H

#include "common/gemm.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mno_standin {
  int devices, major; /* compute capability */
  size_t memory;      /* bytes of each device */
  int resident;       /* blocks (clusters) of a kernel on a device */
  int fail_at;        /* 0: never; n: the n-th call fails, and if lasting all that follow */
  int lasting;
  int calls, failed;      /* counted; how many were made to fail */
  const char *name;       /* of the first of those */
  int complaints;         /* printed too */
  int live;               /* what was made and not given back */
  int kernels, played;    /* launches outside of graphs, graphs */
  int no_algorithm;       /* of the library for products: 1: an empty list; 2: not supported */
  int refuse_late_copies; /* complains about copies while kernels that wait for the host may run */
  int held;               /* not 0: kernels count as running, for those that ask whether a stream is done */
} mno_standin;
extern mno_standin mno_standin_state;

/* For the stand-in of cuBLASLt, which is a library of its own. */
int mno_standin_fails(const char *name); /* counts a call; 1: it is to fail */
void mno_standin_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
int mno_standin_no_algorithm(void);
int mno_standin_device(void);                                              /* the current one */
int mno_standin_holds(int device, const void *at, size_t bytes);           /* is that memory of the device? */
void mno_standin_multiply(void *stream, int device, mno_product const *p); /* now, or into the graph being recorded */

#ifdef __cplusplus
}
#endif
#endif
