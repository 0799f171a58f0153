"""Figure "chaos": trained units against coupled units that are driven by the limit, and errors along the depth."""

import numpy
from scipy import interpolate, stats

from . import style
from .law import chosen_steps, finish, points, spread
from .reading import FileProblem
from .shapes import addresses, blocks
from .verdict import Verdict

# variable: what it is, its unit in the figure, expected exponent in L M or None, note
PANELS = {
    "coupling": ("distance to coupled units", -0.5, ""),
    "path_error_forward": ("sup over layers of the error of $h$", -0.5, ""),
    "decorrelation": ("covariance of distinct units", None, "RMS over seeds; the bound: -1"),
}


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
        title, exponent, note = PANELS[name]
        grid = Grid(results, problem, name)
        seeds = len(grid.value)
        product = grid.L * grid.M
        # log value = A + p log(L M) + e/(L M): the last term where the shapes tell it from the others
        design = numpy.stack([numpy.ones(len(product)), numpy.log(product)] + ([1 / product] if len(set(product)) >= 5 else []), axis=1)
        map_ = numpy.linalg.pinv(design)
        for i, k in enumerate(steps):
            at = recorded.index(k)

            def level(v, at=at):
                return 0.5 * numpy.log((v[:, :, at] ** 2).mean(axis=0))

            value, half = grid.jackknife(level)
            points(axis, product, numpy.exp(value), numpy.exp(value - half), numpy.exp(value + half), i, label=f"$k = {k}$")
            slope, width = grid.jackknife(lambda v: numpy.array([map_[1] @ level(v)]))
            x = numpy.geomspace(product.min(), product.max(), 20)
            power = slope[0] if exponent is None else exponent
            axis.plot(x, numpy.exp(value.mean() + power * (numpy.log(x) - numpy.log(product).mean())), linewidth=0.9, **style.line(i))
            found.append(Verdict(f"{title.replace('$', '')}, k = {k}: exponent in L M",
                                 {"value": float(slope[0]), "low": float(slope[0] - width[0]), "high": float(slope[0] + width[0])}, exponent, note))
        finish(axis, "product $LM$", title)
        style.label_panel(axis, letter)
        style.log_ticks(axis)
        axis.legend(title="lines: fitted exponents" if exponent is None else f"lines: exponent {exponent:g}", title_fontsize=7, loc="lower left")
    if along:
        along_the_depth(axes.flat[len(present)], results, problem, recorded, steps[-1])
        style.label_panel(axes.flat[len(present)], "abcd"[len(present)])
    text = ", ".join(f"$k={k}$: {v.value:.3f} [{v.low:.3f}, {v.high:.3f}]" for k, v in zip(steps, found))
    style.caption(fig, f"Propagation of chaos: D = {int(results['D'].values[0])}, {seeds} seeds, 95% intervals.\n"
                       f"Exponents in $LM$ of (a): {text}; theory -1/2.")
    return fig, found


def along_the_depth(axis, results, problem, recorded, step):
    """sqrt(L M) times the RMS over seeds, samples and coordinates of h^l - h_{l/L}, against s = l/L, for a few shapes."""
    data, limit = results.meanode.problem(problem), results.meanode.limit(problem, "mean-ode")
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
    shapes = sorted(by_shape, key=lambda s: (s[0] * s[1], s[0]))
    for i, j in enumerate(spread(numpy.arange(len(shapes)), 5)):
        L, M = shapes[j]
        axis.plot(depth, numpy.sqrt(L * M * numpy.mean(by_shape[L, M], axis=0)), markevery=0.25, linewidth=0.9, linestyle=style.LINES[i],
                  label=f"$L, M = {L}, {M}$", **style.series(i))
    axis.set_xlabel("depth $s = l/L$")
    axis.set_ylabel(rf"$\sqrt{{LM}}\times$ RMS error of $h$, $k = {step}$")
    axis.set_ylim(bottom=0)
    axis.legend(loc="lower right")
