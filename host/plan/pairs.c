/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/pairs.h"

size_t mno_pair_partners(mno_pairs kind, int64_t L, int64_t M, mno_partner partner[MNO_PARTNERS_MOST]) {
  switch (kind) {
  case MNO_PAIRS_NONE: return 0;
  case MNO_PAIRS_REGROUP: partner[0] = (mno_partner){L / 2, 2 * M, {M, 0, 1}}; return L % 2 == 0 ? 1 : 0;
  case MNO_PAIRS_JACKKNIFE:
    partner[0] = (mno_partner){L, M / 2, {M / 2, 0, 1}};
    partner[1] = (mno_partner){L, M / 2, {M / 2, M / 2, 1}};
    return M % 2 == 0 ? 2 : 0;
  case MNO_PAIRS_ANTITHETIC: partner[0] = (mno_partner){L, M, {M, 0, -1}}; return 1;
  }
  return 0;
}
