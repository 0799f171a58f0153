"""Figures over the embedding dimension D: constants, the best shape at a budget, the authors' grid."""

import numpy

from . import style
from .law import chosen_steps, finish, points, points_or_limits, spread
from .reading import FileProblem
from .shapes import rms
from .sweep import Problems, arrays, need_several
from .verdict import Verdict, power_law

SMALL_D = 4  # below it the laws in D are far from those of large D


def draw_dimension(results, step=None, quantity="output", problem=0):
    """Constants against D: b of the embedding (like sqrt(D)), b of the output (nearly constant), c of the output."""
    problems = Problems(results)
    need_several(problems.D, "D")
    problems.last(step)
    steps = chosen_steps(problems.steps, step)
    initial = problems.fits([0], "embedding") if 0 in problems.steps else None
    output, embedding = (problems.fits(steps, name) for name in ("output", "embedding"))
    D = problems.D
    # Below d_in + d_out the span of the embeddings is the whole space and its dimension changes with D.
    sizes = problems.data[0].sizes
    least = sizes["input"] + sizes["target"]
    if (D >= least).sum() < 3:
        raise FileProblem(f"this figure needs at least three values of D from {least} (inputs + targets) on")
    fig, axes = style.figure(1, 3, 2.9)
    panels = ((embedding, "b", "embedding: $b$ per coordinate", 0.5), (output, "b", "output: $b$", 0.0),
              (output, "c", "output: width bias $c$", None))
    found = []
    for letter, axis, (fits, name, title, exponent) in zip("abc", axes[0], panels):
        for i, k in enumerate(steps):
            value, low, high = arrays(fits, k, name)
            good = numpy.isfinite(value) & (value > 0)
            points_or_limits(axis, D[good], value[good], low[good], high[good], i, label=f"$k = {k}$")
            sure = good & (D >= least) & (low > 0)
            law = power_law(D[sure], value[sure]) if sure.sum() >= 3 else None
            if law:
                grid = numpy.geomspace(D[sure].min(), D.max(), 50)
                axis.plot(grid, numpy.exp(law["intercept"]) * grid ** law["value"], **style.line(i))
                note = f"D >= {least}; from the scatter over D"
                found.append(Verdict(f"{title.replace('$', '')}, k = {k}: exponent in D", law, exponent or None, note))
        finish(axis, "embedding dimension $D$", title)
        style.label_panel(axis, letter)
        style.log_ticks(axis)
        style.plain_ticks(axis, D)
        axis.legend(loc="best")
    if initial:
        value, low, _ = arrays(initial, 0, "b")
        sure = (D >= least) & (low > 0)
        if sure.sum() >= 3:
            found.append(Verdict("embedding: b per coordinate, k = 0: exponent in D", power_law(D[sure], value[sure]), 0.5,
                                 "initialisation: what this draw of the embeddings does to the law"))
    text = "; ".join(f"$k={k}$: {v.value:.2f} [{v.low:.2f}, {v.high:.2f}]" for k, v in zip(steps, found[: len(steps)]) if v.value)
    style.caption(fig, f"Constants of the error law against $D$ (N = {problems.data[0].sizes['sample']}, 95% intervals; lines: power "
                       f"laws fitted for $D \\geq {least}$).\nExponents in $D$ of the embedding's fluctuation: {text}; theory 1/2.")
    return fig, found


def joint_reference(problems, step):
    """Output of the Mean ODE at the largest D, which stands for D -> infinity, and the distance of each D's own to it."""
    fields = problems.field("mean-ode", step)
    reference = fields[int(numpy.argmax(problems.D))]
    return reference, numpy.array([rms(field - reference) for field in fields])


