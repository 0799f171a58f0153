/* SPDX-License-Identifier: BSD-3-Clause */
/* Which extra networks stand beside a plain one (L, M) for sweep.pairs: with units drawn for the same seed. */
#ifndef MNO_PLAN_PAIRS_H
#define MNO_PLAN_PAIRS_H

#include "meanode/plan.h"

enum { MNO_PARTNERS_MOST = 2 };

typedef struct mno_partner {
  int64_t L, M;
  mno_draw draw;
} mno_partner;

/* The partners of one kind; returns how many, 0 if (L, M) has none. */
size_t mno_pair_partners(mno_pairs kind, int64_t L, int64_t M, mno_partner partner[MNO_PARTNERS_MOST]);

#endif
