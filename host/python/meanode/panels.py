# SPDX-License-Identifier: BSD-3-Clause
"""What the panels of several figures share: which steps, points with intervals, logarithmic axes."""

import numpy

from . import style
from .reading import FileProblem
from .shapes import column_of


def chosen_steps(recorded, step):
    """At most three recorded steps ending with the wanted one: early, middle, last."""
    positive = [k for k in recorded if k > 0] or recorded
    if step is not None:
        column_of(recorded, step)
        positive = [k for k in positive if k <= step] or [step]
    last = positive[-1]
    wanted = {min(positive, key=lambda k: abs(k - goal)) for goal in (1, max(1, last // 3), last)}
    return sorted(wanted)


def curve(axis, x, of, count, **options):
    """The line of(x) over the range of x, with so many points."""
    at = numpy.geomspace(numpy.min(x), numpy.max(x), count)
    axis.plot(at, of(at), **options)


def points(axis, x, value, low, high, index, label, **more):
    """Those that a logarithmic axis can show, with a finite interval."""
    x, value, low, high = (numpy.asarray(v, float) for v in (x, value, low, high))
    seen = style.can_be_shown(value) & numpy.isfinite(low) & (high < style.LARGEST)
    if not seen.any():
        return
    x, value, low, high = x[seen], value[seen], low[seen], high[seen]
    axis.errorbar(x, value, yerr=numpy.maximum([value - low, high - value], 0), linestyle="none", elinewidth=0.7, markeredgewidth=0.6,
                  label=label, **{**style.series(index), **more})


def points_or_limits(axis, x, value, low, high, index, label):
    """Points whose interval reaches 0 become arrows down from its upper end."""
    visible = low > 0
    points(axis, x[visible], value[visible], low[visible], high[visible], index, label)
    bounded = ~visible & style.can_be_shown(high)
    axis.plot(x[bounded], high[bounded], linestyle="none", marker=r"$\downarrow$", markersize=4.5, markeredgewidth=0,
              color=style.COLOURS[index], label=None if visible.any() else label)


def finish(axis, x, y, why="nothing to show at this step: no point is finite and above zero", yscale="log"):
    """Scales and names of a panel that has its points; FileProblem(why) if none of them (a line with markers) can be shown."""
    shown = False
    for one in axis.lines:
        at, of = (style.can_be_shown(numpy.asarray(v, float)) for v in one.get_data())
        shown |= one.get_marker() not in ("None", None, "") and (at & of).any()
        if one.get_transform().contains_branch(axis.transData) and not of.any():  # it must not choose the range
            one.set_data([], [])
    if not shown:
        raise FileProblem(why)
    axis.set(xscale="log", yscale=yscale, xlabel=x, ylabel=y)


def spread(values, most):
    """At most so many of the values, the ends among them."""
    if len(values) <= most:
        return values
    return values[numpy.unique(numpy.linspace(0, len(values) - 1, most).round().astype(int))]
