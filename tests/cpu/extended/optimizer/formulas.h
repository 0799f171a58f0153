/* m <- knob m + g, w <- w - rate m */
FORMULA NUMBER heavy_ball_apply(NUMBER w, NUMBER g, SCALAR rate, const SCALAR *knob, NUMBER *state) {
  state[0] = knob[0] * state[0] + g;
  return w - rate * state[0];
}
