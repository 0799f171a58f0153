/* The body that belongs to a shape, on a host team. */
#ifndef MNO_TEST_CUDA_RUN_HOST_H
#define MNO_TEST_CUDA_RUN_HOST_H

#include "lanes.h"
#include "team_host.h"
#include "train.h"

namespace mno {

template <class T, int HEIGHT, int... MORE> void run_lanes(HostTeam &team, const mno_train_args &args) {
  if (args.shape.height == HEIGHT) return LaneTrainer<T, HostTeam, HEIGHT>(team, args).run();
  if constexpr (sizeof...(MORE) > 0) run_lanes<T, MORE...>(team, args);
}

template <class T> void run_on_host_as(HostTeam &team, const mno_train_args &args) {
  if (args.shape.kernel == MNO_KERNEL_LANES)
    run_lanes<T, MNO_HEIGHTS>(team, args);
  else
    Trainer<T, HostTeam>(team, args).run();
}

inline void run_on_host(HostTeam &team, const mno_train_args &args) {
  args.shape.bytes == 4 ? run_on_host_as<float>(team, args) : run_on_host_as<double>(team, args);
}

} // namespace mno

#endif
