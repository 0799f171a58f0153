/* SPDX-License-Identifier: BSD-3-Clause */
/* HDF5 objects of a result file: attributes and texts. */
#ifndef MNO_STORE_OBJECTS_H
#define MNO_STORE_OBJECTS_H

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
bool mno_h5_remove(hid_t object, const char *name);                                              /* if it is there */
char *mno_h5_read_text(hid_t object, const char *name); /* malloc'ed copy of a string attribute, or NULL */

double mno_h5_read_number(hid_t object, const char *name, double otherwise);                       /* a scalar attribute */
bool mno_h5_read_numbers(hid_t object, const char *name, hid_t memory, size_t count, void *value); /* exactly so many */

/* Text in a dataset: its type, of variable length, which the caller closes; a malloc'ed copy, or NULL. */
hid_t mno_h5_text_type(void);
char *mno_h5_read_dataset_text(hid_t group, const char *name);

#endif
