/* SPDX-License-Identifier: BSD-3-Clause */
/* Small helpers over HDF5: scales and attributes. */
#ifndef MNO_STORE_H5_H
#define MNO_STORE_H5_H

#include "core/h5.h"
#include "meanode/status.h"

#include <hdf5.h>
#include <hdf5_hl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Attributes. A failure returns false, with the cause on HDF5's error stack. */
bool mno_h5_text(hid_t object, const char *name, const char *text);
bool mno_h5_number(hid_t object, const char *name, hid_t type, const void *value, size_t count); /* count 0: scalar */
char *mno_h5_read_text(hid_t object, const char *name); /* malloc'ed copy of a string attribute, or NULL */

double mno_h5_read_number(hid_t object, const char *name, double otherwise); /* a scalar attribute */
bool mno_h5_read_u64(hid_t object, const char *name, uint64_t *value);
bool mno_h5_read_ints(hid_t object, const char *name, int *value, size_t count);

/* Names a quantity: units and long_name. */
bool mno_h5_describe(hid_t dataset, const char *units, const char *long_name);

/* A dimension without values, as the netCDF conventions write it. The caller closes it. */
hid_t mno_h5_dimension(hid_t group, const char *name, size_t size);

/* A dataset whose dimensions are the given scales. chunk NULL: contiguous. fill NULL: none. The caller closes it. */
hid_t mno_h5_dataset(hid_t group, const char *name, hid_t type, size_t rank, const hid_t *scale, const hsize_t *chunk,
                     const void *fill, size_t cache);

#endif
