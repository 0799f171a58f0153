/* SPDX-License-Identifier: BSD-3-Clause */
/* The unit blocks and the optimisers, as types that a kernel is compiled for: their formulas (host/block/NAME/unit.h,
 * host/optimizer/NAME/apply.h) for the numbers of a kernel. */
#ifndef MNO_CUDA_FORMULAS_H
#define MNO_CUDA_FORMULAS_H

#include "block/trainers.h"
#include "common/device_layout.h"
#include "device/elementary.h"
#include "optimizer/list.h"

namespace mno {

#define NUMBER T
#define SCALAR T
#define FORMULA template <class T> MNO_DEVICE
#define RHO activate
#include "block/units.h"
#include "optimizer/formulas.h"
#undef NUMBER
#undef SCALAR
#undef FORMULA
#undef RHO

/* INPUTS: tensors that a state is projected on; the output is the last of TENSORS. */
namespace block {
#define MNO_TYPE(name)                                                                                                      \
  struct name {                                                                                                             \
    static constexpr int TENSORS = name##_tensors, INPUTS = TENSORS - 1;                                                    \
    template <class T> static MNO_DEVICE void unit(mno_activation activation, const T *p, T *s, T *slope) {                 \
      name##_unit(activation, p, s, slope);                                                                                 \
    }                                                                                                                       \
  };
MNO_UNIT_LIST(MNO_TYPE)
#undef MNO_TYPE
} // namespace block

namespace optimizer {
#define MNO_TYPE(name)                                                                                                      \
  struct name {                                                                                                             \
    static constexpr int STATES = name##_states, KNOBS = name##_knobs;                                                      \
    static constexpr bool FUSES = name##_fuses;                                                                             \
    template <class T> static MNO_DEVICE T apply(T w, T g, T rate, const T *knob, T *state) {                               \
      return name##_apply(w, g, rate, knob, state);                                                                         \
    }                                                                                                                       \
  };
MNO_OPTIMIZER_LIST(MNO_TYPE)
#undef MNO_TYPE
} // namespace optimizer

/* What moves the weights of an instance at a step: the rates of all tensors, then the knobs of the optimiser. */
template <class T, class Block, class Optimizer> struct Motion {
  T number[Block::TENSORS + Optimizer::KNOBS];

  /* Of step k, which has 32 bits: 64 would take registers of the loops over tiles. */
  MNO_DEVICE void read(const mno_device_problem &problem, int64_t k) {
    const T *const rate = (const T *)problem.rate + (uint32_t)k * Block::TENSORS;
    MNO_UNROLL for (int t = 0; t < Block::TENSORS; t++) number[t] = rate[t];
    MNO_UNROLL for (int i = 0; i < Optimizer::KNOBS; i++) number[Block::TENSORS + i] = (T)problem.knob[i];
  }
  MNO_DEVICE void take(const double *rate, const double *knob) {
    MNO_UNROLL for (int t = 0; t < Block::TENSORS; t++) number[t] = (T)rate[t];
    MNO_UNROLL for (int i = 0; i < Optimizer::KNOBS; i++) number[Block::TENSORS + i] = (T)knob[i];
  }
  /* The new weight w of a tensor. An optimiser that fuses takes the gradient g in parts. */
  MNO_DEVICE T moved(int tensor, T w, T g, T *state) const {
    if constexpr (Optimizer::FUSES)
      return fma_(-number[tensor], g, w);
    else
      return Optimizer::apply(w, g, number[tensor], number + Block::TENSORS, state);
  }
};

} // namespace mno

#endif
