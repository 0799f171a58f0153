/* Data of a sweep: inputs, targets and embeddings of its problems. */
#ifndef MNO_DATA_DATA_H
#define MNO_DATA_DATA_H

#include "meanode/sweep.h"

#include <stdbool.h>

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

/* Loads or draws the data; seed is one of data.seed.
 *   gaussian  entries of x and y N(0, 1), drawn from the seed; more samples extend fewer
 *   digits    inputs standardised by the mean and deviation of all pixels of all 1797 samples, targets one-hot
 *   file      HDF5 datasets x, y and, when present, w_embed and w_unembed; every model.D must fit them. What attributes say
 *             of the numbers (packing, missing values, order of MATLAB and Julia) is applied or refused
 * Errors: MNO_ERR_INPUT (a file that is missing, malformed or does not fit; names file and dataset), MNO_ERR_MEMORY. */
mno_status mno_data_load(const mno_sweep *sweep, uint64_t seed, mno_data **data, mno_error *err);
void mno_data_free(mno_data *data);

/* The numbers of data, without source and note. NULL when out of memory. */
mno_data *mno_data_copy(const mno_data *data);

/* Embeddings of dimension D: those of the data, else drawn from the seed, W_E entries N(0, 1/d_in), W_U entries N(0,
 * d_out); a larger D extends a smaller one. */
void mno_data_embed(const mno_data *data, uint64_t seed, size_t D, double *w_embed /* [D][d_in] */,
                    double *w_unembed /* [D][d_out] */);

/* Is path one of the files that the sweep is read from, by whatever name: the configuration, data.path or source (where the
 * data once came from; may be NULL)? */
bool mno_data_reads(const mno_sweep *sweep, const char *source, const char *path);

/* What a configuration asks for does not fit this machine: MNO_ERR_INPUT at its place, before any work. what: the thing with
 * its file, if it comes from one; remedy: which keys to change. */
mno_status mno_fail_too_large(const mno_sweep *sweep, mno_mark mark, size_t bytes, const char *what, const char *remedy,
                              mno_error *err);

mno_status mno_data_gaussian(const mno_sweep *sweep, uint64_t seed, mno_data *data, mno_error *err);
mno_status mno_data_digits(const mno_sweep *sweep, mno_data *data, mno_error *err);
/* path: instead of data.path, or NULL */
mno_status mno_data_file(const mno_sweep *sweep, const char *path, mno_data *data, mno_error *err);

#endif
