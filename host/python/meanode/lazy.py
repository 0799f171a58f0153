"""Figures "lazy" (over alpha) and "depth-as-width" (M = 1 against M = L)."""

import numpy

from . import style
from .law import finish, points, spread
from .reading import FileProblem
from .shapes import Shapes, rms
from .sweep import Problems, need_several
from .verdict import Verdict, power_law


def draw_lazy(results, step=None, quantity="output", problem=0):
    """(a) Mean ODE against Neural Tangent ODE over alpha; (b) distance of networks to the latter; (c) the best alpha."""
    problems = Problems(results, ("mean-ode", "tangent-ode"))
    need_several(problems.alpha, "alpha")
    k = problems.last(step)
    order = numpy.argsort(problems.alpha)
    alpha = problems.alpha[order]
    mean, tangent = (problems.field(kind, k, quantity) for kind in ("mean-ode", "tangent-ode"))
    distance = numpy.array([rms(mean[i] - tangent[i]) for i in order])
    blur = numpy.array([float(limit[f"{quantity}_error"].values[k]) * rms(field)
                        for limit, field in zip(problems.limits["mean-ode"], mean)])[order]
    errors = problems.shape_errors(k, tangent, quantity)
    errors = [errors[i] for i in order]
    fig, axes = style.figure(1, 3, 2.9)
    clear = (alpha >= 2) & (distance > 5 * blur)
    law = power_law(alpha[clear], distance[clear]) if clear.sum() >= 3 else None
    points(axes[0][0], alpha, distance, distance - 1.96 * blur, distance + 1.96 * blur, 0, label="Mean ODE to tangent ODE")
    if law:
        grid = numpy.geomspace(alpha[clear].min(), alpha.max(), 20)
        axes[0][0].plot(grid, numpy.exp(law["intercept"]) * grid ** law["value"], label=rf"$\alpha^{{{law['value']:.2f}}}$", **style.line(0))
    finish(axes[0][0], r"residual scale $\alpha$", "RMS distance of the limits")
    axes[0][0].legend()

    shapes = sorted(set.intersection(*(set(e) for e in errors)), key=lambda s: (s[0] * s[1], s[0]))
    best = []
    for shape in shapes:
        curve = numpy.array([rms(e[shape]) for e in errors])
        optimum, edge = minimum(numpy.log(alpha), numpy.log(curve))
        spread_ = []
        count = min(len(e[shape]) for e in errors)
        for s in range(count):
            without = numpy.array([rms(numpy.delete(e[shape][:count], s)) for e in errors])
            spread_.append(minimum(numpy.log(alpha), numpy.log(without))[0])
        half = 2 * numpy.sqrt((count - 1) / count * numpy.sum((numpy.array(spread_) - numpy.mean(spread_)) ** 2)) if count > 2 else 0
        best.append((shape[0] * shape[1], numpy.exp(optimum), numpy.exp(half), edge))
    best = numpy.array(best, float)
    for i, s in enumerate(spread(numpy.arange(len(shapes)), 5)):
        shape = shapes[s]
        axes[0][1].plot(alpha, [rms(e[shape]) for e in errors], linewidth=0.7, markersize=3, label=f"$L, M = {shape[0]}, {shape[1]}$",
                        linestyle=style.LINES[i % len(style.LINES)], **style.series(i))
    axes[0][1].plot(alpha, distance, color="0.4", linewidth=0.8, linestyle=":", label="Mean ODE")
    finish(axes[0][1], r"residual scale $\alpha$", "RMS distance to the tangent ODE")
    axes[0][1].legend()

    inside = best[:, 3] == 0
    axes[0][2].errorbar(best[inside, 0], best[inside, 1], yerr=[best[inside, 1] * (1 - 1 / best[inside, 2]),
                                                                best[inside, 1] * (best[inside, 2] - 1)],
                        linestyle="none", label="measured", **style.series(0))
    if (~inside).any():
        axes[0][2].plot(best[~inside, 0], best[~inside, 1], linestyle="none", markerfacecolor="white", label="on the grid's edge",
                        **style.series(0))
    best_law = power_law(best[inside, 0], best[inside, 1]) if inside.sum() >= 3 else None
    grid = numpy.geomspace(best[:, 0].min(), best[:, 0].max(), 20)
    centre = numpy.exp(numpy.mean(numpy.log(best[:, 1]) - numpy.log(best[:, 0]) / 6))
    axes[0][2].plot(grid, centre * grid ** (1 / 6), color="0.3", linewidth=0.9, label=r"$\propto (LM)^{1/6}$")
    finish(axes[0][2], "product $LM$", r"best $\alpha$ of the lazy approximation")
    axes[0][2].legend()
    for letter, axis in zip("abc", axes[0]):
        style.label_panel(axis, letter)
        style.log_ticks(axis)
    found = [Verdict(f"{quantity}, k = {k}: Mean ODE to tangent ODE, exponent in alpha (alpha >= 2)", law, -2.0, "the paper's bound: -1"),
             Verdict("best alpha: exponent in L M", best_law, 1 / 6, "alpha^-2 against alpha/sqrt(L M)")]
    style.caption(fig, f"The lazy limit, {quantity} after {k} steps, D = {problems.D[0]}.\n"
                       + "; ".join(str(v).split(" (")[0] if v is found[1] else short(v) for v in found))
    return fig, found


