/* Kernels W, C and X: the body of train.h for warps, blocks and clusters, in both precisions. */
#include "common/kernels.h"
#include "device/team_device.h"
#include "kernels/train.h"

#include <cuda_runtime.h>

namespace {

enum { BLOCK_LANES = 256 };

/* BLOCKS: how many of the largest blocks a processor holds by registers. A warp is a smaller block. */
template <class T, bool CLUSTER, bool IN_MEMORY, int BLOCKS>
__global__ void __launch_bounds__(BLOCK_LANES, BLOCKS) train(const __grid_constant__ mno_train_args args) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
  if (CLUSTER) return; /* never launched: such cards have no clusters */
#endif
  extern __shared__ uint4 dynamic[];
  mno::DeviceTeam<CLUSTER, IN_MEMORY> team(args, (char *)dynamic);
  mno::Trainer<T, mno::DeviceTeam<CLUSTER, IN_MEMORY>>(team, args).run();
}

template <class T, int BLOCKS> const void *kernel(int cluster, int state_in_memory) {
  if (cluster)
    return state_in_memory ? (const void *)train<T, true, true, BLOCKS> : (const void *)train<T, true, false, BLOCKS>;
  return state_in_memory ? (const void *)train<T, false, true, BLOCKS> : (const void *)train<T, false, false, BLOCKS>;
}

} // namespace

extern "C" const void *mno_train_kernel(const mno_shape *shape, int state_in_memory) {
  const int cluster = shape->ranks > 1;
  constexpr int most = mno::CHECKED ? 1 : 2; /* that a wait is bounded takes registers */
  return shape->bytes == 4 ? kernel<float, most>(cluster, state_in_memory) : kernel<double, 1>(cluster, state_in_memory);
}
