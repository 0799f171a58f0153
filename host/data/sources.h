/* SPDX-License-Identifier: BSD-3-Clause */
/* Where data come from: each fills what load.h says of its kind. */
#ifndef MNO_DATA_SOURCES_H
#define MNO_DATA_SOURCES_H

#include "data/data.h"
#include "meanode/sweep.h"

#include <stdbool.h>

mno_status mno_data_gaussian(const mno_sweep *sweep, uint64_t seed, mno_data *data, mno_error *err);
mno_status mno_data_digits(const mno_sweep *sweep, mno_data *data, mno_error *err);
/* path: instead of data.path, or NULL */
mno_status mno_data_file(const mno_sweep *sweep, const char *path, mno_data *data, mno_error *err);

/* Is path one of the files that the sweep is read from, by whatever name: the configuration, data.path or source (where the
 * data once came from; may be NULL)? */
bool mno_data_reads(const mno_sweep *sweep, const char *source, const char *path);

#endif
