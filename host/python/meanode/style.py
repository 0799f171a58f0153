# SPDX-License-Identifier: BSD-3-Clause
"""One look for all figures: print size, colour-blind safe (Okabe and Ito), told apart in black and white by marker and
line style."""

import contextlib
import textwrap
from math import floor, log10

import matplotlib
import matplotlib.figure
import matplotlib.ticker as ticker

from .reading import FileProblem

WIDTH = 7.0  # inches, two columns
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (7, 2)), (0, (1, 1)))

SETTINGS = {
    "font.family": "serif",
    "font.serif": ["STIXGeneral", "DejaVu Serif"],
    "mathtext.fontset": "stix",
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "axes.titlesize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "legend.borderaxespad": 0.3,
    "legend.labelspacing": 0.25,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.6,
    "errorbar.capsize": 1.5,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "meanode",
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
}


@contextlib.contextmanager
def look():
    """Within it, matplotlib draws in this style, whatever the caller's settings are; these come back afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


def figure(rows, columns, height):
    """Figure and axes [rows][columns]. Not through pyplot: no global state, no window, nothing to close."""
    fig = matplotlib.figure.Figure(figsize=(WIDTH, height))
    return fig, fig.subplots(rows, columns, squeeze=False)


SMALLEST, LARGEST = 1e-290, 1e290  # what a logarithmic axis can show: its ends are some decades beyond the data


def can_be_shown(values):
    """By a logarithmic axis."""
    return (values > SMALLEST) & (values < LARGEST)


BLANK = "blank"  # label of an axes that shows a reason instead of data


@contextlib.contextmanager
def panel(axis):
    """What draws one panel. A FileProblem within means that the file has nothing for it: the reason stands there instead."""
    try:
        yield
    except FileProblem as problem:
        axis.cla()
        axis.set(xscale="linear", yscale="linear", xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], xlabel="", ylabel="", label=BLANK)
        text = textwrap.fill(str(problem), 32, break_long_words=False, break_on_hyphens=False)
        axis.text(0.5, 0.5, text, ha="center", va="center", fontsize=7, color="0.35", parse_math=False)


def is_blank(axis):
    return axis.get_label() == BLANK


def reason(axis):
    """What a blank panel says."""
    return " ".join(axis.texts[0].get_text().split())


def need_a_panel(axes):
    """FileProblem with the first reason if every panel is blank."""
    axes = list(axes)
    if all(map(is_blank, axes)):
        raise FileProblem(reason(axes[0]))


def legend(axis, **options):
    """A legend, where there is something to name."""
    if axis.get_legend_handles_labels()[0]:
        axis.legend(**options)


def lower(axis, factor):
    """Room below: the lower end of a logarithmic axis by a factor."""
    if not is_blank(axis):
        axis.set_ylim(bottom=axis.get_ylim()[0] / factor)


def caption(fig, text):
    """Put a caption below the axes and arrange these."""
    height = fig.get_size_inches()[1]
    below = (0.06 + 0.14 * (text.count("\n") + 1)) / height
    fig.tight_layout(rect=(0, below, 1, 1), pad=0.4, w_pad=0.9, h_pad=1.0)
    fig.text(0.5, 0.04 / height, text, ha="center", va="bottom", fontsize=7.5)


def series(index):
    """Keyword arguments of the index-th series."""
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}


def line(index):
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": LINES[index % len(LINES)]}


def label_panel(axis, letter, text=""):
    axis.set_title(f"({letter})" + (f"  {text}" if text else ""), loc="left", pad=3)


def arrange(axes):
    """Letters and ticks of a figure's panels in order; FileProblem as from need_a_panel."""
    axes = list(axes)
    need_a_panel(axes)
    for letter, axis in zip("abcdef", axes):
        label_panel(axis, letter)
        log_ticks(axis)


def tick(value):
    """0.0005, 20, 5 x 10^-5."""
    if value >= 1e-4 or value <= 0:
        return f"{value:.6g}"
    power = floor(log10(value) + 1e-9)
    return rf"${value / 10**power:.6g}\times10^{{{power}}}$"


def log_ticks(axis):
    """Log axes: powers of ten where two decades or more are shown, 1-2-5 labels below, more within a factor of 6."""
    for one, (low, high) in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
        if one.get_scale() != "log" or is_blank(axis):
            continue
        if high / low < 100:
            one.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if high / low > 6 else (1, 1.5, 2, 3, 4, 5, 6, 7, 8)))
            one.set_major_formatter(ticker.FuncFormatter(lambda v, _: tick(v)))
        one.set_minor_formatter(ticker.NullFormatter())


def plain_ticks(axis, values, which="x"):
    """Ticks at the values themselves (at most six), as plain numbers; for log axes of a few sizes."""
    if is_blank(axis):
        return
    values = sorted(set(values))
    if len(values) > 6:
        values = values[:: (len(values) + 5) // 6]
    target = axis.xaxis if which == "x" else axis.yaxis
    target.set_major_locator(ticker.FixedLocator(values))
    target.set_major_formatter(ticker.FixedFormatter([f"{v:g}" for v in values]))
    target.set_minor_locator(ticker.NullLocator())
