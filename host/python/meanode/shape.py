# SPDX-License-Identifier: BSD-3-Clause
"""Figure "shape": the best shape at a fixed budget P = L M D."""

import numpy
from scipy import optimize, stats

from . import style
from .panels import finish, points
from .reading import FileProblem
from .sweep import Problems, need_several
from .verdict import Verdict, power_law

# The fluctuation's power of D: of the embedding per coordinate sqrt(D/(L M)), of the output 1/sqrt(L M).
FLUCTUATION = {"embedding": 1, "output": 0}
THEORY = {"embedding": {"error": -1 / 6, "D": 1 / 3, "LM": 2 / 3, "L": 1 / 6}, "output": {"error": None, "D": None, "LM": None}}
FLAT = 1.05  # sizes whose error is within 5% of the least are as good
MISSING = 1e9


class Squares:
    """Mean square error against the joint limit: value [shape, draw], and L, M, D [shape]."""

    def __init__(self, problems, step, quantity):
        if all(quantity not in data for data in problems.data):
            raise FileProblem(f"{quantity} was not recorded: record: {{{quantity}: true}} in the configuration")
        limits = problems.field("joint", step, quantity)
        known = [draw for draw in range(problems.draws)
                 if all(numpy.isfinite(limit).all() for limit, of in zip(limits, problems.draw) if of == draw)]
        if not known:
            raise FileProblem(f"the limit joint is not known at step {step}")
        errors = problems.shape_errors(step, limits, quantity)
        computed = [{(L, M) for L, M, status in zip(*(data[name].values.tolist() for name in ("L", "M", "status"))) if status >= 0}
                    for data in problems.data]
        # Shapes of which some draw was not computed would stand beside others that were averaged over other draws.
        shapes = sorted({(L, M, D) for i, D in enumerate(problems.D) for L, M in errors[i]
                         if problems.draw[i] in known and all((L, M) in computed[j] for j in range(len(problems.D))
                                                              if problems.D[j] == D and problems.draw[j] in known)})
        if not shapes:
            raise FileProblem(f"no shape was computed and is finite at step {step} in every draw")
        self.value = numpy.full((len(shapes), len(known)), numpy.nan)
        index = {shape: i for i, shape in enumerate(shapes)}
        for found, D, draw in zip(errors, problems.D, problems.draw):
            for (L, M), e in found.items():
                if draw in known and (L, M, D) in index:
                    self.value[index[L, M, D], known.index(draw)] = numpy.mean(e**2)
        self.value[~numpy.isfinite(self.value)] = numpy.nan
        self.L, self.M, self.D = numpy.array(shapes, float).T
        self.P = self.L * self.M * self.D

    def error(self, draws):
        """RMS over draws, per shape; a shape that diverged in a draw is as bad as can be."""
        return numpy.sqrt(numpy.nan_to_num(self.value[:, draws], nan=MISSING).mean(axis=1))

    @property
    def draws(self):
        return self.value.shape[1]


def best(squares, budget, error):
    """Least error over L and M at each D of a budget, and where a parabola through the least of them has its minimum:
    D [.], least [.], best D, its error, whether it is on the edge of the grid."""
    at = numpy.flatnonzero(squares.P == budget)
    D = numpy.unique(squares.D[at])
    least = numpy.array([error[at[squares.D[at] == d]].min() for d in D])
    i = int(numpy.argmin(least))
    if i in (0, len(D) - 1):
        return D, least, D[i], least[i], True
    x, y = numpy.log(D), numpy.log(least)
    a, b, c = numpy.polyfit(x[i - 1: i + 2] - x[i], y[i - 1: i + 2], 2)
    return D, least, float(numpy.exp(x[i] - b / (2 * a))), float(numpy.exp(c - b * b / (4 * a))), False


def best_depth(squares, budget, error):
    """log of the best depth at the best D of the grid and the product L M that belongs to it; NaN on the edge of the grid."""
    at = numpy.flatnonzero(squares.P == budget)
    row = at[squares.D[at] == squares.D[at[numpy.argmin(error[at])]]]
    row = row[numpy.argsort(squares.L[row])]
    i = int(numpy.argmin(error[row]))
    if i in (0, len(row) - 1):
        return numpy.nan
    x, y = numpy.log(squares.L[row]), numpy.log(error[row])
    a, b, _ = numpy.polyfit(x[i - 1: i + 2] - x[i], y[i - 1: i + 2], 2)
    return float(x[i] - b / (2 * a))


def cost_of_depth(squares, budget, error):
    """Largest error over the least at the best D and product L M, among L >= 2, minus 1."""
    at = numpy.flatnonzero((squares.P == budget) & (squares.L >= 2))
    row = at[squares.D[at] == squares.D[at[numpy.argmin(error[at])]]]
    return error[row].max() / error[row].min() - 1 if len(row) else 0.0


def optima(squares, budgets, draws):
    """log best D and log least error [budget] from some of the draws."""
    found = [best(squares, P, squares.error(draws)) for P in budgets]
    return numpy.log([f[2] for f in found]), numpy.log([f[3] for f in found])


