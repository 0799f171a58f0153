/* SPDX-License-Identifier: BSD-3-Clause */
/* The sum over kernel F's chunks. */
#include "device/block_device.h"
#include "kernels/field.h"
#include "common/kernels.h"

#include <cuda_runtime.h>

namespace {

__global__ void __launch_bounds__(MNO_FIELD_LANES) field_total(const __grid_constant__ mno_field_args args) {
  mno::DeviceBlock<false> team(nullptr);
  mno::FieldTotal<mno::DeviceBlock<false>>(team, args).run();
}

} // namespace

extern "C" const void *mno_field_total_kernel(void) { return (const void *)field_total; }
