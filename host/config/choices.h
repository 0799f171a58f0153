/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of the choices of a sweep (meanode/sweep.h). */
#ifndef MNO_CONFIG_CHOICES_H
#define MNO_CONFIG_CHOICES_H

#include "core/choice.h"
#include "meanode/sweep.h"

extern const mno_choices mno_data_kinds, mno_limit_kinds, mno_limit_methods, mno_weights_kept, mno_pairs_made, mno_figures;

#endif
