"""Figure "phase": which limit a network follows, over (alpha, L M) or (alpha, D)."""

import matplotlib.colors
import matplotlib.patches
import numpy

from . import style
from .shapes import rms
from .sweep import Problems, need_several
from .verdict import Verdict, power_law

FAR = 0.5  # a gap above this share of the limit's motion: the network does not follow it
NEAR = 0.1  # limits closer than this share of the motion: lazy


def draw_phase(results, step=None, quantity="output", problem=0):
    """Relative gaps to the Mean ODE and to the Neural Tangent ODE, and the regimes read off them. The gaps are relative to how far
    the Mean ODE has moved since initialisation. Second axis: L M if the file has one D, else D (largest shape)."""
    problems = Problems(results, ("mean-ode", "tangent-ode"))
    need_several(problems.alpha, "alpha")
    k = problems.last(step)
    over_D = len(set(problems.D.tolist())) >= 3
    alphas = numpy.unique(problems.alpha)
    cells = measure(problems, k, over_D)
    levels = numpy.array(sorted({level for _, level in cells}))
    grids = {name: numpy.full((len(levels), len(alphas)), numpy.nan) for name in ("mean", "tangent", "noise", "diverged", "apart")}
    for (alpha, level), values in cells.items():
        at = int(numpy.flatnonzero(levels == level)[0]), int(numpy.flatnonzero(alphas == alpha)[0])
        for name, value in values.items():
            grids[name][at] = value

    fig, axes = style.figure(1, 3, 3.1)
    symbol = "embedding dimension $D$" if over_D else "product $LM$"
    for axis, name, title in ((axes[0][0], "mean", "gap to the Mean ODE"), (axes[0][1], "tangent", "gap to the tangent ODE")):
        picture = axis.pcolormesh(edges(alphas), edges(levels), numpy.clip(grids[name], 1e-3, None), cmap="cividis",
                                  norm=matplotlib.colors.LogNorm(1e-2, 3), rasterized=True)
        contour(axis, alphas, levels, grids[name])
        axis.set_title(title, fontsize=8)
        fig.colorbar(picture, ax=axis, pad=0.02, extend="both")
    regimes(axes[0][2], alphas, levels, grids)
    boundary, found = boundaries(alphas, levels, grids, over_D)
    found += features(results, problems, k)
    for axis, letter in zip(axes[0], "abc"):
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlim(edges(alphas)[[0, -1]])
        axis.set_ylim(edges(levels)[[0, -1]])
        axis.set_xlabel(r"residual scale $\alpha$")
        axis.set_ylabel(symbol)
        axis.set_title(f"({letter})", loc="left")
    if boundary is not None:
        axes[0][2].plot(boundary[0], boundary[1], color="black", linewidth=1)
    style.caption(fig, f"Regimes of outputs after {k} steps: gaps relative to the Mean ODE's motion, {problems.path.split('/')[-1]}.\n"
                       f"Contours: gap 0.1 (dashed) and {FAR} (solid). Lazy: the two limits differ by less than {NEAR}. Hatched: some seeds diverge.")
    return fig, found


def measure(problems, k, over_D):
    cells = {}
    mean, tangent = (problems.field(kind, k) for kind in ("mean-ode", "tangent-ode"))
    start = problems.field("mean-ode", 0)
    for i, data in enumerate(problems.data):
        moved = rms(mean[i] - start[i])
        value = data["output"].isel(step=problems.steps.index(k)).values
        value = value.reshape(value.shape[0], -1)
        L, M = data["L"].values, data["M"].values
        product = L * M
        shapes = [product == product.max()] if over_D else [product == p for p in numpy.unique(product)]
        for at in shapes:
            runs = value[at]
            good = numpy.isfinite(runs).all(axis=1)
            level = problems.D[i] if over_D else int(product[at][0])
            cell = {"diverged": 1 - good.mean(), "apart": rms(mean[i] - tangent[i]) / moved}
            if good.sum() >= 2:
                cell["mean"] = rms(runs[good] - mean[i]) / moved
                cell["tangent"] = rms(runs[good] - tangent[i]) / moved
                cell["noise"] = float(numpy.sqrt(runs[good].var(axis=0, ddof=1).mean())) / moved
            cells[(problems.alpha[i], level)] = cell
    return cells


