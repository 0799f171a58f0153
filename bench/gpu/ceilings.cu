#include "ceilings.h"

#include <algorithm>
#include <cstdio>
#include <cuda_runtime.h>

namespace {

__global__ void copy(const float4 *a, float4 *c, size_t n) {
  for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += gridDim.x * (size_t)blockDim.x) c[i] = a[i];
}

__global__ void add(const float4 *a, const float4 *b, float4 *c, size_t n) {
  for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += gridDim.x * (size_t)blockDim.x) {
    float4 x = a[i], y = b[i];
    c[i] = make_float4(x.x + y.x, x.y + y.y, x.z + y.z, x.w + y.w);
  }
}

enum { ROUNDS = 4096, CHAINS = 16 };
template <class T> __global__ void multiply_add(T *out, T a, T b) {
  T x[CHAINS];
#pragma unroll
  for (int i = 0; i < CHAINS; i++) x[i] = (T)(threadIdx.x + i);
  for (int round = 0; round < ROUNDS; round++)
#pragma unroll
    for (int i = 0; i < CHAINS; i++) x[i] = fma(x[i], a, b);
  T sum = 0;
#pragma unroll
  for (int i = 0; i < CHAINS; i++) sum += x[i];
  if (sum == (T)12345) out[threadIdx.x] = sum;
}

bool check(cudaError_t error, const char *call) {
  if (error == cudaSuccess) return true;
  fprintf(stderr, "bench_gpu: %s: %s\n", call, cudaGetErrorString(error));
  return false;
}

/* Seconds of the fastest of ten runs, by events. */
template <class F> double fastest(F launch) {
  cudaEvent_t begin, end;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  double best = 1e9;
  for (int i = 0; i < 10; i++) {
    float milliseconds;
    cudaEventRecord(begin);
    launch();
    cudaEventRecord(end);
    cudaEventSynchronize(end);
    cudaEventElapsedTime(&milliseconds, begin, end);
    best = std::min(best, 1e-3 * milliseconds);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return best;
}

} // namespace

int ceilings_measure(ceilings *found) {
  const size_t bytes = (size_t)1 << 30, n = bytes / sizeof(float4);
  float4 *a = nullptr, *b = nullptr, *c = nullptr;
  int processors = 0;
  if (!check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0), "cudaDeviceGetAttribute") ||
      !check(cudaMalloc(&a, bytes), "cudaMalloc") || !check(cudaMalloc(&b, bytes), "cudaMalloc") ||
      !check(cudaMalloc(&c, bytes), "cudaMalloc") || !check(cudaMemset(a, 0, bytes), "cudaMemset") ||
      !check(cudaMemset(b, 0, bytes), "cudaMemset"))
    return -1;
  const int blocks = processors * 8, threads = 512;
  found->copy = 2.0 * (double)bytes / fastest([&] { copy<<<blocks, threads>>>(a, c, n); });
  found->two_to_one = 3.0 * (double)bytes / fastest([&] { add<<<blocks, threads>>>(a, b, c, n); });
  const double flops = 2.0 * ROUNDS * CHAINS * blocks * threads;
  found->fma32 = flops / fastest([&] { multiply_add<<<blocks, threads>>>((float *)c, 0.999f, 0.5f); });
  found->fma64 = flops / fastest([&] { multiply_add<<<blocks, threads>>>((double *)c, 0.999, 0.5); });
  cudaFree(a);
  cudaFree(b);
  cudaFree(c);
  return check(cudaGetLastError(), "the ceilings' kernels") ? 0 : -1;
}
