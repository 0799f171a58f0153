/* Is a file open for writing in another program, or was it left so? */
#ifndef MNO_STORE_IN_USE_H
#define MNO_STORE_IN_USE_H

#include "meanode/status.h"

/* MNO_ERR_IO with the reason and the remedy if an HDF5 file is open for writing elsewhere (HDF5's lock), or carries the mark
 * of a writer that ended without closing it. MNO_OK otherwise, also for what is no HDF5 file. Does not open it through HDF5.
 */
mno_status mno_in_use(const char *path, mno_error *err);

/* The lock alone: for a file whose content does not matter any more. */
mno_status mno_open_elsewhere(const char *path, mno_error *err);

#endif
