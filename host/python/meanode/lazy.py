# SPDX-License-Identifier: BSD-3-Clause
"""Figures "lazy" (over alpha) and "depth-as-width" (M = 1 against M = L)."""

import numpy
from scipy import interpolate

from . import style
from .panels import chosen_steps, finish, points, spread
from .reading import FileProblem
from .shapes import Shapes, addresses, rms
from .sweep import Problems, need_several
from .verdict import Verdict, interval, power_law


CLEAR = 10  # a distance is used where it exceeds its error so many times
EVEN = 2  # from this alpha on the distance of the limits follows alpha^-2 to about 15%


def draw_lazy(results, step=None, quantity="output", problem=0):
    """(a) Mean ODE against Neural Tangent ODE over alpha; (b) distance of networks to the latter; (c) the best alpha."""
    problems = Problems(results, ("mean-ode", "tangent-ode"))
    need_several(problems.alpha, "alpha")
    k = problems.last(step)
    steps = chosen_steps(problems.steps, k)
    fig, axes = style.figure(1, 3, 2.9)
    found = []
    with style.panel(axes[0][0]):
        found += two_limits(axes[0][0], problems, steps, quantity)
    exponents = found[:len(steps)]
    best = None
    with style.panel(axes[0][1]):
        best = networks(axes[0][1], problems, k, quantity)
    with style.panel(axes[0][2]):
        if best is None:
            raise FileProblem(style.reason(axes[0][1]))
        found += best_over_products(axes[0][2], problems, best, k, quantity)
    style.need_a_panel(axes.flat)
    for letter, axis in zip("abc", axes[0]):
        style.label_panel(axis, letter)
        style.log_ticks(axis)
    activation = problems.data[0].attrs.get("activation", "")
    text = "; ".join(f"$k = {at}$: {interval(v, 2)}" for at, v in zip(steps, exponents) if v.value is not None) or "not determined"
    last = next((v for v in found[::-1] if v.value is not None and v.name.startswith("best alpha") and "balance" not in v.name), None)
    style.caption(fig, f"The lazy limit, {quantity}, {activation}, D = {problems.D[0]}, 95% intervals.\nExponents in $\\alpha$ of the distance of the limits: {text}; theory $-2$.\n"
                       + ("" if last is None else f"Exponent in $LM$ of the {last.name.split(':')[0]}: {interval(last, 3)}; theory 1/6."))
    return fig, found


def two_limits(axis, problems, steps, quantity):
    """Distance of the two limits over alpha at the steps; its exponents."""
    order = numpy.argsort(problems.alpha)
    alpha = problems.alpha[order]
    found = []
    for i, at in enumerate(steps):
        distance, blur = limits_apart(problems, at, quantity)
        distance, blur = distance[order], blur[order]
        clear = (alpha >= 0.999 * EVEN) & (distance > CLEAR * blur)
        law = power_law(alpha[clear], distance[clear], lambda a: a**-2.0, blur[clear] / distance[clear] + 1e-3)
        shown = distance > 2 * blur
        points(axis, alpha[shown], distance[shown], distance[shown] - 1.96 * blur[shown], distance[shown] + 1.96 * blur[shown], i, label=f"$k = {at}$")
        if law:
            grid = numpy.geomspace(alpha[clear].min(), alpha.max(), 40)
            axis.plot(grid, law["curve"](grid), **style.line(i))
        unknown = int((~numpy.isfinite(distance) & (alpha >= 0.999 * EVEN)).sum())
        left_out = int(((alpha >= 0.999 * EVEN) & ~clear).sum()) - unknown
        found.append(Verdict(f"{quantity}, k = {at}: Mean ODE to tangent ODE, exponent in alpha", law, -2.0,
                             f"alpha >= {EVEN}; the paper's bound: -1" + (f"; {left_out} largest alpha left out: the limit's own error exceeds "
                                                                             "10% of the distance" if left_out else "")
                             + (f"; {unknown} alpha left out: a limit or its error is not known at this step" if unknown else "")))
    finish(axis, r"$\alpha$", "distance of the two limits", both_known(problems, steps[-1], quantity))
    style.lower(axis, 30)
    style.legend(axis, title="lines: fitted laws", title_fontsize=7, loc="lower left")
    return found


