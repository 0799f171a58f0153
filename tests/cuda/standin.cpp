/* SPDX-License-Identifier: BSD-3-Clause */
#include "standin.h"

#include "common/field_layout.h"
#include "common/kernels.h"
#include "run_host.h"

#include <cuda_runtime_api.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

mno_standin mno_standin_state = {1, 9, (size_t)4 << 30, 3, 0, 0, 0, 0, nullptr, 0, 0, 0, 0, 0, 0, 0};

/* ---- What there is */

namespace {

enum { MOST_DEVICES = 8, SHARED_DEFAULT = 48 << 10, SHARED_MOST = 227 << 10 };
typedef std::vector<std::function<void()>> Calls;

/* The kernels: what their real counterparts are compiled for. */
struct Kernel {
  enum Kind { TRAIN, ELEMENTWISE, FIELD, TOTAL } kind;
  int bytes, lanes_most;
  bool clusters;
  int shared[MOST_DEVICES]; /* allowed so far */
};
Kernel kernels[] = {
    {Kernel::TRAIN, 4, 32, false, {}},        {Kernel::TRAIN, 8, 32, false, {}},        {Kernel::TRAIN, 4, 256, false, {}},
    {Kernel::TRAIN, 8, 256, false, {}},       {Kernel::TRAIN, 4, 256, true, {}},        {Kernel::TRAIN, 8, 256, true, {}},
    {Kernel::ELEMENTWISE, 4, 256, false, {}}, {Kernel::ELEMENTWISE, 8, 256, false, {}}, {Kernel::FIELD, 4, 128, false, {}},
    {Kernel::FIELD, 8, 128, false, {}},       {Kernel::TOTAL, 8, 128, false, {}}};

struct Piece {
  size_t bytes;
  int device; /* -1: pinned host memory */
};

std::mutex lock; /* for all of these */
std::map<const char *, Piece> pieces;
size_t used[MOST_DEVICES];
thread_local int current;

} // namespace

struct CUstream_st {
  int device;
  bool recording = false;
  std::thread::id recorder;
  Calls recorded;
  std::vector<std::thread> teams;
  std::atomic<int> running{0};

  void call(std::function<void()> f) {
    if (recording)
      recorded.push_back(f);
    else
      f();
  }
  void join() {
    for (std::thread &team : teams) team.join();
    teams.clear();
  }
};
struct CUgraph_st {
  Calls calls;
};
struct CUgraphExec_st {
  Calls calls;
};

