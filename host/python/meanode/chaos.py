# SPDX-License-Identifier: BSD-3-Clause
"""Figure "chaos": trained units against coupled units that are driven by the limit, and errors along the depth."""

import numpy
from scipy import interpolate, stats

from . import style
from .panels import chosen_steps, finish, points, spread
from .reading import FileProblem
from .shapes import addresses, blocks, unknown
from .verdict import Verdict, interval

# variable: what it is, its unit in the figure, expected exponent in L M or None, note
PANELS = {
    "coupling": ("distance to coupled units", -0.5, ""),
    "path_error_forward": ("sup over layers of the error of $h$", -0.5, ""),
    "decorrelation": ("covariance of distinct units", None, "RMS over seeds; the bound: -1"),
}


class Grid:
    """value [seed, shape] of one variable of the root table at a step, for plain runs of seeds that are finite there in every shape."""

    def __init__(self, results, problem, name, column):
        data = results.meanode.problem(problem)
        step = int(results["step"].values[column])
        value = results[name].values[data["row"].values, column]
        found = {}
        for run, (L, M, seed, *draw) in enumerate(addresses(data)):
            if draw == [M, 0, 1] and numpy.isfinite(value[run]):
                found.setdefault((L, M), {})[seed] = value[run]
        if not found:
            raise FileProblem(f"known for no network at step {step}: none is finite, or the limit is not known")
        shapes = sorted(found)
        common = sorted(set.intersection(*(set(found[shape]) for shape in shapes)))
        if len(common) < 3:
            raise FileProblem(f"fewer than three seeds are known in every shape at step {step}")
        self.L, self.M = (numpy.array([shape[i] for shape in shapes], float) for i in (0, 1))
        self.value = numpy.array([[found[shape][seed] for shape in shapes] for seed in common])

    def jackknife(self, statistic):
        whole = statistic(self.value)
        without = numpy.stack([statistic(numpy.delete(self.value, s, axis=0)) for s in blocks(len(self.value))])
        n = len(without)
        variance = (n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0)
        return whole, stats.t.ppf(0.975, n - 1) * numpy.sqrt(variance)


def draw_chaos(results, step=None, quantity="output", problem=0):
    """Propagation of chaos: distances to coupled units, errors over the depth and correlations of distinct units against L M; the error
    of the state along the depth."""
    present = [name for name in PANELS if name in results]
    if not present:
        raise FileProblem(f"{results.meanode.path}: nothing to draw: record: {{coupling: true, path: true}} in the configuration")
    recorded = results["step"].values.tolist()
    steps = chosen_steps(recorded, step)
    along = "path_forward" in results.meanode.problem(problem) and "mean-ode" in results.meanode.limits(problem)
    count = len(present) + along
    fig, axes = style.figure(1 + (count > 3), min(count, 3) if count < 4 else 2, 2.9 if count < 4 else 4.9)
    found, seeds = [], 0
    for letter, axis, name in zip("abc", axes.flat, present):
        with style.panel(axis):
            verdicts, used = against_products(axis, results, problem, name, recorded, steps)
            found, seeds = found + verdicts, max(seeds, used)
        style.label_panel(axis, letter)
        style.log_ticks(axis)
    if along:
        axis = axes.flat[len(present)]
        with style.panel(axis):
            along_the_depth(axis, results, problem, recorded, steps[-1])
        style.label_panel(axis, "abcd"[len(present)])
    drawn = list(axes.flat)[:count]
    for axis in list(axes.flat)[count:]:
        axis.remove()
    style.need_a_panel(drawn)
    text = ", ".join(f"$k={k}$: {interval(v, 3)}" for k, v in zip(steps, found))
    style.caption(fig, f"Propagation of chaos: D = {int(results['D'].values[0])}, {seeds} seeds, 95% intervals.\n"
                       + (f"Exponents in $LM$ of (a): {text}; theory -1/2." if not style.is_blank(drawn[0]) else ""))
    return fig, found


