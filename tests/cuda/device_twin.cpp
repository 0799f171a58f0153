#include "device_twin.h"

#include "run_host.h"

#include <cstdio>
#include <cstdlib>

mno_twin mno_twin_state;

struct mno_device {
  char *arena, *pinned;
  std::vector<std::thread> threads;
  std::atomic<int> running{0};
};

namespace {

mno_status device_count(int *count, mno_error *err) {
  *count = mno_twin_state.devices;
  return *count > 0 ? MNO_OK : mno_fail(err, MNO_ERR_BACKEND, "no CUDA device answers: the twin has none");
}

mno_status device_info(int, mno_device_info *info, mno_error *) {
  memset(info, 0, sizeof *info);
  snprintf(info->name, sizeof info->name, "twin");
  info->major = 9;
  info->processors = 4;
  info->memory_free = info->memory_total = mno_twin_state.memory;
  info->shared_block = 227 << 10;
  info->shared_processor = 228 << 10;
  return MNO_OK;
}

mno_status device_resident(int, const mno_shape *, const mno_fit_on_card *, int *teams, mno_error *) {
  *teams = mno_twin_state.resident;
  return MNO_OK;
}

mno_status device_open(int, size_t arena_bytes, size_t pinned_bytes, mno_device **device, mno_error *err) {
  *device = nullptr;
  if (__atomic_add_fetch(&mno_twin_state.opens, 1, __ATOMIC_SEQ_CST) == mno_twin_state.fail_open)
    return mno_fail(err, MNO_ERR_MEMORY, "twin: open failed");
  if (arena_bytes > mno_twin_state.memory) return mno_fail(err, MNO_ERR_MEMORY, "twin: arena larger than the device");
  mno_device *made = new mno_device;
  made->arena = (char *)aligned_alloc(256, mno_round_up(arena_bytes, 256));
  made->pinned = (char *)aligned_alloc(256, mno_round_up(pinned_bytes, 256));
  memset(made->arena, 0xff, arena_bytes); /* NaN: nothing may count on zeros */
  memset(made->pinned, 0, pinned_bytes);
  __atomic_add_fetch(&mno_twin_state.live, 1, __ATOMIC_SEQ_CST);
  *device = made;
  return MNO_OK;
}

void device_close(mno_device *device) {
  __atomic_store_n((uint32_t *)device->pinned, 1, __ATOMIC_RELEASE); /* after a fault: nothing runs on */
  for (std::thread &thread : device->threads) thread.join();
  free(device->arena);
  free(device->pinned);
  delete device;
  __atomic_sub_fetch(&mno_twin_state.live, 1, __ATOMIC_SEQ_CST);
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
  for (int i = 0; i < teams; i++)
    device->threads.emplace_back([device, args = *args, fit = *fit, i] {
      mno::HostTeam team(args, i, 7 + (uint32_t)i, fit.state_in_memory, i & 1);
      mno::run_on_host(team, args);
      device->running--;
    });
  return MNO_OK;
}

mno_status device_idle(mno_device *device, int *idle, mno_error *err) {
  if (__atomic_add_fetch(&mno_twin_state.polls, 1, __ATOMIC_SEQ_CST) == mno_twin_state.fail_after)
    return mno_fail(err, MNO_ERR_BACKEND, "twin: an illegal memory access: resume the run");
  *idle = device->running == 0;
  return MNO_OK;
}

} // namespace

extern "C" const mno_device_api mno_device_twin = {device_count, device_info,   device_resident, device_open,   device_close,
                                                   device_arena, device_pinned, device_upload,   device_launch, device_idle};
