/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/device_cuda.h"

#include "common/kernels.h"
#include "core/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a person can do about an error of the CUDA runtime. */
static const char *remedy(cudaError_t error) {
  switch (error) {
  case cudaErrorInsufficientDriver:
  case cudaErrorSystemDriverMismatch: return "install or update the NVIDIA driver, or use --backend cpu";
  case cudaErrorNoDevice: return "check that the card is visible (nvidia-smi, CUDA_VISIBLE_DEVICES), or use --backend cpu";
  case cudaErrorMemoryAllocation: return "free memory on the card (nvidia-smi shows who uses it), or use --backend cpu";
  case cudaErrorDevicesUnavailable:
  case cudaErrorDeviceUninitialized: return "another process may own the card exclusively; wait, or use --backend cpu";
  case cudaErrorNoKernelImageForDevice:
  case cudaErrorInvalidDeviceFunction:
    return "this build has no code for this card; build again with MEANODE_CUDA_ARCHITECTURES set to its compute capability";
  case cudaErrorECCUncorrectable:
  case cudaErrorHardwareStackError: return "the card reports a hardware fault; take another card and resume the run";
  default: return "resume the run; if it fails again, use --backend cpu and report this message";
  }
}

mno_status mno_cuda_fail(mno_error *err, const char *call, cudaError_t error) {
  return mno_fail(err, error == cudaErrorMemoryAllocation ? MNO_ERR_MEMORY : MNO_ERR_BACKEND, "%s: %s (%s): %s", call,
                  cudaGetErrorString(error), cudaGetErrorName(error), remedy(error));
}

mno_status mno_cuda_status(const char *call, cudaError_t error, mno_error *err) {
  return error == cudaSuccess ? MNO_OK : mno_cuda_fail(err, call, error);
}

mno_status mno_cuda_released(mno_status so_far, const char *call, cudaError_t error, mno_error *err) {
  return so_far == MNO_OK ? mno_cuda_status(call, error, err) : so_far;
}

enum { QUEUES = 16, NAMES = 16 };

struct mno_device {
  int index;
  char *arena, *pinned;
  cudaStream_t stream[QUEUES];
  const void *allowed;    /* the kernel of the last pass over particles: passes are short, and mostly alike */
  cudaStream_t transfers; /* uploads must not wait for kernels, which wait for the host to take their results */
};

static mno_status device_count(int *count, mno_error *err) {
  const char *blocking = getenv("CUDA_LAUNCH_BLOCKING");
  *count = 0;
  if (blocking && strcmp(blocking, "") != 0 && strcmp(blocking, "0") != 0)
    return mno_fail(
        err, MNO_ERR_BACKEND,
        "CUDA_LAUNCH_BLOCKING=%s: a launch would wait for its kernel, and kernels wait for the host to take their "
        "results; unset CUDA_LAUNCH_BLOCKING, or use --backend cpu",
        blocking);
  cudaError_t error = cudaGetDeviceCount(count);
  if (error == cudaSuccess && *count > 0) return MNO_OK;
  if (error == cudaSuccess) error = cudaErrorNoDevice;
  return mno_fail(err, MNO_ERR_BACKEND, "no CUDA device answers (cudaGetDeviceCount): %s (%s): %s",
                  cudaGetErrorString(error), cudaGetErrorName(error), remedy(error));
}

/* The name of a device, asked for once: that takes longer than all the attributes. */
static mno_status name_of(int index, char *name, size_t size, mno_error *err) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static char known[NAMES][256];
  mno_status status = MNO_OK;
  pthread_mutex_lock(&lock);
  if (index >= NAMES || !known[index][0]) {
    struct cudaDeviceProp properties;
    const cudaError_t error = cudaGetDeviceProperties(&properties, index);
    if (error != cudaSuccess)
      status = mno_cuda_fail(err, "cudaGetDeviceProperties", error);
    else if (index < NAMES)
      snprintf(known[index], sizeof known[index], "%s", properties.name);
    else
      snprintf(name, size, "%s", properties.name);
  }
  if (status == MNO_OK && index < NAMES) snprintf(name, size, "%s", known[index]);
  pthread_mutex_unlock(&lock);
  return status;
}

static mno_status device_info(int index, mno_device_info *info, mno_error *err) {
  int block = 0, processor = 0;
  *info = (mno_device_info){0};
  const struct {
    enum cudaDeviceAttr attribute;
    int *to;
  } asked[] = {{cudaDevAttrComputeCapabilityMajor, &info->major},
               {cudaDevAttrComputeCapabilityMinor, &info->minor},
               {cudaDevAttrMultiProcessorCount, &info->processors},
               {cudaDevAttrMaxSharedMemoryPerBlockOptin, &block},
               {cudaDevAttrMaxSharedMemoryPerMultiprocessor, &processor}};
  mno_status status = name_of(index, info->name, sizeof info->name, err);
  if (status == MNO_OK) status = MNO_CUDA(err, cudaSetDevice(index));
  for (size_t i = 0; i < sizeof asked / sizeof *asked && status == MNO_OK; i++)
    status = MNO_CUDA(err, cudaDeviceGetAttribute(asked[i].to, asked[i].attribute, index));
  info->shared_block = (size_t)block;
  info->shared_processor = (size_t)processor;
  return status == MNO_OK ? MNO_CUDA(err, cudaMemGetInfo(&info->memory_free, &info->memory_total)) : status;
}

