# SPDX-License-Identifier: BSD-3-Clause
"""Figure "authors": the grid of the notebook of arXiv 2603.18168, its constants (set by eye) and ours."""

import numpy

from . import style
from .estimates import estimate, known, log_mean_over_draws, mean_over_draws, rms
from .panels import curve, finish, points, spread
from .reading import FileProblem
from .shapes import Shapes, not_recorded
from .sweep import Problems, need_several
from .verdict import Verdict, interval

SMALL_D = 8  # below it the laws in D are far from those of large D
LARGE = 8  # L M above so many D: the leading order of the width bias and of the fluctuation
# Constants: theirs, by eye, and what they are constants of, in the caption and in words.
CONSTANTS = {"output, limit": (0.9, "/ √D", "1/sqrt(D)"), "embedding, limit": (2.5, "/ √D", "1/sqrt(D)"),
             "output, width": (0.15, "D/(ML)", "D/(ML)"), "embedding, fluctuation": (0.8, "√(D/ML)", "sqrt(D/(M L))")}
THEIRS = {name: theirs for name, (theirs, *_) in CONSTANTS.items()}


def draw_authors(results, step=None, quantity="output", problem=0):
    """L = 50, M and D on a grid: output and embedding against the joint limit with their fits, and the four constants apart: distance
    of the Mean ODE at D to the joint limit, width bias of the output, fluctuation of the embedding."""
    problems = Problems(results, ("joint", "mean-ode"))
    need_several(problems.D, "D")
    k = problems.last(step)
    gaps, constants = {}, {}
    for name in ("output", "embedding"):
        gaps[name] = [rms(mean - joint) for mean, joint in zip(problems.field("mean-ode", k, name), problems.field("joint", k, name))]
        constants[f"{name}, limit"] = over_large(problems, numpy.array(gaps[name]) * numpy.sqrt(problems.D), not_known(problems, k, name))
    width, why = width_biases(problems, k)
    constants["output, width"] = over_large(problems, width / problems.D, why)
    inner = problems.shape_errors(k, problems.field("mean-ode", k, "embedding"), "embedding")
    scaled = [rms([rms(e) * numpy.sqrt(L * M / D) for (L, M), e in errors.items() if L * M >= LARGE * D])
              for D, errors in zip(problems.D, inner)]
    constants["embedding, fluctuation"] = over_large(problems, scaled, not_measured(problems, k, "embedding", "mean-ode"))

    fig, axes = style.figure(2, 2, 4.9)
    with style.panel(axes[0][0]):
        totals(axes[0][0], problems, problems.shape_errors(k, problems.field("joint", k)), not_measured(problems, k, "output", "joint"))
    with style.panel(axes[0][1]):
        for i, name in enumerate(gaps):
            if over_D(axes[0][1], problems, gaps[name], 2 * i, name):
                lines(axes[0][1], problems.D, -0.5, f"{name}, limit", constants, r"/$\sqrt{D}$", 2 * i)
        finish(axes[0][1], "embedding dimension $D$", "Mean ODE at $D$ to joint limit", not_known(problems, k, "output"))
        style.lower(axes[0][1], 6)
    with style.panel(axes[1][0]):
        if not over_D(axes[1][0], problems, width, 0, "output: width bias $c$"):
            raise FileProblem(constants["output, width"].get("warning") or "the width bias is lost in noise at every D")
        lines(axes[1][0], problems.D, 1, "output, width", constants, "$D$", 0)
        finish(axes[1][0], "embedding dimension $D$", "width bias $c$ of the output")
    with style.panel(axes[1][1]):
        fluctuation(axes[1][1], problems, inner, constants, not_measured(problems, k, "embedding", "mean-ode"))
    style.arrange(axes.flat)
    for axis in axes.flat:
        if axis is not axes[1][1]:
            style.plain_ticks(axis, problems.D)
        more = {"title": "lines: arXiv 2603.18168", "title_fontsize": 7} if axis is axes[0][0] else {}
        style.legend(axis, **({"loc": "lower left", "ncol": 2} if axis is axes[0][1] else {"loc": "best"}), **more)
    error = problems.limit_error("mean-ode", k) / numpy.array(gaps["output"])
    poor = f"; the limits' own error exceeds 10% of their distance in {int((error > 0.1).sum())} problems" if (error > 0.1).any() else ""
    found = [Verdict(f"{name}, constant of {words}", constants[name], None,
                     f"theirs, by eye: {theirs:g}" + (poor if "limit" in name else ""))
             for name, (theirs, _, words) in CONSTANTS.items()]
    text = [f"{name}: {interval(one, 2)} {form} ({theirs:g})" for (name, (theirs, form, _)), one in zip(CONSTANTS.items(), found)]
    depth = problems.data[0]["L"].values[0]
    style.caption(fig, f"The grid of arXiv 2603.18168 ($L = {depth}$, {k} steps), {problems.draws} draws of data and embeddings; constants "
                       f"with 95% intervals (theirs, by eye).\n{'; '.join(text[:2])};\n{'; '.join(text[2:])}.")
    return fig, found


