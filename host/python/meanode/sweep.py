# SPDX-License-Identifier: BSD-3-Clause
"""What experiments over several problems of a file share."""

import numpy

from . import fitting
from .estimates import rms
from .reading import FileProblem
from .shapes import column_of, limit_values, plain_runs, recorded


class Problems:
    """All problems of a file: D, alpha, data, limits. Problems of the same D and alpha are draws of data and embeddings (data.seed):
    draw counts them from 0."""

    def __init__(self, results, need=("mean-ode",)):
        access = results.meanode
        self.path = access.path
        self.names = access.problems
        self.data = [access.problem(name) for name in self.names]
        self.D = numpy.array([data.sizes["embed"] for data in self.data])
        self.alpha = numpy.array([float(data["alpha"].values[0]) for data in self.data])
        self.draw = numpy.array([sum((self.D[:i] == self.D[i]) & (self.alpha[:i] == self.alpha[i])) for i in range(len(self.D))], int)
        self.draws = int(self.draw.max()) + 1
        self.limits = {}
        for kind in need:
            self.limits[kind] = [access.limit_or_none(name, kind) for name in self.names]
            if all(limit is None for limit in self.limits[kind]):
                raise FileProblem(f"{self.path}: needs the limit {kind} of every problem: limit: {{kind: {kind}}}")
        self.steps = self.data[0]["step"].values.tolist()

    def last(self, step):
        """The step that is asked for, else the last."""
        return self.steps[-1 if step is None else column_of(self.steps, step)]

    def fits(self, steps, quantity):
        """[problem][step] -> estimates."""
        found = fitting.constants(self.path, steps, quantity)
        return [found[name] for name in self.names]

    def field(self, kind, step, quantity="output"):
        """[problem] -> values of a limit at a step, flat; NaN where it is not known."""
        return [limit_values(limit, step, quantity) for limit in self.limits[kind]]

    def lacking_field(self, kinds, step, quantity="output"):
        """Why one of some limits is not known at a step in any problem; None if all are."""
        for kind in kinds:
            if not any(numpy.isfinite(field).all() for field in self.field(kind, step, quantity)):
                return f"the limit {kind} is not known at step {step}"
        return None

    def limit_error(self, kind, step, quantity="output"):
        """[problem] -> the limit's own standard error, RMS over samples and coordinates; NaN where it is not known."""
        return numpy.array([limit_values(limit, step, f"{quantity}_error")[0] * rms(limit_values(limit, step, quantity))
                            for limit in self.limits[kind]])

    def shape_errors(self, step, references, quantity="output"):
        """[problem] -> {(L, M): errors over seeds}: RMS distance of each finished plain run (no partner of sweep.pairs) to the problem's
        reference. Empty where the reference is not known or the runs were not recorded."""
        found = []
        for data, reference in zip(self.data, references):
            if quantity not in data:
                found.append({})
                continue
            distance = numpy.sqrt(numpy.mean((recorded(data, step, quantity) - reference) ** 2, axis=1))
            found.append({shape: distance[runs] for shape, runs in plain_runs(data, numpy.isfinite(distance)).items()})
        return found

    def by_draw(self, values):
        """values [problem] as [draw, D], D increasing; for files of one alpha."""
        levels = numpy.unique(self.D)
        table = numpy.full((self.draws, len(levels)), numpy.nan)
        table[self.draw, numpy.searchsorted(levels, self.D)] = values
        return levels, table


def need_several(values, what):
    if len(set(numpy.asarray(values).tolist())) < 3:
        raise FileProblem(f"this figure needs at least three values of {what}")


def arrays(fits, step, name):
    """value, low, high over problems; NaN where not determined, all the same where there is no statistical error."""
    rows = [[fit[step][name][key] for key in ("value", "low", "high")] for fit in fits]
    return numpy.array([[value] * 3 if low is None and high is None else [value, low, high] for value, low, high in rows], float).T
