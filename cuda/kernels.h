/* The kernels as the host sees them. */
#ifndef MNO_CUDA_KERNELS_H
#define MNO_CUDA_KERNELS_H

#include "layout.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The training kernel of a kind and number size; its argument is one mno_train_args by value. */
const void *mno_train_kernel(int kernel, int bytes, int state_in_memory);

#ifdef __cplusplus
}
#endif
#endif
