/* SPDX-License-Identifier: BSD-3-Clause */
/* What the card can do at most: memory, arithmetic, shared memory, measured. */
#ifndef MNO_BENCH_CEILINGS_H
#define MNO_BENCH_CEILINGS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Pairs: with 8 and with 16 warps on every processor. Cycles are of a processor, for what all of its warps do together. */
typedef struct ceilings {
  double copy;                /* bytes per second, one read per write */
  double two_to_one;          /* bytes per second, two reads per write: the training kernels' mixture */
  double fma32, fma64;        /* flops per second */
  double broadcast[2];        /* bytes per second that lanes get from 16-byte loads of shared memory, one address a warp */
  double distinct[2];         /* likewise, every lane its own address, free of bank conflicts */
  double broadcast_cycles[2]; /* between two such loads of warps */
  double distinct_cycles[2];
  double row_rate[2];    /* rows per second and processor: the inner loop of the training kernels in f32, that is 10
                            samples by loads of 16, 16 and 8 bytes at one address, a weight of each lane, 10 FMAs */
  double row_cycles[2];  /* between two rows of warps */
  double latency_cycles; /* of a load of shared memory whose address is what the one before gave */
  double clock;          /* Hz, while these ran */
  int processors;
  int shared; /* was shared memory measured? Otherwise what is said of it above is 0 */
} ceilings;

/* 0 if memory and arithmetic were measured, else -1; messages on stderr. */
int ceilings_measure(ceilings *found);

#ifdef __cplusplus
}
#endif
#endif
