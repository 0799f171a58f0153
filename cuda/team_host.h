/* The host as a team: phases are loops over lanes in a permuted order that changes from phase to phase. Transfers happen as
 * late as they legally may (or as early), and a stage holds NaN until its data are awaited: a body that reads too early, or
 * overwrites too early, gives wrong numbers. */
#ifndef MNO_CUDA_TEAM_HOST_H
#define MNO_CUDA_TEAM_HOST_H

#include "team.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace mno {

class HostTeam {
public:
  /* state_in_memory: the state region lies in the slot. eager: transfers at once instead of as late as possible. */
  HostTeam(const mno_train_args &args, int index, uint32_t permutation, bool in_memory, bool eager)
      : team_index(index), state_in_memory(in_memory), shape(args.shape), stages(args.stages), order(permutation),
        eager_(eager) {
    size_t bytes = mno_shared_bytes(&shape, stages, state_in_memory);
    char *slot = args.slots + (size_t)index * args.slot_bytes;
    memory_.resize((size_t)shape.ranks);
    for (int r = 0; r < shape.ranks; r++) {
      memory_[r].assign(bytes / 16 + 1, Block{});
      memset(memory_[r].data(), 0xff, bytes);
      char *shared = memory_[r].front().byte;
      char *state = state_in_memory ? slot + args.at.region + (size_t)r * shape.state_bytes
                                    : shared + 64 + (size_t)stages * mno_stage_bytes(&shape);
      place_.push_back(Place{r, shared, state});
    }
  }

  static constexpr bool several_ranks = true, several_portions = true;
  static constexpr int activated = 4;
  const int team_index;
  const bool state_in_memory;

  template <class F> void phase(F f) {
    for (int r = 0; r < shape.ranks; r++)
      for (int i = 0; i < shape.lanes; i++) f(place_[r], lane_at(i));
    order = order * 1664525u + 1013904223u;
  }
  template <class F> void joint(F f) { phase(f); }

  /* The state region of another rank. */
  const char *peer(const Place &, int rank, uint32_t offset) const { return place_[(size_t)rank].state + offset; }

  void begin() {}
  template <class F> void load(Cursor at, F transfer) {
    for (const Place &place : place_) {
      Pending p{place.shared, at.stage, transfer(place.rank)};
      for (const Piece &piece : p.transfer.piece) memset(place.shared + piece.shared, 0xff, piece.bytes);
      loads_.push_back(p);
      if (eager_) fetch(p);
    }
  }
  void no_load() {}
  void ready(Cursor at, int) {
    size_t kept = 0;
    for (Pending &p : loads_)
      if (p.stage != at.stage)
        loads_[kept++] = p;
      else if (!eager_)
        fetch(p);
    loads_.resize(kept);
  }
  void publish(const Place &) {}
  template <class F> void store(F transfer) {
    std::vector<Pending> group;
    for (const Place &place : place_) group.push_back(Pending{place.shared, 0, transfer(place.rank)});
    stores_.push_back(group);
    if (eager_) flush(0);
  }
  void reusable(int in_flight) { flush((size_t)in_flight); }
  void drain() { flush(0); }
  void memory_to_transfers() {}

  uint32_t take(uint32_t *next, uint32_t count) {
    return reinterpret_cast<std::atomic<uint32_t> *>(next)->fetch_add(count, std::memory_order_relaxed);
  }
  uint32_t look(const volatile uint32_t *word) {
    return reinterpret_cast<const std::atomic<uint32_t> *>(const_cast<const uint32_t *>(word))
        ->load(std::memory_order_acquire);
  }
  void pause() { std::this_thread::yield(); }
  void announce(uint32_t *word, uint32_t value) {
    reinterpret_cast<std::atomic<uint32_t> *>(word)->store(value, std::memory_order_release);
  }
  double now() const { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

private:
  struct alignas(16) Block {
    char byte[16];
  };
  struct Pending {
    char *shared;
    int stage;
    Transfer transfer;
  };

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
  std::vector<std::vector<Block>> memory_;
  std::vector<Place> place_;
  std::vector<Pending> loads_;
  std::vector<std::vector<Pending>> stores_;
};

} // namespace mno

#endif
