/* SPDX-License-Identifier: BSD-3-Clause */
/* The raw integers of the kernels' draws are those of cuRAND's device generator (Philox4x32-10 with the seed as key) and of
 * Random123 on the CPU. cuRAND's code runs on the host as well; where there is a card, both run there too. */
#define QUALIFIERS static __forceinline__ __host__ __device__
#include <curand_kernel.h>

#include "cmocka_cpp.h"

#include "meanode/random.h"
#include "device/philox.h"

#include <cstdlib>
#include <cstring>

namespace {

enum { DRAWS = 4096 };

struct Address {
  uint64_t seed;
  uint32_t tensor, layer, unit, block;
};

/* Addresses that exercise all bits. */
__host__ __device__ Address address(uint32_t i) {
  const uint32_t h = i * 2654435761u;
  return Address{(uint64_t)h << 32 | i * 40503u, i % 8, h ^ (h >> 7), i * 977u + 3, (h >> 3) % 1000u};
}

/* cuRAND's counter: offset / 4 in the low words, the subsequence in the high ones. */
__host__ __device__ void of_curand(const Address &a, uint32_t words[4]) {
  curandStatePhilox4_32_10_t state;
  curand_init(a.seed, (uint64_t)a.tensor << 32 | a.layer, 4 * ((uint64_t)(a.unit % (1u << 30)) << 32 | a.block), &state);
  const uint4 x = curand4(&state);
  words[0] = x.x, words[1] = x.y, words[2] = x.z, words[3] = x.w;
}
__host__ __device__ void of_kernels(const Address &a, uint32_t words[4]) {
  mno::philox(a.seed, a.tensor, a.layer, a.unit % (1u << 30), a.block, words);
}

__global__ void draw(uint32_t *curand, uint32_t *kernels) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  of_curand(address(i), curand + 4 * i);
  of_kernels(address(i), kernels + 4 * i);
}

void of_random123(const Address &a, uint32_t words[4]) {
  mno_philox(a.seed, a.tensor, a.layer, a.unit % (1u << 30), a.block, words);
}

void on_the_host(void **) {
  for (uint32_t i = 0; i < DRAWS; i++) {
    uint32_t theirs[4], ours[4], reference[4];
    of_curand(address(i), theirs);
    of_kernels(address(i), ours);
    of_random123(address(i), reference);
    assert_memory_equal(theirs, reference, sizeof theirs);
    assert_memory_equal(ours, reference, sizeof ours);
  }
}

void on_the_card(void **) {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) {
    if (getenv("MEANODE_REQUIRE_GPU")) fail_msg("no CUDA device answers");
    skip();
  }
  const size_t bytes = 4 * DRAWS * sizeof(uint32_t);
  uint32_t *theirs, *ours;
  assert_int_equal(cudaMallocManaged(&theirs, bytes), cudaSuccess);
  assert_int_equal(cudaMallocManaged(&ours, bytes), cudaSuccess);
  draw<<<DRAWS / 256, 256>>>(theirs, ours);
  assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
  for (uint32_t i = 0; i < DRAWS; i++) {
    uint32_t reference[4];
    of_random123(address(i), reference);
    assert_memory_equal(theirs + 4 * i, reference, sizeof reference);
    assert_memory_equal(ours + 4 * i, reference, sizeof reference);
  }
  cudaFree(theirs);
  cudaFree(ours);
}

} // namespace

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(on_the_host), cmocka_unit_test(on_the_card)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