def both_known(problems, step, quantity):
    """Why no distance of the limits can be shown."""
    lacking = problems.lacking_field(("mean-ode", "tangent-ode"), step, quantity)
    return lacking or f"the limits are closer than their own errors at step {step}, or these are not known"


def networks(axis, problems, k, quantity):
    """Distance of the networks to the tangent ODE over alpha. Returns rows (L M, best alpha, factor of its interval, whether on the edge)."""
    problems.need_field("tangent-ode", k, quantity)
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
    distance, blur = limits_apart(problems, k, quantity)
    clear = numpy.argsort(problems.alpha)
    clear = clear[distance[clear] > 2 * blur[clear]]
    if len(clear):
        axis.plot(problems.alpha[clear], distance[clear], color="0.4", linewidth=0.8, linestyle=":", label="Mean ODE")
    finish(axis, r"$\alpha$", f"distance to the tangent ODE, $k = {k}$")
    if len(clear):
        axis.set_ylim(bottom=distance[clear].min() / 3)
    style.legend(axis, loc="lower left")
    best = numpy.array([(shape[0] * shape[1], *best_alpha(alpha, [e[shape] for e in errors])) for shape in shapes], float)
    return best[numpy.isfinite(best).all(axis=1)]


def best_over_products(axis, problems, best, k, quantity):
    """The best alpha against L M; its exponents."""
    if not len(best):
        raise FileProblem(f"the distance to the tangent ODE has no finite minimum at step {k}")
    order = numpy.argsort(problems.alpha)
    found = []
    inside = best[:, 3] == 0
    points(axis, best[inside, 0], best[inside, 1], best[inside, 1] / best[inside, 2], best[inside, 1] * best[inside, 2], 0, label="measured")
    if (~inside).any():
        axis.plot(best[~inside, 0], best[~inside, 1], linestyle="none", markerfacecolor="white", label="on the grid's edge",
                  **style.series(0))
    edge = f"; {int((~inside).sum())} of {len(inside)} optima are on the edge of the grid and left out" if (~inside).any() else ""
    for name, use in (("best alpha", inside), (f"best alpha where it is at least {EVEN}", inside & (best[:, 1] >= EVEN))):
        law = power_law(best[use, 0], best[use, 1], None, numpy.maximum(numpy.log(best[use, 2]) / 1.96, 1e-3)) if use.sum() >= 3 else None
        found.append(Verdict(f"{name}: exponent in L M", law, 1 / 6, "alpha^-2 against alpha/sqrt(L M)" + edge))
        if law and use is not inside:
            grid = numpy.geomspace(best[use, 0].min() / 2, best[:, 0].max() * 1.5, 20)
            axis.plot(grid, law["curve"](grid), label=f"exponent {law['value']:.2f}", **style.line(1))
    grid = numpy.geomspace(best[:, 0].min(), best[:, 0].max(), 20)
    distance, blur = (v[order] for v in limits_apart(problems, k, quantity))
    spread_ = fluctuation(problems, k, quantity)[order]
    distinct = len(numpy.unique(problems.alpha)) == len(problems.alpha)
    if (distance > 2 * blur).all() and (numpy.isfinite(spread_) & (spread_ > 0)).all() and distinct:
        balanced = balance(problems.alpha[order], distance, spread_, grid)
        axis.plot(grid, balanced, color="0.3", linewidth=0.9, linestyle="--", label="balance of the two errors")
        large = balanced >= EVEN
        law = power_law(grid[large], balanced[large]) if large.sum() >= 3 else None
        found.append(Verdict(f"best alpha where it is at least {EVEN}, from the balance of the two errors: exponent in L M", law, None,
                             "1/6 for pure powers; distance of the limits as measured, fluctuation of the largest shape scaled like 1/sqrt(L M); no statistical interval"))
    axis.plot(grid, 0.7 * best[-1, 1] * (grid / best[-1, 0]) ** (1 / 6), color="0.3", linewidth=0.9, label=r"$\propto (LM)^{1/6}$")
    finish(axis, "product $LM$", r"best $\alpha$ of the lazy approximation")
    style.legend(axis)
    return found