/* Lets launches of a kernel ask for all the shared memory that a block may have, of processors that give all they have to
 * it: the occupancy that is counted on supposes so. The attribute belongs to the device, not to a launch: were it the size
 * of one, a launch of another thread with a larger size would fail. */
static mno_status allow_shared(int index, const void *kernel, mno_error *err) {
  int most = 0;
  mno_status status = MNO_CUDA(err, cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, index));
  if (status == MNO_OK)
    status = MNO_CUDA(err, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most));
  if (status == MNO_OK)
    status = MNO_CUDA(
        err, cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared));
  return status;
}

/* The driver prepares all kernels before it starts any, because loading one may wait for those that run. */
static mno_status prepare(int index, const mno_shape *shape, const mno_fit_on_card *fit, const void **kernel,
                          mno_error *err) {
  *kernel = shape->kernel == MNO_KERNEL_LANES ? mno_lanes_kernel(shape) : mno_train_kernel(shape, fit->state_in_memory);
  const mno_status status = MNO_CUDA(err, cudaSetDevice(index));
  return status == MNO_OK ? allow_shared(index, *kernel, err) : status;
}

static cudaLaunchConfig_t configuration(const mno_shape *shape, const mno_fit_on_card *fit, int teams, cudaStream_t stream,
                                        cudaLaunchAttribute *cluster) {
  cluster->id = cudaLaunchAttributeClusterDimension;
  cluster->val.clusterDim.x = (unsigned)shape->blocks_per_team;
  cluster->val.clusterDim.y = cluster->val.clusterDim.z = 1;
  return (cudaLaunchConfig_t){.gridDim = {(unsigned)(teams * shape->blocks_per_team), 1, 1},
                              .blockDim = {(unsigned)shape->lanes, 1, 1},
                              .dynamicSmemBytes = fit->shared,
                              .stream = stream,
                              .attrs = cluster,
                              .numAttrs = shape->blocks_per_team > 1};
}

static mno_status device_resident(int index, const mno_shape *shape, const mno_fit_on_card *fit, int *teams,
                                  mno_error *err) {
  const void *kernel;
  int blocks = 0, processors = 1;
  cudaLaunchAttribute cluster;
  cudaLaunchConfig_t launch = configuration(shape, fit, 1, 0, &cluster);
  mno_status status = prepare(index, shape, fit, &kernel, err);
  if (status == MNO_OK && shape->blocks_per_team > 1) {
    status = MNO_CUDA(err, cudaOccupancyMaxActiveClusters(&blocks, kernel, &launch));
  } else if (status == MNO_OK) {
    status = MNO_CUDA(err, cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, shape->lanes, fit->shared));
    if (status == MNO_OK) status = MNO_CUDA(err, cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, index));
  }
  *teams = blocks * processors;
  return status;
}

static mno_status device_close(mno_device *device, mno_error *err) {
  mno_status status = MNO_OK;
  status = mno_cuda_released(status, "cudaSetDevice", cudaSetDevice(device->index), err);
  for (int i = 0; i < QUEUES; i++)
    if (device->stream[i])
      status = mno_cuda_released(status, "cudaStreamDestroy", cudaStreamDestroy(device->stream[i]), err);
  if (device->transfers) status = mno_cuda_released(status, "cudaStreamDestroy", cudaStreamDestroy(device->transfers), err);
  if (device->pinned) status = mno_cuda_released(status, "cudaFreeHost", cudaFreeHost(device->pinned), err);
  if (device->arena) status = mno_cuda_released(status, "cudaFree", cudaFree(device->arena), err);
  free(device);
  return status;
}

static mno_status fill(mno_device *device, size_t arena_bytes, size_t pinned_bytes, mno_error *err) {
  const unsigned flags = cudaHostAllocMapped | cudaHostAllocPortable;
  mno_status status = MNO_CUDA(err, cudaSetDevice(device->index));
  if (status == MNO_OK) status = MNO_CUDA(err, cudaMalloc((void **)&device->arena, arena_bytes));
  if (status == MNO_OK) status = MNO_CUDA(err, cudaHostAlloc((void **)&device->pinned, pinned_bytes, flags));
  for (int i = 0; i < QUEUES && status == MNO_OK; i++)
    status = MNO_CUDA(err, cudaStreamCreateWithFlags(&device->stream[i], cudaStreamNonBlocking));
  return status == MNO_OK ? MNO_CUDA(err, cudaStreamCreateWithFlags(&device->transfers, cudaStreamNonBlocking)) : status;
}

