# SPDX-License-Identifier: BSD-3-Clause
"""Figure "chaos": trained units against coupled units that are driven by the limit, and errors along the depth."""

import numpy
from scipy import interpolate

from . import style
from .estimates import estimate, jackknife, log_interval, power_columns
from .panels import chosen_steps, curve, finish, points, spread
from .reading import FileProblem
from .shapes import addresses, plain_runs, recorded, seeds_and_shapes, unknown
from .verdict import Verdict, interval

# variable: what it is, its unit in the figure, expected exponent in L M or None, note
PANELS = {
    "coupling": ("distance to coupled units", -0.5, ""),
    "path_error_forward": ("sup over layers of the error of $h$", -0.5, ""),
    "decorrelation": ("covariance of distinct units", None, "RMS over seeds; the bound: -1"),
}


def table_of(results, problem, name, column, step):
    """L, M [shape] and value [seed, shape] of a variable of the root table, for plain runs of seeds that are finite in every shape."""
    data = results.meanode.problem(problem)
    value = results[name].values[data["row"].values, column]
    found = {}
    for run, (L, M, seed, *draw) in enumerate(addresses(data)):
        if draw == [M, 0, 1] and numpy.isfinite(value[run]):
            found.setdefault((L, M), {})[seed] = value[run]
    if not found:
        raise FileProblem(f"known for no network at step {step}: none is finite, or the limit is not known")
    L, M, table = seeds_and_shapes(found, f"are known in every shape at step {step}")
    return L, M, numpy.array(table)


def draw_chaos(results, step=None, quantity="output", problem=0):
    """Propagation of chaos: distances to coupled units, errors over the depth and correlations of distinct units against L M; the error
    of the state along the depth."""
    present = [name for name in PANELS if name in results]
    if not present:
        raise FileProblem(f"{results.meanode.path}: nothing to draw: record: {{coupling: true, path: true}} in the configuration")
    steps = chosen_steps(results["step"].values.tolist(), step)
    along = "path_forward" in results.meanode.problem(problem) and "mean-ode" in results.meanode.limits(problem)
    count = len(present) + along
    fig, axes = style.figure(1 + (count > 3), min(count, 3) if count < 4 else 2, 2.9 if count < 4 else 4.9)
    found, seeds = [], 0
    for axis, name in zip(axes.flat, present):
        with style.panel(axis):
            verdicts, used = against_products(axis, results, problem, name, steps)
            found, seeds = found + verdicts, max(seeds, used)
    if along:
        with style.panel(axes.flat[len(present)]):
            along_the_depth(axes.flat[len(present)], results, problem, steps[-1])
    for axis in axes.flat[count:]:
        axis.remove()
    style.arrange(axes.flat[:count])
    text = ", ".join(f"$k={k}$: {interval(v, 3)}" for k, v in zip(steps, found))
    style.caption(fig, f"Propagation of chaos: D = {int(results['D'].values[0])}, {seeds} seeds, 95% intervals.\n"
                       + (f"Exponents in $LM$ of (a): {text}; theory -1/2." if not style.is_blank(axes[0][0]) else ""))
    return fig, found


def against_products(axis, results, problem, name, steps):
    """One variable against L M at the steps: verdicts on its exponents, and the number of seeds."""
    title, exponent, note = PANELS[name]
    recorded_steps = results["step"].values.tolist()
    found, seeds, why = [], 0, None
    for i, k in enumerate(steps):
        label = f"{title.replace('$', '')}, k = {k}: exponent in L M"
        try:
            L, M, distance = table_of(results, problem, name, recorded_steps.index(k), k)
        except FileProblem as problem_:
            why = str(problem_)
            found.append(Verdict(label, {"warning": why}, exponent, note))
            continue
        seeds, product = max(seeds, len(distance)), L * M
        value, half = jackknife(distance, level)
        points(axis, product, *log_interval(value, half), i, label=f"$k = {k}$")
        slope = {"warning": "needs at least two values of L M with a distance above zero"}
        if len(set(product)) >= 2 and numpy.isfinite(value).all():
            # log value = A + p log(L M) + e/(L M): the last term where the shapes tell it from the others
            row = numpy.linalg.pinv(power_columns(product, (lambda x: 1 / x) if len(set(product)) >= 5 else None))[1]
            of_all, width = jackknife(distance, lambda v: row @ level(v))
            slope.update(estimate(of_all, of_all - width, of_all + width))
            power = of_all if exponent is None else exponent
            curve(axis, product, lambda x: numpy.exp(value.mean() + power * (numpy.log(x) - numpy.log(product).mean())), 20, linewidth=0.9,
                  **style.line(i))
        found.append(Verdict(label, slope, exponent, note))
    finish(axis, "product $LM$", title, why or f"no distance is finite and above zero at step {steps[-1]}")
    style.legend(axis, title="lines: fitted exponents" if exponent is None else f"lines: exponent {exponent:g}", title_fontsize=7,
                 loc="lower left")
    return found, seeds


def level(distance):
    """log of the RMS over seeds, per shape."""
    return 0.5 * numpy.log((distance**2).mean(axis=0))


def along_the_depth(axis, results, problem, step):
    """sqrt(L M) times the RMS over seeds, samples and coordinates of h^l - h_{l/L}, against s = l/L, for a few shapes."""
    data, limit = results.meanode.problem(problem), results.meanode.limit(problem, "mean-ode")
    if not ("state" in limit and step < limit.sizes["step"] and numpy.isfinite(limit["state"].values[step]).all()):
        raise FileProblem(unknown(step))
    depth = data["depth"].values
    start = data["x"].values @ data["w_embed"].values.T
    nodes = numpy.concatenate([[0.0], limit["depth"].values])
    states = numpy.concatenate([start[None], limit["state"].values[step]])
    exact = interpolate.BarycentricInterpolator(nodes, states)(depth)
    path = recorded(data, step, "path_forward").reshape(-1, *exact.shape)
    square = ((path - exact) ** 2).mean(axis=(2, 3))
    runs = plain_runs(data, numpy.isfinite(square).all(axis=1))
    if not runs:
        raise FileProblem(f"no network is finite at step {step}")
    shapes = sorted(runs, key=lambda s: (s[0] * s[1], s[0]))
    for i, j in enumerate(spread(numpy.arange(len(shapes)), 5)):
        L, M = shapes[j]
        axis.plot(depth, numpy.sqrt(L * M * square[runs[L, M]].mean(axis=0)), markevery=0.25, linewidth=0.9, linestyle=style.LINES[i],
                  label=f"$L, M = {L}, {M}$", **style.series(i))
    axis.set(xlabel="depth $s = l/L$", ylabel=rf"$\sqrt{{LM}}\times$ RMS error of $h$, $k = {step}$")
    axis.set_ylim(bottom=0)
    style.legend(axis, loc="lower right")
