"""Figure "law": total error against L, M and L M (first row); its three parts apart (second row)."""

import numpy

from . import style
from .fitting import constants
from .reading import FileProblem
from .verdict import Verdict
from .shapes import Shapes


def draw_law(results, step=None, quantity="output", problem=0):
    """results: what meanode.open returned; step: which step the first row shows (default: the last). The second row shows
    up to three steps."""
    access = results.meanode
    data = access.problem(problem)
    kinds = access.limits(problem)
    if "mean-ode" not in kinds and "largest" not in kinds:
        raise FileProblem(f"{access.path}: the law needs a limit: add limit: {{kind: mean-ode}} to the configuration")
    limit = access.limit(problem, "mean-ode" if "mean-ode" in kinds else "largest")
    steps = chosen_steps(data["step"].values.tolist(), step)
    fits = constants(access.path, steps, quantity, problem)
    shapes = {k: Shapes(data, limit, k, quantity) for k in steps}
    paired = {kind: {k: pairs_or_none(data, k, quantity, kind) for k in steps} for kind in ("regroup", "jackknife")}
    last = steps[-1]

    fig, axes = style.figure(2, 3, 4.7)
    total_error(axes[0], shapes[last], fits[last])
    fluctuation(axes[1][0], shapes, fits)
    bias(axes[1][1], shapes, paired["regroup"], fits, depth_points, "a", "depth $L$", "depth bias", "$a/L$", 4)
    bias(axes[1][2], shapes, paired["jackknife"], fits, width_points, "c", "product $LM$", "width bias", "$c/(LM)$", 2)
    for letter, axis in zip("abcdef", axes.flat):
        style.label_panel(axis, letter)
        style.log_ticks(axis)
    for axis in (axes[0][0], axes[1][1]):
        style.plain_ticks(axis, shapes[last].L)
    style.plain_ticks(axes[0][1], shapes[last].M)
    name = {"output": "output $f$", "embedding": r"embedding $h_{s=1}$"}[quantity]
    caption = (f"RMS error of the {name} after {last} steps (a-c) and its parts (d-f): "
               f"D = {data.sizes['embed']}, N = {data.sizes['sample']}, {shapes[last].seeds} seeds, 95% intervals.\n"
               + numbers(last, fits[last]))
    style.caption(fig, caption)
    return fig, verdicts(fits[last], quantity, last)


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


