"""Kinds of figures, and drawing one of them to a file."""

import collections
import os

from . import reading, style
from .law import draw_law

Kind = collections.namedtuple("Kind", "draw summary")

KINDS = {
    "law": Kind(draw_law, "the error against L, M and L M with the fitted law"),
}
SUFFIXES = (".svg", ".png", ".pdf")


def draw(source, output=None, kind="law", step=None, quantity="output", problem=0, dpi=None):
    """Draw one figure; returns it. source: a path or what meanode.open returned.

    Raises FileProblem for an unknown kind or suffix, or a file that lacks what the figure needs."""
    if kind not in KINDS:
        raise reading.FileProblem(f'unknown kind "{kind}"; there are {", ".join(KINDS)}')
    if output is not None and not os.fspath(output).lower().endswith(SUFFIXES):
        raise reading.FileProblem(f"{output}: the name must end in .svg, .png or .pdf")
    results = reading.open(source) if isinstance(source, (str, os.PathLike)) else source
    with style.look():
        fig = KINDS[kind].draw(results, step=step, quantity=quantity, problem=problem)
        if output is not None:
            metadata = {"Date": None} if os.fspath(output).lower().endswith(".svg") else None
            fig.savefig(output, dpi=dpi, metadata=metadata)
    return fig