namespace {

std::vector<cudaStream_t> streams, ended; /* destroyed while their kernels ran */

void count(int *counter, int by = 1) { __atomic_add_fetch(counter, by, __ATOMIC_SEQ_CST); }

/* The device memory around an address. */
const Piece *piece_of(const void *at, size_t bytes) {
  auto next = pieces.upper_bound((const char *)at);
  if (next == pieces.begin()) return nullptr;
  --next;
  return (const char *)at + bytes <= next->first + next->second.bytes ? &next->second : nullptr;
}

bool stream_is_live(cudaStream_t stream) {
  for (cudaStream_t s : streams)
    if (s == stream) return true;
  mno_standin_complain("a stream that does not exist");
  return false;
}

cudaError_t launch(const char *name, const void *function, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                   void **parameters, unsigned cluster) {
  Kernel *const k = (Kernel *)function;
  {
    std::lock_guard<std::mutex> hold(lock);
    if (!stream_is_live(stream)) return cudaErrorInvalidResourceHandle;
    if (k < kernels || k >= kernels + sizeof kernels / sizeof *kernels)
      return mno_standin_complain("%s: not a kernel", name), cudaErrorInvalidDeviceFunction;
    if (stream->device != current)
      return mno_standin_complain("%s: a stream of device %d on device %d", name, stream->device, current),
             cudaErrorInvalidResourceHandle;
    const int allowed = k->shared[current] > SHARED_DEFAULT ? k->shared[current] : (int)SHARED_DEFAULT;
    if (grid.x == 0 || grid.y == 0 || grid.y > 65535 || (int)block.x > k->lanes_most || block.x % 32 || block.y != 1 ||
        (int)shared > allowed || (cluster > 1 && (!k->clusters || cluster > 8 || grid.x % cluster)))
      return mno_standin_complain("%s: grid %u x %u, block %u, cluster %u, %zu bytes of shared memory", name, grid.x, grid.y,
                                  block.x, cluster, shared),
             cudaErrorInvalidConfiguration;
  }
  if (!stream->recording) count(&mno_standin_state.kernels);
  if (k->kind == Kernel::ELEMENTWISE) {
    const mno_gemm_args args = *(const mno_gemm_args *)parameters[0];
    const mno_elementwise operation = (mno_elementwise) * (const int *)parameters[1];
    const size_t size = *(const size_t *)parameters[2];
    if (size != mno_elementwise_size(operation, &args) || grid.y != (unsigned)args.shape.group ||
        args.shape.bytes != k->bytes || size == 0)
      mno_standin_complain("%s: operation %d on %zu elements", name, operation, size);
    stream->call([operation, args] { mno::run_elementwise_on_host(operation, args); });
    return cudaSuccess;
  }
  if (k->kind == Kernel::TRAIN) {
    const mno_train_args args = *(const mno_train_args *)parameters[0];
    const int ranks = args.shape.blocks_per_team, teams = (int)grid.x / ranks;
    const int in_memory = shared == mno_shared_bytes(&args.shape, args.stages, 1);
    if ((int)block.x != args.shape.lanes || (int)cluster != ranks || args.shape.bytes != k->bytes ||
        (!in_memory && shared != mno_shared_bytes(&args.shape, args.stages, 0)))
      mno_standin_complain("%s: a launch that does not follow from its shape", name);
    stream->running += teams;
    for (int i = 0; i < teams; i++)
      stream->teams.emplace_back([stream, args, in_memory, i] {
        mno::HostTeam team(args, i, 3 + (uint32_t)i, in_memory != 0, i & 1);
        mno::run_on_host(team, args);
        stream->running--;
      });
    return cudaSuccess;
  }
  const mno_field_args args = *(const mno_field_args *)parameters[0];
  if (k->kind == Kernel::TOTAL)
    stream->call([args] { mno::run_total_on_host(args); });
  else if (grid.x != args.teams || args.shape.bytes != k->bytes ||
           shared != mno_field_shared_bytes(&args.shape, args.work_in_memory))
    mno_standin_complain("%s: a launch that does not follow from its shape", name);
  else
    stream->call([args] { mno::run_field_on_host(args, 11); });
  return cudaSuccess;
}

} // namespace

/* ---- For the stand-in of cuBLASLt */

int mno_standin_fails(const char *name) {
  mno_standin *const s = &mno_standin_state;
  const int n = __atomic_add_fetch(&s->calls, 1, __ATOMIC_SEQ_CST), at = __atomic_load_n(&s->fail_at, __ATOMIC_SEQ_CST);
  if (at == 0 || n < at || (n > at && !s->lasting)) return 0;
  if (n == at) __atomic_store_n(&s->name, name, __ATOMIC_SEQ_CST);
  count(&s->failed);
  return 1;
}

void mno_standin_complain(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "stand-in: ");
  vfprintf(stderr, format, args);
  fprintf(stderr, "\n");
  va_end(args);
  count(&mno_standin_state.complaints);
}

int mno_standin_device(void) { return current; }
int mno_standin_no_algorithm(void) { return mno_standin_state.no_algorithm; }

int mno_standin_holds(int device, const void *at, size_t bytes) {
  std::lock_guard<std::mutex> hold(lock);
  const Piece *piece = piece_of(at, bytes);
  return piece && piece->device == device;
}

void mno_standin_multiply(void *stream, int device, const mno_product *p) {
  cudaStream_t s = (cudaStream_t)stream;
  if (s->device != device) mno_standin_complain("a product of device %d on a stream of %d", device, s->device);
  s->call([p = *p] { mno::multiply_on_host(p); });
}

/* ---- The kernels */

const void *mno_train_kernel(const mno_shape *shape, int) {
  return &kernels[(shape->kernel == MNO_KERNEL_WARP ? 0 : shape->blocks_per_team > 1 ? 4 : 2) + (shape->bytes == 8)];
}
const void *mno_lanes_kernel(const mno_shape *shape) { return &kernels[shape->bytes == 8]; }
const void *mno_elementwise_kernel(const mno_shape *shape) { return &kernels[6 + (shape->bytes == 8)]; }
const void *mno_field_kernel(const mno_field_shape *shape, int) { return &kernels[8 + (shape->bytes == 8)]; }
const void *mno_field_total_kernel(void) { return &kernels[10]; }

/* ---- The runtime */

#define CALL()                                                                                                              \
  if (mno_standin_fails(__func__)) return cudaErrorLaunchFailure