def draw_shape(results, step=None, quantity="output", problem=0):
    """Error against the joint limit at fixed budgets P = L M D: best error, and the shape that reaches it."""
    problems = Problems(results)
    need_several(problems.D, "D")
    k = problems.last(step)
    reference, gap = joint_reference(problems, k)
    errors = problems.shape_errors(k, [reference] * len(problems.D))
    largest = problems.D.max()
    table = []  # budget, error, half interval, L, M, D
    for D, found in zip(problems.D, errors):
        if D <= largest / 8:
            for (L, M), e in found.items():
                square = e**2
                half = 1.96 * square.std(ddof=1) / numpy.sqrt(len(e)) if len(e) > 1 else 0
                table.append((L * M * D, rms(e), half / (2 * rms(e)), L, M, D))
    table = numpy.array(table, float)
    budgets, best, inside = [], [], []
    for P in sorted(set(table[:, 0])):
        at = table[table[:, 0] == P]
        if len(at) < 6:
            continue
        winner = at[numpy.argmin(at[:, 1])]
        budgets.append(P)
        best.append(winner)
        inside.append(all(low < value < high for value, low, high in zip(winner[3:], table[:, 3:].min(axis=0),
                                                                         table[:, 3:].max(axis=0))))
    if len(budgets) < 3:
        raise FileProblem("too few shapes share a product L M D: take powers of two in L, M and D")
    budgets, best, inside = numpy.array(budgets), numpy.array(best), numpy.array(inside)
    fig, axes = style.figure(1, 3, 2.9)
    shown = budgets[inside] if inside.any() else budgets
    for i, P in enumerate(shown[numpy.unique(numpy.linspace(0, len(shown) - 1, 4).round().astype(int))]):
        at = table[table[:, 0] == P]
        D = numpy.unique(at[:, 5])
        least = numpy.array([at[at[:, 5] == d][numpy.argmin(at[at[:, 5] == d][:, 1])] for d in D])
        points(axes[0][0], D, least[:, 1], least[:, 1] - least[:, 2], least[:, 1] + least[:, 2], i, label=f"$P = {P:.0f}$")
        axes[0][0].plot(D, least[:, 1], linewidth=0.7, **style.line(i))
    axes[0][0].plot(problems.D[:-1], gap[:-1], color="0.4", linestyle=":", label="limit at $D$")
    finish(axes[0][0], "embedding dimension $D$", "least RMS error over $L$, $M$")
    axes[0][1].errorbar(budgets, best[:, 1], yerr=best[:, 2], linestyle="none", marker="o", color=style.COLOURS[0], label="best shape")
    axes[0][1].plot(budgets[~inside], best[~inside, 1], "o", markerfacecolor="white", color=style.COLOURS[0], label="on the grid's edge")
    middle = int(len(budgets) / 2)
    axes[0][1].plot(budgets, best[middle, 1] * (budgets / budgets[middle]) ** (-1 / 6), color="0.3", linewidth=0.9,
                    label=r"$\propto P^{-1/6}$")
    finish(axes[0][1], "budget $P = LMD$", "RMS error of the best shape")
    found = [Verdict("error of the best shape: exponent in P", power_law(budgets, best[:, 1]), -1 / 6, "from the scatter over P")]
    for i, (name, exponent) in enumerate((("L", 1 / 6), ("M", 1 / 2), ("D", 1 / 3))):
        axes[0][2].plot(budgets, best[:, 3 + i], linestyle="none", label=f"${name}$", **style.series(i))
        law = power_law(budgets[inside], best[inside, 3 + i]) if inside.sum() >= 3 else None
        grid = numpy.geomspace(budgets.min(), budgets.max(), 20)
        centre = numpy.exp(numpy.log(best[:, 3 + i]).mean() - exponent * numpy.log(budgets).mean())
        axes[0][2].plot(grid, centre * grid**exponent, **style.line(i))
        found.append(Verdict(f"best {name}: exponent in P", law, exponent,
                             "optima inside the grid only; sizes are powers of two" if law else
                             "fewer than three optima lie inside the grid"))
    finish(axes[0][2], "budget $P = LMD$", "best size")
    for letter, axis in zip("abc", axes[0]):
        style.label_panel(axis, letter)
        style.log_ticks(axis)
        axis.legend(loc="best")
    d = power_law(problems.D[:-3], gap[:-3])
    if d:
        found.append(Verdict("distance of the limits to the joint limit: exponent in D", d, -0.5, "one draw of the embeddings"))
    style.caption(fig, f"Output after {k} steps against the joint limit (Mean ODE at $D = {largest}$, nested embeddings). Lines in (c): "
                       "$P^{1/6}$, $P^{1/2}$, $P^{1/3}$.\n" + str(found[0]).replace("; theory", ", theory"))
    return fig, found


