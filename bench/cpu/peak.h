/* SPDX-License-Identifier: BSD-3-Clause */
/* Peak of fused multiply-adds: twelve independent chains of the widest vectors. */
#ifndef BENCH_CPU_PEAK_H
#define BENCH_CPU_PEAK_H

double peak_f32(void); /* GF/s of one core */
double peak_f64(void);

#endif
