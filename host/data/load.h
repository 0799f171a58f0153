/* SPDX-License-Identifier: BSD-3-Clause */
/* Where data come from. */
#ifndef MNO_DATA_LOAD_H
#define MNO_DATA_LOAD_H

#include "data/data.h"
#include "meanode/sweep.h"

#include <stdbool.h>

/* Loads or draws the data; seed is one of data.seed.
 *   gaussian  entries of x and y N(0, 1), drawn from the seed; more samples extend fewer
 *   digits    inputs standardised by the mean and deviation of all pixels of all 1797 samples, targets one-hot
 *   file      HDF5 datasets x, y and, when present, w_embed and w_unembed; every model.D must fit them. What attributes say
 *             of the numbers (packing, missing values, order of MATLAB and Julia) is applied or refused
 * Errors: MNO_ERR_INPUT (a file that is missing, malformed or does not fit; names file and dataset), MNO_ERR_MEMORY. */
mno_status mno_data_load(const mno_sweep *sweep, uint64_t seed, mno_data **data, mno_error *err);

/* Those of one kind alone; path: instead of data.path, or NULL. */
mno_status mno_data_gaussian(const mno_sweep *sweep, uint64_t seed, mno_data *data, mno_error *err);
mno_status mno_data_digits(const mno_sweep *sweep, mno_data *data, mno_error *err);
mno_status mno_data_file(const mno_sweep *sweep, const char *path, mno_data *data, mno_error *err);

/* Is path one of the files that the sweep is read from, by whatever name: the configuration, data.path or source (where the
 * data once came from; may be NULL)? */
bool mno_data_reads(const mno_sweep *sweep, const char *source, const char *path);

#endif
