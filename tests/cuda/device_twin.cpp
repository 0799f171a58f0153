/* SPDX-License-Identifier: BSD-3-Clause */
#include "device_twin.h"

#include "run_host.h"

#include <cstdio>
#include <cstdlib>
#include <functional>

mno_twin mno_twin_state;

namespace {
enum { MOST_DEVICES = 8 };
std::atomic<size_t> used[MOST_DEVICES]; /* bytes of the arenas open on each */
} // namespace

struct mno_device {
  int index;
  size_t arena_bytes;
  char *arena, *pinned;
  std::vector<std::thread> threads;
  std::vector<std::vector<char>> lost; /* mailboxes */
  std::atomic<int> running{0};
  std::atomic<bool> stuck{false}; /* a kernel gave a wait up */
};

namespace {

mno_status device_count(int *count, mno_error *err) {
  *count = mno_twin_state.devices;
  return *count > 0 ? MNO_OK : mno_fail(err, MNO_ERR_BACKEND, "no CUDA device answers: the twin has none");
}

mno_status device_info(int index, mno_device_info *info, mno_error *) {
  memset(info, 0, sizeof *info);
  snprintf(info->name, sizeof info->name, "twin");
  info->major = 9;
  info->processors = 4;
  info->memory_total = mno_twin_state.memory;
  info->memory_free = mno_twin_state.memory - used[index];
  info->shared_block = mno_twin_state.shared ? mno_twin_state.shared : 227 << 10;
  info->shared_processor = 228 << 10;
  return MNO_OK;
}

mno_status device_resident(int, const mno_shape *, const mno_fit_on_card *, int *teams, mno_error *) {
  *teams = mno_twin_state.resident;
  return MNO_OK;
}

mno_status device_open(int index, size_t arena_bytes, size_t pinned_bytes, mno_device **device, mno_error *err) {
  *device = nullptr;
  if (__atomic_add_fetch(&mno_twin_state.opens, 1, __ATOMIC_SEQ_CST) == mno_twin_state.fail_open)
    return mno_fail(err, MNO_ERR_MEMORY, "twin: open failed");
  if (arena_bytes > mno_twin_state.memory - used[index])
    return mno_fail(err, MNO_ERR_MEMORY, "twin: arena larger than the device");
  mno_device *made = new mno_device;
  made->index = index;
  made->arena_bytes = arena_bytes;
  used[index] += arena_bytes;
  made->arena = (char *)aligned_alloc(256, mno_round_up(arena_bytes, 256));
  made->pinned = (char *)aligned_alloc(256, mno_round_up(pinned_bytes, 256));
  memset(made->arena, 0xff, arena_bytes); /* NaN: nothing may count on zeros */
  memset(made->pinned, 0xff, pinned_bytes);
  __atomic_add_fetch(&mno_twin_state.live, 1, __ATOMIC_SEQ_CST);
  *device = made;
  return MNO_OK;
}

mno_status device_close(mno_device *device, mno_error *) {
  __atomic_store_n((uint32_t *)device->pinned, 1, __ATOMIC_RELEASE); /* after a fault: nothing runs on */
  for (std::thread &thread : device->threads) thread.join();
  free(device->arena);
  free(device->pinned);
  used[device->index] -= device->arena_bytes;
  delete device;
  __atomic_sub_fetch(&mno_twin_state.live, 1, __ATOMIC_SEQ_CST);
  return MNO_OK;
}

char *device_arena(mno_device *device) { return device->arena; }
char *device_pinned(mno_device *device) { return device->pinned; }

mno_status device_upload(mno_device *, void *to, const void *from, size_t bytes, mno_error *) {
  memcpy(to, from, bytes);
  return MNO_OK;
}

mno_status device_launch(mno_device *device, int, const mno_train_args *args, const mno_fit_on_card *fit, int teams,
                         mno_error *err) {
  if (__atomic_add_fetch(&mno_twin_state.launches, 1, __ATOMIC_SEQ_CST) == mno_twin_state.fail_launch)
    return mno_fail(err, MNO_ERR_BACKEND, "twin: launch failed");
  device->running += teams;
  __atomic_add_fetch(&mno_twin_state.started, teams, __ATOMIC_SEQ_CST);
  if (args->shape.blocks_per_team > 1) __atomic_add_fetch(&mno_twin_state.spread, teams, __ATOMIC_SEQ_CST);
  mno_train_args given = *args;
  if (mno_twin_state.lose_mailboxes) {
    device->lost.emplace_back(2 * (size_t)(teams * args->shape.group) * args->mailbox_bytes);
    given.mailboxes = device->lost.back().data();
  }
  for (int i = 0; i < teams; i++)
    device->threads.emplace_back([device, args = given, fit = *fit, i] {
      mno::HostTeam team(args, i, 7 + (uint32_t)i, fit.state_in_memory, i & 1);
      if (mno_twin_state.patience) team.patience = mno_twin_state.patience;
      try {
        mno::run_on_host(team, args);
      } catch (const mno::Stuck &) {
        device->stuck = true;
      }
      __atomic_add_fetch(&mno_twin_state.ended, 1, __ATOMIC_SEQ_CST);
      device->running--;
    });
  return MNO_OK;
}

mno_status device_idle(mno_device *device, int *idle, mno_error *err) {
  if (__atomic_add_fetch(&mno_twin_state.polls, 1, __ATOMIC_SEQ_CST) == mno_twin_state.fail_after)
    return mno_fail(err, MNO_ERR_BACKEND, "twin: an illegal memory access: resume the run");
  if (device->stuck) return mno_fail(err, MNO_ERR_BACKEND, "twin: unspecified launch failure: resume the run");
  *idle = device->running == 0;
  return MNO_OK;
}

mno_status device_download(mno_device *, void *to, const void *from, size_t bytes, mno_error *) {
  memcpy(to, from, bytes);
  return MNO_OK;
}

mno_status device_send(mno_device *, void *to, const void *from, size_t bytes, mno_error *err) {
  if (__atomic_add_fetch(&mno_twin_state.sends, 1, __ATOMIC_SEQ_CST) == mno_twin_state.fail_send)
    return mno_fail(err, MNO_ERR_BACKEND, "twin: copy failed: resume the run");
  memcpy(to, from, bytes);
  return MNO_OK;
}

mno_status device_field(mno_device *, const mno_field_args *args, mno_error *err) {
  if (__atomic_add_fetch(&mno_twin_state.launches, 1, __ATOMIC_SEQ_CST) == mno_twin_state.fail_launch)
    return mno_fail(err, MNO_ERR_BACKEND, "twin: launch failed");
  mno_field_args some = *args;
  if (mno_twin_state.field_teams && mno_twin_state.field_teams < some.teams) some.teams = mno_twin_state.field_teams;
  mno::run_field_on_host(some, mno_twin_state.permutation);
  mno::run_total_on_host(some);
  return MNO_OK;
}

mno_status device_wait(mno_device *, mno_error *err) {
  if (__atomic_add_fetch(&mno_twin_state.waits, 1, __ATOMIC_SEQ_CST) == mno_twin_state.fail_wait)
    return mno_fail(err, MNO_ERR_BACKEND, "twin: an illegal memory access: resume the run");
  return MNO_OK;
}

} // namespace

