# SPDX-License-Identifier: BSD-3-Clause
"""What experiments over several problems of a file share."""

import numpy
from scipy import stats

from . import fitting
from .reading import FileProblem
from .shapes import addresses, limit_values, rms


class Problems:
    """All problems of a file: D, alpha, data, limits. Problems of the same D and alpha are draws of data and embeddings (data.seed):
    draw counts them from 0."""

    def __init__(self, results, need=("mean-ode",)):
        access = results.meanode
        self.path, self.access = access.path, access
        self.names = access.problems
        self.data = [access.problem(name) for name in self.names]
        self.D = numpy.array([data.sizes["embed"] for data in self.data])
        self.alpha = numpy.array([float(data["alpha"].values[0]) for data in self.data])
        self.draw = numpy.array([sum((self.D[:i] == self.D[i]) & (self.alpha[:i] == self.alpha[i])) for i in range(len(self.D))], int)
        self.draws = int(self.draw.max()) + 1
        self.limits = {}
        for kind in need:
            self.limits[kind] = [limit_or_none(access, name, kind) for name in self.names]
            if all(limit is None for limit in self.limits[kind]):
                raise FileProblem(f"{self.path}: needs the limit {kind} of every problem: limit: {{kind: {kind}}}")
        self.steps = self.data[0]["step"].values.tolist()

    def last(self, step):
        if step is None:
            return self.steps[-1]
        if step not in self.steps:
            raise FileProblem(f"step {step} was not recorded; there are {', '.join(map(str, self.steps))}")
        return step

    def fits(self, steps, quantity):
        """[problem][step] -> estimates."""
        found = {one["problem"]: {fit["step"]: fit for fit in one["fits"]}
                 for one in fitting.fit_json(self.path, steps, quantity)["problems"]}
        return [found[name] for name in self.names]

    def field(self, kind, step, quantity="output"):
        """[problem] -> values of a limit at a step, flat; NaN where it is not known."""
        return [limit_values(limit, step, quantity) for limit in self.limits[kind]]

    def need_field(self, kind, step, quantity="output"):
        """FileProblem if a limit is not known at a step in any problem."""
        if not any(numpy.isfinite(field).all() for field in self.field(kind, step, quantity)):
            raise FileProblem(f"the limit {kind} is not known at step {step}")

    def lacking_field(self, kinds, step, quantity="output"):
        """Why one of some limits is not known at a step in any problem; None if all are."""
        for kind in kinds:
            try:
                self.need_field(kind, step, quantity)
            except FileProblem as problem:
                return str(problem)
        return None

    def limit_error(self, kind, step, quantity="output"):
        """[problem] -> the limit's own standard error, RMS over samples and coordinates; NaN where it is not known."""
        name = f"{quantity}_error"
        return numpy.array([float(limit[name].values[step]) * rms(limit_values(limit, step, quantity))
                            if limit is not None and name in limit and step < limit.sizes["step"] else numpy.nan for limit in self.limits[kind]])

    def shape_errors(self, step, references, quantity="output"):
        """[problem] -> {(L, M): errors over seeds}: RMS distance of each finished plain run (no partner of sweep.pairs) to the problem's
        reference. Empty where the reference is not known or the runs were not recorded."""
        found = []
        for data, reference in zip(self.data, references):
            if quantity not in data:
                found.append({})
                continue
            value = data[quantity].isel(step=self.steps.index(step)).values
            value = value.reshape(value.shape[0], -1)
            errors = {}
            for (L, M, _, *drawn), distance in zip(addresses(data), numpy.sqrt(numpy.mean((value - reference) ** 2, axis=1))):
                if numpy.isfinite(distance) and drawn == [M, 0, 1]:
                    errors.setdefault((L, M), []).append(distance)
            found.append({shape: numpy.array(e) for shape, e in errors.items()})
        return found

    def by_draw(self, values):
        """values [problem] as [draw, D], D increasing; for files of one alpha."""
        levels = numpy.unique(self.D)
        table = numpy.full((self.draws, len(levels)), numpy.nan)
        table[self.draw, numpy.searchsorted(levels, self.D)] = values
        return levels, table


def limit_or_none(access, name, kind):
    try:
        return access.limit(name, kind)
    except FileProblem:
        return None


def mean_over_draws(values):
    """Mean of values [draw, ...] with its 95% interval by Student's t: value, low, high. One draw: the interval is the value."""
    values = numpy.asarray(values, float)
    mean, n = values.mean(axis=0), len(values)
    half = stats.t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / numpy.sqrt(n) if n > 1 else numpy.zeros_like(mean)
    return mean, mean - half, mean + half


class PowerOverDraws:
    """y = A x^p (1 + e/x) through table [draw, x], draw by draw by least squares in logarithms; the term in e where there are five sizes
    or more. error [draw, x]: relative standard errors of the table from its seeds, which all draws share.

    value, low, high: mean of p over draws and its 95% interval, from the scatter of the draws plus the seeds' share as if it were the
    same in every draw."""

    def __init__(self, x, table, error):
        self.corrected = len(x) >= 5
        self.map = numpy.linalg.pinv(self.design(x))
        self.coefficients = numpy.log(table) @ self.map.T
        mean, low, _ = mean_over_draws(self.coefficients[:, 1])
        seeds = 1.96 * numpy.sqrt(numpy.sum(self.map[1] ** 2 * numpy.mean(error**2, axis=0)))
        half = float(numpy.hypot(mean - low, seeds))
        self.value, self.low, self.high = float(mean), float(mean) - half, float(mean) + half

    def design(self, x):
        columns = [numpy.ones(len(x)), numpy.log(x)] + ([1 / x] if self.corrected else [])
        return numpy.stack(columns, axis=1)

    def curve(self, x):
        return numpy.exp(self.design(x) @ self.coefficients.mean(axis=0))

    def estimate(self):
        return {"value": self.value, "low": self.low, "high": self.high}


def need_several(values, what):
    if len(set(numpy.asarray(values).tolist())) < 3:
        raise FileProblem(f"this figure needs at least three values of {what}")


def arrays(fits, step, name):
    """value, low, high over problems; NaN where not determined, all the same where there is no statistical error."""
    rows = [[fit[step][name][key] for key in ("value", "low", "high")] for fit in fits]
    rows = [[value] * 3 if low is None and high is None else [value, low, high] for value, low, high in rows]
    return numpy.array([[numpy.nan if v is None else v for v in row] for row in rows]).T
