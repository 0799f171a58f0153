/* The maps of kernel G on the device: a thread per element, a row of blocks per instance. */
#include "common/kernels.h"
#include "kernels/maps.h"

#include <cuda_runtime.h>

namespace {

template <class T>
__global__ void __launch_bounds__(256) maps(const __grid_constant__ mno_gemm_args args, int map, size_t size) {
  const mno::Maps<T> body(args, blockIdx.y);
  for (size_t e = blockIdx.x * (size_t)blockDim.x + threadIdx.x; e < size; e += gridDim.x * (size_t)blockDim.x)
    body.run((mno_map)map, e);
}

} // namespace

extern "C" const void *mno_maps_kernel(int bytes) {
  return bytes == 4 ? (const void *)maps<float> : (const void *)maps<double>;
}
