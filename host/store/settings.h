/* SPDX-License-Identifier: BSD-3-Clause */
/* What decides the content of rows beyond their ids, as the line of text that file and journal hold. */
#ifndef MNO_STORE_SETTINGS_H
#define MNO_STORE_SETTINGS_H

#include "meanode/plan.h"

#include <stdbool.h>

/* Recorded quantities and steps, the limits asked for. malloc'ed; NULL when out of memory. */
char *mno_settings(const mno_plan *plan);

/* The recorded quantities of such a line; false if it does not say. */
bool mno_settings_recording(const char *settings, mno_recording *recording);

#endif
