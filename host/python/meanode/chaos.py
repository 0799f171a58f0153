"""Figure "chaos": trained units against coupled units that are driven by the limit, and errors along the depth."""

import numpy
from scipy import stats

from . import style
from .law import chosen_steps, finish, points
from .reading import FileProblem
from .shapes import addresses, blocks
from .verdict import Verdict

# variable, what it is, expected exponent in L M, power of it whose mean over seeds is taken
PANELS = (("coupling", "distance to coupled units", -0.5, 2), ("path_error_forward", "sup over layers of the error of $h$", -0.5, 2),
          ("decorrelation", "covariance of distinct units", -1.0, 1))


class Grid:
    """value [seed, shape, step] of one variable of the root table, for plain runs of seeds that finished every shape."""

    def __init__(self, results, problem, name):
        data = results.meanode.problem(problem)
        rows = data["row"].values
        value = results[name].values[rows]
        found = {}
        for run, (L, M, seed, *draw) in enumerate(addresses(data)):
            if draw == [M, 0, 1] and numpy.isfinite(value[run]).all():
                found.setdefault((L, M), {})[seed] = value[run]
        shapes = sorted(found)
        common = sorted(set.intersection(*(set(found[shape]) for shape in shapes))) if shapes else []
        if len(common) < 3:
            raise FileProblem("fewer than three seeds have finished every shape")
        self.L, self.M = (numpy.array([shape[i] for shape in shapes], float) for i in (0, 1))
        self.value = numpy.array([[found[shape][seed] for shape in shapes] for seed in common])

    def jackknife(self, statistic):
        whole = statistic(self.value)
        without = numpy.stack([statistic(numpy.delete(self.value, s, axis=0)) for s in blocks(len(self.value))])
        n = len(without)
        variance = (n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0)
        return whole, stats.t.ppf(0.975, n - 1) * numpy.sqrt(variance)


def draw_chaos(results, step=None, quantity="output", problem=0):
    """Propagation of chaos: distances to coupled units, errors along the depth and correlations against L M."""
    present = [panel for panel in PANELS if panel[0] in results]
    if not present:
        raise FileProblem(f"{results.meanode.path}: nothing to draw: record: {{coupling: true, path: true}} in the configuration")
    recorded = results["step"].values.tolist()
    steps = chosen_steps(recorded, step)
    fig, axes = style.figure(1, len(present), 2.9)
    found = []
    for letter, axis, (name, title, exponent, power) in zip("abc", axes[0], present):
        grid = Grid(results, problem, name)
        product = grid.L * grid.M
        design = numpy.log(product) - numpy.log(product).mean()
        for i, k in enumerate(steps):
            at = recorded.index(k)

            def level(v, at=at, power=power):
                return numpy.log(numpy.abs((v[:, :, at] ** power).mean(axis=0))) / power

            value, half = grid.jackknife(level)
            points(axis, product, numpy.exp(value), numpy.exp(value - half), numpy.exp(value + half), i, label=f"$k = {k}$")
            slope, width = grid.jackknife(lambda v: numpy.array([design @ level(v) / (design @ design)]))
            x = numpy.geomspace(product.min(), product.max(), 20)
            axis.plot(x, numpy.exp(value.mean() + exponent * (numpy.log(x) - numpy.log(product).mean())), linewidth=0.9, **style.line(i))
            note = {"value": float(slope[0]), "low": float(slope[0] - width[0]), "high": float(slope[0] + width[0])}
            found.append(Verdict(f"{title.replace('$', '')}, k = {k}: exponent in L M", note, exponent))
        finish(axis, "product $LM$", title)
        style.label_panel(axis, letter)
        style.log_ticks(axis)
        axis.legend(title=f"lines: exponent {exponent:g}", title_fontsize=7, loc="lower left")
    text = ", ".join(f"$k={k}$: {v.value:.3f} [{v.low:.3f}, {v.high:.3f}]" for k, v in zip(steps, found))
    style.caption(fig, f"Propagation of chaos: D = {int(results['D'].values[0])}, {len(grid.value)} seeds, 95% intervals.\n"
                       f"Exponents in $LM$ of (a): {text}; theory {present[0][2]:g}.")
    return fig, found
