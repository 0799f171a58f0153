/* SPDX-License-Identifier: BSD-3-Clause */
#include "gated/unit.h"
