/* Kernel F: the body of field.h for blocks, in both precisions, and the sum over its chunks. */
#include "device/block_device.h"
#include "kernels/field.h"
#include "common/kernels.h"

#include <cuda_runtime.h>

namespace {

template <class T, bool IN_MEMORY, int BLOCKS>
__global__ void __launch_bounds__(MNO_FIELD_LANES, BLOCKS) field(const __grid_constant__ mno_field_args args) {
  extern __shared__ uint4 dynamic[];
  mno::DeviceBlock<IN_MEMORY> team((char *)dynamic);
  mno::Field<T, mno::DeviceBlock<IN_MEMORY>>(team, args).run();
}

__global__ void __launch_bounds__(MNO_FIELD_LANES) field_total(const __grid_constant__ mno_field_args args) {
  mno::DeviceBlock<false> team(nullptr);
  mno::FieldTotal<mno::DeviceBlock<false>>(team, args).run();
}

} // namespace

extern "C" const void *mno_field_kernel(int bytes, int work_in_memory) {
  if (bytes == 4) return work_in_memory ? (const void *)field<float, true, 3> : (const void *)field<float, false, 4>;
  return work_in_memory ? (const void *)field<double, true, 3> : (const void *)field<double, false, 3>;
}
extern "C" const void *mno_field_total_kernel(void) { return (const void *)field_total; }
