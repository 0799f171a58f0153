/* SPDX-License-Identifier: BSD-3-Clause */
/* L, M, D -> infinity together: the Mean ODE at infinite D. */
#ifndef MNO_LIMIT_JOINT_H
#define MNO_LIMIT_JOINT_H

#include "meanode/limit.h"

mno_status mno_joint_solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit, mno_error *err);

#endif
