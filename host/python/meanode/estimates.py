# SPDX-License-Identifier: BSD-3-Clause
"""Estimates with 95% intervals: by leaving out seeds, over draws, of exponents.

An estimate is a dict {value, low, high}; low and high None: no statistical error. A `warning` says why one is not determined."""

from math import isfinite

import numpy
from scipy import stats


def known(estimate):
    """Does it have a value, and both ends of its interval or none of them?"""
    value, low, high = (estimate.get(key) for key in ("value", "low", "high"))
    ends = [low, high] if low is not None or high is not None else []
    return all(number is not None and isfinite(number) for number in [value, *ends])


def estimate(value, low, high):
    return {"value": float(value), "low": float(low), "high": float(high)}


def rms(values):
    """NaN for none."""
    if not numpy.size(values):
        return numpy.nan
    most = numpy.max(numpy.abs(values))
    if 1e150 < most < numpy.inf:  # whose squares overflow
        return float(most * numpy.sqrt(numpy.mean(numpy.square(values / most))))
    return float(numpy.sqrt(numpy.mean(numpy.square(values))))


def jackknife(value, statistic):
    """statistic(value [seed, ...]), and half of its interval from what it becomes without each seed, or without each of 64 equal blocks of
    them when there are many."""
    without = numpy.stack([statistic(numpy.delete(value, some, axis=0))
                           for some in numpy.array_split(numpy.arange(len(value)), min(len(value), 64))])
    n = len(without)
    variance = (n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    return statistic(value), stats.t.ppf(0.975, n - 1) * numpy.sqrt(variance)


def log_interval(value, half):
    """value, low, high from logarithms."""
    return numpy.exp(value), numpy.exp(value - half), numpy.exp(value + half)


def mean_over_draws(values):
    """Mean of values [draw, ...] with its interval by Student's t: value, low, high. One draw: the interval is the value."""
    values = numpy.asarray(values, float)
    mean, n = values.mean(axis=0), len(values)
    half = stats.t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / numpy.sqrt(n) if n > 1 else numpy.zeros_like(mean)
    return mean, mean - half, mean + half


def log_mean_over_draws(values):
    """The same of positive values, in logarithms."""
    return tuple(numpy.exp(v) for v in mean_over_draws(numpy.log(values)))


def power_columns(x, correction=None):
    """[x, term] of log y = intercept + p log x (+ e correction(x))."""
    return numpy.stack([numpy.ones(len(x)), numpy.log(x)] + ([correction(x)] if correction else []), axis=1)


def power_law(x, y, correction=None, error=None):
    """Exponent of y against x: an estimate, with the curve of log y = intercept + p log x (+ e correction(x), where there are five points
    or more at four different x); None for fewer than three different x with a positive, finite y. The interval comes from the residuals;
    relative standard errors of y weight the points and widen it where the residuals are smaller than they."""
    x, y = numpy.asarray(x, float), numpy.asarray(y, float)
    sigma = numpy.ones(len(x)) if error is None else numpy.asarray(error, float)
    usable = numpy.isfinite(x) & (x > 0) & numpy.isfinite(y) & (y > 0) & numpy.isfinite(sigma) & (sigma > 0)
    x, y, sigma = x[usable], numpy.log(y[usable]), sigma[usable]
    different = len(numpy.unique(x))
    if different < 3:
        return None
    if different < 4 or len(x) < 5:
        correction = None
    design = power_columns(x, correction)
    covariance = numpy.linalg.inv(design.T @ (design / sigma[:, None] ** 2))
    coefficients = covariance @ (design.T @ (y / sigma**2))
    freedom = len(x) - design.shape[1]
    scatter = numpy.sum(((y - design @ coefficients) / sigma) ** 2) / freedom
    half = stats.t.ppf(0.975, freedom) * numpy.sqrt(scatter * covariance[1, 1])
    if error is not None:
        half = max(half, 1.96 * numpy.sqrt(covariance[1, 1]))
    power = coefficients[1]
    return {"value": power, "low": power - half, "high": power + half,
            "curve": lambda at: numpy.exp(power_columns(at, correction) @ coefficients)}


def power_over_draws(x, table, error):
    """Exponent of table [draw, x] against x: an estimate, with the curve of A x^p (1 + e/x) by least squares in logarithms, draw by draw;
    the term in e where there are five sizes or more. error [draw, x]: relative standard errors of the table from its seeds, which all draws
    share. The interval comes from the scatter of the draws plus the seeds' share as if it were the same in every draw."""
    correction = (lambda at: 1 / at) if len(x) >= 5 else None
    solve = numpy.linalg.pinv(power_columns(x, correction))
    coefficients = numpy.log(table) @ solve.T
    mean, low, _ = mean_over_draws(coefficients[:, 1])
    half = numpy.hypot(mean - low, 1.96 * numpy.sqrt(numpy.sum(solve[1] ** 2 * numpy.mean(error**2, axis=0))))
    return {**estimate(mean, mean - half, mean + half), "corrected": bool(correction),
            "curve": lambda at: numpy.exp(power_columns(at, correction) @ coefficients.mean(axis=0))}


def minimum(x, y):
    """Where a parabola through the least point and its neighbours has its minimum: x, y, and whether that is on the edge."""
    if not numpy.isfinite(y).all():
        return numpy.nan, numpy.nan, True
    i = int(numpy.argmin(y))
    if i in (0, len(y) - 1):
        return x[i], y[i], True
    a, b, c = numpy.polyfit(x[i - 1: i + 2] - x[i], y[i - 1: i + 2], 2)
    return (x[i] - b / (2 * a), c - b * b / (4 * a), False) if a > 0 else (x[i], y[i], False)
