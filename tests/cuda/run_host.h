/* SPDX-License-Identifier: BSD-3-Clause */
/* The bodies of the kernels on the host: training on a host team, passes over particles, elementwise operations and
 * products. */
#ifndef MNO_TEST_CUDA_RUN_HOST_H
#define MNO_TEST_CUDA_RUN_HOST_H

#include "block_host.h"
#include "kernels/elementwise.h"
#include "kernels/field.h"
#include "kernels/lanes.h"
#include "kernels/train_kernel.h"
#include "team_host.h"

namespace mno {

template <class Block, class Optimizer, class T, int PADDED_D, int... MORE>
void run_lanes(HostTeam &team, const mno_train_args &args) {
  if (args.shape.padded_D == PADDED_D) return LaneTrainer<T, HostTeam, Block, Optimizer, PADDED_D>(team, args).run();
  if constexpr (sizeof...(MORE) > 0) run_lanes<Block, Optimizer, T, MORE...>(team, args);
}

template <class Block, class Optimizer, class T> void run_trainer(HostTeam &team, const mno_train_args &args) {
  if (args.shape.kernel == MNO_KERNEL_LANES)
    run_lanes<Block, Optimizer, T, MNO_PADDED_D>(team, args);
  else
    Trainer<T, HostTeam, Block, Optimizer>(team, args).run();
}

template <class T> void run_on_host_as(HostTeam &team, const mno_train_args &args) {
  static void (*const trainers[])(HostTeam &, const mno_train_args &) = {
#define MNO_RUN(name, other) run_trainer<block::name, optimizer::other, T>,
      MNO_TRAINER_LIST(MNO_RUN)
#undef MNO_RUN
  };
  trainers[args.shape.trainer](team, args);
}

inline void run_on_host(HostTeam &team, const mno_train_args &args) {
  args.shape.bytes == 4 ? run_on_host_as<float>(team, args) : run_on_host_as<double>(team, args);
}

template <class Block, class Optimizer, class T, bool IN_MEMORY>
void run_field_as(const mno_field_args &args, uint32_t permutation) {
  for (uint32_t i = args.teams; i-- > 0;) {
    HostBlock<IN_MEMORY> team(i, MNO_FIELD_LANES, mno_field_shared_bytes(&args.shape, IN_MEMORY), permutation + i);
    Field<T, HostBlock<IN_MEMORY>, Block, Optimizer>(team, args).run();
  }
}
inline void run_field_on_host(const mno_field_args &args, uint32_t permutation) {
  static void (*const fields[][2][2])(const mno_field_args &, uint32_t) = {
#define MNO_RUN(name, other)                                                                                                \
  {{run_field_as<block::name, optimizer::other, float, false>, run_field_as<block::name, optimizer::other, float, true>},   \
   {run_field_as<block::name, optimizer::other, double, false>,                                                             \
    run_field_as<block::name, optimizer::other, double, true>}},
      MNO_TRAINER_LIST(MNO_RUN)
#undef MNO_RUN
  };
  fields[args.shape.trainer][args.shape.bytes == 8][args.work_in_memory != 0](args, permutation);
}
inline void run_total_on_host(const mno_field_args &args) {
  const uint32_t results = args.count * args.shape.outputs;
  for (uint32_t i = 0; i * MNO_FIELD_LANES < results; i++) {
    HostBlock<false> team(i, MNO_FIELD_LANES, 0, 5 + i);
    FieldTotal<HostBlock<false>>(team, args).run();
  }
}

template <class Block, class Optimizer, class T>
void run_elementwise_as(mno_elementwise operation, const mno_gemm_args &args) {
  const uint64_t size = mno_elementwise_size(operation, &args),
                 odd = 2 * (size / 3) + 1; /* a permutation when prime to size */
  uint64_t a = odd, b = size;
  while (b) {
    const uint64_t rest = a % b;
    a = b, b = rest;
  }
  for (int instance = args.shape.group - 1; instance >= 0; instance--) {
    const Elementwise<T, Block, Optimizer> body(args, (uint32_t)instance);
    for (uint64_t e = 0; e < size; e++) body.run(operation, a == 1 ? (e * odd + 1) % size : size - 1 - e);
  }
}
inline void run_elementwise_on_host(mno_elementwise operation, const mno_gemm_args &args) {
  static void (*const operations[][2])(mno_elementwise, const mno_gemm_args &) = {
#define MNO_RUN(name, other)                                                                                                \
  {run_elementwise_as<block::name, optimizer::other, float>, run_elementwise_as<block::name, optimizer::other, double>},
      MNO_TRAINER_LIST(MNO_RUN)
#undef MNO_RUN
  };
  operations[args.shape.trainer][args.shape.bytes == 8](operation, args);
}

template <class T> void multiply_as(const mno_product &p) {
  for (int instance = 0; instance < p.count; instance++) {
    const size_t at = (size_t)instance * p.stride;
    const T *const A = (const T *)p.A + at, *const B = (const T *)p.B + at,
                   *const add = p.add ? (const T *)p.add + at : nullptr;
    T *const to = (T *)p.to + at;
    for (int j = 0; j < p.columns; j++)
      for (int i = 0; i < p.rows; i++) {
        T sum = 0;
        for (int k = 0; k < p.inner; k++) {
          const T a = p.transpose_a ? A[k + (size_t)i * p.lead_a] : A[i + (size_t)k * p.lead_a];
          const T b = p.transpose_b ? B[j + (size_t)k * p.lead_b] : B[k + (size_t)j * p.lead_b];
          sum = fma_(a, b, sum);
        }
        const size_t e = i + (size_t)j * p.lead_to;
        to[e] = fma_((T)p.scale, sum, add ? add[e] : (T)0);
      }
  }
}
inline void multiply_on_host(const mno_product &p) { p.bytes == 4 ? multiply_as<float>(p) : multiply_as<double>(p); }

} // namespace mno

#endif
