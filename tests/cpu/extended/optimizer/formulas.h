/* SPDX-License-Identifier: BSD-3-Clause */
enum { heavy_ball_states = 1, heavy_ball_knobs = 1, heavy_ball_fuses = 0 };

/* m <- knob m + g, w <- w - rate m */
FORMULA NUMBER heavy_ball_apply(NUMBER w, NUMBER g, SCALAR rate, const SCALAR *knob, NUMBER *state) {
  state[0] = knob[0] * state[0] + g;
  return w - rate * state[0];
}