def limits_apart(problems, step, quantity):
    """RMS distance of Mean ODE and tangent ODE [problem], the share of the limits' own error in its square subtracted, and that error."""
    fields = {kind: problems.field(kind, step, quantity) for kind in ("mean-ode", "tangent-ode")}
    square = numpy.array([numpy.mean((a - b) ** 2) for a, b in zip(fields["mean-ode"], fields["tangent-ode"])])
    error = numpy.hypot(*(problems.limit_error(kind, step, quantity) for kind in fields))
    return numpy.sqrt(numpy.maximum(square - error**2, 0)), error


def fluctuation(problems, step, quantity):
    """sqrt(L M) times the standard deviation over seeds [problem], of the largest shape."""
    found = []
    for data in problems.data:
        runs = {}
        if quantity not in data:
            found.append(numpy.nan)
            continue
        value = data[quantity].isel(step=problems.steps.index(step)).values
        for run, (L, M, _, *drawn) in enumerate(addresses(data)):
            if drawn == [M, 0, 1] and numpy.isfinite(value[run]).all():
                runs.setdefault((L * M, L), []).append(value[run])
        (product, _), largest = max(runs.items(), key=lambda item: item[0], default=((numpy.nan, 0), []))
        found.append(numpy.sqrt(product * numpy.var(largest, axis=0, ddof=1).mean()) if len(largest) > 1 else numpy.nan)
    return numpy.array(found)


def balance(alpha, distance, spread_, products):
    """The alpha with the least distance^2 + spread^2/(L M) for each product, between the alphas by splines in logarithms."""
    fine = numpy.geomspace(alpha[0], alpha[-1], 2000)
    d, b = (numpy.exp(interpolate.CubicSpline(numpy.log(alpha), numpy.log(v))(numpy.log(fine))) for v in (distance, spread_))
    return numpy.array([fine[numpy.argmin(d**2 + b**2 / product)] for product in products])


def best_alpha(alpha, errors):
    """Where the RMS error over seeds is least (errors [alpha][seed]): alpha, factor of its 95% interval, whether it is on the edge."""
    curve = numpy.array([rms(e) for e in errors])
    optimum, edge = minimum(numpy.log(alpha), numpy.log(curve))
    count = min(len(e) for e in errors)
    without = [minimum(numpy.log(alpha), numpy.log([rms(numpy.delete(e[:count], s)) for e in errors]))[0] for s in range(count)]
    half = 2 * numpy.sqrt((count - 1) / count * numpy.sum((numpy.array(without) - numpy.mean(without)) ** 2)) if count > 2 else 0
    return numpy.exp(optimum), numpy.exp(half), edge


def minimum(x, y):
    """Where a parabola through the least point and its neighbours has its minimum; and whether that is on the edge."""
    if not numpy.isfinite(y).all():
        return numpy.nan, True
    i = int(numpy.argmin(y))
    if i in (0, len(y) - 1):
        return x[i], True
    a, b, _ = numpy.polyfit(x[i - 1: i + 2] - x[i], y[i - 1: i + 2], 2)
    return x[i] + (-b / (2 * a) if a > 0 else 0.0), False


