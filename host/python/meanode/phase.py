# SPDX-License-Identifier: BSD-3-Clause
"""Figure "phase": which limit a network follows, over (alpha, L M) or (residual scale, D)."""

import matplotlib.colors
import matplotlib.patches
import numpy

from . import style
from .estimates import power_law, rms
from .reading import FileProblem
from .shapes import recorded
from .sweep import Problems, need_several
from .verdict import Verdict, interval

FAR = 0.5  # a gap above this share of the limit's motion: the network does not follow it; initial noise above it: noise of order 1
NEAR = 0.1  # limits closer than this share of the motion: lazy
LAZY_ALPHA = 4  # from here on the lazy power laws are fitted
REGIMES = (("C", "complete (Mean ODE)", "#56B4E9"), ("L", "lazy (both limits)", "#E69F00"), ("·", "noise", "#DDDDDD"),
           ("×", "diverges", "#777777"), ("?", "not known", "#FFFFFF"))
UNKNOWN = len(REGIMES) - 1
PANELS = (("mean", "gap to the Mean ODE"), ("tangent", "gap to the tangent ODE"), ("regimes", "regimes"),
          ("initial", "noise of the initial units"), ("features", "local feature update"))  # the second row: if it was recorded
# Grid, level that it passes upwards (1) or downwards, in words, label, exponents of alpha in L M and of alpha sqrt(D)/(L M) in D: the noise
# of the embedding is alpha sqrt(D)/sqrt(L M), that of the output hardly knows D.
EDGES = (("initial", FAR, 1, "noise of the initial units is 0.5", "noise of initial units 0.5", 0.5, 0.0),
         ("noise", FAR, 1, "noise of outputs is 0.5 of the motion", "noise of outputs 0.5", 0.5, None),
         ("apart", NEAR, -1, "limits differ by 0.1 of the motion", "limits differ by 0.1", 0.0, 0.5))


def draw_phase(results, step=None, quantity="output", problem=0):
    """Relative gaps to the Mean ODE and to the Neural Tangent ODE, and the regimes read off them; noise of the initial units, local feature
    update (if recorded) and the boundaries. Gaps are relative to how far the Mean ODE has moved since initialisation. Against (alpha, L M),
    or, for files with several D, (residual scale, D) at the largest shape."""
    problems = Problems(results, ("mean-ode", "tangent-ode"))
    need_several(problems.alpha, "alpha")
    k = problems.last(step)
    plane = Plane(problems, len(set(problems.D.tolist())) >= 3)
    measure(plane, results, problems, k)
    features = numpy.isfinite(plane.grid["features"]).any()
    fig, axes = style.figure(2 if features else 1, 3, 5.2 if features else 3.1)
    for letter, axis, (name, title) in zip("abcde", axes.flat, PANELS):
        with style.panel(axis):
            if name == "regimes":
                regimes(axis, plane, why_not(problems, k, "mean"))
            else:
                one_map(fig, axis, plane, name, f"{title}: {why_not(problems, k, name)}")
        style.label_panel(axis, letter, title)
    style.need_a_panel(axes.flat[:len(PANELS)])
    found = boundaries(axes.flat[-1], plane, features)
    if features:
        style.label_panel(axes[1][2], "f", "boundaries")
        found += feature_verdicts(plane, k)
    for axis in axes.flat:
        if not style.is_blank(axis):
            plane.finish(axis)
    style.caption(fig, f"Phases of outputs after {k} steps; gaps relative to the motion of the Mean ODE. Contours: 0.1 (dashed) and {FAR} "
                       f"(solid). Lazy: the two limits differ\nby less than {NEAR}. Hatched: some seeds diverge. "
                       f"{found[0].name}: {interval(found[0], 2)}.")
    return fig, found


def why_not(problems, step, name):
    """Why a quantity is known in no cell."""
    kinds = ("mean-ode",) if name in ("initial", "features") else ("mean-ode", "tangent-ode")
    return (problems.lacking_field(kinds, step) or
            f"no two networks of a cell are finite at step {step}, or the Mean ODE has not moved there")


