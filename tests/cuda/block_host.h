/* SPDX-License-Identifier: BSD-3-Clause */
/* The host as a block of lanes: phases are loops over lanes in a permuted order that changes from phase to phase; shared
 * memory is NaN until it is written, and ends where it ends. */
#ifndef MNO_CUDA_BLOCK_HOST_H
#define MNO_CUDA_BLOCK_HOST_H

#include "device/team_types.h"

#include <vector>

namespace mno {

template <bool IN_MEMORY> class HostBlock {
public:
  static constexpr bool work_in_memory = IN_MEMORY;
  template <class T> static constexpr int rows = 2; /* in flight in inner loops */
  const uint32_t team_index;

  HostBlock(uint32_t index, int lanes, size_t shared_bytes, uint32_t permutation)
      : team_index(index), lanes_(lanes), order_(permutation), memory_((shared_bytes + sizeof(Line) - 1) / sizeof(Line)) {
    if (!memory_.empty()) memset((void *)memory_.data(), 0xff, memory_.size() * sizeof(Line));
    place_ = Place{0, (char *)memory_.data(), nullptr};
  }

  template <class F> void phase(F f) {
    for (int i = 0; i < lanes_; i++) f(place_, lane_at(i));
    order_ = order_ * 1664525u + 1013904223u;
  }

private:
  struct alignas(16) Line {
    char byte[16];
  };
  /* A permutation: odd multiples modulo the power of two that lanes is. */
  int lane_at(int i) const { return (int)(((uint32_t)i * (2 * (order_ >> 8) + 1) + (order_ >> 4)) % (uint32_t)lanes_); }

  const int lanes_;
  uint32_t order_;
  std::vector<Line> memory_;
  Place place_;
};

} // namespace mno

#endif
