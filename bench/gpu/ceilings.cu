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
#define CHECK(call) check(call, #call)

/* Work per second of the fastest of ten runs, by events. */
template <class F> bool rate(double work, double *found, F launch) {
  cudaEvent_t begin, end;
  bool fine = CHECK(cudaEventCreate(&begin)) && CHECK(cudaEventCreate(&end));
  *found = 0;
  for (int i = 0; i < 10 && fine; i++) {
    float milliseconds = 0;
    fine = CHECK(cudaEventRecord(begin));
    if (fine) launch();
    fine = fine && CHECK(cudaGetLastError()) && CHECK(cudaEventRecord(end)) && CHECK(cudaEventSynchronize(end)) &&
           CHECK(cudaEventElapsedTime(&milliseconds, begin, end));
    if (fine) *found = std::max(*found, work / (1e-3 * milliseconds));
  }
  return fine && CHECK(cudaEventDestroy(begin)) && CHECK(cudaEventDestroy(end));
}

} // namespace

int ceilings_measure(ceilings *found) {
  const size_t bytes = (size_t)1 << 30, n = bytes / sizeof(float4);
  float4 *a = nullptr, *b = nullptr, *c = nullptr;
  int processors = 0;
  if (!CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0)) || !CHECK(cudaMalloc(&a, bytes)) ||
      !CHECK(cudaMalloc(&b, bytes)) || !CHECK(cudaMalloc(&c, bytes)) || !CHECK(cudaMemset(a, 0, bytes)) ||
      !CHECK(cudaMemset(b, 0, bytes)))
    return -1;
  const int blocks = processors * 8, threads = 512;
  const double flops = 2.0 * ROUNDS * CHAINS * blocks * threads;
  const bool fine = rate(2.0 * (double)bytes, &found->copy, [&] { copy<<<blocks, threads>>>(a, c, n); }) &&
                    rate(3.0 * (double)bytes, &found->two_to_one, [&] { add<<<blocks, threads>>>(a, b, c, n); }) &&
                    rate(flops, &found->fma32, [&] { multiply_add<<<blocks, threads>>>((float *)c, 0.999f, 0.5f); }) &&
                    rate(flops, &found->fma64, [&] { multiply_add<<<blocks, threads>>>((double *)c, 0.999, 0.5); });
  return CHECK(cudaFree(a)) && CHECK(cudaFree(b)) && CHECK(cudaFree(c)) && fine ? 0 : -1;
}
