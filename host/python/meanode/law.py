# SPDX-License-Identifier: BSD-3-Clause
"""Figure "law": total error against L, M and L M (first row); its three parts apart (second row)."""

import numpy

from . import style
from .estimates import known
from .fitting import constants
from .panels import chosen_steps, curve, finish, points, points_or_limits, spread
from .reading import FileProblem
from .shapes import Shapes
from .verdict import Verdict, interval

# Of the two parts of the bias: pairs that show it without noise, what it is drawn against, its name, its line, room below that as a factor.
BIASES = {"a": ("regroup", "depth $L$", "depth bias", "$a/L$", 4), "c": ("jackknife", "product $LM$", "width bias", "$c/(LM)$", 2)}


def draw_law(results, step=None, quantity="output", problem=0):
    """results: what meanode.open returned; step: which step the first row shows (default: the last). The second row shows
    up to three steps. A panel for which the file has nothing says why."""
    access = results.meanode
    data = access.problem(problem)
    steps = chosen_steps(data["step"].values.tolist(), step)
    shapes = shapes_of(data, access.limit_or_none(problem, "mean-ode", "largest"), steps, quantity)
    fits = constants(access.path, steps, quantity)[access.name(problem)]
    last, some = steps[-1], next(iter(shapes.values()))

    fig, axes = style.figure(2, 3, 4.7)
    for axis, symbol in zip(axes[0], ("L", "M", "LM")):
        with style.panel(axis):
            if last not in shapes:
                raise FileProblem(f"fewer than three seeds are finite at step {last}")
            total_error(axis, shapes[last], fits[last], symbol, f"no finite error at step {last}")
    with style.panel(axes[1][0]):
        fluctuation(axes[1][0], shapes, fits)
    for axis, constant in zip(axes[1][1:], BIASES):
        with style.panel(axis):
            bias(axis, data, shapes, fits, quantity, constant)
    style.arrange(axes.flat)
    for axis in (axes[0][0], axes[1][1]):
        style.plain_ticks(axis, some.L)
    style.plain_ticks(axes[0][1], some.M)
    name = {"output": "output $f$", "embedding": r"embedding $h_{s=1}$"}[quantity]
    style.caption(fig, f"RMS error of the {name} after {last} steps (a-c) and its parts (d-f): D = {data.sizes['embed']}, "
                       f"N = {data.sizes['sample']}, {shapes.get(last, some).seeds} seeds, 95% intervals.\n" + numbers(last, fits[last]))
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


def verdicts(fit, quantity, step):
    where = f"{quantity}, k = {step}"
    return [Verdict(f"{where}: fluctuation exponent in L M", fit["slope_fluctuation"], -0.5),
            Verdict(f"{where}: depth-bias exponent in L", fit["slope_bias"], -1.0),
            Verdict(f"{where}: depth-bias exponent in M", fit["slope_bias_M"], 0.0),
            Verdict(f"{where}: a", fit["a"]), Verdict(f"{where}: b", fit["b"]), Verdict(f"{where}: c", fit["c"])]


def numbers(step, fit):
    def text(symbol, name, digits):
        return f"{symbol} = {interval(Verdict(symbol, fit[name]), digits)}" if known(fit[name]) else f"{symbol} undetermined"

    constants = [text("$a$", "a", 4), text("$b$", "b", 3), text("$c$", "c", 2)]
    slopes = [text("fluctuation exponent in $LM$", "slope_fluctuation", 3), text("depth-bias exponent in $L$", "slope_bias", 3)]
    return f"$k$ = {step}: " + ",  ".join(constants) + ";\n" + ",  ".join(slopes) + "."


def value_of(fit, name):
    """NaN where it was not determined: a line through NaN is not drawn."""
    return fit[name]["value"] if known(fit[name]) else numpy.nan


