/* SPDX-License-Identifier: BSD-3-Clause */
/* A valid configuration, one line per element, for tests that change a line. */
#ifndef MNO_TEST_CONFIG_BASE_H
#define MNO_TEST_CONFIG_BASE_H

#include <stdio.h>
#include <string.h>

static const char *const base_lines[] = {
    "data:",                 /* 1 */
    "  kind: gaussian",      /* 2 */
    "  samples: 10",         /* 3 */
    "  inputs: 5",           /* 4 */
    "  targets: 5",          /* 5 */
    "  seed: 1",             /* 6 */
    "model:",                /* 7 */
    "  block: perceptron",   /* 8 */
    "  activation: tanh",    /* 9 */
    "  D: 8",                /* 10 */
    "  alpha: 1",            /* 11 */
    "  sigma_u: 1",          /* 12 */
    "  sigma_v: 1",          /* 13 */
    "training:",             /* 14 */
    "  steps: 15",           /* 15 */
    "  optimizer: gd",       /* 16 */
    "  eta_u: 1",            /* 17 */
    "  eta_v: 1",            /* 18 */
    "  loss: squared",       /* 19 */
    "limit:",                /* 20 */
    "  kind: mean-ode",      /* 21 */
    "  tolerance: 1e-4",     /* 22 */
    "sweep:",                /* 23 */
    "  L: [10, 20, 40, 80]", /* 24 */
    "  M: [1, 4, 16]",       /* 25 */
    "  seeds: 32",           /* 26 */
    "record:",               /* 27 */
    "  steps: all",          /* 28 */
    "  output: true",        /* 29 */
    "  embedding: false",    /* 30 */
    "  weights: none",       /* 31 */
};
enum { BASE_LINES = sizeof base_lines / sizeof *base_lines };

/* The base with one line (from 1) replaced; the new text may hold several lines. NULL removes the line. */
static size_t base_with(char *out, size_t size, int line, const char *text) {
  size_t used = 0;
  for (int i = 0; i < BASE_LINES; i++) {
    const char *put = i + 1 == line ? text : base_lines[i];
    if (put) used += (size_t)snprintf(out + used, size - used, "%s\n", put);
  }
  return used;
}

#endif
