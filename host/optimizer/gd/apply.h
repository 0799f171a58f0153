/* w - rate g */
FORMULA NUMBER gd_apply(NUMBER w, NUMBER g, SCALAR rate, const SCALAR *knob, NUMBER *state) { return w - rate * g; }
