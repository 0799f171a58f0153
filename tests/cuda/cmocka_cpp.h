/* SPDX-License-Identifier: BSD-3-Clause */
/* cmocka for C++. */
#ifndef MNO_TEST_CMOCKA_CPP_H
#define MNO_TEST_CMOCKA_CPP_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

extern "C" {
#include <cmocka.h>
}

#endif
