#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the coefficients of both families of elementary functions (needs mpmath):

    coefficients.py cpu      host/cpu/vmath_coefficients.h, for cpu/vmath.h: fast on vectors of any width
    coefficients.py cuda     cuda/device/elementary_coefficients.h, for elementary.h: the same bits on host and device
    coefficients.py FAMILY --check FILE     fails unless FILE is what would be written

A polynomial is the Chebyshev interpolant of its function at 60 digits, turned into powers and rounded. Each digit of it is
part of every result that was ever written: intervals and degrees are changed for new functions only.
"""
import argparse
import sys
import textwrap

from mpmath import chebyfit, cos, erf, erfc, exp, factorial, log, lu_solve, matrix, mp, mpf, nstr, pi, polyval, sin, sqrt, tanh

mp.dps = 60
TERMS = 20  # of a power series, at most 1e-3 from 0


def removable(f, series):
    """f, near 0 by its power series: f itself is 0/0 there."""
    return lambda x: sum(c * x**i for i, c in enumerate(series)) if abs(x) < mpf("1e-3") else f(x)


def factorials(offset, step, sign):
    return [mpf(sign) ** i / factorial(offset + step * i) for i in range(TERMS)]


# With s the argument and w = s^2:
# exp s = 1 + s + w f(s)
EXP = removable(lambda s: (exp(s) - 1 - s) / s**2, factorials(2, 1, 1))
# log((1 + s)/(1 - s)) = 2 s + s w f(w)
LOG = removable(lambda w: (log((1 + sqrt(w)) / (1 - sqrt(w))) / sqrt(w) - 2) / w, [mpf(2) / (2 * i + 3) for i in range(TERMS)])
# sin s = s + s w f(w), cos s = 1 - w/2 + w^2 f(w)
SIN = removable(lambda w: (sin(sqrt(w)) / sqrt(w) - 1) / w, [-c for c in factorials(3, 2, -1)])
COS = removable(lambda w: (cos(sqrt(w)) - 1 + w / 2) / w**2, factorials(4, 2, -1))
# erf s = s f(w)
ERF = removable(lambda w: erf(sqrt(w)) / sqrt(w),
                [2 / sqrt(pi) * mpf(-1) ** i / (factorial(i) * (2 * i + 1)) for i in range(TERMS)])


def half_log(w):
    return LOG(w) / 2


def erfcx(k, low, high, degree):
    """exp(z^2) erfc z = f(y) / (1 + 2 z), low <= z <= high, smooth in y = (z - k)/(z + k)."""
    k, low, high = mpf(k), mpf(low), mpf(high)

    def f(y):
        z = k * (1 + y) / (1 - y)
        return exp(z * z) * erfc(z) * (1 + 2 * z)
    return f, (low - k) / (low + k), (high - k) / (high + k), degree


# A little more than the reductions leave, since they round.
half_ln2 = log(2) / 2 * 1.01
eighth_turn = (pi / 4) ** 2 * 1.01                      # squared
root_two = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2 * 1.01  # squared; m in [1/sqrt(2), sqrt(2)], s = (m - 1)/(m + 1)

# name: (function, interval, degree) in f32, in f64
CPU = {
    "EXP": ((EXP, -half_ln2, half_ln2, 4), (EXP, -half_ln2, half_ln2, 9)),
    "LOG1P": ((half_log, 0, mpf(1) / 9, 4), (half_log, 0, mpf(1) / 9, 9)),
    "LOG": ((half_log, 0, root_two, 3), (half_log, 0, root_two, 6)),
    "SIN": ((SIN, 0, eighth_turn, 2), (SIN, 0, eighth_turn, 5)),
    "COS": ((COS, 0, eighth_turn, 2), (COS, 0, eighth_turn, 5)),
    "ERF": ((ERF, 0, 1, 6), (ERF, 0, 1, 11)),
    "ERFCX": (erfcx(2, 0, 10, 9), erfcx(4, 0, 27.5, 21)),
}
CUDA = {
    "EXP": ((EXP, -half_ln2, half_ln2, 5), (EXP, -half_ln2, half_ln2, 11)),
    "LOG": ((LOG, 0, mpf(1) / 9, 4), (LOG, 0, mpf(1) / 9, 11)),
    "SIN": ((SIN, 0, eighth_turn, 3), (SIN, 0, eighth_turn, 6)),
    "COS": ((COS, 0, eighth_turn, 3), (COS, 0, eighth_turn, 6)),
    "ERF": ((ERF, 0, mpf(9) / 16, 5), (ERF, 0, mpf(9) / 16, 11)),
    "ERFC": (erfcx("3.75", 0.75, 28, 9), erfcx("3.75", 0.75, 28, 21)),
}

# Digits that slipped when the table of erf in f64 was first copied, and what the fit gives. Kept: the term is wrong by less than
# 1e-23 of erf, but a bit of some result may hang on it.
SLIPPED = {"-7.7958988270021422416e-10": "-7.7958988270022421416e-10"}

# tanh x = x P(x^2) / Q(x^2) in f32, from the constant terms up, up to where tanh rounds to 1. An early fit by reweighted
# least squares: not made here, but compared with the best quotient.
TANH_TOP = mpf(9)
TANH_P = ["0.99999998", "0.1338096726", "0.003495513756", "2.060768964e-5", "1.335247551e-8"]
TANH_Q = ["1.0", "0.4671428312", "0.02587671192", "0.0003285505481", "7.775714747e-7"]


def tanh_error(p, q, x):
    """Relative error of the quotient at x."""
    return polyval(p[::-1], x * x) / polyval(q[::-1], x * x) * (x / tanh(x) if x else 1) - 1


def extremes(f, high, cells=2000):
    """Places in [0, high] where |f| is largest between its zeros, ends included."""
    at = [high * i / cells for i in range(cells + 1)]
    e = [f(x) for x in at]
    found = [at[0], at[-1]]
    for i in range(1, cells):
        if (e[i] - e[i - 1]) * (e[i + 1] - e[i]) < 0:
            found.append(at[i] - (at[1] / 2) * (e[i + 1] - e[i - 1]) / (e[i + 1] - 2 * e[i] + e[i - 1]))
    return sorted(found)


def largest_tanh_errors():
    """Of the table above, and of the best quotient of its degrees (Remez's exchange, started at the table)."""
    p, q = [mpf(c) for c in TANH_P], [mpf(c) for c in TANH_Q]
    m, n, level = len(p), len(q) - 1, mpf(0)
    at = extremes(lambda x: tanh_error(p, q, x), TANH_TOP)
    table = max(abs(tanh_error(p, q, x)) for x in at)
    for _ in range(4):
        for _ in range(6):  # Newton's method for P - t (1 +- level) Q = 0 at the m + n + 1 places, t = tanh(x)/x
            a, right = matrix(m + n + 1), matrix(m + n + 1, 1)
            for i, x in enumerate(at):
                z, t, sign = x * x, tanh(x) / x if x else mpf(1), -(-1) ** i
                for j in range(m):
                    a[i, j] = z**j
                for j in range(1, n + 1):
                    a[i, m + j - 1] = -t * (1 + sign * level) * z**j
                a[i, m + n] = -t * sign * polyval(q[::-1], z)
                right[i] = t + t * sign * level * (1 - polyval(q[::-1], z))
            solution = list(lu_solve(a, right))
            p, q, level = solution[:m], [mpf(1)] + solution[m:m + n], solution[m + n]
        at = extremes(lambda x: tanh_error(p, q, x), TANH_TOP)
    best = max(abs(tanh_error(p, q, x)) for x in at)
    if len(at) != m + n + 1 or best > abs(level) * mpf("1.000001"):
        sys.exit("coefficients.py: the exchange for tanh has not converged")
    return table, best


def define(name, numbers, suffix):
    text = ", ".join((c if "." in c or "e" in c else c + ".0") + suffix for c in numbers)
    return " \\\n  ".join(textwrap.wrap(f"#define {name} {text}", 118))


def tables(family, fits, digits, falling):
    for name, both in fits.items():
        for precision, suffix, places, (f, low, high, degree) in zip(("F32", "F64"), ("f", ""), digits, both):
            powers, error = chebyfit(f, [mpf(low), mpf(high)], degree + 1, error=True)
            yield f"/* {name}: error {nstr(error, 2)} before rounding */"
            numbers = [nstr(c, places) for c in (powers if falling else reversed(powers))]
            numbers = [SLIPPED.get(c, c) for c in numbers]
            yield define(f"{family}_{name}_{precision}", numbers, suffix)


def header(family):
    """The lines of a family's header."""
    cpu = family == "cpu"
    guard = "MNO_CPU_VMATH_COEFFICIENTS_H" if cpu else "MNO_CUDA_ELEMENTARY_COEFFICIENTS_H"
    yield "/* SPDX-License-Identifier: BSD-3-Clause */"
    yield f"/* Written by host/core/coefficients.py {family}: do not edit. {'Lowest' if cpu else 'Highest'} power first. */"
    yield f"#ifndef {guard}\n#define {guard}\n\n/* clang-format off */"
    yield from tables("V", CPU, (10, 20), False) if cpu else tables("MNO", CUDA, (9, 17), True)
    if cpu:
        table, best = largest_tanh_errors()
        if table > best * mpf("1.02"):
            sys.exit(f"coefficients.py: the error of tanh is {nstr(table / best, 4)} times the smallest")
        yield f"/* TANH: error {nstr(table, 3)}, the smallest possible is {nstr(best, 3)} */"
        yield define("V_TANH_P_F32", TANH_P, "f")
        yield define("V_TANH_Q_F32", TANH_Q, "f")
    yield "/* clang-format on */\n\n#endif"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=["cpu", "cuda"])
    parser.add_argument("--check", metavar="FILE")
    options = parser.parse_args()
    text = "".join(line + "\n" for line in header(options.family))
    if not options.check:
        sys.stdout.write(text)
    elif open(options.check).read() != text:
        sys.exit(f"{options.check} is not what coefficients.py {options.family} writes")


if __name__ == "__main__":
    main()
