/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/choices.h"

MNO_CHOICES(mno_data_kinds, MNO_DATA_KIND_LIST)
MNO_CHOICES(mno_limit_kinds, MNO_LIMIT_KIND_LIST)
MNO_CHOICES(mno_limit_methods, MNO_LIMIT_METHOD_LIST)
MNO_CHOICES(mno_weights_kept, MNO_WEIGHTS_LIST)
MNO_CHOICES(mno_pairs_made, MNO_PAIRS_LIST)
MNO_CHOICES(mno_figures, MNO_FIGURE_LIST)
_Static_assert(sizeof mno_limit_kinds_list / sizeof *mno_limit_kinds_list == MNO_LIMIT_KINDS,
               "MNO_LIMIT_KINDS counts the list");
