# SPDX-License-Identifier: BSD-3-Clause
"""Runs of one problem, step and quantity arranged as seeds x shapes, and the points that figures draw.

The constants of the law come from the C library (fitting.py); what is here is for points with error bars: every statistic
is computed with all seeds and again without each seed, and the jackknife gives its interval."""

import numpy
from scipy import stats

from .reading import FileProblem


PARTNERS = {
    # kind: ((factor, L, M, width, offset, sign), ...) of the runs that join the plain run (L, M) of the same seed
    "plain": lambda L, M: (),
    "regroup": lambda L, M: ((-1.0, L // 2, 2 * M, M, 0, 1),) if L % 2 == 0 else None,
    "jackknife": lambda L, M: ((-0.5, L, M // 2, M // 2, 0, 1), (-0.5, L, M // 2, M // 2, M // 2, 1)) if M % 2 == 0 else None,
}


class Shapes:
    """L, M [shape]; value [seed, shape, number]; limit [number], if it is known; limit_deviation per number.

    kind "plain": the runs themselves; "regroup", "jackknife": differences between runs of the same units, which need no
    limit (see `sweep.pairs` of the configuration). Seeds are those that finished every shape."""

    def __init__(self, problem, limit, step, quantity, kind="plain"):
        if quantity not in problem:
            raise FileProblem(f"{quantity} was not recorded: record: {{{quantity}: true}} in the configuration")
        steps = problem["step"].values.tolist()
        if step not in steps:
            raise FileProblem(f"step {step} was not recorded; there are {', '.join(map(str, steps))}")
        value = problem[quantity].isel(step=steps.index(step)).values
        value = value.reshape(value.shape[0], -1)
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
        shapes = sorted(shape for shape in by_shape if len(by_shape[shape]) > 1)
        if not shapes:
            raise FileProblem(f"no shape has two finished seeds with finite numbers at step {step}" if kind == "plain" else
                              f"no shape has two finished seeds with their partners at step {step}")
        # The jackknife leaves out a seed with all its shapes, so only seeds with every shape serve.
        common = sorted(set.intersection(*(set(by_shape[shape]) for shape in shapes)))
        if len(common) < 3:
            raise FileProblem(f"fewer than three seeds have finished every shape with finite numbers at step {step}")
        self.step, self.quantity = step, quantity
        self.L = numpy.array([shape[0] for shape in shapes], float)
        self.M = numpy.array([shape[1] for shape in shapes], float)
        self.value = numpy.stack([numpy.stack([sum(factor * value[run] for factor, run in by_shape[shape][seed])
                                               for shape in shapes]) for seed in common])
        self._limit, self.limit_deviation = numpy.zeros(value.shape[1]), 0.0
        if kind == "plain":
            self._limit, self.limit_deviation = (numpy.full(1, numpy.nan), 0.0) if limit is None else limit_at(limit, step, quantity)
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

    def jackknife(self, statistic):
        """statistic(value [seed, shape, number]) -> [points]. Returns the value and half the 95% interval, per point."""
        whole = statistic(self.value)
        n = self.seeds
        without = numpy.stack([statistic(numpy.delete(self.value, s, axis=0)) for s in blocks(n)])
        groups = without.shape[0]
        variance = (groups - 1) / groups * ((without - without.mean(axis=0)) ** 2).sum(axis=0)
        return whole, stats.t.ppf(0.975, groups - 1) * numpy.sqrt(variance)

    def error(self):
        """RMS distance to the limit over seeds and numbers, per shape; with low and high."""
        return log_interval(*self.jackknife(lambda v: 0.5 * numpy.log(((v - self.limit) ** 2).mean(axis=(0, 2)))))

    def deviation(self):
        """Standard deviation over seeds, per shape; with low and high."""
        return log_interval(*self.jackknife(lambda v: 0.5 * numpy.log(v.var(axis=0, ddof=1).mean(axis=-1))))

    def rms_of(self, maps):
        """RMS of maps [points, shape] applied to (mean - limit), the noise's share of the square subtracted."""

        def statistic(v):
            combined = numpy.einsum("pc,scd->psd", maps, v - self.limit)
            noise = combined.var(axis=1, ddof=1) / v.shape[0]
            return (combined.mean(axis=1) ** 2 - noise).mean(axis=-1)

        value, half = self.jackknife(statistic)
        half = numpy.hypot(half, 2 * numpy.sqrt(numpy.maximum(value, 0)) * 1.96 * self._limit_share(maps))
        low, high = (numpy.sqrt(numpy.maximum(x, 0)) for x in (value - half, value + half))
        return numpy.sqrt(numpy.maximum(value, 0)), low, high

    def _limit_share(self, maps):
        return numpy.abs(maps.sum(axis=1)) * self.limit_deviation / numpy.sqrt(self.value.shape[2])

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
        """RMS of mean - limit - A/L per shape: value, low, high."""
        a = self.law_maps()[0]
        return self.rms_of(numpy.eye(len(self.L)) - a[None, :] / self.L[:, None])

    def bias(self):
        """RMS of mean - limit per shape: value, low, high."""
        return self.rms_of(numpy.eye(len(self.L)))

    def alignment(self):
        """Mean over numbers of A C, noise subtracted: the cross term of the law's mean square."""
        a, c = self.law_maps()
        y, z = (numpy.einsum("c,scd->sd", g, self.value - self.limit) for g in (a, c))
        noise = ((y - y.mean(axis=0)) * (z - z.mean(axis=0))).sum(axis=0) / (self.seeds * (self.seeds - 1))
        return float((y.mean(axis=0) * z.mean(axis=0) - noise).mean())


def addresses(problem):
    """(L, M, seed, draw width, draw offset, draw sign) of every run."""
    names = ("L", "M", "seed", "draw_width", "draw_offset", "draw_sign")
    columns = [problem[name].values.tolist() if name in problem.coords else None for name in names]
    runs = problem.sizes["run"]
    columns = [column or default for column, default in zip(columns, (0, 0, 0, columns[1], [0] * runs, [1] * runs))]
    return list(zip(*columns))


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


def blocks(n, most=64):
    """Indices to leave out in turn: single seeds, or equal blocks of them when there are many."""
    return numpy.array_split(numpy.arange(n), min(n, most))


def rms(values):
    """NaN for none."""
    if not numpy.size(values):
        return numpy.nan
    most = numpy.max(numpy.abs(values))
    if 1e150 < most < numpy.inf:  # whose squares overflow
        return float(most * numpy.sqrt(numpy.mean(numpy.square(values / most))))
    return float(numpy.sqrt(numpy.mean(numpy.square(values))))


def log_interval(value, half):
    return numpy.exp(value), numpy.exp(value - half), numpy.exp(value + half)


def least_squares(design, weight):
    """Map [columns, rows] from data to the coefficients of a weighted fit; FileProblem if they are not determined."""
    root = numpy.sqrt(weight)[:, None]
    scale = numpy.sqrt((weight[:, None] * design**2).sum(axis=0))
    if numpy.linalg.matrix_rank(root * design / scale, tol=1e-6) < design.shape[1]:
        raise FileProblem("the shapes do not tell depth bias from width bias: take at least two values of M")
    return numpy.linalg.pinv(root * design / scale) / scale[:, None] * root.T
