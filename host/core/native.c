/* SPDX-License-Identifier: BSD-3-Clause */
/* Run by CMake: its output names the best instruction set of this processor. */
#include "processor.h"

#include <stdio.h>

int main(void) { return puts(mno_has_avx512() ? "avx512" : mno_has_avx2() ? "avx2" : "portable") < 0; }
