# SPDX-License-Identifier: BSD-3-Clause
"""Figure "law": total error against L, M and L M (first row); its three parts apart (second row)."""

import numpy

from . import style
from .fitting import constants
from .panels import chosen_steps, fine, finish, points, points_or_limits, spread
from .reading import FileProblem
from .shapes import Shapes
from .verdict import Verdict, interval, known


def draw_law(results, step=None, quantity="output", problem=0):
    """results: what meanode.open returned; step: which step the first row shows (default: the last). The second row shows
    up to three steps. A panel for which the file has nothing says why."""
    access = results.meanode
    data = access.problem(problem)
    kinds = access.limits(problem)
    kind = next((kind for kind in ("mean-ode", "largest") if kind in kinds), None)
    limit = kind and access.limit(problem, kind)
    steps = chosen_steps(data["step"].values.tolist(), step)
    shapes = shapes_of(data, limit, steps, quantity)
    fits = constants(access.path, steps, quantity, problem)
    paired = {kind: {k: pairs_or_none(data, k, quantity, kind) for k in steps} for kind in ("regroup", "jackknife")}
    last, some = steps[-1], next(iter(shapes.values()))

    fig, axes = style.figure(2, 3, 4.7)
    total_error(axes[0], shapes, last, fits[last])
    with style.panel(axes[1][0]):
        fluctuation(axes[1][0], shapes, fits)
    with style.panel(axes[1][1]):
        bias(axes[1][1], shapes, paired["regroup"], fits, depth_points, "a", "depth $L$", "depth bias", "$a/L$", 4)
    with style.panel(axes[1][2]):
        bias(axes[1][2], shapes, paired["jackknife"], fits, width_points, "c", "product $LM$", "width bias", "$c/(LM)$", 2)
    style.need_a_panel(axes.flat)
    for letter, axis in zip("abcdef", axes.flat):
        style.label_panel(axis, letter)
        style.log_ticks(axis)
    for axis in (axes[0][0], axes[1][1]):
        style.plain_ticks(axis, some.L)
    style.plain_ticks(axes[0][1], some.M)
    name = {"output": "output $f$", "embedding": r"embedding $h_{s=1}$"}[quantity]
    caption = (f"RMS error of the {name} after {last} steps (a-c) and its parts (d-f): "
               f"D = {data.sizes['embed']}, N = {data.sizes['sample']}, {shapes.get(last, some).seeds} seeds, 95% intervals.\n"
               + numbers(last, fits[last]))
    style.caption(fig, caption)
    return fig, verdicts(fits[last], quantity, last)


def shapes_of(data, limit, steps, quantity):
    """{step: Shapes} of the steps at which there are networks; FileProblem if there are none at any."""
    found, why = {}, None
    for k in steps:
        try:
            found[k] = Shapes(data, limit, k, quantity)
        except FileProblem as problem:
            why = problem
    if not found:
        raise why
    return found


def pairs_or_none(data, step, quantity, kind):
    try:
        return Shapes(data, None, step, quantity, kind)
    except FileProblem:
        return None


def verdicts(fit, quantity, step):
    where = f"{quantity}, k = {step}"
    return [Verdict(f"{where}: fluctuation exponent in L M", fit["slope_fluctuation"], -0.5),
            Verdict(f"{where}: depth-bias exponent in L", fit["slope_bias"], -1.0),
            Verdict(f"{where}: depth-bias exponent in M", fit["slope_bias_M"], 0.0),
            Verdict(f"{where}: a", fit["a"]), Verdict(f"{where}: b", fit["b"]), Verdict(f"{where}: c", fit["c"])]


def numbers(step, fit):
    def text(symbol, name, digits):
        if not known(fit[name]):
            return f"{symbol} undetermined"
        return f"{symbol} = {interval(Verdict(symbol, fit[name]), digits)}"

    constants = [text("$a$", "a", 4), text("$b$", "b", 3), text("$c$", "c", 2)]
    slopes = [text("fluctuation exponent in $LM$", "slope_fluctuation", 3), text("depth-bias exponent in $L$", "slope_bias", 3)]
    return f"$k$ = {step}: " + ",  ".join(constants) + ";\n" + ",  ".join(slopes) + "."


def value_of(fit, name):
    """NaN where it was not determined: a line through NaN is not drawn."""
    return fit[name]["value"] if known(fit[name]) else numpy.nan


