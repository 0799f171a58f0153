/* SPDX-License-Identifier: BSD-3-Clause */
/* A block of threads as a team without transfers. */
#ifndef MNO_CUDA_BLOCK_DEVICE_H
#define MNO_CUDA_BLOCK_DEVICE_H

#include "device/team_types.h"

namespace mno {

template <bool IN_MEMORY> class DeviceBlock {
public:
  static constexpr bool work_in_memory = IN_MEMORY;
  template <class T> static constexpr int rows = 2; /* in flight in inner loops */
  uint32_t team_index;

  __device__ __forceinline__ explicit DeviceBlock(char *dynamic) : team_index(blockIdx.x) {
    place_ = Place{0, dynamic, nullptr};
  }
  template <class F> __device__ __forceinline__ void phase(F f) {
    f(place_, (int)threadIdx.x);
    __syncthreads();
  }

private:
  Place place_;
};

} // namespace mno

#endif