def total_error(axis, shapes, fit, symbol, why):
    """Against depth "L" or width "M" a series for each of the other, with the fitted law; against the product "LM" one for each depth."""
    size, fixed, other, most = {"L": (shapes.L, shapes.M, "M", 5), "M": (shapes.M, shapes.L, "L", 5),
                                "LM": (shapes.L * shapes.M, shapes.L, "L", 6)}[symbol]
    error, low, high = shapes.error()
    law = None if symbol == "LM" else law_of(shapes, fit)
    for i, level in enumerate(spread(numpy.unique(fixed), most)):
        at = fixed == level
        points(axis, size[at], error[at], low[at], high[at], i, label=f"${other} = {level:g}$")
        if law:
            curve(axis, wider(size), lambda x: law(x, level) if symbol == "L" else law(level, x), 100, linewidth=0.9, **style.line(i))
    if not law:
        b = value_of(fit, "b")
        curve(axis, wider(size), lambda x: b / numpy.sqrt(x), 100, color="0.25", linestyle="-", linewidth=0.9,
              label=r"$b/\sqrt{LM}$" if b > 0 else None)
    finish(axis, {"L": "depth $L$", "M": "width $M$", "LM": "product $LM$"}[symbol], "RMS error", why)
    if law:
        style.lower(axis, 4)
    style.legend(axis, loc="lower left", **({"ncol": 2, "columnspacing": 1} if law else {}))


def law_of(shapes, fit):
    """The RMS error that the constants say, of L and M."""
    a, b, c = (value_of(fit, name) for name in "abc")
    cross = shapes.alignment() if len(set(shapes.M.tolist())) > 1 else 0.0

    def law(L, M):
        square = (a / L) ** 2 + 2 * cross / (L * L * M) + (c / (L * M)) ** 2 + b * b / (L * M)
        return numpy.sqrt(numpy.maximum(square, 0))
    return law


def wider(x):
    return x.min() / 1.25, x.max() * 1.25


def fluctuation(axis, shapes, fits):
    for i, (k, one) in enumerate(shapes.items()):
        product, b = one.L * one.M, value_of(fits[k], "b")
        points(axis, product, *one.deviation(), i, label=f"$k = {k}$")
        curve(axis, wider(product), lambda x: b / numpy.sqrt(x), 100, linewidth=0.9, **style.line(i))
    finish(axis, "product $LM$", "standard deviation over seeds", why_not(fits, "b"))
    style.legend(axis, loc="lower left", title=r"lines $b/\sqrt{LM}$", title_fontsize=7)


def why_not(fits, name):
    """Why a constant is not known at any step, or what is left to say."""
    return next((fit[name]["warning"] for fit in reversed(fits.values()) if fit[name].get("warning")), "no point is above zero")


def bias_points(data, shapes, step, quantity, constant):
    """x, value, low, high of one part of the bias: from pairs, or from the shapes where there are none."""
    try:
        pairs = Shapes(data, None, step, quantity, BIASES[constant][0])
    except FileProblem:
        return shapes.depth_bias() if constant == "a" else shapes.width_bias()
    return pairs.bias_by(pairs.L, 1) if constant == "a" else pairs.bias_by(pairs.L * pairs.M, 0)


def bias(axis, data, shapes, fits, quantity, constant):
    """One part of the bias, and lines constant/x."""
    _, against, name, line, room = BIASES[constant]
    lowest, why = numpy.inf, None
    for i, (k, one) in enumerate(shapes.items()):
        try:
            x, *estimates = bias_points(data, one, k, quantity, constant)
        except FileProblem as problem:
            why = str(problem)
            continue
        points_or_limits(axis, x, *estimates, i, label=f"$k = {k}$")
        level, ends = value_of(fits[k], constant), wider(x)
        if level > 0:
            curve(axis, ends, lambda at: level / at, 100, linewidth=0.9, **style.line(i))
            lowest = min(lowest, level / ends[1])
    finish(axis, against, name, why or why_not(fits, constant))
    if numpy.isfinite(lowest):
        axis.set_ylim(bottom=max(axis.get_ylim()[0], lowest / room))
    style.legend(axis, loc="lower left", title=f"lines {line}", title_fontsize=7)