def draw_depth_as_width(results, step=None, quantity="output", problem=0):
    """(a) fluctuation, (b) total error against L M of the narrowest networks (M = 1) and of square ones (M = L); (c) the ratio."""
    access = results.meanode
    data = access.problem(problem)
    limit = access.limit(problem, "mean-ode") if "mean-ode" in access.limits(problem) else None
    steps = data["step"].values.tolist()
    k = steps[-1] if step is None else step
    shapes = Shapes(data, limit, k, quantity)
    product = shapes.L * shapes.M
    families = {"$M = 1$": shapes.M == 1, "$M = L$": shapes.M == shapes.L}
    if any(at.sum() < 2 for at in families.values()):
        raise FileProblem("this figure needs shapes with M = 1 and with M = L, at least two of each")
    deviation = shapes.deviation()
    fig, axes = style.figure(1, 3, 2.9)
    why = f"the seeds of a shape do not differ, or their spread is not finite, at step {k}"
    with style.panel(axes[0][0]):
        by_family(axes[0][0], product, families, deviation)
        scaled = (deviation[0] * numpy.sqrt(product))[(product >= 64) & (deviation[0] > 0) & numpy.isfinite(deviation[0])]
        if len(scaled):
            grid = numpy.geomspace(product.min(), product.max(), 30)
            b = float(numpy.exp(numpy.mean(numpy.log(scaled))))
            axes[0][0].plot(grid, b / numpy.sqrt(grid), color="0.3", linewidth=0.9, label=rf"{b:.2f}/$\sqrt{{LM}}$")
        finish(axes[0][0], "product $LM$", "standard deviation over seeds", why)
    with style.panel(axes[0][1]):
        by_family(axes[0][1], product, families, shapes.error())
        finish(axes[0][1], "product $LM$", "RMS error", f"no finite error at step {k}")
    found = []
    with style.panel(axes[0][2]):
        found += ratios(axes[0][2], shapes, product, families, why)
    style.need_a_panel(axes.flat)
    exponents = []
    for name, at in families.items():
        exponents.append(Verdict(f"fluctuation exponent in L M, {name.replace('$', '')}", power_law(product[at], deviation[0][at], lambda x: 1 / x),
                                 -0.5, "from the scatter over shapes"))
    for letter, axis in zip("abc", axes[0]):
        style.label_panel(axis, letter)
        style.log_ticks(axis)
        style.legend(axis, loc="best")
    style.caption(fig, f"One unit a layer against square networks: {quantity} after {k} steps, D = {data.sizes['embed']}, {shapes.seeds} "
                       "seeds, 95% intervals.\nFluctuation exponents in $LM$: " +
                       (", ".join(f"{name} {interval(v, 3)}" for name, v in zip(families, exponents) if v.value is not None) or "not determined") + ".")
    return fig, found + exponents


def by_family(axis, product, families, points_):
    """points_: value, low, high of every shape."""
    value, low, high = points_
    other = ~numpy.any(list(families.values()), axis=0) & numpy.isfinite(value)
    axis.plot(product[other], value[other], linestyle="none", marker=".", color="0.7", markersize=3, label="other shapes")
    for i, (name, at) in enumerate(families.items()):
        points(axis, product[at], value[at], low[at], high[at], i, label=name, **({"markerfacecolor": "none", "markersize": 6} if i else {}))


def ratios(axis, shapes, product, families, why):
    """Fluctuation of M = 1 over that of M = L where both have the same product L M."""
    common = sorted(set(product[families["$M = 1$"]]) & set(product[families["$M = L$"]]))
    if not common:
        raise FileProblem("no network with M = 1 has the product L M of one with M = L")
    one, square = ([int(numpy.flatnonzero(families[name] & (product == p))[0]) for p in common] for name in families)
    value, half = shapes.jackknife(lambda v: 0.5 * (numpy.log(v.var(axis=0, ddof=1).mean(axis=-1))[one]
                                                    - numpy.log(v.var(axis=0, ddof=1).mean(axis=-1))[square]))
    ratio, low, high = numpy.exp(value), numpy.exp(value - half), numpy.exp(value + half)
    points(axis, numpy.array(common), ratio, low, high, 0, label="fluctuation")
    style.need_data(axis, why)
    axis.set_xscale("log")
    axis.axhline(1, color="0.3", linewidth=0.8)
    axis.set_xlabel("product $LM$")
    axis.set_ylabel("$M = 1$ over $M = L$")
    seen = ratio[numpy.isfinite(ratio)]
    axis.set_ylim(0.7 if seen.min() > 0.7 else 0.9 * seen.min(), 1.3 if seen.max() < 1.3 else 1.1 * seen.max())
    return [Verdict(f"fluctuation of M = 1 over M = L at L M = {p:.0f}", {"value": r, "low": lo, "high": hi, "warning": "" if numpy.isfinite(hi) else why}, 1.0)
            for p, r, lo, hi in zip(common, ratio, low, high)]