def slope(x, y):
    return float(numpy.polyfit(x, y, 1)[0])


def over_draws(squares, statistic):
    """statistic(draws) with its interval by leaving out draws: value, low, high."""
    n = squares.value.shape[1]
    whole = numpy.asarray(statistic(numpy.arange(n)))
    if n < 3:
        return whole, whole, whole
    without = numpy.array([statistic(numpy.delete(numpy.arange(n), d)) for d in range(n)])
    half = stats.t.ppf(0.975, n - 1) * numpy.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    return whole, whole - half, whole + half


class Model:
    """Error^2 = g^2/D + b^2 D^p/(L M) + c^2 (D/(L M))^2 with constants fitted to the shapes that are deep and wide enough: distance of
    the limits (fitted apart for every D, then averaged), fluctuation, width bias. The depth bias a/L is not in it: at a constant product
    L M depth is free."""

    def __init__(self, squares, power):
        x = squares.D / (squares.L * squares.M)
        use = (x < 0.5) & (squares.L >= 4)
        if use.sum() < 6:
            raise FileProblem("too few shapes with L >= 4 and L M > 2 D")
        x, D, error = x[use], squares.D[use], squares.error(numpy.arange(squares.value.shape[1]))[use] ** 2
        levels = numpy.unique(D)
        design = numpy.column_stack([D[:, None] == levels, D ** (power - 1) * x, x**2]) / error[:, None]
        if not numpy.isfinite(design).all():
            raise FileProblem("some shapes have no error above zero")
        (*gaps, b, c), _ = optimize.nnls(design, numpy.ones(len(x)))
        self.power, self.constants = power, numpy.array([numpy.mean(numpy.array(gaps) * levels), b, c])

    def best(self, P):
        """Best D and its error at a budget."""
        D = numpy.geomspace(1, P, 4000)
        square = self.constants @ numpy.stack([1 / D, D ** (self.power + 1) / P, (D * D / P) ** 2])
        i = int(numpy.argmin(square))
        return D[i], numpy.sqrt(square[i])


def draw_shape(results, step=None, quantity="output", problem=0):
    """Error against the joint limit at fixed budgets P = L M D, for output and embedding: error against D, the least error, the best
    sizes, and how little the depth matters at a constant product L M."""
    problems = Problems(results, ("joint",))
    need_several(problems.D, "D")
    k = problems.last(step)
    names = [name for name in ("embedding", "output") if name in problems.data[0]]
    fig, axes = style.figure(2, 2, 4.9)
    found, lines, lacking = [], [], []
    for name in names:
        try:
            verdicts, line, squares, budgets = one_quantity(axes, problems, k, name, len(lines))
        except FileProblem as problem_:
            lacking.append(problem_)
            found.append(Verdict(f"{name}: error of the best shape, exponent in P", {"warning": str(problem_)}, THEORY[name]["error"]))
            continue
        found += verdicts
        lines.append(line)
    if not lines:
        raise lacking[0] if lacking else FileProblem("neither outputs nor embeddings were recorded: record: {output: true} in the configuration")
    finish(axes[0][1], "budget $P = LMD$", "RMS error of the best shape")
    finish(axes[1][0], "budget $P = LMD$", "best embedding dimension $D$")
    middle = numpy.exp(numpy.log(budgets).mean())
    for axis, exponent, height, label in ((axes[0][1], -1 / 6, 1.2 * axes[0][1].get_ylim()[1], r"$P^{-1/6}$"),
                                          (axes[1][0], 1 / 3, 1.2 * axes[1][0].get_ylim()[0], r"$P^{1/3}$")):
        span = numpy.array([middle / 8, middle * 8])
        axis.plot(span, height * (span / middle) ** exponent, color="0.4", linewidth=1.4, label=label)
    for letter, axis in zip("abcd", axes.flat):
        style.label_panel(axis, letter)
        style.log_ticks(axis)
        style.legend(axis, loc="best")
    style.plain_ticks(axes[0][0], problems.D)
    style.plain_ticks(axes[1][1], squares.L)
    axes[1][1].set_ylim(top=1.3 * axes[1][1].get_ylim()[1])
    style.caption(fig, f"Error against the joint limit after {k} steps, {problems.draws} draws of data and embeddings, 95% intervals. Stars: minima of "
                       "parabolas;\nmodel: from fitted constants. " + lines[0] + "".join(f";\n{line}" for line in lines[1:]) + ". Theory, from the bound for the embedding: $-1/6$ and $1/3$.")
    return fig, found


