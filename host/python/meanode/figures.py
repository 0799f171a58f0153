# SPDX-License-Identifier: BSD-3-Clause
"""Kinds of figures, and drawing one of them to a file."""

import collections
import io
import os

import numpy

from . import reading, style, writing
from .authors import draw_authors
from .chaos import draw_chaos
from .dimension import draw_dimension
from .law import draw_law
from .lazy import draw_depth_as_width, draw_lazy
from .phase import draw_phase
from .shape import draw_shape

Kind = collections.namedtuple("Kind", "draw summary")

KINDS = {
    "law": Kind(draw_law, "the error against L, M and L M with the fitted law, and its three parts"),
    "dimension": Kind(draw_dimension, "constants against D: the embedding's fluctuation like sqrt(D), the output's width bias"),
    "lazy": Kind(draw_lazy, "alpha: Mean ODE against Neural Tangent ODE, and the best alpha of the lazy approximation"),
    "phase": Kind(draw_phase, "regimes over (alpha, L M) or (alpha, D): gaps to both limits, noise, divergence"),
    "chaos": Kind(draw_chaos, "propagation of chaos: coupled units, errors along the depth"),
    "depth-as-width": Kind(draw_depth_as_width, "M = 1 against M = L at the same product L M"),
    "shape": Kind(draw_shape, "the best shape at a fixed budget L M D"),
    "authors": Kind(draw_authors, "the grid of arXiv 2603.18168 with their constants and ours"),
}
SUFFIXES = (".svg", ".png", ".pdf")


def default_kind(results):
    """What the configuration names as record.figure, else the law."""
    kind = results.attrs.get("figure", "law")
    return kind if kind in KINDS else "law"


def draw(source, output=None, kind=None, step=None, quantity="output", problem=0, dpi=None):
    """Draw one figure; returns it, with .verdicts. source: a path or what meanode.open returned; kind: default_kind if None.

    Raises FileProblem for an unknown kind or suffix, or a file that lacks what the figure needs; writing.CannotWrite."""
    if kind is not None and kind not in KINDS:
        raise reading.FileProblem(f'unknown kind "{kind}"; there are {", ".join(KINDS)}')
    if output is not None:
        if not os.fspath(output).lower().endswith(SUFFIXES):
            raise reading.FileProblem(f"{output}: the name must end in .svg, .png or .pdf")
        writing.target(output)
    results = reading.open(source) if isinstance(source, (str, os.PathLike)) else source
    # Logarithms of zero and the like come out as numbers that are not finite, which no panel shows.
    with style.look(), numpy.errstate(all="ignore"):
        try:
            fig, fig.verdicts = KINDS[kind or default_kind(results)].draw(results, step=step, quantity=quantity, problem=problem)
        except reading.FileProblem as problem_:
            raise problem_.naming(results.meanode.path) from None
        except (LookupError, ValueError, TypeError, ArithmeticError) as problem_:  # variables that are missing or of other shapes
            raise reading.FileProblem(f"{results.meanode.path}: damaged, or not what this figure needs: {type(problem_).__name__}: "
                                      f"{problem_}") from problem_
        if output is not None:
            writing.write(output, drawn(fig, os.fspath(output).rpartition(".")[2].lower(), dpi))
    return fig


def drawn(fig, form, dpi=None):
    """The bytes of a file in this form ("svg", "png", "pdf"), the same whenever they are drawn; within style.look()."""
    file = io.BytesIO()
    fig.savefig(file, format=form, dpi=dpi, metadata={"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form))
    return file.getvalue()
