/* Kernel W0: the body of lanes.h for every height, in both precisions. */
#include "common/kernels.h"
#include "kernels/lanes.h"
#include "device/team_device.h"

#include <cuda_runtime.h>

namespace {

template <class T, int HEIGHT, int WARPS>
__global__ void __launch_bounds__(32, WARPS) lanes(const __grid_constant__ mno_train_args args) {
  extern __shared__ uint4 dynamic[];
  typedef mno::DeviceTeam<false, false> Team;
  Team team(args, (char *)dynamic);
  mno::LaneTrainer<T, Team, HEIGHT>(team, args).run();
}

template <class T, int WARPS, int HEIGHT, int... MORE> const void *kernel(int height) {
  if (height == HEIGHT) return (const void *)lanes<T, HEIGHT, WARPS>;
  if constexpr (sizeof...(MORE) > 0)
    return kernel<T, WARPS, MORE...>(height);
  else
    return nullptr;
}

} // namespace

extern "C" const void *mno_lanes_kernel(const mno_shape *shape) {
  return shape->bytes == 4 ? kernel<float, 16, MNO_HEIGHTS>(shape->height) : kernel<double, 8, MNO_HEIGHTS>(shape->height);
}
