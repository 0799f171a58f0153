"""What experiments over several problems of a file share."""

import numpy

from . import fitting
from .reading import FileProblem


class Problems:
    """All problems of a file: D, alpha, data, limits."""

    def __init__(self, results, need=("mean-ode",)):
        access = results.meanode
        self.path, self.access = access.path, access
        self.names = access.problems
        self.data = [access.problem(name) for name in self.names]
        self.D = numpy.array([data.sizes["embed"] for data in self.data])
        self.alpha = numpy.array([float(data["alpha"].values[0]) for data in self.data])
        self.limits = {}
        for kind in need:
            try:
                self.limits[kind] = [access.limit(name, kind) for name in self.names]
            except FileProblem:
                raise FileProblem(f"{self.path}: needs the limit {kind} of every problem: limit: {{kind: {kind}}}") from None
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
        """[problem] -> values of a limit at a step, flat."""
        return [limit[quantity].values[step].ravel() for limit in self.limits[kind]]

    def shape_errors(self, step, references, quantity="output"):
        """[problem] -> {(L, M): errors over seeds}: RMS distance of each finished plain run to the problem's reference."""
        found = []
        for data, reference in zip(self.data, references):
            value = data[quantity].isel(step=self.steps.index(step)).values
            value = value.reshape(value.shape[0], -1)
            errors = {}
            for L, M, distance in zip(data["L"].values.tolist(), data["M"].values.tolist(),
                                      numpy.sqrt(numpy.mean((value - reference) ** 2, axis=1))):
                if numpy.isfinite(distance):
                    errors.setdefault((L, M), []).append(distance)
            found.append({shape: numpy.array(e) for shape, e in errors.items()})
        return found


def need_several(values, what):
    if len(set(numpy.asarray(values).tolist())) < 3:
        raise FileProblem(f"this figure needs at least three values of {what}")


def arrays(fits, step, name):
    """value, low, high over problems; NaN where not determined."""
    rows = [[fit[step][name][key] for key in ("value", "low", "high")] for fit in fits]
    return numpy.array([[numpy.nan if v is None else v for v in row] for row in rows]).T
