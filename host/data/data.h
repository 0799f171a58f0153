/* SPDX-License-Identifier: BSD-3-Clause */
/* Data of a sweep: inputs, targets and embeddings of its problems. */
#ifndef MNO_DATA_DATA_H
#define MNO_DATA_DATA_H

#include <stddef.h>
#include <stdint.h>

typedef struct mno_data {
  size_t N, d_in, d_out;
  size_t D;          /* rows of w_embed and w_unembed, where they are */
  double *x;         /* [N][d_in] */
  double *y;         /* [N][d_out] */
  double *w_embed;   /* [D][d_in] or NULL */
  double *w_unembed; /* [D][d_out] or NULL */
  char *source;      /* kind file: where the data come from; else NULL */
  char *note;        /* [MNO_DATA_NOTE] how a file was interpreted, for a person; empty or NULL: as it is */
} mno_data;

enum { MNO_DATA_NOTE = 2048 };

void mno_data_free(mno_data *data);

/* Embeddings of dimension D: those of the data, else drawn from the seed, W_E entries N(0, 1/d_in), W_U entries N(0,
 * d_out); a larger D extends a smaller one. */
void mno_data_embed(const mno_data *data, uint64_t seed, size_t D, double *w_embed /* [D][d_in] */,
                    double *w_unembed /* [D][d_out] */);

#endif
