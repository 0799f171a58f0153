# SPDX-License-Identifier: BSD-3-Clause
"""Figures "lazy" (over alpha) and "depth-as-width" (M = 1 against M = L)."""

import numpy
from scipy import interpolate

from . import style
from .estimates import estimate, jackknife, log_interval, minimum, power_law, rms
from .panels import chosen_steps, curve, finish, points, spread
from .reading import FileProblem
from .shapes import Shapes, plain_runs, recorded
from .sweep import Problems, need_several
from .verdict import Verdict, interval

CLEAR = 10  # a distance is used where it exceeds its error so many times
EVEN = 2  # from this alpha on the distance of the limits follows alpha^-2 to about 15%


def draw_lazy(results, step=None, quantity="output", problem=0):
    """(a) Mean ODE against Neural Tangent ODE over alpha; (b) distance of networks to the latter; (c) the best alpha."""
    problems = Problems(results, ("mean-ode", "tangent-ode"))
    need_several(problems.alpha, "alpha")
    k = problems.last(step)
    steps = chosen_steps(problems.steps, k)
    fig, axes = style.figure(1, 3, 2.9)
    exponents, found, best = [], [], None
    with style.panel(axes[0][0]):
        exponents = two_limits(axes[0][0], problems, steps, quantity)
    with style.panel(axes[0][1]):
        best = networks(axes[0][1], problems, k, quantity)
    with style.panel(axes[0][2]):
        if best is None:
            raise FileProblem(style.reason(axes[0][1]))
        found = best_over_products(axes[0][2], problems, best, k, quantity)
    style.arrange(axes.flat)
    activation = problems.data[0].attrs.get("activation", "")
    text = "; ".join(f"$k = {at}$: {interval(v, 2)}" for at, v in zip(steps, exponents) if v.value is not None) or "not determined"
    last = next((v for v in found[::-1] if v.value is not None and v.expected is not None), None)
    style.caption(fig, f"The lazy limit, {quantity}, {activation}, D = {problems.D[0]}, 95% intervals.\n"
                       f"Exponents in $\\alpha$ of the distance of the limits: {text}; theory $-2$.\n"
                       + ("" if last is None else f"Exponent in $LM$ of the {last.name.split(':')[0]}: {interval(last, 3)}; theory 1/6."))
    return fig, exponents + found


def two_limits(axis, problems, steps, quantity):
    """Distance of the two limits over alpha at the steps; its exponents."""
    found = []
    for i, at in enumerate(steps):
        alpha, distance, blur = limits_apart(problems, at, quantity)
        even = alpha >= 0.999 * EVEN
        clear = even & (distance > CLEAR * blur)
        law = power_law(alpha[clear], distance[clear], lambda a: a**-2.0, blur[clear] / distance[clear] + 1e-3)
        shown = distance > 2 * blur
        points(axis, *(v[shown] for v in (alpha, distance, distance - 1.96 * blur, distance + 1.96 * blur)), i, label=f"$k = {at}$")
        if law:
            curve(axis, (alpha[clear].min(), alpha.max()), law["curve"], 40, **style.line(i))
        unknown = int((even & ~numpy.isfinite(distance)).sum())
        left_out = int((even & ~clear).sum()) - unknown
        note = f"alpha >= {EVEN}; the paper's bound: -1"
        if left_out:
            note += f"; {left_out} largest alpha left out: the limit's own error exceeds 10% of the distance"
        if unknown:
            note += f"; {unknown} alpha left out: a limit or its error is not known at this step"
        found.append(Verdict(f"{quantity}, k = {at}: Mean ODE to tangent ODE, exponent in alpha", law, -2.0, note))
    finish(axis, r"$\alpha$", "distance of the two limits", problems.lacking_field(("mean-ode", "tangent-ode"), steps[-1], quantity) or
           f"the limits are closer than their own errors at step {steps[-1]}, or these are not known")
    style.lower(axis, 30)
    style.legend(axis, title="lines: fitted laws", title_fontsize=7, loc="lower left")
    return found


