/* SPDX-License-Identifier: BSD-3-Clause */
/* The same training in plain C, one BLAS product after the other: a peer for the benchmark, loaded by peers.py. */
#define _GNU_SOURCE
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* u, v [L][M][D] are overwritten; h, b [N][D], rho, g [N][M] row-major. Returns the seconds of `steps` steps. */
#define BLAS_TRAIN(name, real, gemm, tanh_)                                                                                 \
  double name(real *u, real *v, const real *x, const real *y, const real *we, const real *wu, double *losses, long L,       \
              long M, long D, long N, long d_in, long d_out, long steps, double alpha, double eta_u, double eta_v);         \
  double name(real *u, real *v, const real *x, const real *y, const real *we, const real *wu, double *losses, long L,       \
              long M, long D, long N, long d_in, long d_out, long steps, double alpha, double eta_u, double eta_v) {        \
    real *h = calloc((size_t)((L + 1) * N * D), sizeof *h), *t = calloc((size_t)(L * N * M), sizeof *t),                    \
         *g = calloc((size_t)(N * M), sizeof *g), *b = calloc((size_t)(N * D), sizeof *b),                                  \
         *c = calloc((size_t)(N * D), sizeof *c), *r = calloc((size_t)(N * d_out), sizeof *r);                              \
    real scale = (real)(alpha / (double)(L * M)), inverse = (real)(1 / (double)D);                                          \
    int m_ = (int)M, d_ = (int)D, n_ = (int)N, i_ = (int)d_in, o_ = (int)d_out;                                             \
    double start = now();                                                                                                   \
    for (long k = 0; k < steps; k++) {                                                                                      \
      gemm(CblasRowMajor, CblasNoTrans, CblasTrans, n_, d_, i_, 1, x, i_, we, i_, 0, h, d_);                                \
      for (long l = 0; l < L; l++) {                                                                                        \
        real *hl = h + l * N * D, *tl = t + l * N * M;                                                                      \
        gemm(CblasRowMajor, CblasNoTrans, CblasTrans, n_, m_, d_, inverse, hl, d_, u + l * M * D, d_, 0, tl, m_);           \
        for (long i = 0; i < N * M; i++) tl[i] = tanh_(tl[i]);                                                              \
        memcpy(hl + N * D, hl, (size_t)(N * D) * sizeof *h);                                                                \
        gemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n_, d_, m_, scale, tl, m_, v + l * M * D, d_, 1, hl + N * D, d_);   \
      }                                                                                                                     \
      gemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n_, o_, d_, inverse, h + L * N * D, d_, wu, o_, 0, r, o_);            \
      double loss = 0;                                                                                                      \
      for (long i = 0; i < N * d_out; i++) {                                                                                \
        r[i] -= y[i];                                                                                                       \
        loss += (double)r[i] * (double)r[i];                                                                                \
        r[i] /= (real)(N * d_out);                                                                                          \
      }                                                                                                                     \
      losses[k] = loss / (double)(2 * N * d_out);                                                                           \
      gemm(CblasRowMajor, CblasNoTrans, CblasTrans, n_, d_, o_, 1, r, o_, wu, o_, 0, b, d_);                                \
      for (long l = L - 1; l >= 0; l--) {                                                                                   \
        real *hl = h + l * N * D, *tl = t + l * N * M;                                                                      \
        gemm(CblasRowMajor, CblasNoTrans, CblasTrans, n_, m_, d_, inverse, b, d_, v + l * M * D, d_, 0, g, m_);             \
        for (long i = 0; i < N * M; i++) g[i] *= 1 - tl[i] * tl[i];                                                         \
        memcpy(c, b, (size_t)(N * D) * sizeof *b);                                                                          \
        gemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n_, d_, m_, scale, g, m_, u + l * M * D, d_, 1, c, d_);             \
        gemm(CblasRowMajor, CblasTrans, CblasNoTrans, m_, d_, n_, (real)(-eta_u / alpha), g, m_, hl, d_, 1, u + l * M * D,  \
             d_);                                                                                                           \
        gemm(CblasRowMajor, CblasTrans, CblasNoTrans, m_, d_, n_, (real)(-eta_v / alpha), tl, m_, b, d_, 1, v + l * M * D,  \
             d_);                                                                                                           \
        memcpy(b, c, (size_t)(N * D) * sizeof *b);                                                                          \
      }                                                                                                                     \
    }                                                                                                                       \
    double seconds = now() - start;                                                                                         \
    free(h);                                                                                                                \
    free(t);                                                                                                                \
    free(g);                                                                                                                \
    free(b);                                                                                                                \
    free(c);                                                                                                                \
    free(r);                                                                                                                \
    return seconds;                                                                                                         \
  }

BLAS_TRAIN(blas_train_f32, float, cblas_sgemm, tanhf)
BLAS_TRAIN(blas_train_f64, double, cblas_dgemm, tanh)