extern "C" {

const char *cudaGetErrorName(cudaError_t error) {
  return error == cudaErrorLaunchFailure ? "cudaErrorLaunchFailure" : error == cudaErrorNoDevice ? "cudaErrorNoDevice" : "?";
}
const char *cudaGetErrorString(cudaError_t) { return "unspecified launch failure"; }

cudaError_t cudaGetDeviceCount(int *devices) {
  CALL();
  *devices = mno_standin_state.devices;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
  CALL();
  if (device < 0 || device >= mno_standin_state.devices) return cudaErrorInvalidDevice;
  memset((void *)properties, 0, sizeof *properties);
  snprintf(properties->name, sizeof properties->name, "stand-in");
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int) {
  CALL();
  switch (attribute) {
  case cudaDevAttrComputeCapabilityMajor: *value = mno_standin_state.major; break;
  case cudaDevAttrComputeCapabilityMinor: *value = 0; break;
  case cudaDevAttrMultiProcessorCount: *value = 4; break;
  case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = SHARED_MOST; break;
  case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = 228 << 10; break;
  default: return cudaErrorInvalidValue;
  }
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  CALL();
  if (device < 0 || device >= mno_standin_state.devices) return cudaErrorInvalidDevice;
  current = device;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *left, size_t *total) {
  CALL();
  std::lock_guard<std::mutex> hold(lock);
  *total = mno_standin_state.memory;
  *left = *total - used[current];
  return cudaSuccess;
}

cudaError_t cudaMalloc(void **at, size_t bytes) {
  CALL();
  std::lock_guard<std::mutex> hold(lock);
  if (bytes == 0 || bytes > mno_standin_state.memory - used[current]) return cudaErrorMemoryAllocation;
  *at = aligned_alloc(256, mno_round_up(bytes, 256));
  memset(*at, 0xff, bytes); /* NaN: nothing may count on zeros */
  pieces[(const char *)*at] = Piece{bytes, current};
  used[current] += bytes;
  count(&mno_standin_state.live);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void **at, size_t bytes, unsigned flags) {
  CALL();
  std::lock_guard<std::mutex> hold(lock);
  if (bytes == 0 || !(flags & cudaHostAllocMapped)) return cudaErrorInvalidValue;
  *at = aligned_alloc(256, mno_round_up(bytes, 256));
  memset(*at, 0xff, bytes);
  pieces[(const char *)*at] = Piece{bytes, -1};
  count(&mno_standin_state.live);
  return cudaSuccess;
}
} // extern "C"

/* Memory goes when the kernels that may use it have ended, whether or not the call reports success. */
static cudaError_t give_back(void *at, int device) {
  std::lock_guard<std::mutex> hold(lock);
  auto piece = pieces.find((const char *)at);
  if (piece == pieces.end() || (piece->second.device < 0) != (device < 0))
    return mno_standin_complain("memory given back that was not taken"), cudaErrorInvalidValue;
  for (std::vector<cudaStream_t> *list : {&streams, &ended})
    for (cudaStream_t stream : *list)
      if (stream->device == current) stream->join();
  for (size_t i = ended.size(); i-- > 0;)
    if (ended[i]->device == current) {
      delete ended[i];
      ended.erase(ended.begin() + (long)i);
    }
  if (piece->second.device >= 0) used[piece->second.device] -= piece->second.bytes;
  pieces.erase(piece);
  free(at);
  count(&mno_standin_state.live, -1);
  return cudaSuccess;
}

/* What gives something back does so even when it is made to fail: so nothing that is left over is the caller's doing. */
#define RELEASING(work)                                                                                                     \
  const int fails = mno_standin_fails(__func__);                                                                            \
  const cudaError_t error = work;                                                                                           \
  return fails ? cudaErrorLaunchFailure : error

