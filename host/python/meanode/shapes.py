# SPDX-License-Identifier: BSD-3-Clause
"""Runs of one problem, step and quantity arranged as seeds x shapes, and the points that figures draw.

The constants of the law come from the C library (fitting.py); what is here is for points with error bars."""

import numpy

from .estimates import jackknife, log_interval, rms
from .reading import FileProblem


# Of the runs that join the plain run (L, M) of the same seed: (factor, L, M, draw width, offset, sign); the rule is host/plan/pairs.c.
PARTNERS = {
    "plain": lambda L, M: (),
    "regroup": lambda L, M: ((-1.0, L // 2, 2 * M, M, 0, 1),) if L % 2 == 0 else None,
    "jackknife": lambda L, M: ((-0.5, L, M // 2, M // 2, 0, 1), (-0.5, L, M // 2, M // 2, M // 2, 1)) if M % 2 == 0 else None,
}


class Shapes:
    """L, M [shape]; value [seed, shape, number]; limit [number], if it is known; limit_deviation per number.

    kind "plain": the runs themselves; "regroup", "jackknife": differences between runs of the same units, which need no
    limit (see `sweep.pairs` of the configuration). Seeds are those that finished every shape."""

    def __init__(self, problem, limit, step, quantity, kind="plain"):
        value = recorded(problem, step, quantity)
        finite = numpy.isfinite(value).all(axis=1)
        runs = {key: run for run, key in enumerate(addresses(problem)) if finite[run]}
        by_shape = {}
        for (L, M, seed, *draw), run in runs.items():
            joined = PARTNERS[kind](L, M) if draw == [M, 0, 1] else None
            if joined is None:
                continue
            others = [(factor, runs.get((l, m, seed, *where))) for factor, l, m, *where in joined]
            if all(other is not None for _, other in others):
                by_shape.setdefault((L, M), {})[seed] = [(1.0, run), *others]
        by_shape = {shape: found for shape, found in by_shape.items() if len(found) > 1}
        if not by_shape:
            raise FileProblem(f"no shape has two finished seeds with finite numbers at step {step}" if kind == "plain" else
                              f"no shape has two finished seeds with their partners at step {step}")
        self.L, self.M, table = seeds_and_shapes(by_shape, f"have finished every shape with finite numbers at step {step}")
        self.value = numpy.array([[sum(factor * value[run] for factor, run in cell) for cell in row] for row in table])
        self._limit, self.limit_deviation = numpy.zeros(value.shape[1]), 0.0
        if kind == "plain":
            self._limit, self.limit_deviation = limit_at(limit, step, quantity)
            self.lacks_limit = "needs a limit: add limit: {kind: mean-ode} to the configuration" if limit is None else unknown(step)

    @property
    def limit(self):
        """[number]; FileProblem where it is not known."""
        if not (numpy.isfinite(self._limit).all() and numpy.isfinite(self.limit_deviation)):
            raise FileProblem(self.lacks_limit)
        return self._limit

    @property
    def seeds(self):
        return self.value.shape[0]

    def error(self):
        """RMS distance to the limit over seeds and numbers, per shape; with low and high."""
        return log_interval(*jackknife(self.value, lambda v: 0.5 * numpy.log(((v - self.limit) ** 2).mean(axis=(0, 2)))))

    def deviation(self):
        """Standard deviation over seeds, per shape; with low and high."""
        return log_interval(*jackknife(self.value, lambda v: 0.5 * numpy.log(v.var(axis=0, ddof=1).mean(axis=-1))))

    def rms_of(self, maps):
        """RMS of maps [points, shape] applied to (mean - limit), the noise's share of the square subtracted."""

        def statistic(v):
            combined = numpy.einsum("pc,scd->psd", maps, v - self.limit)
            noise = combined.var(axis=1, ddof=1) / v.shape[0]
            return (combined.mean(axis=1) ** 2 - noise).mean(axis=-1)

        value, half = jackknife(self.value, statistic)
        of_limit = numpy.abs(maps.sum(axis=1)) * self.limit_deviation / numpy.sqrt(self.value.shape[2])
        half = numpy.hypot(half, 2 * numpy.sqrt(numpy.maximum(value, 0)) * 1.96 * of_limit)
        low, high = (numpy.sqrt(numpy.maximum(x, 0)) for x in (value - half, value + half))
        return numpy.sqrt(numpy.maximum(value, 0)), low, high

    def law_maps(self):
        """Rows that take the means of the shapes to A and C of the law."""
        design = numpy.stack([1 / self.L, 1 / (self.L * self.M)], axis=1)
        return least_squares(design, self.L * self.M)

    def bias_by(self, size, power):
        """RMS of the mean at each value of size [shape], averaged over its shapes with weight (L M)^power: size, value, low,
        high. For the differences of pairs."""
        levels = numpy.unique(size)
        maps = (size[None, :] == levels[:, None]) * (self.L * self.M) ** power
        return (levels, *self.rms_of(maps / maps.sum(axis=1, keepdims=True)))

    def depth_bias(self):
        """RMS of the depth bias at each L, with one width bias c/(L M) for all: L, value, low, high."""
        depths = numpy.unique(self.L)
        design = numpy.concatenate([(self.L[:, None] == depths).astype(float), 1 / (self.L * self.M)[:, None]], axis=1)
        return (depths, *self.rms_of(least_squares(design, self.L * self.M)[:-1]))

    def width_bias(self):
        """RMS of mean - limit - A/L per shape: L M, value, low, high."""
        a = self.law_maps()[0]
        return (self.L * self.M, *self.rms_of(numpy.eye(len(self.L)) - a[None, :] / self.L[:, None]))

    def alignment(self):
        """Mean over numbers of A C, noise subtracted: the cross term of the law's mean square."""
        a, c = self.law_maps()
        y, z = (numpy.einsum("c,scd->sd", g, self.value - self.limit) for g in (a, c))
        noise = ((y - y.mean(axis=0)) * (z - z.mean(axis=0))).sum(axis=0) / (self.seeds * (self.seeds - 1))
        return float((y.mean(axis=0) * z.mean(axis=0) - noise).mean())


def seeds_and_shapes(found, wanted):
    """L, M [shape], and [seed][shape] of {(L, M): {seed: ...}} for the seeds that every shape has: who leaves out a seed leaves it out
    everywhere. FileProblem if they are fewer than three; wanted: what they should have done."""
    shapes = sorted(found)
    common = sorted(set.intersection(*(set(found[shape]) for shape in shapes)))
    if len(common) < 3:
        raise FileProblem(f"fewer than three seeds {wanted}")
    L, M = numpy.array(shapes, float).T
    return L, M, [[found[shape][seed] for shape in shapes] for seed in common]


def not_recorded(quantity):
    return f"{quantity} was not recorded: record: {{{quantity}: true}} in the configuration"


def column_of(steps, step):
    """Where a step is among those recorded; FileProblem if it is not."""
    if step not in steps:
        raise FileProblem(f"step {step} was not recorded; there are {', '.join(map(str, steps))}")
    return steps.index(step)


def recorded(problem, step, quantity):
    """[run, number] at a step; FileProblem if it was not recorded."""
    if quantity not in problem:
        raise FileProblem(not_recorded(quantity))
    value = problem[quantity].isel(step=column_of(problem["step"].values.tolist(), step)).values
    return value.reshape(len(value), -1)


def addresses(problem):
    """(L, M, seed, draw width, draw offset, draw sign) of every run."""
    M = problem["M"].values
    plain = {"draw_width": M, "draw_offset": numpy.zeros_like(M), "draw_sign": numpy.ones_like(M)}  # of a file that does not say
    columns = [problem.coords.get(name, plain.get(name)) for name in ("L", "M", "seed", *plain)]
    return list(zip(*(numpy.asarray(column).tolist() for column in columns)))


def plain_runs(problem, usable):
    """{(L, M): runs} of those that are usable [run] and no partner of sweep.pairs."""
    found = {}
    for run, (L, M, _, *draw) in enumerate(addresses(problem)):
        if usable[run] and draw == [M, 0, 1]:
            found.setdefault((L, M), []).append(run)
    return found


def unknown(step):
    return f"the limit is not known at step {step}"


def limit_values(limit, step, quantity):
    """Values of a limit (or None) at a step, flat; NaN where it is not known."""
    if limit is None or quantity not in limit or step >= limit.sizes["step"]:
        return numpy.full(1, numpy.nan)
    return limit[quantity].values[step].ravel()


def limit_at(limit, step, quantity):
    """The same, and the standard error of one of them: 0 where it was not estimated. FileProblem if the file lacks the errors."""
    value = limit_values(limit, step, quantity)
    if not numpy.isfinite(value).all():
        return value, 0.0
    if f"{quantity}_error" not in limit:
        raise FileProblem(f"{quantity}_error of a limit is missing")
    relative = float(limit[f"{quantity}_error"].values[step])
    return value, 0.0 if numpy.isnan(relative) else relative * rms(value)


def least_squares(design, weight):
    """Map [columns, rows] from data to the coefficients of a weighted fit; FileProblem if they are not determined."""
    root = numpy.sqrt(weight)[:, None]
    scale = numpy.sqrt((weight[:, None] * design**2).sum(axis=0))
    if numpy.linalg.matrix_rank(root * design / scale, tol=1e-6) < design.shape[1]:
        raise FileProblem("the shapes do not tell depth bias from width bias: take at least two values of M")
    return numpy.linalg.pinv(root * design / scale) / scale[:, None] * root.T
