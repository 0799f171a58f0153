/* What the card can do at most: memory and arithmetic, measured. */
#ifndef MNO_BENCH_CEILINGS_H
#define MNO_BENCH_CEILINGS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ceilings {
  double copy;         /* bytes per second, one read per write */
  double two_to_one;   /* bytes per second, two reads per write: the training kernels' mixture */
  double fma32, fma64; /* flops per second */
} ceilings;

/* 0, or -1 with a message on stderr. */
int ceilings_measure(ceilings *found);

#ifdef __cplusplus
}
#endif
#endif
