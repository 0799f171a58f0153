# SPDX-License-Identifier: BSD-3-Clause
"""Figure "shape": the best shape at a fixed budget P = L M D."""

import numpy
from scipy import optimize

from . import style
from .estimates import estimate, jackknife, minimum, power_law
from .panels import finish, points, spread
from .reading import FileProblem
from .shapes import not_recorded
from .sweep import Problems, need_several
from .verdict import Verdict

# The fluctuation's power of D: of the embedding per coordinate sqrt(D/(L M)), of the output 1/sqrt(L M).
FLUCTUATION = {"embedding": 1, "output": 0}
THEORY = {"embedding": {"error": -1 / 6, "D": 1 / 3, "LM": 2 / 3, "L": 1 / 6}, "output": {"error": None, "D": None, "LM": None}}
FLAT = 1.05  # sizes whose error is within 5% of the least are as good
MISSING = 1e9


class Squares:
    """Mean square error against the joint limit: value [shape, draw], and L, M, D [shape]."""

    def __init__(self, problems, step, quantity):
        if all(quantity not in data for data in problems.data):
            raise FileProblem(not_recorded(quantity))
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
        self.draws = numpy.arange(len(known))

    def error(self, draws):
        """RMS over draws, per shape; a shape that diverged in a draw is as bad as can be."""
        return numpy.sqrt(numpy.nan_to_num(self.value[:, draws], nan=MISSING).mean(axis=1))


def least_by_D(squares, budget, error):
    """Each D of a budget, and its least error over L and M."""
    at = squares.P == budget
    D = numpy.unique(squares.D[at])
    return D, numpy.array([error[at & (squares.D == d)].min() for d in D])


def best(squares, budget, error):
    """log of the best D of a budget, log of its error, whether it is on the edge of the grid."""
    return minimum(*numpy.log(least_by_D(squares, budget, error)))


def over_depth(squares, budget, error, least_L=1):
    """L and error of the shapes from least_L on that share the best D of the grid and its product L M."""
    at = numpy.flatnonzero((squares.P == budget) & (squares.L >= least_L))
    row = at[squares.D[at] == squares.D[at[numpy.argmin(error[at])]]]
    row = row[numpy.argsort(squares.L[row])]
    return squares.L[row], error[row]


def optima(squares, budgets, draws):
    """log best D and log least error [budget] from some of the draws."""
    return numpy.array([best(squares, P, squares.error(draws))[:2] for P in budgets]).T


def over_draws(squares, statistic):
    """statistic(draws) with its interval by leaving out draws: value, low, high."""
    if len(squares.draws) < 3:
        return (statistic(squares.draws),) * 3
    whole, half = jackknife(squares.draws, statistic)
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
        x, D, error = x[use], squares.D[use], squares.error(squares.draws)[use] ** 2
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
        raise lacking[0] if lacking else FileProblem("neither outputs nor embeddings were recorded: record: {output: true} in the "
                                                     "configuration")
    finish(axes[0][1], "budget $P = LMD$", "RMS error of the best shape")
    finish(axes[1][0], "budget $P = LMD$", "best embedding dimension $D$")
    middle = numpy.exp(numpy.log(budgets).mean())
    for axis, exponent, height, label in ((axes[0][1], -1 / 6, 1.2 * axes[0][1].get_ylim()[1], r"$P^{-1/6}$"),
                                          (axes[1][0], 1 / 3, 1.2 * axes[1][0].get_ylim()[0], r"$P^{1/3}$")):
        span = numpy.array([middle / 8, middle * 8])
        axis.plot(span, height * (span / middle) ** exponent, color="0.4", linewidth=1.4, label=label)
    style.arrange(axes.flat)
    for axis in axes.flat:
        style.legend(axis, loc="best")
    style.plain_ticks(axes[0][0], problems.D)
    style.plain_ticks(axes[1][1], squares.L)
    axes[1][1].set_ylim(top=1.3 * axes[1][1].get_ylim()[1])
    style.caption(fig, f"Error against the joint limit after {k} steps, {problems.draws} draws of data and embeddings, 95% intervals. "
                       "Stars: minima of parabolas;\nmodel: from fitted constants. " + ";\n".join(lines)
                       + ". Theory, from the bound for the embedding: $-1/6$ and $1/3$.")
    return fig, found


