/* Kernels W, C and X: the body of train.h for warps, blocks and clusters, in both precisions. */
#include "kernels.h"
#include "team_device.h"
#include "train.h"

#include <cuda_runtime.h>

namespace {

/* Bounds: the most lanes of a block, and how many blocks a processor holds by registers. */
template <class T, bool CLUSTER, bool IN_MEMORY, int LANES, int BLOCKS>
__global__ void __launch_bounds__(LANES, BLOCKS) train(const __grid_constant__ mno_train_args args) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
  if (CLUSTER) return; /* never launched: such cards have no clusters */
#endif
  extern __shared__ uint4 dynamic[];
  mno::DeviceTeam<CLUSTER, IN_MEMORY> team(args, (char *)dynamic);
  mno::Trainer<T, mno::DeviceTeam<CLUSTER, IN_MEMORY>>(team, args).run();
}

template <class T, int WARPS, int BLOCKS> const void *kernel(int kind, int state_in_memory) {
  switch (kind) {
  case MNO_KERNEL_WARP: return (const void *)train<T, false, false, 32, WARPS>;
  case MNO_KERNEL_CLUSTER:
    return state_in_memory ? (const void *)train<T, true, true, 256, BLOCKS>
                           : (const void *)train<T, true, false, 256, BLOCKS>;
  default:
    return state_in_memory ? (const void *)train<T, false, true, 256, BLOCKS>
                           : (const void *)train<T, false, false, 256, BLOCKS>;
  }
}

} // namespace

extern "C" const void *mno_train_kernel(const mno_shape *shape, int state_in_memory) {
  return shape->bytes == 4 ? kernel<float, 16, 2>(shape->kernel, state_in_memory)
                           : kernel<double, 10, 1>(shape->kernel, state_in_memory);
}