def total_error(axes, found, step, fit):
    """Three panels: against L, M and L M."""
    a, b, c = (value_of(fit, name) for name in "abc")

    def drawing(draw, axis, *more):
        with style.panel(axis):
            if step not in found:
                raise FileProblem(f"fewer than three seeds are finite at step {step}")
            draw(axis, found[step], *more)

    def against_one(axis, shapes, symbol):
        error, low, high = shapes.error()
        cross = shapes.alignment() if len(set(shapes.M.tolist())) > 1 else 0.0

        def law(L, M):
            square = (a / L) ** 2 + 2 * cross / (L * L * M) + (c / (L * M)) ** 2 + b * b / (L * M)
            return numpy.sqrt(numpy.maximum(square, 0))

        against, fixed, other = (shapes.L, shapes.M, "M") if symbol == "L" else (shapes.M, shapes.L, "L")
        for i, level in enumerate(spread(numpy.unique(fixed), 5)):
            at = fixed == level
            points(axis, against[at], error[at], low[at], high[at], i, label=f"${other} = {level:g}$")
            x = fine(against)
            axis.plot(x, law(x, level) if symbol == "L" else law(level, x), linewidth=0.9, **style.line(i))
        finish(axis, f"{'depth' if symbol == 'L' else 'width'} ${symbol}$", "RMS error", f"no finite error at step {step}")
        style.lower(axis, 4)
        style.legend(axis, loc="lower left", ncol=2, columnspacing=1)

    def against_product(axis, shapes):
        error, low, high = shapes.error()
        product = shapes.L * shapes.M
        for i, depth_ in enumerate(spread(numpy.unique(shapes.L), 6)):
            at = shapes.L == depth_
            points(axis, product[at], error[at], low[at], high[at], i, label=f"$L = {depth_:g}$")
        x = fine(product)
        axis.plot(x, b / numpy.sqrt(x), color="0.25", linestyle="-", linewidth=0.9, label=r"$b/\sqrt{LM}$" if b > 0 else None)
        finish(axis, "product $LM$", "RMS error", f"no finite error at step {step}")
        style.legend(axis, loc="lower left")

    drawing(against_one, axes[0], "L")
    drawing(against_one, axes[1], "M")
    drawing(against_product, axes[2])


def fluctuation(axis, shapes, fits):
    for i, (k, one) in enumerate(shapes.items()):
        value, low, high = one.deviation()
        x = one.L * one.M
        points(axis, x, value, low, high, i, label=f"$k = {k}$")
        grid = fine(x)
        axis.plot(grid, value_of(fits[k], "b") / numpy.sqrt(grid), linewidth=0.9, **style.line(i))
    finish(axis, "product $LM$", "standard deviation over seeds", why_not(fits, "b"))
    style.legend(axis, loc="lower left", title=r"lines $b/\sqrt{LM}$", title_fontsize=7)


def why_not(fits, name):
    """Why a constant is not known at any step, or what is left to say."""
    return next((fit[name]["warning"] for fit in reversed(fits.values()) if fit[name].get("warning")), "no point is above zero")


def depth_points(one, pairs):
    return one.depth_bias() if pairs is None else pairs.bias_by(pairs.L, 1)


def width_points(one, pairs):
    return (one.L * one.M, *one.width_bias()) if pairs is None else pairs.bias_by(pairs.L * pairs.M, 0)


def bias(axis, shapes, pairs, fits, points_of, constant, against, name, line, room):
    """One part of the bias: points_of(shapes, pairs or None) -> x, value, low, high, and lines constant/x; room below the lowest line as a
    factor."""
    lowest, why = numpy.inf, None
    for i, (k, one) in enumerate(shapes.items()):
        try:
            x, value, low, high = points_of(one, pairs[k])
        except FileProblem as problem:
            why = str(problem)
            continue
        points_or_limits(axis, x, value, low, high, i, label=f"$k = {k}$")
        level = value_of(fits[k], constant)
        grid = fine(x)
        if level > 0:
            axis.plot(grid, level / grid, linewidth=0.9, **style.line(i))
            lowest = min(lowest, level / grid[-1])
    finish(axis, against, name, why or why_not(fits, constant))
    if numpy.isfinite(lowest):
        axis.set_ylim(bottom=max(axis.get_ylim()[0], lowest / room))
    style.legend(axis, loc="lower left", title=f"lines {line}", title_fontsize=7)
