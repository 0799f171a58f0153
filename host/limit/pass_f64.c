/* Passes in double precision; compiled once per instruction set (MNO_ISA, VECTOR_BYTES). */
#define REAL double
#define KERNEL_(isa) mno_kernel_f64_##isa
#define KERNEL_NAME(isa) KERNEL_(isa)
#define KERNEL KERNEL_NAME(MNO_ISA)
#include "limit/pass.inc"