def not_known(problems, step, quantity):
    """Why the distance of the limits is not known."""
    lacking = problems.lacking_field(("mean-ode", "joint"), step, quantity)
    return lacking or f"this figure needs problems with D >= {SMALL_D} in which both limits are known at step {step}"


def not_measured(problems, step, quantity, kind):
    """Why no distance of networks to a limit is known."""
    if all(quantity not in data for data in problems.data):
        return not_recorded(quantity)
    lacking = problems.lacking_field((kind,), step, quantity)
    return lacking or f"no network with D >= {SMALL_D} and L M >= {LARGE} D has a finite distance to the limit at step {step} in every draw"


def over_large(problems, values, why):
    """Mean over D >= SMALL_D in each draw, then over draws with interval; none, and why, if no D is known in every draw."""
    D, table = problems.by_draw(values)
    table = table[:, D >= SMALL_D]
    table = table[:, numpy.isfinite(table).all(axis=0)]
    if not table.size:
        return {"warning": why}
    return estimate(*mean_over_draws(table.mean(axis=1)))


def width_biases(problems, step):
    """[problem] c of the output from halved layers at shapes with L M >= LARGE D, NaN where there are none; and why there are none."""
    found, why = [], f"this figure needs shapes with L M >= {LARGE} D"
    for data, D in zip(problems.data, problems.D):
        found.append(numpy.nan)
        if "draw_offset" not in data.coords or not (data["draw_offset"].values > 0).any():
            why = "the width bias needs halved layers: sweep: {pairs: jackknife} in the configuration"
            continue
        try:
            pairs = Shapes(data, None, step, "output", "jackknife")
        except FileProblem as problem:
            why = str(problem)
            continue
        product = pairs.L * pairs.M
        at = product >= LARGE * D
        if at.any():
            found[-1] = pairs.rms_of((product * at / at.sum())[None, :])[0][0]
    return numpy.array(found), why


def totals(axis, problems, errors, why):
    """RMS error of the output against the joint limit over draws, with their fit."""
    M = sorted({shape[1] for found in errors for shape in found})
    for i, m in enumerate(spread(numpy.array(M), 4)):
        D, table = problems.by_draw([rms([rms(e) for (_, width), e in found.items() if width == m]) for found in errors])
        L = next(shape[0] for found in errors for shape in found)
        axis.plot(D, numpy.sqrt((table**2).mean(axis=0)), linestyle="none", label=f"$M = {m:g}$", **style.series(i))
        curve(axis, D, lambda x: numpy.hypot(THEIRS["output, width"] * x / (m * L), THEIRS["output, limit"] / numpy.sqrt(x)), 60,
              linewidth=0.8, **style.line(i))
    if not M:
        raise FileProblem(why)
    finish(axis, "embedding dimension $D$", "RMS error of the output", why)


def over_D(axis, problems, values, index, label):
    """Means over draws; false if the values [problem] are known and above zero in every draw at no D."""
    D, table = problems.by_draw(values)
    points(axis, D, *log_mean_over_draws(table), index, label)
    return (numpy.isfinite(table) & (table > 0)).all(axis=0).any()


def lines(axis, x, power, name, constants, form, index):
    """A constant times x^power, ours and theirs."""
    ours, theirs, look = constants[name], THEIRS[name], {"color": style.COLOURS[index], "linewidth": 1}
    if known(ours):
        curve(axis, x, lambda at: ours["value"] * at**power, 30, label=f"{ours['value']:.2g}{form} (ours)", **look)
    curve(axis, x, lambda at: theirs * at**power, 30, label=f"{theirs:g}{form} (theirs)", linestyle=":", **look)


def fluctuation(axis, problems, errors, constants, why):
    """RMS error of the embedding against the Mean ODE at its own D, against D/(M L)."""
    for i, dim in enumerate(spread(numpy.unique(problems.D), 5)):
        found = {}
        for D, e in zip(problems.D, errors):
            for shape, values in e.items() if D == dim else ():
                found.setdefault(D / (shape[0] * shape[1]), []).append(rms(values))
        x = sorted(found)
        axis.plot(x, [rms(found[at]) for at in x], linestyle="none", label=f"$D = {dim:g}$", **style.series(i))
    if not any(errors):
        raise FileProblem(why)
    x = numpy.array([D / (L * M) for D, e in zip(problems.D, errors) for L, M in e])
    lines(axis, x, 0.5, "embedding, fluctuation", constants, r"$\sqrt{D/(ML)}$", 6)
    finish(axis, "$D/(ML)$", "RMS error of the embedding", why)
