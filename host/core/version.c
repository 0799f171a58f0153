/* SPDX-License-Identifier: BSD-3-Clause */
#include "meanode/version.h"

#include "git_commit.h"

#define STRING_(x) #x
#define STRING(x) STRING_(x)

const char *mno_version(void) {
  return STRING(MNO_VERSION_MAJOR) "." STRING(MNO_VERSION_MINOR) "." STRING(MNO_VERSION_PATCH);
}

const char *mno_git_commit(void) { return MNO_GIT_COMMIT; }

const char *mno_build(void) { return MNO_COMPILER ", " MNO_BUILD_TYPE; }