static mno_status device_open(int index, size_t arena_bytes, size_t pinned_bytes, mno_device **device, mno_error *err) {
  mno_device *made = mno_alloc(1, sizeof *made);
  if (!made) return mno_fail_memory(err, sizeof *made, "a device");
  made->index = index;
  mno_status status = fill(made, arena_bytes, pinned_bytes, err);
  if (status != MNO_OK) {
    device_close(made, NULL); /* what failed first is reported */
    made = NULL;
  }
  *device = made;
  return status;
}

int mno_device_index(const mno_device *device) { return device->index; }
static char *device_arena(mno_device *device) { return device->arena; }
static char *device_pinned(mno_device *device) { return device->pinned; }

static mno_status copy(mno_device *device, void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                       mno_error *err) {
  mno_status status = MNO_CUDA(err, cudaSetDevice(device->index));
  if (status == MNO_OK) status = MNO_CUDA(err, cudaMemcpyAsync(to, from, bytes, kind, device->transfers));
  return status == MNO_OK ? MNO_CUDA(err, cudaStreamSynchronize(device->transfers)) : status;
}

static mno_status device_upload(mno_device *device, void *to, const void *from, size_t bytes, mno_error *err) {
  return copy(device, to, from, bytes, cudaMemcpyHostToDevice, err);
}

static mno_status device_download(mno_device *device, void *to, const void *from, size_t bytes, mno_error *err) {
  return copy(device, to, from, bytes, cudaMemcpyDeviceToHost, err);
}

static mno_status device_launch(mno_device *device, int queue, const mno_train_args *args, const mno_fit_on_card *fit,
                                int teams, mno_error *err) {
  const void *kernel;
  cudaLaunchAttribute cluster;
  cudaLaunchConfig_t launch = configuration(&args->shape, fit, teams, device->stream[queue % QUEUES], &cluster);
  void *parameters[] = {(void *)args};
  const mno_status status = prepare(device->index, &args->shape, fit, &kernel, err);
  return status == MNO_OK ? MNO_CUDA(err, cudaLaunchKernelExC(&launch, kernel, parameters)) : status;
}

static mno_status device_idle(mno_device *device, int *idle, mno_error *err) {
  *idle = 0;
  for (int i = 0; i < QUEUES; i++) {
    cudaError_t error = cudaStreamQuery(device->stream[i]);
    if (error == cudaErrorNotReady) return MNO_OK; /* a fault of one kernel is the answer of every stream */
    if (error != cudaSuccess) return mno_cuda_fail(err, "a training kernel (cudaStreamQuery)", error);
  }
  *idle = 1;
  return MNO_OK;
}

static mno_status device_send(mno_device *device, void *to, const void *from, size_t bytes, mno_error *err) {
  const mno_status status = MNO_CUDA(err, cudaSetDevice(device->index));
  return status == MNO_OK ? MNO_CUDA(err, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, device->stream[0]))
                          : status;
}

static mno_status device_field(mno_device *device, const mno_field_args *args, mno_error *err) {
  const mno_field_shape *s = &args->shape;
  const void *kernel = mno_field_kernel(s, args->work_in_memory);
  const size_t results = (size_t)args->count * s->outputs;
  void *parameters[] = {(void *)args};
  cudaLaunchConfig_t launch = {.gridDim = {args->teams, 1, 1},
                               .blockDim = {MNO_FIELD_LANES, 1, 1},
                               .dynamicSmemBytes = mno_field_shared_bytes(s, args->work_in_memory),
                               .stream = device->stream[0]};
  mno_status status = MNO_CUDA(err, cudaSetDevice(device->index));
  if (status == MNO_OK && device->allowed != kernel) status = allow_shared(device->index, kernel, err);
  if (status == MNO_OK) device->allowed = kernel;
  if (status == MNO_OK) status = MNO_CUDA(err, cudaLaunchKernelExC(&launch, kernel, parameters));
  if (status != MNO_OK || results == 0) return status;
  launch.gridDim.x = (unsigned)((results + MNO_FIELD_LANES - 1) / MNO_FIELD_LANES);
  launch.dynamicSmemBytes = 0;
  return MNO_CUDA(err, cudaLaunchKernelExC(&launch, mno_field_total_kernel(), parameters));
}

static mno_status device_wait(mno_device *device, mno_error *err) {
  cudaError_t error = cudaStreamSynchronize(device->stream[0]);
  return error == cudaSuccess ? MNO_OK : mno_cuda_fail(err, "a pass over particles (cudaStreamSynchronize)", error);
}

const mno_device_api mno_device_cuda = {.gemm = &mno_gemm_cuda,
                                        .count = device_count,
                                        .info = device_info,
                                        .resident = device_resident,
                                        .open = device_open,
                                        .close = device_close,
                                        .arena = device_arena,
                                        .pinned = device_pinned,
                                        .upload = device_upload,
                                        .launch = device_launch,
                                        .idle = device_idle,
                                        .download = device_download,
                                        .send = device_send,
                                        .field = device_field,
                                        .wait = device_wait};