class Plane:
    """Cells [level, alpha] of the diagram. x is alpha, or the residual scale alpha sqrt(D)/(L M), which differs between levels."""

    def __init__(self, problems, over_D):
        self.over_D = over_D
        self.alphas = numpy.unique(problems.alpha)
        shapes = {(L, M) for data in problems.data for L, M in zip(data["L"].values.tolist(), data["M"].values.tolist())}
        self.largest = max(L * M for L, M in shapes)
        self.levels = numpy.unique(problems.D) if over_D else numpy.array(sorted({L * M for L, M in shapes}))
        scale = numpy.sqrt(self.levels) / self.largest if over_D else numpy.ones(len(self.levels))
        # Below inputs + targets the span of the embeddings is the whole space.
        self.least = problems.data[0].sizes["input"] + problems.data[0].sizes["target"] if over_D else 0
        self.x = self.alphas[None, :] * scale[:, None]
        self.grid = {name: numpy.full((len(self.levels), len(self.alphas)), numpy.nan)
                     for name in ("mean", "tangent", "noise", "diverged", "apart", "initial", "features")}

    def map(self, axis, values, **options):
        """A row at a time: rows may be shifted against each other."""
        y = edges(self.levels)
        for i in range(len(self.levels)):
            picture = axis.pcolormesh(edges(self.x[i]), y[i: i + 2], values[i: i + 1], rasterized=True, **options)
        return picture

    def contour(self, axis, values):
        filled = numpy.where(numpy.isfinite(values) & (values > 0), values, 1e3)
        crossed = [(numpy.log(at), line) for at, line in ((0.1, "--"), (FAR, "-")) if filled.min() < at < filled.max()]
        if min(filled.shape) >= 2 and crossed:
            levels, lines = zip(*crossed)
            axis.contour(self.x, numpy.repeat(self.levels[:, None], len(self.alphas), axis=1), numpy.log(filled),
                         levels=levels, colors="white", linestyles=lines, linewidths=0.9)

    def crossing(self, name, level, sign):
        """Where each row of a grid first passes the level, upwards or (sign -1) downwards: x, level of the plane."""
        found = []
        for x, row, at in zip(self.x, self.grid[name], self.levels):
            j = next(iter(numpy.flatnonzero(numpy.isfinite(row) & (sign * (row - level) > 0))), 0)
            if j > 0 and numpy.isfinite(row[j - 1]) and row[j - 1] > 0:
                (a, b), (left, right) = numpy.log(row[j - 1: j + 1]), numpy.log(x[j - 1: j + 1])
                found.append((numpy.exp(left + (numpy.log(level) - a) / (b - a) * (right - left)), at))
        return numpy.array(found).reshape(-1, 2).T

    def finish(self, axis):
        axis.set(xscale="log", yscale="log", ylim=edges(self.levels)[[0, -1]],
                 xlim=(min(edges(x)[0] for x in self.x), max(edges(x)[-1] for x in self.x)),
                 xlabel=r"residual scale $\alpha\sqrt{D}/(LM)$" if self.over_D else r"$\alpha$",
                 ylabel="embedding dimension $D$" if self.over_D else "product $LM$")
        style.log_ticks(axis)
        if self.over_D:
            style.plain_ticks(axis, self.levels, "y")


def one_map(fig, axis, plane, name, why):
    values = plane.grid[name]
    if not numpy.isfinite(values).any():
        raise FileProblem(why)
    picture = plane.map(axis, numpy.clip(values, 1e-3, None), cmap="cividis", norm=matplotlib.colors.LogNorm(1e-2, 3))
    plane.contour(axis, values)
    fig.colorbar(picture, ax=axis, pad=0.02, extend="both").ax.set_title(" ", fontsize=5)


def measure(plane, results, problems, k):
    mean, tangent = (problems.field(kind, k) for kind in ("mean-ode", "tangent-ode"))
    start = problems.field("mean-ode", 0)
    step = problems.steps.index(k)
    for i, data in enumerate(problems.data):
        moved = rms(mean[i] - start[i]) or numpy.nan
        value = recorded(data, k, "output")
        product, rows = data["L"].values * data["M"].values, data["row"].values
        column = int(numpy.flatnonzero(plane.alphas == problems.alpha[i])[0])
        for level in [plane.largest] if plane.over_D else plane.levels:
            at = (product == level) & (data["status"].values >= 0)  # -1: not computed, which is no divergence
            if not at.any():
                continue
            row = int(numpy.flatnonzero(plane.levels == (problems.D[i] if plane.over_D else level))[0])
            good = numpy.isfinite(value[at]).all(axis=1)
            runs = value[at][good]
            cell = {"diverged": 1 - good.mean(), "apart": rms(mean[i] - tangent[i]) / moved}
            if len(runs) >= 2:
                cell["mean"], cell["tangent"] = rms(runs - mean[i]) / moved, rms(runs - tangent[i]) / moved
                cell["noise"] = float(numpy.sqrt(runs.var(axis=0, ddof=1).mean())) / moved
            for name, variable in (("initial", "init_noise"), ("features", "feature_update")):
                if variable in results and good.any():
                    cell[name] = rms(results[variable].values[rows[at][good], step])
            for name, one in cell.items():
                plane.grid[name][row, column] = one if numpy.isfinite(one) else numpy.nan