def against_products(axis, results, problem, name, recorded, steps):
    """One variable against L M at the steps: verdicts on its exponents, and the number of seeds."""
    title, exponent, note = PANELS[name]
    found, seeds, why = [], 0, None
    for i, k in enumerate(steps):
        label = f"{title.replace('$', '')}, k = {k}: exponent in L M"
        try:
            grid = Grid(results, problem, name, recorded.index(k))
        except FileProblem as problem_:
            why = str(problem_)
            found.append(Verdict(label, {"warning": why}, exponent, note))
            continue
        seeds = max(seeds, len(grid.value))
        product = grid.L * grid.M
        # log value = A + p log(L M) + e/(L M): the last term where the shapes tell it from the others
        design = numpy.stack([numpy.ones(len(product)), numpy.log(product)] + ([1 / product] if len(set(product)) >= 5 else []), axis=1)

        def level(v):
            return 0.5 * numpy.log((v**2).mean(axis=0))

        value, half = grid.jackknife(level)
        points(axis, product, numpy.exp(value), numpy.exp(value - half), numpy.exp(value + half), i, label=f"$k = {k}$")
        estimate = {"warning": "needs at least two values of L M with a distance above zero"}
        if len(set(product)) >= 2 and numpy.isfinite(value).all():
            row = numpy.linalg.pinv(design)[1]
            slope, width = (float(v[0]) for v in grid.jackknife(lambda v, row=row: numpy.array([row @ level(v)])))
            estimate = {"value": slope, "low": slope - width, "high": slope + width, "warning": estimate["warning"]}
            x = numpy.geomspace(product.min(), product.max(), 20)
            power = slope if exponent is None else exponent
            axis.plot(x, numpy.exp(value.mean() + power * (numpy.log(x) - numpy.log(product).mean())), linewidth=0.9, **style.line(i))
        found.append(Verdict(label, estimate, exponent, note))
    finish(axis, "product $LM$", title, why or f"no distance is finite and above zero at step {steps[-1]}")
    style.legend(axis, title="lines: fitted exponents" if exponent is None else f"lines: exponent {exponent:g}", title_fontsize=7, loc="lower left")
    return found, seeds


def along_the_depth(axis, results, problem, recorded, step):
    """sqrt(L M) times the RMS over seeds, samples and coordinates of h^l - h_{l/L}, against s = l/L, for a few shapes."""
    data, limit = results.meanode.problem(problem), results.meanode.limit(problem, "mean-ode")
    if not ("state" in limit and step < limit.sizes["step"] and numpy.isfinite(limit["state"].values[step]).all()):
        raise FileProblem(unknown(step))
    depth = data["depth"].values
    start = data["x"].values @ data["w_embed"].values.T
    nodes = numpy.concatenate([[0.0], limit["depth"].values])
    states = numpy.concatenate([start[None], limit["state"].values[step]])
    exact = interpolate.BarycentricInterpolator(nodes, states)(depth)
    square = ((data["path_forward"].isel(step=recorded.index(step)).values - exact) ** 2).mean(axis=(2, 3))
    by_shape = {}
    for run, (L, M, _, *draw) in enumerate(addresses(data)):
        if draw == [M, 0, 1] and numpy.isfinite(square[run]).all():
            by_shape.setdefault((L, M), []).append(square[run])
    if not by_shape:
        raise FileProblem(f"no network is finite at step {step}")
    shapes = sorted(by_shape, key=lambda s: (s[0] * s[1], s[0]))
    for i, j in enumerate(spread(numpy.arange(len(shapes)), 5)):
        L, M = shapes[j]
        axis.plot(depth, numpy.sqrt(L * M * numpy.mean(by_shape[L, M], axis=0)), markevery=0.25, linewidth=0.9, linestyle=style.LINES[i],
                  label=f"$L, M = {L}, {M}$", **style.series(i))
    axis.set_xlabel("depth $s = l/L$")
    axis.set_ylabel(rf"$\sqrt{{LM}}\times$ RMS error of $h$, $k = {step}$")
    axis.set_ylim(bottom=0)
    style.legend(axis, loc="lower right")
