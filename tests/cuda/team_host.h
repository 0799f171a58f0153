/* SPDX-License-Identifier: BSD-3-Clause */
/* The host as a team: phases are loops over lanes in a permuted order that changes from phase to phase. Transfers happen as
 * late as they legally may (or as early), and a stage holds NaN until its data are awaited: a body that reads too early, or
 * overwrites too early, gives wrong numbers. A wait for what cannot come ends in an exception. */
#ifndef MNO_CUDA_TEAM_HOST_H
#define MNO_CUDA_TEAM_HOST_H

#include "device/spin.h"
#include "device/team_types.h"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace mno {

/* A wait in vain: on a card the kernel would trap. */
struct Stuck : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class HostTeam {
public:
  /* state_in_memory: the state region lies in the slot. eager: transfers at once instead of as late as possible. */
  HostTeam(const mno_train_args &args, int index, uint32_t permutation, bool in_memory, bool eager)
      : team_index(index), state_in_memory(in_memory), shape(args.shape), stages(args.stages), order(permutation),
        eager_(eager), signals_(args.signals), begun_((size_t)args.stages) {
    size_t bytes = mno_shared_bytes(&shape, stages, state_in_memory);
    char *slot = args.slots + (size_t)index * args.slot_bytes;
    memory_.resize((size_t)shape.blocks_per_team);
    for (int r = 0; r < shape.blocks_per_team; r++) {
      memory_[r].assign(bytes / 16 + 1, Block{});
      memset(memory_[r].data(), 0xff, bytes);
      char *shared = memory_[r].front().byte;
      char *state = state_in_memory ? slot + args.at.region + (size_t)r * shape.state_bytes
                                    : shared + 64 + (size_t)stages * mno_stage_bytes(&shape);
      place_.push_back(Place{r, shared, state});
    }
  }

  static constexpr bool several_ranks = true, several_portions = true;
  static constexpr bool bounded = true;
  static constexpr int activated = 4;
  const int team_index;
  const bool state_in_memory;
  uint32_t patience = MAILBOX_TICKS; /* for a mailbox, in ticks */

  template <class F> void phase(F f) {
    for (int r = 0; r < shape.blocks_per_team; r++)
      for (int i = 0; i < shape.lanes; i++) f(place_[r], lane_at(i));
    order = order * 1664525u + 1013904223u;
  }
  template <class F> void cluster_phase(F f) { phase(f); }

  /* The state region of another rank. */
  const char *peer(const Place &, int rank, uint32_t offset) const { return place_[(size_t)rank].state + offset; }

  void begin() {}
  template <class F> void load(Cursor at, F transfer) {
    const uint32_t parity = begun_[(size_t)at.stage]++ & 1; /* as a barrier counts its phases */
    for (const Place &place : place_) {
      Pending p{place.shared, at.stage, parity, transfer(place.rank)};
      for (const Piece &piece : p.transfer.piece) memset(place.shared + piece.shared, 0xff, piece.bytes);
      loads_.push_back(p);
      if (eager_) fetch(p);
    }
  }
  void no_load() {}
  /* A load of this stage and parity must have been started: a barrier's phase ends with its load. */
  void ready(Cursor at, int) {
    size_t kept = 0;
    const size_t before = loads_.size();
    for (Pending &p : loads_)
      if (p.stage != at.stage || p.parity != at.parity)
        loads_[kept++] = p;
      else if (!eager_)
        fetch(p);
    loads_.resize(kept);
    if (kept == before) give_up(MNO_SPIN_TRANSFER);
  }
  void publish(const Place &) {}
  template <class F> void store(F transfer) {
    std::vector<Pending> group;
    for (const Place &place : place_) group.push_back(Pending{place.shared, 0, 0, transfer(place.rank)});
    stores_.push_back(group);
    if (eager_) flush(0);
  }
  void reusable(int in_flight) { flush((size_t)in_flight); }
  void drain() { flush(0); }
  void memory_to_transfers() {}

  uint32_t take(uint32_t *next, uint32_t count) {
    return reinterpret_cast<std::atomic<uint32_t> *>(next)->fetch_add(count, std::memory_order_relaxed);
  }
  uint32_t poll(const volatile uint32_t *word) {
    return reinterpret_cast<const std::atomic<uint32_t> *>(const_cast<const uint32_t *>(word))
        ->load(std::memory_order_acquire);
  }
  void until_free(const mno_mailbox *mailbox) {
    const auto pending = [&] { return poll(&mailbox->state) != 0; };
    const auto stopped = [&] { return poll(&signals_->stop) != 0; };
    spin(*this, MNO_SPIN_MAILBOX, patience, pending, stopped, [] { std::this_thread::yield(); });
  }
  /* Throws Stuck. The host runs all ranks at once: the first has the blame. */
  [[noreturn]] void give_up(mno_spin what) {
    __atomic_store_n(&signals_->stuck, mno_stuck(what, &shape, 0, team_index), __ATOMIC_RELEASE);
    throw Stuck(what == MNO_SPIN_TRANSFER ? "a team awaits a transfer that was not started"
                                          : "a team awaits a mailbox that the host does not free");
  }
  void announce(uint32_t *word, uint32_t value) {
    reinterpret_cast<std::atomic<uint32_t> *>(word)->store(value, std::memory_order_release);
  }
  double now() const { return 1e-9 * (double)nanoseconds(); }
  uint32_t ticks() const { return (uint32_t)(nanoseconds() >> 20); }

private:
  struct alignas(16) Block {
    char byte[16];
  };
  struct Pending {
    char *shared;
    int stage;
    uint32_t parity;
    Transfer transfer;
  };

  static int64_t nanoseconds() {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  /* A permutation: odd multiples modulo the power of two that lanes is. */
  int lane_at(int i) const { return (int)(((uint32_t)i * (2 * (order >> 8) + 1) + (order >> 4)) % (uint32_t)shape.lanes); }
  static void fetch(const Pending &p) {
    for (const Piece &piece : p.transfer.piece)
      if (piece.bytes) memcpy(p.shared + piece.shared, piece.memory, piece.bytes);
  }
  void flush(size_t in_flight) {
    while (stores_.size() > in_flight) {
      for (const Pending &p : stores_.front())
        for (const Piece &piece : p.transfer.piece)
          if (piece.bytes) memcpy(piece.memory, p.shared + piece.shared, piece.bytes);
      stores_.erase(stores_.begin());
    }
  }

  const mno_shape shape;
  const int stages;
  uint32_t order;
  const bool eager_;
  volatile mno_signals *const signals_;
  std::vector<uint32_t> begun_; /* loads of each stage */
  std::vector<std::vector<Block>> memory_;
  std::vector<Place> place_;
  std::vector<Pending> loads_;
  std::vector<std::vector<Pending>> stores_;
};

} // namespace mno

#endif
