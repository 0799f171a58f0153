/* SPDX-License-Identifier: BSD-3-Clause */
enum { gd_states = 0, gd_knobs = 0, gd_fuses = 1 }; /* as in optimizer.h */

/* w - rate g */
FORMULA NUMBER gd_apply(NUMBER w, NUMBER g, SCALAR rate, const SCALAR *knob, NUMBER *state) { return w - rate * g; }