/* Products by plain loops, operations over elements in a permuted order, graphs as lists of calls. */
struct mno_gemm {
  typedef std::vector<std::function<void()>> Calls;
  Calls graph[MNO_GRAPHS], captured;
  bool capturing = false;

  void call(std::function<void()> f) {
    if (capturing)
      captured.push_back(f);
    else
      f();
  }
};

namespace {

int count_up(int *counter) { return __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST); }

mno_status gemm_available(char *description, size_t size, mno_error *err) {
  if (mno_twin_state.no_products) return mno_fail(err, MNO_ERR_BACKEND, "twin: no library for products");
  snprintf(description, size, "plain loops");
  return MNO_OK;
}
mno_status gemm_serves(int, const mno_product *, size_t, int *served, mno_error *err) {
  *served = !mno_twin_state.no_algorithm;
  if (!*served) mno_fail(err, MNO_ERR_BACKEND, "twin: no algorithm");
  return MNO_OK;
}
mno_status gemm_open(mno_device *, mno_gemm **gemm, mno_error *) {
  *gemm = new mno_gemm;
  count_up(&mno_twin_state.live);
  return MNO_OK;
}
mno_status gemm_close(mno_gemm *gemm, mno_error *) {
  delete gemm;
  __atomic_sub_fetch(&mno_twin_state.live, 1, __ATOMIC_SEQ_CST);
  return MNO_OK;
}
mno_status gemm_product(mno_gemm *gemm, const mno_product *product, mno_error *err) {
  if (count_up(&mno_twin_state.products) == mno_twin_state.fail_product)
    return mno_fail(err, MNO_ERR_BACKEND, "twin: a product failed");
  if (!gemm->capturing) count_up(&mno_twin_state.calls_at_once);
  gemm->call([p = *product] { mno::multiply_on_host(p); });
  return MNO_OK;
}
mno_status gemm_elementwise(mno_gemm *gemm, mno_elementwise operation, const mno_gemm_args *args, mno_error *) {
  gemm->call([operation, a = *args] { mno::run_elementwise_on_host(operation, a); });
  return MNO_OK;
}
mno_status gemm_capture(mno_gemm *gemm, mno_error *) {
  gemm->captured.clear();
  gemm->capturing = true;
  return MNO_OK;
}
mno_status gemm_end(mno_gemm *gemm, mno_graph graph, mno_error *) {
  gemm->graph[graph].swap(gemm->captured);
  gemm->capturing = false;
  count_up(&mno_twin_state.graphs);
  return MNO_OK;
}
mno_status gemm_play(mno_gemm *gemm, mno_graph graph, mno_error *err) {
  if (count_up(&mno_twin_state.plays) == mno_twin_state.fail_play)
    return mno_fail(err, MNO_ERR_BACKEND, "twin: a graph failed");
  for (const auto &call : gemm->graph[graph]) call();
  return MNO_OK;
}
mno_status gemm_wait(mno_gemm *, mno_error *) { return MNO_OK; }

const mno_gemm_api gemm_twin = {gemm_available,   gemm_serves,  gemm_open, gemm_close, gemm_product,
                                gemm_elementwise, gemm_capture, gemm_end,  gemm_play,  gemm_wait};

} // namespace

extern "C" const mno_device_api mno_device_twin = {
    &gemm_twin,    device_count,    device_info,   device_resident, device_open, device_close, device_arena, device_pinned,
    device_upload, device_download, device_launch, device_idle,     device_send, device_field, device_wait};