def networks(axis, problems, k, quantity):
    """Distance of the networks to the tangent ODE over alpha. Returns rows (L M, best alpha, factor of its interval, is it on the edge)."""
    lacking = problems.lacking_field(("tangent-ode",), k, quantity)
    if lacking:
        raise FileProblem(lacking)
    errors = problems.shape_errors(k, problems.field("tangent-ode", k, quantity), quantity)
    order = [i for i in numpy.argsort(problems.alpha) if errors[i]]
    alpha, errors = problems.alpha[order], [errors[i] for i in order]
    if len(set(alpha.tolist())) < 3:
        raise FileProblem(f"fewer than three alpha with networks and a tangent ODE that are known at step {k}")
    shapes = sorted(set.intersection(*(set(e) for e in errors)), key=lambda s: (s[0] * s[1], s[0]))
    if not shapes:
        raise FileProblem(f"no shape has finite networks at every alpha at step {k}")
    for i, s in enumerate(spread(numpy.arange(len(shapes)), 5)):
        shape = shapes[s]
        axis.plot(alpha, [rms(e[shape]) for e in errors], linewidth=0.7, markersize=3, label=f"$L, M = {shape[0]}, {shape[1]}$",
                  linestyle=style.LINES[i % len(style.LINES)], **style.series(i))
    every, distance, blur = limits_apart(problems, k, quantity)
    clear = distance > 2 * blur
    if clear.any():
        axis.plot(every[clear], distance[clear], color="0.4", linewidth=0.8, linestyle=":", label="Mean ODE")
    finish(axis, r"$\alpha$", f"distance to the tangent ODE, $k = {k}$")
    if clear.any():
        axis.set_ylim(bottom=distance[clear].min() / 3)
    style.legend(axis, loc="lower left")
    best = numpy.array([(shape[0] * shape[1], *best_alpha(alpha, [e[shape] for e in errors])) for shape in shapes], float)
    return best[numpy.isfinite(best).all(axis=1)]


def best_over_products(axis, problems, best, k, quantity):
    """The best alpha against L M; its exponents."""
    if not len(best):
        raise FileProblem(f"the distance to the tangent ODE has no finite minimum at step {k}")
    found, edge = [], ""
    product, optimum, factor, on_edge = best.T
    inside = on_edge == 0
    points(axis, *(v[inside] for v in (product, optimum, optimum / factor, optimum * factor)), 0, label="measured")
    if (~inside).any():
        axis.plot(product[~inside], optimum[~inside], linestyle="none", markerfacecolor="white", label="on the grid's edge",
                  **style.series(0))
        edge = f"; {int((~inside).sum())} of {len(inside)} optima are on the edge of the grid and left out"
    for name, use in (("best alpha", inside), (f"best alpha where it is at least {EVEN}", inside & (optimum >= EVEN))):
        law = power_law(product[use], optimum[use], None, numpy.maximum(numpy.log(factor[use]) / 1.96, 1e-3))
        found.append(Verdict(f"{name}: exponent in L M", law, 1 / 6, "alpha^-2 against alpha/sqrt(L M)" + edge))
        if law and use is not inside:
            curve(axis, (product[use].min() / 2, product.max() * 1.5), law["curve"], 20, label=f"exponent {law['value']:.2f}",
                  **style.line(1))
    grid = numpy.geomspace(product.min(), product.max(), 20)
    alpha, distance, blur = limits_apart(problems, k, quantity)
    spread_ = fluctuation(problems, k, quantity)
    if (distance > 2 * blur).all() and (numpy.isfinite(spread_) & (spread_ > 0)).all() and len(numpy.unique(alpha)) == len(alpha):
        balanced = balance(alpha, distance, spread_, grid)
        axis.plot(grid, balanced, color="0.3", linewidth=0.9, linestyle="--", label="balance of the two errors")
        large = balanced >= EVEN
        found.append(Verdict(f"best alpha where it is at least {EVEN}, from the balance of the two errors: exponent in L M",
                             power_law(grid[large], balanced[large]), None, "1/6 for pure powers; distance of the limits as measured, "
                             "fluctuation of the largest shape scaled like 1/sqrt(L M); no statistical interval"))
    axis.plot(grid, 0.7 * optimum[-1] * (grid / product[-1]) ** (1 / 6), color="0.3", linewidth=0.9, label=r"$\propto (LM)^{1/6}$")
    finish(axis, "product $LM$", r"best $\alpha$ of the lazy approximation")
    style.legend(axis)
    return found