extern "C" {

cudaError_t cudaFree(void *at) { RELEASING(give_back(at, current)); }
cudaError_t cudaFreeHost(void *at) { RELEASING(give_back(at, -1)); }

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  CALL();
  {
    std::lock_guard<std::mutex> hold(lock);
    if (!stream_is_live(stream)) return cudaErrorInvalidResourceHandle;
    const Piece *piece = piece_of(kind == cudaMemcpyHostToDevice ? to : from, bytes);
    const Piece *other = piece_of(kind == cudaMemcpyHostToDevice ? from : to, bytes);
    if (!piece || piece->device != stream->device || (other && other->device >= 0) || bytes == 0) {
      mno_standin_complain("a copy of %zu bytes outside of what belongs to device %d", bytes, stream->device);
      return cudaErrorInvalidValue;
    }
  }
  if (stream->recording) mno_standin_complain("a copy while a graph is recorded");
  if (mno_standin_state.refuse_late_copies) {
    std::lock_guard<std::mutex> hold(lock);
    for (cudaStream_t other : streams)
      if (!other->teams.empty()) mno_standin_complain("a copy while kernels may wait for the host");
  }
  memcpy(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
  CALL();
  std::lock_guard<std::mutex> hold(lock);
  *stream = new CUstream_st;
  (*stream)->device = current;
  streams.push_back(*stream);
  count(&mno_standin_state.live);
  return cudaSuccess;
}
} // extern "C"

static cudaError_t end_stream(cudaStream_t stream) {
  std::lock_guard<std::mutex> hold(lock);
  if (!stream_is_live(stream)) return cudaErrorInvalidResourceHandle;
  for (size_t i = 0; i < streams.size(); i++)
    if (streams[i] == stream) streams.erase(streams.begin() + (long)i--);
  if (stream->teams.empty())
    delete stream;
  else
    ended.push_back(stream);
  count(&mno_standin_state.live, -1);
  return cudaSuccess;
}

extern "C" {

cudaError_t cudaStreamDestroy(cudaStream_t stream) { RELEASING(end_stream(stream)); }
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  CALL();
  return stream->running == 0 && !__atomic_load_n(&mno_standin_state.held, __ATOMIC_SEQ_CST) ? cudaSuccess
                                                                                             : cudaErrorNotReady;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  CALL();
  if (stream->recording)
    return mno_standin_complain("waiting for a stream that is recorded"), cudaErrorStreamCaptureUnsupported;
  stream->join();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  CALL();
  if (stream->recording) return mno_standin_complain("a recording in a recording"), cudaErrorIllegalState;
  stream->recording = true;
  stream->recorder = std::this_thread::get_id();
  stream->recorded.clear();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
  CALL();
  if (!stream->recording || stream->recorder != std::this_thread::get_id())
    return mno_standin_complain("the end of no recording"), cudaErrorIllegalState;
  stream->recording = false;
  *graph = new CUgraph_st;
  (*graph)->calls.swap(stream->recorded);
  count(&mno_standin_state.live);
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *made, cudaGraph_t graph, unsigned long long) {
  CALL();
  *made = new CUgraphExec_st{graph->calls};
  count(&mno_standin_state.live);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  CALL();
  if (stream->device != current) mno_standin_complain("a graph on another device");
  count(&mno_standin_state.played);
  for (const auto &call : graph->calls) call();
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  RELEASING((delete graph, count(&mno_standin_state.live, -1), cudaSuccess));
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  RELEASING((delete graph, count(&mno_standin_state.live, -1), cudaSuccess));
}

cudaError_t cudaFuncSetAttribute(const void *function, cudaFuncAttribute attribute, int value) {
  CALL();
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return value <= 100 ? cudaSuccess : cudaErrorInvalidValue;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value > SHARED_MOST) return cudaErrorInvalidValue;
  std::lock_guard<std::mutex> hold(lock);
  int &allowed = ((Kernel *)function)->shared[current];
  if (value < allowed) return cudaErrorInvalidValue; /* another thread may be about to launch with what it was allowed */
  allowed = value;
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *, int, size_t) {
  CALL();
  *blocks = (mno_standin_state.resident + 3) / 4;
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveClusters(int *clusters, const void *, const cudaLaunchConfig_t *launch) {
  CALL();
  if (launch->numAttrs != 1 || launch->attrs->id != cudaLaunchAttributeClusterDimension)
    return mno_standin_complain("clusters of no size"), cudaErrorInvalidValue;
  *clusters = mno_standin_state.resident;
  return cudaSuccess;
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *function, void **parameters) {
  CALL();
  const unsigned cluster = config->numAttrs ? config->attrs->val.clusterDim.x : 1;
  return launch(__func__, function, config->gridDim, config->blockDim, config->dynamicSmemBytes, config->stream, parameters,
                cluster);
}
cudaError_t cudaLaunchKernel(const void *function, dim3 grid, dim3 block, void **parameters, size_t shared,
                             cudaStream_t stream) {
  CALL();
  return launch(__func__, function, grid, block, shared, stream, parameters, 1);
}

} // extern "C"
