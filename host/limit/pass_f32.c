/* Passes in single precision; compiled once per instruction set (MNO_ISA, VECTOR_BYTES). */
#define REAL float
#define KERNEL_(isa) mno_kernel_f32_##isa
#define KERNEL_NAME(isa) KERNEL_(isa)
#define KERNEL KERNEL_NAME(MNO_ISA)
#include "limit/pass.inc"