def one_quantity(axes, problems, k, name, s):
    """Draws one quantity as the s-th series of the panels: its verdicts, its line of the caption, its Squares, its budgets."""
    squares = Squares(problems, k, name)
    everything = squares.error(squares.draws)
    budgets = [P for P in numpy.unique(squares.P) if len(set(squares.D[squares.P == P])) >= 4]
    budgets = numpy.array([P for P in budgets if not best(squares, P, everything)[2]])
    if len(budgets) < 3:
        raise FileProblem("the best shape lies inside the grid for fewer than three products L M D: take powers of two in L, M and D, "
                          "and more of them")
    (log_D, log_error), low, high = over_draws(squares, lambda draws: optima(squares, budgets, draws))
    model = Model(squares, FLUCTUATION[name])
    if not (numpy.isfinite(log_D).all() and numpy.isfinite(log_error).all()):
        raise FileProblem("the error of the best shape is not finite and above zero at every budget")
    if s == 0:
        for i, P in enumerate(spread(budgets, 5)):
            axes[0][0].plot(*least_by_D(squares, P, everything), linewidth=0.8, label=power_of_2(P), linestyle=style.LINES[i],
                            **style.series(i))
            axes[0][0].plot(*numpy.exp([best(squares, P, everything)[:2]]).T, marker="*", color="black", markersize=6, linestyle="none",
                            zorder=3)
        finish(axes[0][0], "embedding dimension $D$", f"least RMS error of the {name}")
    points(axes[0][1], budgets, *numpy.exp([log_error, low[1], high[1]]), s, name)
    far = numpy.geomspace(budgets.min(), budgets.max(), 60)
    from_model = numpy.array([model.best(P) for P in far])
    axes[0][1].plot(far, from_model[:, 1], label=f"{name}, model", **style.line(s))
    points(axes[1][0], budgets, *numpy.exp([log_D, low[0], high[0]]), s, f"$D$, {name}")
    axes[1][0].plot(far, from_model[:, 0], **style.line(s))
    flatness(axes[1][1], squares, budgets, everything, s, name)
    of_D, of_error = zip(*over_draws(squares, lambda draws: numpy.array([numpy.polyfit(numpy.log(budgets), logs, 1)[0]
                                                                         for logs in optima(squares, budgets, draws)])))
    of_LM = 1 - of_D[0], 1 - of_D[2], 1 - of_D[1]
    found = [Verdict(f"{name}: {text}, exponent in P = {budgets.min():.0f} to {budgets.max():.0f}", estimate(*power), THEORY[name][what])
             for what, text, power in (("error", "error of the best shape", of_error), ("D", "best D", of_D), ("LM", "best L M", of_LM))]
    log_depth, _, edge = numpy.array([minimum(*numpy.log(over_depth(squares, P, everything))) for P in budgets]).T
    depth = numpy.exp(log_depth[edge == 0])
    law = power_law(budgets[edge == 0], depth)
    rows = [over_depth(squares, P, everything, 2)[1] for P in budgets[len(budgets) // 2:]]
    change = max(row.max() / row.min() for row in rows) - 1
    where = f"from {depth.min():.1f} to {depth.max():.1f}, scatter over budgets" if law else "on the edge of its grid"
    found.append(Verdict(f"{name}: best L, exponent in P", law or {}, THEORY["embedding"]["L"],
                         f"{where}; at the best D and L M the error changes by at most {100 * change:.0f}% over L >= 2"))
    big = numpy.array([1e9, 1e10])
    local = numpy.diff(numpy.log([model.best(P)[1] for P in big]))[0] / numpy.diff(numpy.log(big))[0]
    found.append(Verdict(f"{name}: error of the best shape, exponent at P = 1e9", {"value": local}, None,
                         f"model with fitted constants {', '.join(f'{c:.3g}' for c in numpy.sqrt(model.constants))} of 1/sqrt(D), "
                         f"{'sqrt(D/(L M))' if FLUCTUATION[name] else '1/sqrt(L M)'}, D/(L M); not a measurement"))
    line = (f"{name}: error $P^{{{of_error[0]:.3f}}}$ [{of_error[1]:.3f}, {of_error[2]:.3f}], best $D$ "
            f"$P^{{{of_D[0]:.2f}}}$ [{of_D[1]:.2f}, {of_D[2]:.2f}]")
    return found, line, squares, budgets


def power_of_2(P):
    return f"$P = 2^{{{numpy.log2(P):.0f}}}$"


def flatness(axis, squares, budgets, error, index, name):
    """Error at the best D against L at a constant product L M, relative to the least, for the middle and the largest budget."""
    for mark, P in zip(("-", ":"), (budgets[len(budgets) // 2], budgets[-1])):
        L, row = over_depth(squares, P, error)
        axis.plot(L, row / row.min(), linestyle=mark, linewidth=0.9, label=f"{name}, {power_of_2(P)}", **style.series(index))
    axis.axhline(FLAT, color="0.6", linewidth=0.7)
    axis.set(xscale="log", xlabel="depth $L$ at the best $D$ and product $LM$", ylabel="error over least error")
