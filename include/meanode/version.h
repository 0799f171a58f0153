/* SPDX-License-Identifier: BSD-3-Clause */
/* Version of the library. The three numbers are read by CMake. */
#ifndef MEANODE_VERSION_H
#define MEANODE_VERSION_H

#define MNO_VERSION_MAJOR 0
#define MNO_VERSION_MINOR 1
#define MNO_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

const char *mno_version(void);    /* "0.1.0" */
const char *mno_git_commit(void); /* short hash, with "-dirty" if the tree was changed; "unknown" outside git */
const char *mno_build(void);      /* compiler, build type, features: one line */

#ifdef __cplusplus
}
#endif
#endif