def limits_apart(problems, step, quantity):
    """Alphas in order; at each the RMS distance of Mean ODE and tangent ODE, the share of the limits' own error in its square subtracted,
    and that error."""
    kinds, order = ("mean-ode", "tangent-ode"), numpy.argsort(problems.alpha)
    square = numpy.array([numpy.mean((a - b) ** 2) for a, b in zip(*(problems.field(kind, step, quantity) for kind in kinds))])
    error = numpy.hypot(*(problems.limit_error(kind, step, quantity) for kind in kinds))
    return problems.alpha[order], numpy.sqrt(numpy.maximum(square - error**2, 0))[order], error[order]


def fluctuation(problems, step, quantity):
    """sqrt(L M) times the standard deviation over seeds, of the largest shape, at the alphas in order; NaN where it is not known."""
    found = []
    for i in numpy.argsort(problems.alpha):
        found.append(numpy.nan)
        if quantity not in problems.data[i]:
            continue
        value = recorded(problems.data[i], step, quantity)
        runs = plain_runs(problems.data[i], numpy.isfinite(value).all(axis=1))
        L, M = max(runs, key=lambda shape: (shape[0] * shape[1], shape[0]), default=(0, 0))
        if len(runs.get((L, M), [])) > 1:
            found[-1] = numpy.sqrt(L * M * numpy.var(value[runs[L, M]], axis=0, ddof=1).mean())
    return numpy.array(found)


def balance(alpha, distance, spread_, products):
    """The alpha with the least distance^2 + spread^2/(L M) for each product, between the alphas by splines in logarithms."""
    fine = numpy.geomspace(alpha[0], alpha[-1], 2000)
    d, b = (numpy.exp(interpolate.CubicSpline(numpy.log(alpha), numpy.log(v))(numpy.log(fine))) for v in (distance, spread_))
    return numpy.array([fine[numpy.argmin(d**2 + b**2 / product)] for product in products])


def best_alpha(alpha, errors):
    """Where the RMS error over seeds is least (errors [alpha][seed]): alpha, factor of its 95% interval, whether it is on the edge."""
    optimum, _, edge = minimum(numpy.log(alpha), numpy.log([rms(e) for e in errors]))
    count = min(len(e) for e in errors)
    without = [minimum(numpy.log(alpha), numpy.log([rms(numpy.delete(e[:count], s)) for e in errors]))[0] for s in range(count)]
    half = 2 * numpy.sqrt((count - 1) / count * numpy.sum((numpy.array(without) - numpy.mean(without)) ** 2)) if count > 2 else 0
    return numpy.exp(optimum), numpy.exp(half), edge


