# SPDX-License-Identifier: BSD-3-Clause
"""Figure "dimension": the constants of the error law against the embedding dimension D."""

import numpy

from . import style
from .estimates import estimate, known, log_interval, log_mean_over_draws, power_law, power_over_draws
from .panels import chosen_steps, curve, finish, points
from .reading import FileProblem
from .sweep import Problems, arrays, need_several
from .verdict import Verdict, interval

ACTIVATIONS = {
    "tanh": numpy.tanh, "sin": numpy.sin, "identity": lambda p: p, "relu": lambda p: numpy.maximum(p, 0),
    "softplus": lambda p: numpy.logaddexp(0, p), "silu": lambda p: p / (1 + numpy.exp(-p)),
}


def draw_dimension(results, step=None, quantity="output", problem=0):
    """b of the embedding (like sqrt(D)), b of the output (nearly constant), c of the output (like D), against D; over draws of data
    and embeddings if the file has several."""
    problems = Problems(results, ())
    need_several(problems.D, "D")
    steps = chosen_steps(problems.steps, step)
    # Below d_in + d_out the span of the embeddings is the whole space and its dimension changes with D.
    sizes = problems.data[0].sizes
    least = sizes["input"] + sizes["target"]
    if (numpy.unique(problems.D) >= least).sum() < 3:
        raise FileProblem(f"this figure needs at least three values of D from {least} (inputs + targets) on")
    initial = [0] if 0 in problems.steps else []
    fits, lacking = {}, {}
    for which in ("embedding", "output"):
        try:
            fits[which] = problems.fits(initial + steps, which)
        except FileProblem as problem_:
            lacking[which] = problem_
    fig, axes = style.figure(1, 3, 2.9)
    panels = (("embedding", "b", "embedding: $b$ per coordinate", initial + steps), ("output", "b", "output: $b$", steps),
              ("output", "c", "output: width bias $c$", steps))
    found, embedding = [], []
    for axis, (which, name, title, shown) in zip(axes.flat, panels):
        with style.panel(axis):
            if which in lacking:
                raise lacking[which]
            verdicts = one_panel(axis, problems, fits[which], which, name, title, shown, len(shown) - len(steps), least)
            found += verdicts
            embedding += verdicts if which == "embedding" else []
    style.arrange(axes.flat)
    for axis in axes.flat:
        style.plain_ticks(axis, problems.D)
    if initial and "embedding" in fits:
        found.insert(0, against_the_exact_start(problems, fits["embedding"]))
    text = "; ".join(f"$k={k}$: {interval(v, 3)}" for k, v in zip(initial + steps, embedding) if v.value is not None) or "not determined"
    style.caption(fig, f"Constants of the error law against $D$ (N = {sizes['sample']}, {problems.draws} draws of data and embeddings, 95% "
                       f"intervals; lines: fitted power laws).\nExponents in $D$ of the embedding's fluctuation: {text}; theory 1/2.")
    return fig, found


def one_panel(axis, problems, fits, which, name, title, shown, before, least):
    """One constant over D at the steps shown, `before` of them ahead of the series that all panels have; its exponents."""
    found = []
    for i, k in enumerate(shown):
        i -= before
        (D, *values), law, note = constant_over_D(problems, fits, k, name, least)
        points(axis, D, *values, i, label=f"$k = {k}$")
        if law:
            curve(axis, (max(D.min(), least), D.max()), law["curve"], 40, **style.line(i))
        found.append(Verdict(f"{title.replace('$', '')}, k = {k}: exponent in D", law or {"warning": why_not(fits, k, name)},
                             {"embedding": 0.5}.get(which), f"D >= {least}; {note}"))
    finish(axis, "embedding dimension $D$", title, why_not(fits, shown[-1], name))
    axis.margins(y=0.25)
    style.legend(axis, loc="best", ncol=2 if len(shown) > 3 else 1)
    return found


def why_not(fits, step, name):
    """What the constants that are not known say, or what is left to say."""
    return next((fit[step][name]["warning"] for fit in fits if not known(fit[step][name])),
                "fewer than three values of D with a constant above zero")


def constant_over_D(problems, fits, step, name, least):
    """(D, value, low, high) over draws; the exponent in D from `least` on, or None; a note."""
    value, low, high = arrays(fits, step, name)
    (D, table), (_, bottom), (_, top) = (problems.by_draw(v) for v in (value, low, high))
    good = numpy.isfinite(table).all(axis=0) & (table > 0).all(axis=0)
    D, table, bottom, top = D[good], table[:, good], bottom[:, good], top[:, good]
    large = D >= least
    if not large.any():
        return (D, table[0], bottom[0], top[0]), None, "it is not known at any D"
    if problems.draws > 2:
        shown = D, *log_mean_over_draws(table)
        if large.sum() < 3:
            return shown, None, "fewer than three values of D at which it is known"
        law = power_over_draws(D[large], table[:, large], ((top - bottom) / (2 * 1.96 * table))[:, large])
        return shown, law, f"{problems.draws} draws" + ("; term 1/D apart" if law["corrected"] else "")
    sure = large & (bottom[0] > 0)
    law = power_law(D[sure], table[0][sure])
    return (D, table[0], bottom[0], top[0]), law, "from the scatter over D, of one draw of the embeddings"


def against_the_exact_start(problems, fits):
    """At initialisation the fluctuation of a perceptron's embedding is known: b^2 = alpha^2 sigma_v^2 D E[rho(sigma_u |h|
    g/sqrt(D))^2], averaged over samples, g normal. The ratio to it, over problems: that runs and estimator are right at every D."""
    nodes, weights = numpy.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    name = "embedding: b per coordinate at k = 0 over its exact value"
    measured, low, high = arrays(fits, 0, "b")
    exact = []
    for data, D, alpha in zip(problems.data, problems.D, problems.alpha):
        rho, block = ACTIVATIONS.get(data.attrs["activation"]), data.attrs.get("block", "perceptron")
        if rho is None or block != "perceptron":
            return Verdict(name, {}, 1.0, f"no closed form for this {'activation' if block == 'perceptron' else 'block'} here")
        h = data["x"].values @ data["w_embed"].values.T
        scale = float(data.attrs["sigma_u"]) * numpy.sqrt((h**2).sum(axis=1) / D)
        square = (weights * rho(scale[:, None] * nodes) ** 2).sum(axis=1).mean()
        exact.append(alpha * float(data.attrs["sigma_v"]) * numpy.sqrt(D * square))
    sure = (measured > 0) & (high > low)
    if not sure.any():
        return Verdict(name, {"warning": fits[0][0]["b"].get("warning", "")}, 1.0)
    ratio = numpy.log(measured / numpy.array(exact))[sure]
    seeds = ((high - low) / (2 * 1.96 * measured))[sure]
    weight = 1 / seeds**2 / numpy.sum(1 / seeds**2)
    half = 1.96 * float(weight @ seeds)  # as if the seeds' share were the same in every problem
    return Verdict(name, estimate(*log_interval(weight @ ratio, half)), 1.0,
                   f"{len(ratio)} problems, D from {problems.D.min()} to {problems.D.max()}")