def edges(values):
    logs = numpy.log(values)
    middle = (logs[1:] + logs[:-1]) / 2
    return numpy.exp(numpy.concatenate([[2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]]))


def contour(axis, alphas, levels, grid):
    filled = numpy.where(numpy.isfinite(grid), grid, 1e3)
    if min(filled.shape) >= 2:
        axis.contour(alphas, levels, numpy.log(filled), levels=[numpy.log(0.1), numpy.log(FAR)], colors="white",
                     linestyles=["--", "-"], linewidths=0.9)


def regimes(axis, alphas, levels, grids):
    names = ("complete (Mean ODE)", "lazy (both limits)", "noise", "diverges")
    mean = numpy.where(numpy.isfinite(grids["mean"]), grids["mean"], numpy.inf)
    code = numpy.where(grids["apart"] > NEAR, 0, 1)
    code[mean > FAR] = 2
    code[grids["diverged"] > 0.5] = 3
    colours = matplotlib.colors.ListedColormap(["#56B4E9", "#E69F00", "#DDDDDD", "#777777"])
    axis.pcolormesh(edges(alphas), edges(levels), code, cmap=colours, vmin=-0.5, vmax=3.5, rasterized=True)
    marks = ("C", "L", "·", "×")
    for i, level in enumerate(levels):
        for j, alpha in enumerate(alphas):
            axis.text(alpha, level, marks[code[i, j]], ha="center", va="center", fontsize=6)
    some = grids["diverged"] > 0
    if some.any():
        axis.contourf(alphas, levels, some.astype(float), levels=[0.5, 1.5], colors="none", hatches=["////"])
    handles = [matplotlib.patches.Patch(facecolor=colours(i), label=f"{marks[i]}  {name}") for i, name in enumerate(names)]
    axis.legend(handles=handles, loc="lower right", fontsize=6, handlelength=1, frameon=True, framealpha=1, edgecolor="0.6")


def boundaries(alphas, levels, grids, over_D):
    """The alpha where the noise reaches FAR of the motion, per level: the end of both limits."""
    crossing = []
    for row, level in zip(grids["noise"], levels):
        good = numpy.isfinite(row)
        above = numpy.flatnonzero(good & (row > FAR))
        if len(above) and above[0] > 0 and numpy.isfinite(row[above[0] - 1]):
            j = above[0]
            x0, x1 = numpy.log(alphas[j - 1: j + 1])
            y0, y1 = numpy.log(row[j - 1: j + 1])
            crossing.append((numpy.exp(x0 + (numpy.log(FAR) - y0) * (x1 - x0) / (y1 - y0)), level))
    if len(crossing) < 3:
        return None, [Verdict("edge of the noise-dominated regime: exponent", None, None, "fewer than three crossings in the grid")]
    x, y = numpy.array(crossing).T
    law = power_law(y, x)
    name = "alpha at the edge of the noise-dominated regime: exponent in " + ("D" if over_D else "L M")
    return (x, y), [Verdict(name, law, None if over_D else 0.5, "fluctuation b alpha/sqrt(L M) = const")]


def features(results, problems, k):
    """Local feature updates against alpha in the lazy regime, at the largest shape, if they were recorded."""
    if "feature_update" not in results:
        return []
    at = problems.steps.index(k)
    alpha, update = [], []
    for i, data in enumerate(problems.data):
        product = data["L"].values * data["M"].values
        rows = data["row"].values[product == product.max()]
        values = results["feature_update"].values[rows, at]
        if problems.alpha[i] >= 2 and numpy.isfinite(values).all():
            alpha.append(problems.alpha[i])
            update.append(rms(values))
    law = power_law(alpha, update) if len(alpha) >= 3 else None
    return [Verdict(f"local feature update, k = {k}: exponent in alpha (alpha >= 2, largest shape)", law, -1.0, "from the scatter over alpha")]