def draw_depth_as_width(results, step=None, quantity="output", problem=0):
    """(a) fluctuation, (b) total error against L M of the narrowest networks (M = 1) and of square ones (M = L); (c) the ratio."""
    access = results.meanode
    data = access.problem(problem)
    k = data["step"].values.tolist()[-1] if step is None else step
    shapes = Shapes(data, access.limit_or_none(problem, "mean-ode"), k, quantity)
    product = shapes.L * shapes.M
    families = {"$M = 1$": shapes.M == 1, "$M = L$": shapes.M == shapes.L}
    if any(at.sum() < 2 for at in families.values()):
        raise FileProblem("this figure needs shapes with M = 1 and with M = L, at least two of each")
    deviation = shapes.deviation()
    fig, axes = style.figure(1, 3, 2.9)
    why = f"the seeds of a shape do not differ, or their spread is not finite, at step {k}"
    with style.panel(axes[0][0]):
        by_family(axes[0][0], product, families, *deviation)
        scaled = (deviation[0] * numpy.sqrt(product))[(product >= 64) & (deviation[0] > 0) & numpy.isfinite(deviation[0])]
        if len(scaled):
            b = float(numpy.exp(numpy.mean(numpy.log(scaled))))
            curve(axes[0][0], product, lambda x: b / numpy.sqrt(x), 30, color="0.3", linewidth=0.9, label=rf"{b:.2f}/$\sqrt{{LM}}$")
        finish(axes[0][0], "product $LM$", "standard deviation over seeds", why)
    with style.panel(axes[0][1]):
        by_family(axes[0][1], product, families, *shapes.error())
        finish(axes[0][1], "product $LM$", "RMS error", f"no finite error at step {k}")
    found = []
    with style.panel(axes[0][2]):
        found += ratios(axes[0][2], shapes, product, families, why)
    style.arrange(axes.flat)
    for axis in axes.flat:
        style.legend(axis, loc="best")
    exponents = [Verdict(f"fluctuation exponent in L M, {name.replace('$', '')}",
                         power_law(product[at], deviation[0][at], lambda x: 1 / x), -0.5, "from the scatter over shapes")
                 for name, at in families.items()]
    style.caption(fig, f"One unit a layer against square networks: {quantity} after {k} steps, D = {data.sizes['embed']}, {shapes.seeds} "
                       "seeds, 95% intervals.\nFluctuation exponents in $LM$: " +
                       (", ".join(f"{name} {interval(v, 3)}" for name, v in zip(families, exponents) if v.value is not None) or
                        "not determined") + ".")
    return fig, found + exponents


def by_family(axis, product, families, value, low, high):
    other = ~numpy.any(list(families.values()), axis=0) & numpy.isfinite(value)
    axis.plot(product[other], value[other], linestyle="none", marker=".", color="0.7", markersize=3, label="other shapes")
    for i, (name, at) in enumerate(families.items()):
        points(axis, product[at], value[at], low[at], high[at], i, label=name,
               **({"markerfacecolor": "none", "markersize": 6} if i else {}))


def ratios(axis, shapes, product, families, why):
    """Fluctuation of M = 1 over that of M = L where both have the same product L M."""
    common = sorted(set(product[families["$M = 1$"]]) & set(product[families["$M = L$"]]))
    if not common:
        raise FileProblem("no network with M = 1 has the product L M of one with M = L")
    one, square = ([int(numpy.flatnonzero(families[name] & (product == p))[0]) for p in common] for name in families)

    def log_ratio(v):
        log_variance = numpy.log(v.var(axis=0, ddof=1).mean(axis=-1))
        return 0.5 * (log_variance[one] - log_variance[square])

    ratio, low, high = log_interval(*jackknife(shapes.value, log_ratio))
    points(axis, numpy.array(common), ratio, low, high, 0, label="fluctuation")
    finish(axis, "product $LM$", "$M = 1$ over $M = L$", why, yscale="linear")
    axis.axhline(1, color="0.3", linewidth=0.8)
    seen = ratio[numpy.isfinite(ratio)]
    axis.set_ylim(0.7 if seen.min() > 0.7 else 0.9 * seen.min(), 1.3 if seen.max() < 1.3 else 1.1 * seen.max())
    return [Verdict(f"fluctuation of M = 1 over M = L at L M = {p:.0f}",
                    {**estimate(*found), "warning": "" if numpy.isfinite(found[-1]) else why}, 1.0)
            for p, *found in zip(common, ratio, low, high)]