def chosen_steps(recorded, step):
    """At most three recorded steps ending with the wanted one: early, middle, last."""
    positive = [k for k in recorded if k > 0] or recorded
    if step is not None:
        if step not in recorded:
            raise FileProblem(f"step {step} was not recorded; there are {', '.join(map(str, recorded))}")
        positive = [k for k in positive if k <= step] or [step]
    last = positive[-1]
    wanted = {min(positive, key=lambda k: abs(k - goal)) for goal in (1, max(1, last // 3), last)}
    return sorted(wanted)


def numbers(step, fit):
    def text(symbol, estimate, digits):
        if None in (estimate["value"], estimate["low"], estimate["high"]):
            return f"{symbol} undetermined"
        return f"{symbol} = {estimate['value']:.{digits}f} [{estimate['low']:.{digits}f}, {estimate['high']:.{digits}f}]"

    constants = [text("$a$", fit["a"], 4), text("$b$", fit["b"], 3), text("$c$", fit["c"], 2)]
    slopes = [text("fluctuation exponent in $LM$", fit["slope_fluctuation"], 3),
              text("depth-bias exponent in $L$", fit["slope_bias"], 3)]
    return f"$k$ = {step}: " + ",  ".join(constants) + ";\n" + ",  ".join(slopes) + "."


def value_of(fit, name):
    value = fit[name]["value"]
    return numpy.nan if value is None else value


def total_error(axes, shapes, fit):
    error, low, high = shapes.error()
    a, b, c = (numpy.nan_to_num(value_of(fit, name)) for name in "abc")
    cross = shapes.alignment() if len(set(shapes.M.tolist())) > 1 else 0.0

    def law(L, M):
        square = (a / L) ** 2 + 2 * cross / (L * L * M) + (c / (L * M)) ** 2 + b * b / (L * M)
        return numpy.sqrt(numpy.maximum(square, 0))

    def fine(values):
        return numpy.geomspace(values.min() / 1.25, values.max() * 1.25, 100)

    for axis, against, fixed, symbol, other in ((axes[0], shapes.L, shapes.M, "L", "M"),
                                                (axes[1], shapes.M, shapes.L, "M", "L")):
        for i, level in enumerate(spread(numpy.unique(fixed), 5)):
            at = fixed == level
            points(axis, against[at], error[at], low[at], high[at], i, label=f"${other} = {level:g}$")
            x = fine(against)
            curve = law(x, level) if symbol == "L" else law(level, x)
            axis.plot(x, curve, linewidth=0.9, **style.line(i))
        finish(axis, f"{'depth' if symbol == 'L' else 'width'} ${symbol}$", "RMS error")
        axis.set_ylim(bottom=axis.get_ylim()[0] / 4)
        axis.legend(loc="lower left", ncol=2, columnspacing=1)
    product = shapes.L * shapes.M
    for i, depth_ in enumerate(spread(numpy.unique(shapes.L), 6)):
        at = shapes.L == depth_
        points(axes[2], product[at], error[at], low[at], high[at], i, label=f"$L = {depth_:g}$")
    x = fine(product)
    axes[2].plot(x, b / numpy.sqrt(x), color="0.25", linestyle="-", linewidth=0.9, label=r"$b/\sqrt{LM}$")
    finish(axes[2], "product $LM$", "RMS error")
    axes[2].legend(loc="lower left")


def fluctuation(axis, shapes, fits):
    for i, (k, one) in enumerate(shapes.items()):
        value, low, high = one.deviation()
        x = one.L * one.M
        points(axis, x, value, low, high, i, label=f"$k = {k}$")
        grid = numpy.geomspace(x.min() / 1.25, x.max() * 1.25, 100)
        axis.plot(grid, value_of(fits[k], "b") / numpy.sqrt(grid), linewidth=0.9, **style.line(i))
    finish(axis, "product $LM$", "standard deviation over seeds")
    axis.legend(loc="lower left", title=r"lines $b/\sqrt{LM}$", title_fontsize=7)


def depth_points(one, pairs):
    return one.depth_bias() if pairs is None else pairs.bias_by(pairs.L, 1)


def width_points(one, pairs):
    return (one.L * one.M, *one.width_bias()) if pairs is None else pairs.bias_by(pairs.L * pairs.M, 0)


def bias(axis, shapes, pairs, fits, points_of, constant, against, name, line, room):
    """One part of the bias: points_of(shapes, pairs or None) -> x, value, low, high, and lines constant/x; room below the lowest line as a
    factor."""
    lowest = numpy.inf
    for i, (k, one) in enumerate(shapes.items()):
        try:
            x, value, low, high = points_of(one, pairs[k])
        except FileProblem:
            continue
        points_or_limits(axis, x, value, low, high, i, label=f"$k = {k}$")
        level = value_of(fits[k], constant)
        grid = numpy.geomspace(x.min() / 1.25, x.max() * 1.25, 100)
        if level > 0:
            axis.plot(grid, level / grid, linewidth=0.9, **style.line(i))
            lowest = min(lowest, level / grid[-1])
    finish(axis, against, name)
    if numpy.isfinite(lowest):
        axis.set_ylim(bottom=max(axis.get_ylim()[0], lowest / room))
    axis.legend(loc="lower left", title=f"lines {line}", title_fontsize=7)


def points(axis, x, value, low, high, index, label, **more):
    axis.errorbar(x, value, yerr=[value - low, high - value], linestyle="none", elinewidth=0.7, markeredgewidth=0.6,
                  label=label, **{**style.series(index), **more})


def points_or_limits(axis, x, value, low, high, index, label):
    """Points whose interval reaches 0 become arrows down from its upper end."""
    visible = low > 0
    points(axis, x[visible], value[visible], low[visible], high[visible], index, label)
    axis.plot(x[~visible], high[~visible], linestyle="none", marker=r"$\downarrow$", markersize=4.5, markeredgewidth=0,
              color=style.COLOURS[index])


def finish(axis, x, y):
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel(x)
    axis.set_ylabel(y)


def spread(values, most):
    """At most so many of the values, the ends among them."""
    if len(values) <= most:
        return values
    return values[numpy.unique(numpy.linspace(0, len(values) - 1, most).round().astype(int))]
