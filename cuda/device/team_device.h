/* SPDX-License-Identifier: BSD-3-Clause */
/* Warps, blocks and clusters as teams. From compute capability 9.0 on, transfers are bulk copies that one lane starts and an
 * mbarrier counts; before, every lane copies sixteen bytes at a time with cp.async. */
#ifndef MNO_CUDA_TEAM_DEVICE_H
#define MNO_CUDA_TEAM_DEVICE_H

#include "device/spin.h"
#include "device/team_types.h"

namespace mno {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define MNO_BULK_COPIES 1
#else
#define MNO_BULK_COPIES 0
#endif

/* The few instructions that the host cannot run: each does one thing. */
namespace device {

__device__ __forceinline__ uint64_t nanoseconds() {
  uint64_t now;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  return now;
}
__device__ __forceinline__ uint32_t shared_address(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

#if MNO_BULK_COPIES
__device__ __forceinline__ void barrier_init(void *barrier) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(shared_address(barrier)) : "memory");
}
__device__ __forceinline__ void barrier_init_visible() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async;" ::: "memory");
}
__device__ __forceinline__ void barrier_expect(void *barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ bool barrier_done(void *barrier, uint32_t parity) {
  uint32_t done;
  asm volatile("{\n .reg .pred p;\n mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n selp.u32 %0, 1, 0, p;\n}"
               : "=r"(done)
               : "r"(shared_address(barrier)), "r"(parity)
               : "memory");
  return done != 0;
}
__device__ __forceinline__ void bulk_load(void *shared, const void *memory, uint32_t bytes, void *barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(shared)),
               "l"(__cvta_generic_to_global(memory)), "r"(bytes), "r"(shared_address(barrier))
               : "memory");
}
__device__ __forceinline__ void bulk_store(void *memory, const void *shared, uint32_t bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(__cvta_generic_to_global(memory)),
               "r"(shared_address(shared)), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void bulk_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
template <int IN_FLIGHT> __device__ __forceinline__ void bulk_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(IN_FLIGHT) : "memory");
}
__device__ __forceinline__ void bulk_wait() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }
__device__ __forceinline__ void fence_async() { asm volatile("fence.proxy.async;" ::: "memory"); }
__device__ __forceinline__ void fence_async_shared() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
__device__ __forceinline__ void cluster_sync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\n barrier.cluster.wait.acquire.aligned;" ::: "memory");
}
__device__ __forceinline__ const char *in_rank(const char *shared, int rank) {
  uint64_t there;
  asm volatile("mapa.u64 %0, %1, %2;" : "=l"(there) : "l"(shared), "r"(rank));
  return (const char *)there;
}
#else
__device__ __forceinline__ void copy16(void *shared, const void *memory) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)),
               "l"(__cvta_generic_to_global(memory))
               : "memory");
}
__device__ __forceinline__ void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int IN_FLIGHT> __device__ __forceinline__ void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(IN_FLIGHT) : "memory");
}
#endif

} // namespace device

