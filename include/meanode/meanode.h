/* SPDX-License-Identifier: BSD-3-Clause */
/* meanode: the infinite-depth limit of ResNets, measured. Includes the whole public API, in the order data flows. */
#ifndef MEANODE_H
#define MEANODE_H

#include "meanode/status.h"

#include "meanode/model.h"
#include "meanode/random.h"

#include "meanode/sweep.h"

#include "meanode/plan.h"

#include "meanode/record.h"

#include "meanode/backend.h"

#include "meanode/limit.h"

#include "meanode/diagnose.h"

#include "meanode/store.h"

#include "meanode/result.h"

#include "meanode/fit.h"

#include "meanode/run.h"

#include "meanode/version.h"

#endif
