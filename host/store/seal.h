/* SPDX-License-Identifier: BSD-3-Clause */
/* The seal: 64 bytes behind the HDF5 data with its length and checksum, so that damage is found before HDF5 sees the file.
 * A program that changes the file through HDF5 cuts the seal off: the file then counts as foreign, not as damaged. */
#ifndef MNO_STORE_SEAL_H
#define MNO_STORE_SEAL_H

#include "meanode/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { MNO_SEAL_SIZE = 64 };

typedef enum mno_seal { MNO_SEALED, MNO_UNSEALED, MNO_SEAL_BROKEN } mno_seal;

/* Appends the seal and waits for the disk. */
mno_status mno_seal_write(const char *path, mno_error *err);

/* Checks a file's seal. Errors: MNO_ERR_IO. */
mno_status mno_seal_check(const char *path, mno_seal *seal, mno_error *err);

/* What tells two versions of a result file apart without reading them: the size and the last bytes, where the seal is. */
typedef struct mno_file_mark {
  uint64_t size;
  char end[MNO_SEAL_SIZE];
} mno_file_mark;

/* False if the file cannot be read. */
bool mno_file_mark_of(const char *path, mno_file_mark *mark);

#endif