/* CLUSTER: several blocks to a team. IN_MEMORY: the state region lies in the slot instead of shared memory. */
template <bool CLUSTER, bool IN_MEMORY> class DeviceTeam {
public:
  static constexpr bool several_ranks = CLUSTER;
  static constexpr bool several_portions = !CLUSTER; /* of a rank */
  static constexpr bool state_in_memory = IN_MEMORY;
  static constexpr bool bounded = CHECKED;
  /* Rows of a sum, and activations, in flight together: as many as the registers hold. */
  template <class T> static constexpr int rows = sizeof(T) == 4 && !IN_MEMORY ? 4 : 2;
  static constexpr int activated = IN_MEMORY ? 1 : 4;
  int team_index;

  __device__ __forceinline__ DeviceTeam(const mno_train_args &args, char *dynamic) : args_(args) {
    const mno_shape &s = args.shape;
    lane_ = (int)threadIdx.x;
    lanes_ = (int)blockDim.x;
    place_.rank = several_ranks ? (int)blockIdx.x % s.blocks_per_team : 0;
    team_index = several_ranks ? (int)blockIdx.x / s.blocks_per_team : (int)blockIdx.x;
    place_.shared = dynamic;
    stages_ = args.stages;
    state_bytes_ = (int)s.state_bytes;
    place_.state =
        IN_MEMORY ? args.slots + (size_t)team_index * args.slot_bytes + args.at.region + (size_t)place_.rank * s.state_bytes
                  : place_.shared + 64 + (size_t)args.stages * mno_stage_bytes(&s);
  }

  template <class F> __device__ __forceinline__ void phase(F f) {
    f(place_, lane_);
    sync();
  }
  template <class F> __device__ __forceinline__ void cluster_phase(F f) {
    f(place_, lane_);
#if MNO_BULK_COPIES
    if (several_ranks) {
      device::cluster_sync();
      return;
    }
#endif
    sync();
  }

  __device__ __forceinline__ const char *peer(const Place &place, int rank, uint32_t offset) const {
#if MNO_BULK_COPIES
    if (several_ranks)
      return IN_MEMORY ? place.state + (ptrdiff_t)(rank - place.rank) * state_bytes_ + offset
                       : device::in_rank(place.state + offset, rank);
#endif
    return place.state + offset;
  }

  __device__ __forceinline__ void begin() {
#if MNO_BULK_COPIES
    if (lane_ == 0) {
      for (int i = 0; i < stages_; i++) device::barrier_init(barrier(i));
      device::barrier_init_visible();
    }
    sync();
#endif
  }

  template <class F> __device__ __forceinline__ void load(Cursor at, F transfer) {
#if MNO_BULK_COPIES
    if (lane_ == 0) {
      const Transfer t = transfer(place_.rank);
      device::barrier_expect(barrier(at.stage), t.piece[0].bytes + t.piece[1].bytes);
      for (int i = 0; i < 2; i++)
        if (t.piece[i].bytes)
          device::bulk_load(place_.shared + t.piece[i].shared, t.piece[i].memory, t.piece[i].bytes, barrier(at.stage));
    }
#else
    const Transfer t = transfer(place_.rank);
    for (int i = 0; i < 2; i++)
      for (uint32_t b = 16 * (uint32_t)lane_; b < t.piece[i].bytes; b += 16 * (uint32_t)lanes_)
        device::copy16(place_.shared + t.piece[i].shared + b, t.piece[i].memory + b);
    device::copy_commit();
#endif
  }
  /* Keeps the count of transfers in step when there is nothing to load. */
  __device__ __forceinline__ void no_load() {
#if !MNO_BULK_COPIES
    device::copy_commit();
#endif
  }
  /* Waits for the oldest load; `later` loads were started after it. */
  __device__ __forceinline__ void ready(Cursor at, int later) {
#if MNO_BULK_COPIES
    const auto pending = [&] { return !device::barrier_done(barrier(at.stage), at.parity); };
    const auto stopped = [] { return false; };
    spin(*this, MNO_SPIN_TRANSFER, TRANSFER_TICKS, pending, stopped, [] {});
#else
    if (later == 1)
      device::copy_wait<1>();
    else if (later == 2)
      device::copy_wait<2>();
    else if (later == 3)
      device::copy_wait<3>();
    else
      device::copy_wait<0>();
    sync();
#endif
  }

  /* Called by every lane that wrote to a stage, before the end of its phase. */
  __device__ __forceinline__ void publish(const Place &) {
#if MNO_BULK_COPIES
    device::fence_async_shared();
#endif
  }
  template <class F> __device__ __forceinline__ void store(F transfer) {
#if MNO_BULK_COPIES
    if (lane_ == 0) {
      const Transfer t = transfer(place_.rank);
      for (int i = 0; i < 2; i++)
        if (t.piece[i].bytes) device::bulk_store(t.piece[i].memory, place_.shared + t.piece[i].shared, t.piece[i].bytes);
      device::bulk_commit();
    }
#else
    const Transfer t = transfer(place_.rank);
    for (int i = 0; i < 2; i++)
      for (uint32_t b = 16 * (uint32_t)lane_; b < t.piece[i].bytes; b += 16 * (uint32_t)lanes_)
        *(uint4 *)(t.piece[i].memory + b) = *(const uint4 *)(place_.shared + t.piece[i].shared + b);
#endif
  }
  /* At most one store is still reading its source. The lane that loads is the lane that waits. */
  __device__ __forceinline__ void reusable(int) {
#if MNO_BULK_COPIES
    if (lane_ == 0) device::bulk_wait_read<1>();
#endif
  }
  __device__ __forceinline__ void drain() {
#if MNO_BULK_COPIES
    if (lane_ == 0) {
      device::bulk_wait();
      device::fence_async();
    }
#endif
    sync();
  }
  /* Makes what this lane wrote to memory visible to transfers that start after the phase. */
  __device__ __forceinline__ void memory_to_transfers() {
#if MNO_BULK_COPIES
    device::fence_async();
#endif
  }

  /* Called by one lane. */
  __device__ __forceinline__ uint32_t take(uint32_t *next, uint32_t count) { return atomicAdd(next, count); }
  __device__ __forceinline__ uint32_t poll(const volatile uint32_t *word) {
    const uint32_t value = *word;
    __threadfence_system();
    return value;
  }
  /* Waits until the host has freed a mailbox, or asks to stop. */
  __device__ __forceinline__ void until_free(const mno_mailbox *mailbox) {
    const auto pending = [&] { return poll(&mailbox->state) != 0; };
    const auto stopped = [&] { return poll(&args_.signals->stop) != 0; };
    spin(*this, MNO_SPIN_MAILBOX, MAILBOX_TICKS, pending, stopped, [] { __nanosleep(1000); });
  }
  /* The name of the wait must be with the host before the kernel ends: what a kernel prints is lost with it. */
  __device__ __forceinline__ void give_up(mno_spin what) {
    args_.signals->stuck = mno_stuck(what, &args_.shape, place_.rank, team_index);
    __threadfence_system();
    __trap();
  }
  __device__ __forceinline__ void announce(uint32_t *word, uint32_t value) {
    __threadfence_system();
    *(volatile uint32_t *)word = value;
  }
  __device__ __forceinline__ double now() const { return 1e-9 * (double)device::nanoseconds(); }
  __device__ __forceinline__ uint32_t ticks() const { return (uint32_t)(device::nanoseconds() >> 20); }

private:
  const mno_train_args &args_;
  Place place_;
  int lane_, lanes_, stages_, state_bytes_;

  __device__ __forceinline__ void *barrier(int stage) const { return place_.shared + 8 * stage; }
  /* A warp is a block of one: with the block's barrier the compiler need not provide for diverged lanes. */
  __device__ __forceinline__ void sync() const { __syncthreads(); }
};

} // namespace mno

#endif
