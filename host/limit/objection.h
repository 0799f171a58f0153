/* SPDX-License-Identifier: BSD-3-Clause */
/* What no limit is known for, and what a method does not apply to. */
#ifndef MNO_LIMIT_OBJECTION_H
#define MNO_LIMIT_OBJECTION_H

#include "block/solvers.h"
#include "meanode/limit.h"

#include <stdbool.h>

/* Do the problem's block and optimiser both know this way (MNO_BY_...)? */
bool mno_limit_knows(const mno_problem *problem, unsigned solver);

/* Why a limit of this kind cannot be solved by this method (of the Mean ODE, MNO_METHOD_AUTO: any), in text[size]; NULL: it
 * can. */
const char *mno_limit_objection(const mno_problem *problem, mno_limit_kind kind, mno_limit_method method, char *text,
                                size_t size);

#endif
