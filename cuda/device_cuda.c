#include "device.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
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

static mno_status fail(mno_error *err, const char *call, cudaError_t error) {
  return mno_fail(err, error == cudaErrorMemoryAllocation ? MNO_ERR_MEMORY : MNO_ERR_BACKEND, "%s: %s (%s): %s", call,
                  cudaGetErrorString(error), cudaGetErrorName(error), remedy(error));
}

#define CHECK(call)                                                                                                         \
  do {                                                                                                                      \
    cudaError_t error_ = (call);                                                                                            \
    if (error_ != cudaSuccess) return fail(err, #call, error_);                                                             \
  } while (0)

mno_status mno_cuda_count(int *count, mno_error *err) {
  *count = 0;
  cudaError_t error = cudaGetDeviceCount(count);
  if (error == cudaSuccess && *count > 0) return MNO_OK;
  if (error == cudaSuccess) error = cudaErrorNoDevice;
  return mno_fail(err, MNO_ERR_BACKEND, "no CUDA device answers: %s (%s): %s", cudaGetErrorString(error),
                  cudaGetErrorName(error), remedy(error));
}

mno_status mno_cuda_info(int index, mno_device_info *info, mno_error *err) {
  struct cudaDeviceProp properties;
  CHECK(cudaGetDeviceProperties(&properties, index));
  CHECK(cudaSetDevice(index));
  memset(info, 0, sizeof *info);
  snprintf(info->name, sizeof info->name, "%s", properties.name);
  info->major = properties.major;
  info->minor = properties.minor;
  info->processors = properties.multiProcessorCount;
  info->shared_block = properties.sharedMemPerBlockOptin;
  info->shared_processor = properties.sharedMemPerMultiprocessor;
  CHECK(cudaMemGetInfo(&info->memory_free, &info->memory_total));
  return MNO_OK;
}
