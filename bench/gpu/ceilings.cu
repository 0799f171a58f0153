/* SPDX-License-Identifier: BSD-3-Clause */
#include "ceilings.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cuda_runtime.h>

namespace {

/* A number of [1, 2) with random bits behind the point: what is moved and multiplied costs as much power as real data. */
__device__ float random_number(uint64_t i) {
  uint32_t x = (uint32_t)i * 0x9E3779B9u ^ (uint32_t)(i >> 32);
  x = (x ^ x >> 16) * 0x85EBCA6Bu;
  x = (x ^ x >> 13) * 0xC2B2AE35u;
  return __uint_as_float(0x3F800000u | (x ^ x >> 16) >> 9);
}
__global__ void fill(float *to, size_t n, uint64_t from) {
  for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += gridDim.x * (size_t)blockDim.x)
    to[i] = random_number(from + i);
}

/* Memory: every thread has four transfers in flight. n is a multiple of AHEAD blocks. */
enum { AHEAD = 4 };
__global__ void copy(const float4 *__restrict__ a, float4 *__restrict__ c, size_t n) {
  const size_t step = (size_t)gridDim.x * blockDim.x * AHEAD;
  for (size_t i = (size_t)blockIdx.x * blockDim.x * AHEAD + threadIdx.x; i < n; i += step) {
    float4 x[AHEAD];
#pragma unroll
    for (int k = 0; k < AHEAD; k++) x[k] = a[i + k * blockDim.x];
#pragma unroll
    for (int k = 0; k < AHEAD; k++) c[i + k * blockDim.x] = x[k];
  }
}

__global__ void add(const float4 *__restrict__ a, const float4 *__restrict__ b, float4 *__restrict__ c, size_t n) {
  const size_t step = (size_t)gridDim.x * blockDim.x * AHEAD;
  for (size_t i = (size_t)blockIdx.x * blockDim.x * AHEAD + threadIdx.x; i < n; i += step) {
    float4 x[AHEAD], y[AHEAD];
#pragma unroll
    for (int k = 0; k < AHEAD; k++) x[k] = a[i + k * blockDim.x], y[k] = b[i + k * blockDim.x];
#pragma unroll
    for (int k = 0; k < AHEAD; k++)
      c[i + k * blockDim.x] = make_float4(x[k].x + y[k].x, x[k].y + y[k].y, x[k].z + y[k].z, x[k].w + y[k].w);
  }
}

enum { ROUNDS = 4096, CHAINS = 16 };
/* x -> a x + b with the fixed point b / (1 - a): numbers of order 1 all along, which do not stop changing. */
template <class T> __global__ void multiply_add(T *out, T a, T b) {
  T x[CHAINS];
#pragma unroll
  for (int i = 0; i < CHAINS; i++) x[i] = (T)random_number(threadIdx.x * CHAINS + i);
  for (int round = 0; round < ROUNDS; round++)
#pragma unroll
    for (int i = 0; i < CHAINS; i++) x[i] = fma(x[i], a, b);
  T sum = 0;
#pragma unroll
  for (int i = 0; i < CHAINS; i++) sum += x[i];
  if (sum == (T)12345) out[threadIdx.x] = sum;
}

/* Shared memory. One block on a processor; its cycles and nanoseconds go to spent. The addresses of a round depend on the
 * round, and what is loaded on the address, so that no load can be left out or moved. */
struct span {
  long long cycles;
  unsigned long long ns;
};
__device__ unsigned long long now_ns() {
  unsigned long long t;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(t)::"memory");
  return t;
}
enum { LOADS = 8, WINDOW = 16 << 10, TAIL = LOADS * 512, FILLED = 32 << 10 };
extern __shared__ __align__(16) char memory[];
__device__ void fill_shared() {
  for (uint32_t i = threadIdx.x; i < FILLED / 4; i += blockDim.x) ((float *)memory)[i] = random_number(i);
}
template <class F> __device__ void timed(span *spent, F body) {
  __syncthreads();
  const long long cycles = clock64();
  const unsigned long long ns = now_ns();
  body();
  __syncthreads();
  if (threadIdx.x == 0) spent[blockIdx.x] = span{clock64() - cycles, now_ns() - ns};
}

/* Addresses are in a window that the rounds walk through, 512 bytes (a row of all lanes) at a time. */
template <bool DISTINCT> __global__ void __launch_bounds__(512, 1) loads(uint32_t *out, span *spent, uint32_t stride) {
  fill_shared();
  uint32_t sum[LOADS][2] = {};
  timed(spent, [&] {
    uint32_t at = DISTINCT ? threadIdx.x % 32 * 16 : 0;
#pragma unroll 1
    for (int round = 0; round < ROUNDS; round++) {
      uint4 x[LOADS];
#pragma unroll
      for (int k = 0; k < LOADS; k++) x[k] = *(const uint4 *)(memory + at + k * 512);
#pragma unroll
      for (int k = 0; k < LOADS; k++) sum[k][0] ^= x[k].x ^ x[k].y, sum[k][1] ^= x[k].z ^ x[k].w;
      at = (at + stride) & (WINDOW - 1);
    }
  });
  uint32_t all = 0;
#pragma unroll
  for (int k = 0; k < LOADS; k++) all ^= sum[k][0] ^ sum[k][1];
  if (all == 12345) out[threadIdx.x] = all;
}

/* The inner loop of the training kernels (Row<float> in instance.h), eight rows a round: rows as theirs, of 12 numbers, and
 * a weight in rows of an odd number of elements. */