def edges(values):
    logs = numpy.log(values)
    if len(logs) == 1:
        return numpy.exp(logs + [-0.35, 0.35])
    middle = (logs[1:] + logs[:-1]) / 2
    return numpy.exp(numpy.concatenate([[2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]]))


def regimes(axis, plane, why):
    mean, apart = plane.grid["mean"], plane.grid["apart"]
    code = numpy.where(apart > NEAR, 0, numpy.where(numpy.isfinite(apart), 1, UNKNOWN))
    code[mean > FAR] = 2
    code[~numpy.isfinite(mean)] = UNKNOWN
    code[plane.grid["diverged"] > 0.5] = 3
    if (code == UNKNOWN).all():
        raise FileProblem(f"regimes: {why}")
    colours = matplotlib.colors.ListedColormap([colour for _, _, colour in REGIMES])
    plane.map(axis, code, cmap=colours, vmin=-0.5, vmax=len(REGIMES) - 0.5)
    y = edges(plane.levels)
    for i, level in enumerate(plane.levels):
        x = edges(plane.x[i])
        for j in range(len(plane.alphas)):
            axis.text(plane.x[i, j], level, REGIMES[code[i, j]][0], ha="center", va="center", fontsize=6)
            if plane.grid["diverged"][i, j] > 0:
                axis.add_patch(matplotlib.patches.Rectangle((x[j], y[i]), x[j + 1] - x[j], y[i + 1] - y[i], fill=False, hatch="////",
                                                            linewidth=0, edgecolor="0.35"))
    handles = [matplotlib.patches.Patch(facecolor=colour, label=f"{mark}  {name}")
               for i, (mark, name, colour) in enumerate(REGIMES) if (code == i).any()]
    axis.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.3), ncol=2, fontsize=6.5, handlelength=1, columnspacing=0.8)


def boundaries(axis, plane, drawn):
    """Edges of the regimes, and their laws: where noise is of order 1 (of the initial units, else of the outputs), where the two limits
    part."""
    where, what, least = ("residual scale", "D", f"D >= {plane.least}; ") if plane.over_D else ("alpha", "L M", "")
    found = []
    for i, (grid, level, sign, name, label, *exponents) in enumerate(EDGES if drawn else EDGES[1:]):
        x, y = plane.crossing(grid, level, sign)
        exponent = exponents[plane.over_D]
        law = power_law(y[y >= plane.least], x[y >= plane.least])
        if exponent == 0.0 and not plane.over_D and len(x):  # a property of the limits, the same in every row
            found.append(Verdict(f"{where} where the {name}", {"value": x[0]}))
            law = {"curve": lambda at: numpy.full_like(at, x[0])}
        else:
            found.append(Verdict(f"{where} where the {name}: exponent in {what}", law, exponent,
                                 f"{least}from the scatter over rows" if law else "fewer than three crossings in the grid"))
        if not len(x):
            continue
        axis.plot(x, y, linestyle="none", label=label, **style.series(i))
        if law:
            at = numpy.geomspace(y.min(), y.max(), 20)
            axis.plot(law["curve"](at), at, **style.line(i))
    if drawn and not axis.lines:
        with style.panel(axis):
            raise FileProblem("no row of the grid crosses from one regime to another")
    if drawn:
        style.legend(axis, loc="upper center", bbox_to_anchor=(0.5, -0.3), fontsize=6.5)
    return found


def feature_verdicts(plane, k):
    """The local feature update along alpha in the lazy regime, where the noise is small, at the level with the least noise."""
    row = 0 if plane.over_D else -1
    update, noise = plane.grid["features"][row], plane.grid["initial"][row]
    good = (plane.alphas >= LAZY_ALPHA) & numpy.isfinite(update) & (noise < FAR)
    law = power_law(plane.alphas[good], update[good])
    where = "smallest D" if plane.over_D else "largest L M"
    return [Verdict(f"local feature update, k = {k}, lazy: exponent in alpha", law, -1.0,
                    f"{where}; from the scatter over alpha" if law else f"fewer than three alpha from {LAZY_ALPHA} on with small noise")]
