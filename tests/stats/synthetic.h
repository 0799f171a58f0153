/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs with a known law: f = limit + A/L + C/(L M) + F/L^2 + b/(L M) sum over units of xi, with xi addressed by (seed,
 * layer, unit) so that shapes share draws as nested networks do. */
#ifndef TEST_STATS_SYNTHETIC_H
#define TEST_STATS_SYNTHETIC_H

#include "meanode/meanode.h"

#include <math.h>
#include <stdlib.h>

typedef struct synthetic {
  size_t size;          /* numbers per run */
  const int64_t *L, *M; /* lists */
  size_t L_count, M_count;
  size_t seeds;
  double a, b, c;         /* RMS */
  double second;          /* RMS of F */
  double depth_exponent;  /* of the depth bias; -1 is the law */
  double limit_deviation; /* error of the limit that is handed out */
  double correlation;     /* between coordinates of the noise, 0..1 */
  uint64_t draw;          /* which repetition */
} synthetic;

typedef struct synthetic_runs {
  mno_runs runs;
  int64_t *L, *M;
  uint64_t *seed;
  double *value, *limit, *A, *C, *F;
} synthetic_runs;

static uint64_t synthetic_state;

static double synthetic_uniform(void) {
  synthetic_state += 0x9e3779b97f4a7c15u;
  uint64_t z = synthetic_state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

static double synthetic_normal(void) {
  return sqrt(-2 * log(synthetic_uniform())) * cos(6.283185307179586 * synthetic_uniform());
}

/* Random direction with RMS exactly r. */
static double *synthetic_vector(size_t size, double r) {
  double *v = malloc(size * sizeof *v), square = 0;
  for (size_t x = 0; x < size; x++) v[x] = synthetic_normal(), square += v[x] * v[x];
  for (size_t x = 0; x < size; x++) v[x] *= r / sqrt(square / (double)size);
  return v;
}

static synthetic_runs synthetic_make(const synthetic *p) {
  synthetic_runs s = {0};
  synthetic_state = 0x1234567u + p->draw * 0x2545f4914f6cdd1du;
  size_t cells = p->L_count * p->M_count, count = cells * p->seeds, size = p->size;
  int64_t deep = p->L[p->L_count - 1], wide = p->M[p->M_count - 1];
  s.L = malloc(count * sizeof *s.L);
  s.M = malloc(count * sizeof *s.M);
  s.seed = malloc(count * sizeof *s.seed);
  s.value = malloc(count * size * sizeof *s.value);
  s.A = synthetic_vector(size, p->a);
  s.C = synthetic_vector(size, p->c);
  s.F = synthetic_vector(size, p->second);
  s.limit = synthetic_vector(size, 1);
  double *unit = malloc(size * sizeof *unit), *sums = calloc(cells * size, sizeof *sums);
  size_t run = 0;
  for (size_t seed = 0; seed < p->seeds; seed++) {
    for (size_t i = 0; i < cells * size; i++) sums[i] = 0;
    for (int64_t l = 0; l < deep; l++)
      for (int64_t j = 0; j < wide; j++) {
        double common = synthetic_normal();
        for (size_t x = 0; x < size; x++)
          unit[x] = sqrt(p->correlation) * common + sqrt(1 - p->correlation) * synthetic_normal();
        for (size_t c = 0; c < cells; c++)
          if (l < p->L[c / p->M_count] && j < p->M[c % p->M_count])
            for (size_t x = 0; x < size; x++) sums[c * size + x] += unit[x];
      }
    for (size_t c = 0; c < cells; c++, run++) {
      s.L[run] = p->L[c / p->M_count];
      s.M[run] = p->M[c % p->M_count];
      s.seed[run] = seed;
      double L = (double)s.L[run], LM = L * (double)s.M[run];
      for (size_t x = 0; x < size; x++)
        s.value[run * size + x] = s.limit[x] + s.A[x] * pow(L, p->depth_exponent) + s.C[x] / LM + s.F[x] / (L * L) +
                                  p->b / LM * sums[c * size + x];
    }
  }
  for (size_t x = 0; x < size; x++) s.limit[x] += p->limit_deviation * synthetic_normal();
  free(unit);
  free(sums);
  s.runs = (mno_runs){.count = count,
                      .size = size,
                      .L = s.L,
                      .M = s.M,
                      .seed = s.seed,
                      .value = s.value,
                      .limit = s.limit,
                      .limit_deviation = p->limit_deviation};
  return s;
}

static void synthetic_free(synthetic_runs *s) {
  free(s->L);
  free(s->M);
  free(s->seed);
  free(s->value);
  free(s->limit);
  free(s->A);
  free(s->C);
  free(s->F);
}

#endif