def draw_authors(results, step=None, quantity="output", problem=0):
    """L = 50, M and D on a grid: output against the joint limit with 0.15 D/(M L) and 0.9/sqrt(D); embedding fluctuation with
    0.8 sqrt(D/(M L)). Our constants beside theirs."""
    problems = Problems(results)
    need_several(problems.D, "D")
    k = problems.last(step)
    reference, gap = joint_reference(problems, k)
    errors = problems.shape_errors(k, [reference] * len(problems.D))
    own = problems.shape_errors(k, problems.field("mean-ode", k, "embedding"), "embedding")
    largest = problems.D.max()
    rows, embedded = [], []
    for D, found, inner in zip(problems.D, errors, own):
        for (L, M), e in found.items():
            if D <= largest / 4:
                rows.append((D, L, M, rms(e)))
            embedded.append((D, L, M, rms(inner[(L, M)])))
    rows, embedded = numpy.array(rows, float), numpy.array(embedded, float)
    D, L, M, error = rows.T
    fig, axes = style.figure(1, 3, 2.9)
    for i, m in enumerate(numpy.unique(M)[numpy.unique(numpy.linspace(0, len(set(M)) - 1, 4).round().astype(int))]):
        at = M == m
        axes[0][0].plot(D[at], error[at], linestyle="none", label=f"$M = {m:g}$", **style.series(i))
        theirs = numpy.hypot(0.15 * D[at] / (m * L[at]), 0.9 / numpy.sqrt(D[at]))
        axes[0][0].plot(D[at], theirs, linewidth=0.8, **style.line(i))
    finish(axes[0][0], "embedding dimension $D$", "RMS error of the output")
    axes[0][0].legend(title="lines: arXiv 2603.18168", title_fontsize=7)

    inner = (problems.D >= SMALL_D) & (problems.D <= largest / 4)
    d = gap[inner] * numpy.sqrt(problems.D[inner])
    axes[0][1].plot(problems.D[:-1], gap[:-1], linestyle="none", label="limit at $D$ to joint limit", **style.series(0))
    grid = numpy.geomspace(problems.D.min(), largest, 30)
    axes[0][1].plot(grid, d.mean() / numpy.sqrt(grid), label=f"{d.mean():.2f}/$\\sqrt{{D}}$ (ours)", **style.line(0))
    axes[0][1].plot(grid, 0.9 / numpy.sqrt(grid), label=r"0.9/$\sqrt{D}$ (theirs)", **style.line(1))
    finish(axes[0][1], "embedding dimension $D$", "RMS distance")
    axes[0][1].legend()

    De, Le, Me, e = embedded.T
    x = De / (Me * Le)
    large = (De >= SMALL_D) & (x < 0.3)
    ratio = e[large] / numpy.sqrt(x[large])
    for i, dim in enumerate(spread(numpy.unique(De), 5)):
        at = De == dim
        axes[0][2].plot(x[at], e[at], linestyle="none", label=f"$D = {dim:g}$", **style.series(i))
    grid = numpy.geomspace(x.min(), x.max(), 30)
    axes[0][2].plot(grid, ratio.mean() * numpy.sqrt(grid), label=f"{ratio.mean():.2f}$\\sqrt{{D/ML}}$ (ours)", **style.line(0))
    axes[0][2].plot(grid, 0.8 * numpy.sqrt(grid), label=r"0.8$\sqrt{D/ML}$ (theirs)", **style.line(1))
    finish(axes[0][2], "$D/(ML)$", "RMS error of the embedding")
    axes[0][2].legend()
    for letter, axis in zip("abc", axes[0]):
        style.label_panel(axis, letter)
        style.log_ticks(axis)

    def mean(values):
        half = 1.96 * values.std(ddof=1) / numpy.sqrt(len(values))
        return {"value": float(values.mean()), "low": float(values.mean() - half), "high": float(values.mean() + half)}

    found = [Verdict("constant of 1/sqrt(D), output", mean(d), None, "theirs, by eye: 0.9; one draw of the embeddings"),
             Verdict("constant of sqrt(D/(M L)), embedding", mean(ratio), None, "theirs, by eye: 0.8"),
             Verdict("embedding: exponent in D/(M L)", power_law(x[large], e[large]), 0.5)]
    style.caption(fig, f"The grid of arXiv 2603.18168 after {k} steps, $L = {L[0]:g}$: output against the Mean ODE at $D = {largest}$ "
                       "(a, b), embedding against the Mean ODE at its own $D$ (c).\n"
                       f"Ours: {d.mean():.2f}/$\\sqrt{{D}}$ and {ratio.mean():.2f}$\\sqrt{{D/ML}}$; theirs, by eye: 0.9 and 0.8.")
    return fig, found
