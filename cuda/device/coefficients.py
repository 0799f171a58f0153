#!/usr/bin/env python3
"""Writes coefficients.h: near-minimax polynomials of the functions in elementary.h (needs mpmath).

Each is the Chebyshev interpolant of the function at 60 digits, turned into powers and rounded to the type.
"""
import sys

from mpmath import mp, mpf, chebyfit, erf, erfc, exp, log, sin, cos, sqrt, pi, taylor

mp.dps = 60


def kernel(name, f, low, high, degrees, series=None):
    """f is smooth on [low, high]; series (about 0, powers of the variable) replaces it where it is 0/0."""
    def g(w):
        if series is not None and abs(w) < mpf("1e-3"):
            return sum(c * w**i for i, c in enumerate(series))
        return f(w)
    for real, degree in zip(("float", "double"), degrees):
        poly, error = chebyfit(g, [mpf(low), mpf(high)], degree + 1, error=True)
        suffix = "f" if real == "float" else ""
        digits = 9 if real == "float" else 17
        yield f"/* {name}: error {mp.nstr(error, 2)} before rounding */"
        yield f"#define MNO_{name}_{'F32' if real == 'float' else 'F64'} " + ", ".join(
            mp.nstr(c, digits) + (suffix if "." in mp.nstr(c, digits) or "e" in mp.nstr(c, digits) else ".0" + suffix) for c in poly)


def factorial_series(offset, step, sign):
    terms, value = [], mpf(1)
    out = []
    for i in range(12):
        out.append(mpf(sign) ** i / mp.factorial(offset + step * i))
    return out


third = mpf(1) / 9
k = mpf("3.75")


def erfcx_ratio(y):
    z = k * (1 + y) / (1 - y)
    return exp(z * z) * erfc(z) * (1 + 2 * z)


def map_y(z):
    return (mpf(z) - k) / (mpf(z) + k)


tables = [
    # exp(r) = 1 + r + r^2 P(r), |r| <= ln(2)/2
    kernel("EXP", lambda r: (exp(r) - 1 - r) / r**2, -log(2) / 2 * 1.01, log(2) / 2 * 1.01, (5, 11), factorial_series(2, 1, 1)),
    # log((1+s)/(1-s)) = 2 s + s w P(w), w = s^2 <= 1/9
    kernel("LOG", lambda w: (log((1 + sqrt(w)) / (1 - sqrt(w))) / sqrt(w) - 2) / w, 0, third, (4, 11),
           [mpf(2) / (2 * i + 3) for i in range(12)]),
    # sin r = r + r w P(w), cos r = 1 - w/2 + w^2 P(w), w = r^2, |r| <= pi/4
    kernel("SIN", lambda w: (sin(sqrt(w)) / sqrt(w) - 1) / w, 0, (pi / 4) ** 2 * 1.01, (3, 6),
           [-c for c in factorial_series(3, 2, -1)]),
    kernel("COS", lambda w: (cos(sqrt(w)) - 1 + w / 2) / w**2, 0, (pi / 4) ** 2 * 1.01, (3, 6), factorial_series(4, 2, -1)),
    # erf x = x P(w), w = x^2, |x| <= 3/4
    kernel("ERF", lambda w: erf(sqrt(w)) / sqrt(w), 0, mpf(9) / 16, (5, 11),
           [2 / sqrt(pi) * mpf(-1) ** i / (mp.factorial(i) * (2 * i + 1)) for i in range(12)]),
    # erfc z = exp(-z^2) P(y) / (1 + 2 z), y = (z - k)/(z + k), z in [3/4, 28]
    kernel("ERFC", erfcx_ratio, map_y(0.75), map_y(28), (9, 21)),
]
out = open(sys.argv[1], "w") if len(sys.argv) > 1 else sys.stdout
print("/* Written by coefficients.py: do not edit. Highest power first. */", file=out)
print("#ifndef MNO_CUDA_COEFFICIENTS_H\n#define MNO_CUDA_COEFFICIENTS_H\n\n/* clang-format off */", file=out)
for table in tables:
    for line in table:
        print(line, file=out)
print("/* clang-format on */\n\n#endif", file=out)