def short(verdict):
    if verdict.value is None:
        return "exponent in $\\alpha$ not determined"
    return f"exponent in $\\alpha$ {verdict.value:.2f} [{verdict.low:.2f}, {verdict.high:.2f}]"


def minimum(x, y):
    """Where a parabola through the least point and its neighbours has its minimum; and whether that is on the edge."""
    i = int(numpy.argmin(y))
    if i in (0, len(y) - 1):
        return x[i], True
    a, b, _ = numpy.polyfit(x[i - 1: i + 2] - x[i], y[i - 1: i + 2], 2)
    return x[i] + (-b / (2 * a) if a > 0 else 0.0), False


def draw_depth_as_width(results, step=None, quantity="output", problem=0):
    """(a) fluctuation, (b) total error against L M of the narrowest networks (M = 1) and of square ones (M = L); (c) the ratio."""
    access = results.meanode
    data, limit = access.problem(problem), access.limit(problem, "mean-ode")
    steps = data["step"].values.tolist()
    k = steps[-1] if step is None else step
    shapes = Shapes(data, limit, k, quantity)
    product = shapes.L * shapes.M
    families = {"$M = 1$": shapes.M == 1, "$M = L$": shapes.M == shapes.L}
    if any(at.sum() < 2 for at in families.values()):
        raise FileProblem("this figure needs shapes with M = 1 and with M = L, at least two of each")
    deviation, error = shapes.deviation(), shapes.error()
    fig, axes = style.figure(1, 3, 2.9)
    other = ~numpy.any(list(families.values()), axis=0)
    exponents = []
    for axis, (value, low, high), title in ((axes[0][0], deviation, "standard deviation over seeds"), (axes[0][1], error, "RMS error")):
        axis.plot(product[other], value[other], linestyle="none", marker=".", color="0.7", markersize=3, label="other shapes")
        for i, (name, at) in enumerate(families.items()):
            points(axis, product[at], value[at], low[at], high[at], i, label=name)
        finish(axis, "product $LM$", title)
    grid = numpy.geomspace(product.min(), product.max(), 30)
    scaled = deviation[0] * numpy.sqrt(product)
    b = float(numpy.exp(numpy.mean(numpy.log(scaled[product >= 64]))))
    axes[0][0].plot(grid, b / numpy.sqrt(grid), color="0.3", linewidth=0.9, label=rf"{b:.2f}/$\sqrt{{LM}}$")
    found = []
    common = sorted(set(product[families["$M = 1$"]]) & set(product[families["$M = L$"]]))
    one = [int(numpy.flatnonzero(families["$M = 1$"] & (product == p))[0]) for p in common]
    square = [int(numpy.flatnonzero(families["$M = L$"] & (product == p))[0]) for p in common]
    if common:
        value, half = shapes.jackknife(lambda v: 0.5 * (numpy.log(v.var(axis=0, ddof=1).mean(axis=-1))[one]
                                                        - numpy.log(v.var(axis=0, ddof=1).mean(axis=-1))[square]))
        ratio, low, high = numpy.exp(value), numpy.exp(value - half), numpy.exp(value + half)
        points(axes[0][2], numpy.array(common), ratio, low, high, 0, label="fluctuation")
        for p, r, lo, hi in zip(common, ratio, low, high):
            found.append(Verdict(f"fluctuation of M = 1 over M = L at L M = {p:.0f}", {"value": r, "low": lo, "high": hi}, 1.0))
    axes[0][2].axhline(1, color="0.3", linewidth=0.8)
    axes[0][2].set_xscale("log")
    axes[0][2].set_xlabel("product $LM$")
    axes[0][2].set_ylabel("$M = 1$ over $M = L$")
    axes[0][2].set_ylim(0.5, 1.5)
    for name, at in families.items():
        law = power_law(product[at], deviation[0][at])
        exponents.append(law)
        found.append(Verdict(f"fluctuation exponent in L M, {name.replace('$', '')}", law, -0.5, "from the scatter over shapes"))
    for letter, axis in zip("abc", axes[0]):
        style.label_panel(axis, letter)
        style.log_ticks(axis)
        axis.legend(loc="best")
    style.caption(fig, f"One unit a layer against square networks: {quantity} after {k} steps, D = {data.sizes['embed']}, {shapes.seeds} "
                       "seeds, 95% intervals.\nFluctuation exponents in $LM$: " +
                       ", ".join(f"{name} {law['value']:.3f} [{law['low']:.3f}, {law['high']:.3f}]"
                                 for name, law in zip(families, exponents) if law) + ".")
    return fig, found