def one_quantity(axes, problems, k, name, s):
    """Draws one quantity as the s-th series of the panels: its verdicts, its line of the caption, its Squares, its budgets."""
    squares = Squares(problems, k, name)
    everything = squares.error(numpy.arange(squares.draws))
    budgets = [P for P in numpy.unique(squares.P) if len(set(squares.D[squares.P == P])) >= 4]
    budgets = numpy.array([P for P in budgets if not best(squares, P, everything)[4]])
    if len(budgets) < 3:
        raise FileProblem("the best shape lies inside the grid for fewer than three products L M D: take powers of two in L, M and D, "
                          "and more of them")
    (log_D, log_error), low, high = over_draws(squares, lambda draws: optima(squares, budgets, draws))
    model = Model(squares, FLUCTUATION[name])
    if not (numpy.isfinite(log_D).all() and numpy.isfinite(log_error).all()):
        raise FileProblem("the error of the best shape is not finite and above zero at every budget")
    if s == 0:
        for i, P in enumerate(budgets[numpy.unique(numpy.linspace(0, len(budgets) - 1, 5).round().astype(int))]):
            D, least, D_best, error_best, _ = best(squares, P, everything)
            axes[0][0].plot(D, least, linewidth=0.8, label=f"$P = 2^{{{numpy.log2(P):.0f}}}$", **{**style.series(i), "linestyle": style.LINES[i]})
            axes[0][0].plot([D_best], [error_best], marker="*", color="black", markersize=6, linestyle="none", zorder=3)
        finish(axes[0][0], "embedding dimension $D$", f"least RMS error of the {name}")
    points(axes[0][1], budgets, *numpy.exp([log_error, low[1], high[1]]), s, name)
    far = numpy.geomspace(budgets.min(), budgets.max(), 60)
    from_model = numpy.array([model.best(P) for P in far])
    axes[0][1].plot(far, from_model[:, 1], label=f"{name}, model", **style.line(s))
    points(axes[1][0], budgets, *numpy.exp([log_D, low[0], high[0]]), s, f"$D$, {name}")
    axes[1][0].plot(far, from_model[:, 0], **style.line(s))
    flatness(axes[1][1], squares, budgets, everything, s, name)
    exponent = {"error": over_draws(squares, lambda draws: slope(numpy.log(budgets), optima(squares, budgets, draws)[1])),
                "D": over_draws(squares, lambda draws: slope(numpy.log(budgets), optima(squares, budgets, draws)[0]))}
    exponent["LM"] = 1 - exponent["D"][0], 1 - exponent["D"][2], 1 - exponent["D"][1]
    found = []
    for what, text in (("error", "error of the best shape"), ("D", "best D"), ("LM", "best L M")):
        value = dict(zip(("value", "low", "high"), map(float, exponent[what])))
        found.append(Verdict(f"{name}: {text}, exponent in P = {budgets.min():.0f} to {budgets.max():.0f}", value, THEORY[name][what]))
    depth = numpy.exp([best_depth(squares, P, everything) for P in budgets])
    inside = numpy.isfinite(depth)
    law = power_law(budgets[inside], depth[inside]) if inside.sum() >= 3 else None
    change = max(cost_of_depth(squares, P, everything) for P in budgets[len(budgets) // 2:])
    found.append(Verdict(f"{name}: best L, exponent in P", law or {}, THEORY["embedding"]["L"],
                         (f"from {depth[inside].min():.1f} to {depth[inside].max():.1f}, scatter over budgets; " if law else "on the edge of its grid; ")
                         + f"at the best D and L M the error changes by at most {100 * change:.0f}% over L >= 2"))
    big = numpy.array([1e9, 1e10])
    local = numpy.diff(numpy.log([model.best(P)[1] for P in big]))[0] / numpy.diff(numpy.log(big))[0]
    found.append(Verdict(f"{name}: error of the best shape, exponent at P = 1e9", {"value": local}, None,
                         f"model with fitted constants {', '.join(f'{c:.3g}' for c in numpy.sqrt(model.constants))} of 1/sqrt(D), "
                         f"{'sqrt(D/(L M))' if FLUCTUATION[name] else '1/sqrt(L M)'}, D/(L M); not a measurement"))
    line = (f"{name}: error $P^{{{exponent['error'][0]:.3f}}}$ [{exponent['error'][1]:.3f}, {exponent['error'][2]:.3f}], best $D$ "
            f"$P^{{{exponent['D'][0]:.2f}}}$ [{exponent['D'][1]:.2f}, {exponent['D'][2]:.2f}]")
    return found, line, squares, budgets


def flatness(axis, squares, budgets, error, index, name):
    """Error at the best D against L at a constant product L M, relative to the least, for the middle and the largest budget."""
    for mark, P in zip(("-", ":"), (budgets[len(budgets) // 2], budgets[-1])):
        at = numpy.flatnonzero(squares.P == P)
        winner = at[numpy.argmin(error[at])]
        row = at[squares.D[at] == squares.D[winner]]
        row = row[numpy.argsort(squares.L[row])]
        axis.plot(squares.L[row], error[row] / error[winner], linestyle=mark, linewidth=0.9, label=f"{name}, $P = 2^{{{numpy.log2(P):.0f}}}$",
                  **style.series(index))
    axis.axhline(FLAT, color="0.6", linewidth=0.7)
    axis.set_xscale("log")
    axis.set_xlabel("depth $L$ at the best $D$ and product $LM$")
    axis.set_ylabel("error over least error")
