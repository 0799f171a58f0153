/* HDF5's lock, and why it failed. */
#ifndef MNO_CORE_H5_ERROR_H
#define MNO_CORE_H5_ERROR_H

#include <stdbool.h>
#include <stddef.h>

/* Every use of HDF5 that may run beside a store's writer happens between these; the same thread may nest them. */
void mno_h5_lock(void);
void mno_h5_unlock(void);

/* Why HDF5 first failed since the lock was taken (or since the last question): the innermost cause. */
const char *mno_h5_reason(char *text, size_t size);

/* The system's error because of which a call of HDF5 failed since the lock was taken; 0: there was none. Reading or writing
 * failed, whatever is in the file. Many calls of HDF5 take such a failure for "is not there", so ask in the end. */
int mno_h5_errno(void);

/* Was the failure a signal that came between? Then it is forgotten, and the call may be tried again. */
bool mno_h5_interrupted(void);

#endif