enum { ROW = 48, WEIGHTS = WINDOW + TAIL, WEIGHT_ROW = 33 * 4 };
__global__ void __launch_bounds__(512, 1) rows(float *out, span *spent, uint32_t stride) {
  fill_shared();
  float sum[10] = {};
  timed(spent, [&] {
    uint32_t at = 0;
    const char *const weight = memory + WEIGHTS + threadIdx.x % 32 * WEIGHT_ROW;
#pragma unroll 1
    for (int round = 0; round < ROUNDS; round++) {
#pragma unroll
      for (int k = 0; k < LOADS; k++) {
        const char *const row = memory + at + k * ROW;
        const float4 a = *(const float4 *)row, b = *(const float4 *)(row + 16);
        const float2 c = *(const float2 *)(row + 32);
        const float w = *(const float *)(weight + at / 128 + k * 4);
        const float x[10] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w, c.x, c.y};
#pragma unroll
        for (int n = 0; n < 10; n++) sum[n] = fmaf(w, x[n], sum[n]);
      }
      at = (at + stride) & (WINDOW - 1);
    }
  });
  float all = 0;
#pragma unroll
  for (int n = 0; n < 10; n++) all += sum[n];
  if (all == 12345) out[threadIdx.x] = all;
}

/* One thread goes from address to address through a ring. */
__global__ void chase(uint32_t *out, span *spent, uint32_t stride) {
  for (uint32_t i = 0; i < WINDOW; i += 16) *(uint32_t *)(memory + i) = (i + stride) & (WINDOW - 1);
  uint32_t at = 0;
  timed(spent, [&] {
#pragma unroll 8
    for (int i = 0; i < ROUNDS; i++) at = *(const uint32_t *)(memory + at);
  });
  if (at == 12345) out[0] = at;
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

/* The first processor's cycles and clock of a kernel on shared memory, after its last run. */
struct reader {
  span *spent;
  bool operator()(double *cycles, double *clock) const {
    span of_first;
    if (!CHECK(cudaMemcpy(&of_first, spent, sizeof of_first, cudaMemcpyDeviceToHost))) return false;
    *cycles = (double)of_first.cycles;
    if (of_first.ns) *clock = 1e9 * (double)of_first.cycles / (double)of_first.ns;
    return true;
  }
};

bool measure_shared(uint32_t *out, span *spent, ceilings *found) {
  int shared; /* all that a block may have, so that every processor has one */
  if (!CHECK(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0))) return false;
  for (const void *kernel : {(const void *)loads<false>, (const void *)loads<true>, (const void *)rows, (const void *)chase})
    if (!CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared))) return false;
  const reader read{spent};
  for (int k = 0; k < 2; k++) {
    const int warps = 8 << k, p = found->processors;
    const double per_processor = (double)ROUNDS * LOADS * warps, bytes = 512 * per_processor * p;
    if (!rate(bytes, &found->broadcast[k], [&] { loads<false><<<p, 32 * warps, shared>>>(out, spent, 512); }) ||
        !read(&found->broadcast_cycles[k], &found->clock) ||
        !rate(bytes, &found->distinct[k], [&] { loads<true><<<p, 32 * warps, shared>>>(out, spent, 512); }) ||
        !read(&found->distinct_cycles[k], &found->clock) ||
        !rate(per_processor, &found->row_rate[k], [&] { rows<<<p, 32 * warps, shared>>>((float *)out, spent, 512); }) ||
        !read(&found->row_cycles[k], &found->clock))
      return false;
    found->broadcast_cycles[k] /= per_processor;
    found->distinct_cycles[k] /= per_processor;
    found->row_cycles[k] /= per_processor;
  }
  double unused, ignored; /* one thread: no rate, and no clock under load */
  if (!rate(1, &unused, [&] { chase<<<1, 1, shared>>>(out, spent, 528); }) || !read(&found->latency_cycles, &ignored))
    return false;
  found->latency_cycles /= ROUNDS;
  return true;
}

} // namespace

int ceilings_measure(ceilings *found) {
  const size_t bytes = (size_t)1 << 30, n = bytes / sizeof(float4), numbers = bytes / sizeof(float);
  float4 *a = nullptr, *b = nullptr, *c = nullptr;
  *found = ceilings{};
  if (!CHECK(cudaDeviceGetAttribute(&found->processors, cudaDevAttrMultiProcessorCount, 0)) ||
      !CHECK(cudaMalloc(&a, bytes)) || !CHECK(cudaMalloc(&b, bytes)) || !CHECK(cudaMalloc(&c, bytes)))
    return -1;
  const int blocks = found->processors * 8, threads = 512;
  fill<<<blocks, threads>>>((float *)a, numbers, 0);
  fill<<<blocks, threads>>>((float *)b, numbers, numbers);
  const double flops = 2.0 * ROUNDS * CHAINS * blocks * threads;
  const bool fine =
      CHECK(cudaGetLastError()) && rate(2.0 * (double)bytes, &found->copy, [&] { copy<<<blocks, threads>>>(a, c, n); }) &&
      rate(3.0 * (double)bytes, &found->two_to_one, [&] { add<<<blocks, threads>>>(a, b, c, n); }) &&
      rate(flops, &found->fma32, [&] { multiply_add<<<blocks, threads>>>((float *)c, -0.99993f, 2.71828f); }) &&
      rate(flops, &found->fma64,
           [&] { multiply_add<<<blocks, threads>>>((double *)c, -0.999931234567891, 2.718281828459045); });
  found->shared = fine && measure_shared((uint32_t *)b, (span *)c, found);
  return CHECK(cudaFree(a)) && CHECK(cudaFree(b)) && CHECK(cudaFree(c)) && fine ? 0 : -1;
}
